package admin

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"mcproxy/proxy"
)

// A histogram is one metric of them: how it is read out of the figures, and its shape.
type histogram struct {
	name   string
	help   string
	labels []string
	shape
	read func(f *figures, emit emitHistogram)
}

// An emitHistogram takes one histogram and its labels' values, in the order of the metric's labels.
type emitHistogram func(h *proxy.Histogram, labels ...string)

// A shape says which of a histogram's many buckets /metrics shows as classic ones, and how they are native ones.
type shape struct {
	first, step, last int   // bounds that are shown: from first to last, each step-th
	schema            int32 // of the native histogram whose bounds are the same, or noSchema
}

const noSchema = math.MinInt32

// histograms are all there are. The shapes' bounds are those of the scales in package tally: bound i of Seconds is 2^(i/4-20) s, and of
// Powers 2^(i-1).
func histograms() []histogram {
	durations := shape{first: 20, step: 4, last: 88, schema: 2} // from 2^-15 s (31 µs) to 4 s, by powers of two
	sizes := shape{first: 7, step: 2, last: 27}                 // from 64 to 64 Mi, by powers of four
	numbers := shape{first: 1, step: 1, last: 11}               // from 1 to 1,024, by powers of two
	lifespans := shape{step: 1, last: math.MaxInt, schema: noSchema}
	backends := func(read func(b *proxy.BackendFigures) *proxy.Histogram) func(f *figures, emit emitHistogram) {
		return func(f *figures, emit emitHistogram) {
			for _, p := range f.Pools {
				for i := range p.Backends {
					emit(read(&p.Backends[i]), p.Name, p.Backends[i].Name)
				}
			}
		}
	}
	return []histogram{
		{
			"mcproxy_client_multiget_keys", "Keys of retrievals with several.", nil, numbers,
			func(f *figures, emit emitHistogram) { emit(&f.Clients.Widths) },
		},
		{
			"mcproxy_pool_request_duration_seconds", "Time from when a request was read to when its answer was there, by op: get (one key), multiget, store, delete, " +
				"count (incr, decr, ma), touch. A request for keys of several pools counts for the first key's.",
			[]string{"pool", "op"},
			durations,
			func(f *figures, emit emitHistogram) {
				for _, p := range f.Pools {
					for i := range p.Durations {
						emit(&p.Durations[i].Histogram, p.Name, p.Durations[i].Op)
					}
				}
			},
		},
		{
			"mcproxy_pool_value_bytes", "Lengths of values, by op: read (found and given to a client), written (as they came, whatever became of them).",
			[]string{"pool", "op"},
			sizes,
			func(f *figures, emit emitHistogram) {
				for i := range f.Pools {
					emit(&f.Pools[i].Read, f.Pools[i].Name, "read")
					emit(&f.Pools[i].Written, f.Pools[i].Name, "written")
				}
			},
		},
		{
			"mcproxy_pool_lifetime_seconds", "Times to live that clients gave, of the classes relative, absolute and far.",
			[]string{"pool"},
			lifespans,
			func(f *figures, emit emitHistogram) {
				for i := range f.Pools {
					emit(&f.Pools[i].Lifetimes.Seconds, f.Pools[i].Name)
				}
			},
		},
		{
			"mcproxy_backend_call_duration_seconds", "Time from when a call was sent to when its answer was there. Calls that failed are not counted.",
			[]string{"pool", "backend"},
			durations, backends(func(b *proxy.BackendFigures) *proxy.Histogram { return &b.Durations }),
		},
		{
			"mcproxy_backend_batch_calls", "Calls that went to the backend with one write.",
			[]string{"pool", "backend"},
			numbers,
			backends(func(b *proxy.BackendFigures) *proxy.Histogram { return &b.Batches }),
		},
	}
}

// metric makes a metric of a histogram. What is in its first bucket is in a native one's zero bucket.
func (s *shape) metric(desc *prometheus.Desc, h *proxy.Histogram, native bool, labels []string) prometheus.Metric {
	buckets := make(map[float64]uint64)
	seen := uint64(0)
	for i, n := range h.Counts {
		seen += n
		if i >= s.first && i <= s.last && (i-s.first)%s.step == 0 && i < len(h.Counts)-1 {
			buckets[h.Bound(i)] = seen
		}
	}
	classic, err := prometheus.NewConstHistogram(desc, seen, h.Sum, buckets, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	if !native || s.schema == noSchema || len(h.Counts) == 0 {
		return classic
	}
	positive := make(map[int]int64)
	for i, n := range h.Counts[1:] {
		if n > 0 {
			positive[s.index(h, i+1)] += int64(n)
		}
	}
	m, err := prometheus.NewConstNativeHistogram(desc, seen, h.Sum, positive, nil, h.Counts[0], s.schema, h.Bound(0), time.Time{}, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return both{classic, m}
}

// index is the native bucket of bucket i: its upper bound is 2^(index/2^schema).
func (s *shape) index(h *proxy.Histogram, i int) int {
	per := float64(int(1) << s.schema)
	if i == len(h.Counts)-1 { // what is over all bounds is told as if it were hardly so
		return int(math.Round(math.Log2(h.Bound(i-1))*per)) + 1
	}
	return int(math.Round(math.Log2(h.Bound(i)) * per))
}

// both is one histogram with classic buckets and native ones.
type both struct {
	prometheus.Metric // classic
	native            prometheus.Metric
}

// Write is prometheus.Metric's.
func (b both) Write(out *dto.Metric) error {
	if err := b.Metric.Write(out); err != nil {
		return err
	}
	var native dto.Metric
	if err := b.native.Write(&native); err != nil {
		return err
	}
	from, to := native.GetHistogram(), out.GetHistogram()
	to.Schema, to.ZeroThreshold, to.ZeroCount = from.Schema, from.ZeroThreshold, from.ZeroCount
	to.PositiveSpan, to.PositiveDelta = from.GetPositiveSpan(), from.GetPositiveDelta()
	return nil
}
