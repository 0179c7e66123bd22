package hotkey_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"mcproxy/hotkey"
)

// A zipfian picks rank i of n, from 0, with a probability as 1/(i+1)^s, for any s > 0 (math/rand's wants s > 1).
type zipfian []float64 // cumulated probabilities

func newZipf(n int, s float64) zipfian {
	z, sum := make(zipfian, n), 0.0
	for i := range z {
		sum += math.Pow(float64(i+1), -s)
		z[i] = sum
	}
	for i := range z {
		z[i] /= sum
	}
	return z
}

func (z zipfian) pick(r *rand.Rand) int {
	return min(sort.SearchFloat64s(z, r.Float64()), len(z)-1)
}

const zipfKeys, topKeys = 1_000_000, 100

// found is how well a summary tells the top 100.
type found struct {
	tracked   float64 // share of the true top 100 that it tracks
	recall    float64 // share of the true top 100 among all that may be in it, by the bounds
	precision float64 // share of the true top 100 in that set
	ranked    float64 // share of the true top 100 among the 100 of the greatest counts
}

// compare judges entries against true counts, by key. A key may be in the top 100 if its count is at least the 100th of the sure
// weights: 100 keys have that much, so the true 100th has.
func compare(entries []hotkey.Entry, counts []int) found {
	truth := make([]int, len(counts))
	for key := range truth {
		truth[key] = key
	}
	slices.SortFunc(truth, func(a, b int) int { return cmp.Compare(counts[b], counts[a]) })
	top := map[uint64]bool{}
	for _, key := range truth[:topKeys] {
		top[hashOf(uint64(key))] = true
	}
	bySure := slices.Clone(entries)
	slices.SortFunc(bySure, func(a, b hotkey.Entry) int { return cmp.Compare(b.Sure(), a.Sure()) })
	byCount := slices.Clone(entries)
	slices.SortFunc(byCount, func(a, b hotkey.Entry) int { return cmp.Compare(b.Count, a.Count) })
	line := bySure[topKeys-1].Sure()
	var tracked, candidates, hits, ranked int
	for i, e := range byCount {
		in := 0
		if top[e.Hash] {
			in = 1
		}
		tracked += in
		if e.Count >= line {
			candidates++
			hits += in
		}
		if i < topKeys {
			ranked += in
		}
	}
	return found{
		float64(tracked) / topKeys, float64(hits) / topKeys, float64(hits) / float64(candidates), float64(ranked) / topKeys,
	}
}

// TestZipfTop finds the top 100 of a Zipf(0.99) load over a million keys: each request recorded, and as four workers do it,
// by samples, in one window that is merged.
func TestZipfTop(t *testing.T) {
	const requests = 1_500_000
	z := newZipf(zipfKeys, 0.99)
	var all, sampled []found
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 7))
		counts := make([]int, zipfKeys)
		whole := hotkey.NewSummary(4096, seed)
		var workers []*hotkey.Detector
		for worker := range uint64(4) {
			workers = append(workers, hotkey.NewDetector(hotkey.Config{}, seed<<8|worker, 0))
		}
		for range requests {
			i := z.pick(r)
			counts[i]++
			key := hashOf(uint64(i))
			whole.Add(key, nil, hotkey.Observation{Weight: 1, Ops: 1})
			workers[r.IntN(4)].Observe(key, nil, hotkey.Read, 100)
		}
		var windows []*hotkey.Window
		for _, w := range workers {
			windows = append(windows, w.Freeze(1_000_000_000))
		}
		all = append(all, compare(ofSummary(whole).entries, counts))
		var m hotkey.Merger
		sampled = append(sampled, compare(m.Merge(windows).Entries, counts))
	}
	for _, c := range []struct {
		name                       string
		got                        []found
		tracked, recall, rankedMin float64
	}{
		{"every request recorded", all, 1, 1, 0.97},
		// The bounds of a summary of samples are bounds of the estimates: at the 100th key, with 65 samples of 1,000
		// requests, the estimates' own error of 12 % decides about the order.
		{"four workers, sampled and merged", sampled, 1, 0, 0.7},
	} {
		figure := func(what string, of func(found) float64, least float64) {
			low, high := 1.0, 0.0
			for _, f := range c.got {
				low, high = min(low, of(f)), max(high, of(f))
			}
			t.Logf("%s: %s %.2f-%.2f", c.name, what, low, high)
			if low < least {
				t.Errorf("%s: %s is as low as %.2f, want at least %.2f", c.name, what, low, least)
			}
		}
		figure("top 100 that are tracked", func(f found) float64 { return f.tracked }, c.tracked)
		figure("recall of all that may be top 100", func(f found) float64 { return f.recall }, c.recall)
		figure("precision of all that may be top 100", func(f found) float64 { return f.precision }, 0)
		figure("recall of the 100 greatest counts", func(f found) float64 { return f.ranked }, c.rankedMin)
	}
}
