package tally

import (
	"math"
	"math/bits"
)

// A Scale says where the buckets of a histogram end.
type Scale uint8

// The scales.
const (
	Seconds  Scale = iota // 2^(i/4) s, from 2^-20 s (about a microsecond) to 32 s: durations
	Powers                // 0, and 2^i, from 1 to 2^31: bytes, and numbers of things
	Lifespan              // seconds that people think in, from a second to a year: times to live
)

const (
	secondsLow     = -20                            // the lowest bound is 2^secondsLow s,
	secondsHigh    = 5                              // and the highest 2^secondsHigh s
	secondsBuckets = 4*(secondsHigh-secondsLow) + 2 // one up to the lowest bound, one over the highest
	powersBuckets  = 34                             // 0; up to 1; up to 2; … up to 2^31; more
)

// lifespans are the bounds of Lifespan, in seconds.
var lifespans = [...]int64{
	1, 10, 60, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 86400, 7 * 86400, 30 * 86400, 90 * 86400, 365 * 86400,
}

// A Histogram is a copy of what was observed, for people and for metrics.
type Histogram struct {
	Scale  Scale
	Counts []uint64 // of each bucket; the last is over all bounds
	Sum    float64  // of what was observed, in base units: seconds, bytes, or a number
}

// Bound is the upper bound of bucket i, which belongs to it, in base units. The last bucket has none: +Inf.
func (h *Histogram) Bound(i int) float64 {
	switch {
	case i >= len(h.Counts)-1:
		return math.Inf(1)
	case h.Scale == Seconds:
		return math.Exp2(secondsLow + float64(i)/4)
	case h.Scale == Powers && i == 0:
		return 0
	case h.Scale == Powers:
		return math.Exp2(float64(i - 1))
	}
	return float64(lifespans[i])
}

// Count is how many observations there were.
func (h *Histogram) Count() uint64 {
	n := uint64(0)
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile gives the value that a share q of the observations, 0 to 1, do not exceed: within its bucket as if they were spread
// evenly there. It is 0 without observations, and the highest bound for what is over it.
func (h *Histogram) Quantile(q float64) float64 {
	total := h.Count()
	if total == 0 {
		return 0
	}
	rank := min(max(q, 0), 1) * float64(total)
	seen := 0.0
	for i, c := range h.Counts {
		if c == 0 || seen+float64(c) < rank {
			seen += float64(c)
			continue
		}
		low := 0.0
		if i > 0 {
			low = h.Bound(i - 1)
		}
		if i == len(h.Counts)-1 {
			return low
		}
		return low + (h.Bound(i)-low)*(rank-seen)/float64(c)
	}
	return h.Bound(len(h.Counts) - 2)
}

// Since is what was observed after an earlier copy of the same histogram; a copy without counts is one of the start.
func (h *Histogram) Since(before Histogram) Histogram {
	d := Histogram{Scale: h.Scale, Counts: append([]uint64(nil), h.Counts...), Sum: h.Sum - before.Sum}
	for i := range before.Counts {
		d.Counts[i] -= before.Counts[i]
	}
	return d
}

// Merge adds what another histogram of the same scale observed; one without counts is empty.
func (h *Histogram) Merge(o *Histogram) {
	if o.Counts != nil {
		h.add(o.Scale, o.Counts, o.Sum)
	}
}

// add adds one worker's counts.
func (h *Histogram) add(scale Scale, counts []uint64, sum float64) {
	h.Scale = scale
	if h.Counts == nil {
		h.Counts = make([]uint64, len(counts))
	}
	for i, c := range counts {
		h.Counts[i] += c
	}
	h.Sum += sum
}

// Durations counts durations on the scale Seconds. The zero value is empty.
type Durations struct {
	counts [secondsBuckets]uint64
	sum    uint64 // nanoseconds
}

// Observe counts a duration in nanoseconds.
func (d *Durations) Observe(ns int64) {
	if !Counting {
		return
	}
	ns = max(ns, 0)
	d.counts[secondsBucket(uint64(ns))]++
	d.sum += uint64(ns)
}

// AddTo adds the counts to a copy, which is empty or of the same scale.
func (d *Durations) AddTo(h *Histogram) { h.add(Seconds, d.counts[:], float64(d.sum)/1e9) }

// Quarters of an octave, as the 64 highest bits of a number: 2^63 times 2^(1/4), 2^(1/2) and 2^(3/4).
const (
	quarter1 = 0x9837f0518db8a96f
	quarter2 = 0xb504f333f9de6484
	quarter3 = 0xd744fccad69d6af4
)

// secondsBucket finds a duration's bucket. Its unit is 2^-30 s, as the bounds are powers of two of a second: 2^30/10^9 is
// 1 + 77323/2^20, but for a millionth.
func secondsBucket(ns uint64) int {
	if ns > 64e9 {
		return secondsBuckets - 1
	}
	u := ns + ns*77323>>20
	if u <= 1<<(30+secondsLow) {
		return 0
	}
	u-- // a bound belongs to the bucket below it
	octave := bits.Len64(u) - 1
	mantissa := u << (63 - octave)
	quarter := 0
	if mantissa >= quarter1 {
		quarter++
	}
	if mantissa >= quarter2 {
		quarter++
	}
	if mantissa >= quarter3 {
		quarter++
	}
	return min(4*(octave-(30+secondsLow))+quarter+1, secondsBuckets-1)
}

// Sizes counts numbers on the scale Powers. The zero value is empty.
type Sizes struct {
	counts [powersBuckets]uint64
	sum    uint64
}

// Observe counts n, which is not negative.
func (s *Sizes) Observe(n int) {
	if !Counting {
		return
	}
	i := 0
	if n > 0 {
		i = min(bits.Len64(uint64(n-1))+1, powersBuckets-1)
	}
	s.counts[i]++
	s.sum += uint64(n)
}

// AddTo adds the counts to a copy, which is empty or of the same scale.
func (s *Sizes) AddTo(h *Histogram) { h.add(Powers, s.counts[:], float64(s.sum)) }

// A Tick is a time in little memory: nanoseconds divided by 1,024, of which it forgets more than 73 minutes.
type Tick uint32

// TickOf gives a time in nanoseconds as a Tick.
func TickOf(now int64) Tick { return Tick(now >> 10) }

// Until gives the nanoseconds that have gone by since the tick, 73 minutes at most.
func (t Tick) Until(now int64) int64 { return int64(TickOf(now)-t) << 10 }
