package tally_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"mcproxy/internal/tally"
)

// bucketOf says which bucket the one observation of a histogram is in.
func bucketOf(t *testing.T, h *tally.Histogram) int {
	t.Helper()
	if n := h.Count(); n != 1 {
		t.Fatalf("%d observations, want 1", n)
	}
	for i, c := range h.Counts {
		if c > 0 {
			return i
		}
	}
	panic("not reached")
}

// TestBuckets puts numbers in their buckets, those at the bounds above all.
func TestBuckets(t *testing.T) {
	duration := func(ns int64) *tally.Histogram {
		var d tally.Durations
		var h tally.Histogram
		d.Observe(ns)
		d.AddTo(&h)
		return &h
	}
	check := func(h *tally.Histogram, v float64) {
		t.Helper()
		i := bucketOf(t, h)
		low := math.Inf(-1)
		if i > 0 {
			low = h.Bound(i - 1)
		}
		if high := h.Bound(i); v > high || v <= low {
			t.Errorf("%v is in bucket %d, over %v up to %v", v, i, low, high)
		}
		if h.Sum != v {
			t.Errorf("the sum of %v is %v", v, h.Sum)
		}
	}
	empty := duration(1)
	for i := range len(empty.Counts) - 1 {
		bound := int64(math.Round(empty.Bound(i) * 1e9))
		for _, ns := range []int64{bound - bound>>19 - 1, bound + bound>>19 + 2} { // to two millionths
			check(duration(ns), float64(ns)/1e9)
		}
	}
	for _, ns := range []int64{1, 31e9, 33e9, 64e9, 65e9, 1 << 45, math.MaxInt64 >> 10} {
		check(duration(ns), float64(ns)/1e9)
	}
	if i := bucketOf(t, duration(-1)); i != 0 {
		t.Errorf("a duration that is less than nothing is in bucket %d", i)
	}
	size := func(n int) *tally.Histogram {
		var s tally.Sizes
		var h tally.Histogram
		s.Observe(n)
		s.AddTo(&h)
		return &h
	}
	for _, n := range []int{0, 1, 2, 3, 4, 5, 63, 64, 65, 1 << 20, 1<<20 + 1, 1 << 31, 1<<31 + 1, 1 << 40} {
		check(size(n), float64(n))
	}
	life := func(exptime int64) *tally.Histogram {
		var l tally.Lifetimes
		var s tally.LifetimeSum
		l.Observe(exptime, 1_800_000_000)
		l.AddTo(&s)
		return &s.Seconds
	}
	for _, n := range []int64{1, 2, 60, 61, 3600, 3601, 30 * 86400} {
		check(life(n), float64(n))
	}
	for _, n := range []int64{1, 60, 31 * 86400, 365 * 86400, 366 * 86400, 40 * 366 * 86400} {
		check(life(1_800_000_000+n), float64(n))
	}
}

// TestQuantile compares with the sorted observations: the answer is in the right bucket, a fifth of an octave or so.
func TestQuantile(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var d tally.Durations
	var all []float64
	for range 10_000 {
		ns := int64(math.Exp(r.NormFloat64()+13) + 1000) // about half a millisecond
		d.Observe(ns)
		all = append(all, float64(ns)/1e9)
	}
	var h tally.Histogram
	d.AddTo(&h)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		got := h.Quantile(q)
		below := 0
		for _, v := range all {
			if v <= got*1.19 {
				below++
			}
		}
		above := 0
		for _, v := range all {
			if v >= got/1.19 {
				above++
			}
		}
		if below < int(q*10_000) || above < int((1-q)*10_000) {
			t.Errorf("quantile %v is %v: %d of 10,000 are not above it, %d not below", q, got, below, above)
		}
	}
	var none tally.Histogram
	if got := none.Quantile(0.5); got != 0 {
		t.Errorf("a quantile of nothing is %v", got)
	}
	before := h.Since(tally.Histogram{})
	d.Observe(1e9)
	var now tally.Histogram
	d.AddTo(&now)
	if since := now.Since(before); since.Count() != 1 || math.Abs(since.Sum-1) > 1e-6 || since.Quantile(1) != 1 {
		t.Errorf("one second was observed since: %v", since)
	}
}

// TestTick goes over the end of what a Tick can hold.
func TestTick(t *testing.T) {
	for _, began := range []int64{0, 1e9, 1<<42 - 1024, 5 << 42} {
		for _, ns := range []int64{0, 1024, 250e6, 3600e9} {
			if got := tally.TickOf(began).Until(began + ns); got < ns-1024 || got > ns+1024 {
				t.Errorf("from %d on %d ns went by, not %d", began, got, ns)
			}
		}
	}
}
