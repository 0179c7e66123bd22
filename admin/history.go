package admin

import (
	"math"
	"time"

	"mcproxy/proxy"
)

// Bounds of what a server keeps in mind. A backend takes 11 KB.
const (
	sampleInterval = time.Second
	maxSamples     = 900  // 15 minutes
	maxSeries      = 1024 // pools and backends; what comes later has no history
)

// A History is what GET /api/history answers, as JSON: a sample for each second of the last 15 minutes, or those that the asker has
// not got yet. All lists of figures are as long as Times; null is a second without a figure.
type History struct {
	Start time.Time     `json:"start"` // of the process; what was kept of another one is nothing to go on with
	Next  uint64        `json:"next"`  // ask with ?after= this for what comes later
	Times []Figure      `json:"times"` // seconds since 1970, to the millisecond
	Pools []PoolHistory `json:"pools"`
}

// A PoolHistory is one pool of a History. Each figure is the mean over the time since the sample before.
type PoolHistory struct {
	Pool     string           `json:"pool"`
	Ops      []Figure         `json:"operations_per_second"` // requests of clients
	HitRatio []Figure         `json:"hit_ratio"`             // 0..1
	Backends []BackendHistory `json:"backends"`
}

// A BackendHistory is one backend of a PoolHistory.
type BackendHistory struct {
	Backend  string   `json:"backend"`
	Ops      []Figure `json:"operations_per_second"`     // calls
	Sent     []Figure `json:"sent_bytes_per_second"`     // to the backend
	Received []Figure `json:"received_bytes_per_second"` // from it
}

// A series is a ring of samples of one pool or backend.
type series struct {
	name   seriesName
	last   uint64 // number of the last sample with a figure
	values [3][maxSamples]float32
}

// A seriesName says whose a series is; a pool's has no backend.
type seriesName struct{ pool, backend string }

// What the values of a series are.
const (
	seriesOps      = 0
	seriesHits     = 1 // of a pool: the ratio
	seriesSent     = 1 // of a backend
	seriesReceived = 2
)

// A history holds the samples of the last 15 minutes. Sample n lies at n % maxSamples. Its owner guards it.
type history struct {
	next   uint64 // number of the next sample; the first is 1
	times  [maxSamples]time.Time
	series map[seriesName]*series
}

func newHistory() *history { return &history{next: 1, series: make(map[seriesName]*series)} }

// add takes what has happened between two looks.
func (h *history) add(at time.Time, now, then *proxy.Snapshot, seconds float64) {
	h.times[h.next%maxSamples] = at
	for i := range now.Pools {
		p := &now.Pools[i]
		before := poolOf(then, p.Name)
		if before == nil {
			continue // it is new: what it has counted took an unknown time
		}
		hits, misses := perSecond(p.Hits, before.Hits, 1), perSecond(p.Misses, before.Misses, 1)
		h.put(seriesName{p.Name, ""}, perSecond(requests(p), requests(before), seconds), float64(over(hits, hits+misses)), math.NaN())
		for j := range p.Backends {
			b := &p.Backends[j]
			if old := backendOf(before, b.Name); old != nil {
				h.put(seriesName{p.Name, b.Name}, perSecond(b.Calls, old.Calls, seconds), perSecond(b.BytesOut, old.BytesOut, seconds),
					perSecond(b.BytesIn, old.BytesIn, seconds))
			}
		}
	}
	h.next++
	for name, s := range h.series {
		if h.next-s.last > maxSamples {
			delete(h.series, name)
		}
	}
}

// put writes the sample that is being added.
func (h *history) put(name seriesName, values ...float64) {
	s := h.series[name]
	if s == nil {
		if len(h.series) >= maxSeries {
			return
		}
		s = &series{name: name}
		h.series[name] = s
	}
	for n := max(s.last+1, h.next-min(h.next, maxSamples-1)); n < h.next; n++ { // it was away
		for i := range s.values {
			s.values[i][n%maxSamples] = float32(math.NaN())
		}
	}
	for i := range s.values {
		s.values[i][h.next%maxSamples] = float32(values[i])
	}
	s.last = h.next
}

// after gives the samples behind a number, for the pools and backends of s; those of one pool alone if pool is not empty.
func (h *history) after(number uint64, s *proxy.Snapshot, pool string) History {
	if number >= h.next { // it is another process's
		number = 0
	}
	from := max(number+1, h.next-min(h.next, maxSamples))
	out := History{Start: s.Start.UTC(), Next: h.next - 1, Times: []Figure{}, Pools: []PoolHistory{}}
	for n := from; n < h.next; n++ {
		out.Times = append(out.Times, Figure(float64(h.times[n%maxSamples].UnixMilli())/1e3))
	}
	for i := range s.Pools {
		p := &s.Pools[i]
		if pool != "" && p.Name != pool {
			continue
		}
		name := seriesName{p.Name, ""}
		ph := PoolHistory{
			Pool: p.Name, Ops: h.list(name, seriesOps, from), HitRatio: h.list(name, seriesHits, from), Backends: []BackendHistory{},
		}
		for j := range p.Backends {
			name.backend = p.Backends[j].Name
			ph.Backends = append(ph.Backends, BackendHistory{
				Backend: name.backend, Ops: h.list(name, seriesOps, from), Sent: h.list(name, seriesSent, from),
				Received: h.list(name, seriesReceived, from),
			})
		}
		out.Pools = append(out.Pools, ph)
	}
	return out
}

// list gives one kind of a series' values from a number on.
func (h *history) list(name seriesName, kind int, from uint64) []Figure {
	out := make([]Figure, 0, h.next-from)
	s := h.series[name]
	for n := from; n < h.next; n++ {
		if s == nil || n > s.last {
			out = append(out, None())
			continue
		}
		out = append(out, Figure(s.values[kind][n%maxSamples]))
	}
	return out
}
