package hotkey_test

import (
	"math"
	"testing"

	"mcproxy/hotkey"
)

// TestSamplerProbability: a request of cost c is picked with probability 1-exp(-c/mean), and independently of the one that
// came lag requests before.
func TestSamplerProbability(t *testing.T) {
	const n, maxLag = 200_000, 40
	for _, c := range []struct{ mean, cost int64 }{
		{20_480, 1},
		{20_480, 100},
		{20_480, 1280},
		{20_480, 1380},
		{20_480, 5000},
		{20_480, 20_480},
		{20_480, 100_000},
		{4, 1},
		{4, 3},
		{64, 1}, // where one byte makes a difference
	} {
		cost := c.cost
		s, p := hotkey.NewSampler(c.mean, uint64(cost)), -math.Expm1(-float64(cost)/float64(c.mean))
		picked := make([]bool, n)
		count := 0
		for i := range picked {
			if s.Skip(cost) {
				continue
			}
			picked[i] = true
			count++
			times, dither := s.Take(cost)
			if math.Abs(times*p-1) > 1e-9 || dither < 0 || dither >= 1 {
				t.Fatalf("cost %d: Take gives %v, %v, want 1/p = %v and something of [0, 1)", cost, times, dither, 1/p)
			}
		}
		if z := zScore(count, n, p); math.Abs(z) > 5 {
			t.Errorf("mean %d, cost %d: %d of %d picked, want about %.0f: %.1f standard deviations", c.mean, cost, count, n, p*n, z)
		}
		for lag := 1; lag <= maxLag; lag++ {
			both := 0
			for i := lag; i < n; i++ {
				if picked[i] && picked[i-lag] {
					both++
				}
			}
			if z := zScore(both, n-lag, p*p); math.Abs(z) > 6 {
				t.Errorf("mean %d, cost %d: %d picked with the one %d before, want about %.0f: %.1f standard deviations",
					c.mean, cost, both, lag, p*p*n, z)
			}
		}
	}
}

// TestObserveProbability: Observe, which has Skip written out, picks as Skip does, to the byte.
func TestObserveProbability(t *testing.T) {
	const n = 500_000
	d := hotkey.NewDetector(hotkey.Config{OpBytes: 64, SampleCost: 1}, 1, 0)
	for range n {
		d.Observe(1, nil, hotkey.Read, 0)
		d.ObserveValue(2, nil, 1)
	}
	s := d.Freeze(second).Summary
	for _, c := range []struct {
		hash uint64
		cost float64
	}{{1, 64}, {2, 1}} {
		e, _ := s.Lookup(c.hash)
		p := -math.Expm1(-c.cost / 64)
		picked := int(float64(e.Count) / c.cost * p)
		if z := zScore(picked, n, p); math.Abs(z) > 5 {
			t.Errorf("cost %v: about %d of %d picked, want about %.0f: %.1f standard deviations", c.cost, picked, n, p*n, z)
		}
	}
}

func zScore(count, n int, p float64) float64 {
	return (float64(count) - p*float64(n)) / math.Sqrt(p*(1-p)*float64(n)+1e-9)
}

// A beat is one request of a pattern that repeats.
type beat struct {
	key   uint64
	op    hotkey.Op
	bytes int
}

// patterns are what clients in step send.
func patterns() map[string][]beat {
	pipeline := func(n int) []beat {
		p := []beat{{key: 1, bytes: 100}}
		for i := 1; i < n; i++ {
			p = append(p, beat{key: uint64(100 + i), bytes: 100})
		}
		return p
	}
	large := pipeline(16)
	large[7].bytes = 60_000
	return map[string][]beat{
		"pipeline of 16":               pipeline(16),
		"pipeline of 32":               pipeline(32),
		"pipeline of 17":               pipeline(17),
		"pipeline of 8":                pipeline(8),
		"pipeline of 16, one large":    large,
		"read, then write it":          {{key: 1, bytes: 500}, {key: 1, op: hotkey.Write, bytes: 500}},
		"a small one, then a large":    {{key: 1}, {key: 2, bytes: 20_000}},
		"sixteen of one, one of other": append(make([]beat, 16), beat{key: 9, op: hotkey.Write, bytes: 3}),
	}
}

// TestUnbiased plays patterns to detectors of many seeds. Each estimate has the error that the theory gives it, and none on
// the mean.
func TestUnbiased(t *testing.T) {
	const rounds, seeds = 2000, 60
	for name, pattern := range patterns() {
		keys := map[uint64]*estimate{}
		for _, b := range pattern {
			if keys[b.key] == nil {
				keys[b.key] = &estimate{}
			}
			keys[b.key].expect(b, rounds)
		}
		for seed := range uint64(seeds) {
			d := hotkey.NewDetector(hotkey.Config{}, seed, 0)
			for range rounds {
				for _, b := range pattern {
					d.Observe(hashOf(b.key), nil, b.op, b.bytes)
				}
			}
			s := d.Freeze(1 << 40).Summary
			for key, e := range keys {
				got, _ := s.Lookup(hashOf(key))
				e.take(got)
			}
		}
		for key, e := range keys {
			e.judge(t, name, key, seeds)
		}
	}
}

// An estimate compares what summaries said of a key, figure by figure, with what they should have.
type estimate struct {
	truth, variance, sum, worst [5]float64 // weight, reads, writes, bytes read, bytes written
}

func (e *estimate) expect(b beat, rounds float64) {
	cost := float64(1280 + b.bytes)
	p := -math.Expm1(-cost / (16 * 1280))
	figures := [5]float64{cost, 1, 0, float64(b.bytes), 0}
	if b.op == hotkey.Write {
		figures = [5]float64{cost, 0, 1, 0, float64(b.bytes)}
	}
	for i, x := range figures {
		e.truth[i] += rounds * x
		e.variance[i] += rounds * (x*x*(1-p)/p + 0.25*p) // the latter by rounding
	}
}

func (e *estimate) take(got hotkey.Entry) {
	figures := [5]uint64{got.Count, got.Reads, got.Writes, got.ReadBytes, got.WriteBytes}
	for i, x := range figures {
		e.sum[i] += float64(x)
		off := math.Abs(float64(x)-e.truth[i]) / math.Sqrt(e.variance[i]+1e-9)
		e.worst[i] = max(e.worst[i], off)
	}
}

func (e *estimate) judge(t *testing.T, pattern string, key uint64, seeds float64) {
	for i, what := range []string{"weight", "reads", "writes", "bytes read", "bytes written"} {
		mean := e.sum[i] / seeds
		off := (mean - e.truth[i]) / math.Sqrt(e.variance[i]/seeds+1e-9)
		if math.Abs(off) > 4.5 || e.worst[i] > 6 {
			t.Errorf("%s, key %d: %s %.0f on the mean, want %.0f: %.1f standard deviations; the worst seed is %.1f off",
				pattern, key, what, mean, e.truth[i], off, e.worst[i])
		}
	}
}

// TestEveryNthFails shows why the countdown is random: whoever takes every 16th request, or a request each so many bytes of
// cost, and multiplies, is wrong by all there is about clients in step, and from whatever phase it starts.
func TestEveryNthFails(t *testing.T) {
	const rounds, n, step = 4000, 16, 16 * 1280
	everyNth := func(i int, _ *int64, _ beat) float64 {
		if i%n == n-1 {
			return n
		}
		return 0
	}
	fixedStep := func(_ int, left *int64, b beat) float64 { // as a Sampler would without its exponential
		cost := int64(1280 + b.bytes)
		if *left -= cost; *left >= 0 {
			return 0
		}
		*left += step
		return max(1, step/float64(cost))
	}
	for _, c := range []struct {
		name    string
		pattern string
		times   func(i int, left *int64, b beat) float64
	}{
		{"every 16th", "pipeline of 16", everyNth},
		{"every 16th", "pipeline of 32", everyNth},
		{"every 16th", "pipeline of 8", everyNth},
		{"every 16th", "read, then write it", everyNth},
		{"fixed step", "a small one, then a large", fixedStep},
	} {
		truth, got := map[uint64]float64{}, map[uint64]float64{}
		i, left := 0, int64(step)
		for range rounds {
			for _, b := range patterns()[c.pattern] {
				kind := b.key<<1 | uint64(b.op)
				truth[kind]++
				got[kind] += c.times(i, &left, b)
				i++
			}
		}
		worst := 0.0
		for kind := range truth {
			worst = max(worst, math.Abs(got[kind]/truth[kind]-1))
		}
		t.Logf("%s, %s: wrong by %.0f %%", c.name, c.pattern, 100*worst)
		if worst < 0.5 {
			t.Errorf("%s, %s: wrong by %.0f %% only; the pattern shows nothing", c.name, c.pattern, 100*worst)
		}
	}
}
