package hotkey_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"mcproxy/hotkey"
)

// A fleet is the workers of a pool and their coordinator, in virtual time: the coordinator has every worker freeze its
// window each 250 ms, and merges.
type fleet struct {
	backends int
	now      int64 // nanoseconds
	next     int64 // tick
	workers  []*hotkey.Detector
	merger   hotkey.Merger
	tracker  *hotkey.Tracker
	events   []hotkey.Event
}

func newFleet(workers, backends int, seed uint64) *fleet {
	f := &fleet{backends: backends, next: 250 * ms, tracker: hotkey.NewTracker(hotkey.Config{})}
	for i := range workers {
		f.workers = append(f.workers, hotkey.NewDetector(hotkey.Config{}, seed<<16|uint64(i), 0))
	}
	return f
}

// until lets time go by, tick by tick.
func (f *fleet) until(now int64) {
	for ; f.next <= now; f.next += 250 * ms {
		var windows []*hotkey.Window
		for _, w := range f.workers {
			if window := w.Freeze(f.next); window != nil {
				windows = append(windows, window)
			}
		}
		f.events = append(f.events, f.tracker.Update(f.merger.Merge(windows), f.backends)...)
		for _, w := range f.workers {
			w.Release()
		}
	}
	f.now = now
}

// A surge is what begins all at once.
type surge struct {
	name     string
	share    float64 // of all requests
	bytes    int     // of its value
	separate bool    // the value is observed by its own, as a read's answer is
	rate     int64   // requests a second, of all keys together
	limit    int64   // to be found within, nanoseconds
}

// run plays 1.75 seconds of uniform load on 100,000 keys of 100 bytes, and from onset on the surge as well; it gives the time
// from onset to the promotion.
func (s *surge) run(onset int64, seed uint64) (delay int64, err error) {
	const backends, key, end = 4, "the hot one", 1750 * ms
	r, f := rand.New(rand.NewPCG(seed, 3)), newFleet(4, backends, seed)
	for now := int64(0); now < end; now += second / s.rate {
		f.until(now)
		w := f.workers[r.IntN(len(f.workers))]
		if now < onset || r.Float64() >= s.share {
			i := r.Uint64N(100_000)
			w.Observe(hashOf(i), nameOf(i), hotkey.Op(r.IntN(10)/9), 100)
			continue
		}
		if s.separate {
			w.Observe(1, []byte(key), hotkey.Read, 0)
			w.ObserveValue(1, []byte(key), s.bytes)
			continue
		}
		w.Observe(1, []byte(key), hotkey.Read, s.bytes)
	}
	f.until(end)
	// Two samples, of requests and of values, may need some windows to agree about the kind.
	if len(f.events) != 1 && !(s.separate && len(f.events) == 2 && f.events[1].Change == hotkey.Turned) {
		return 0, fmt.Errorf("events %+v, want one", f.events)
	}
	e := f.events[0]
	if e.Change != hotkey.Promoted || e.Status.Key != key || !s.separate && (e.Status.Kind == hotkey.ByteHot) != (s.bytes >= 4096) {
		return 0, fmt.Errorf("event %+v, want the promotion of %q", e, key)
	}
	return e.At - onset, nil
}

// TestOnset: a key that becomes hot is found in time, whenever in a window it begins. Tau is 1.25 % of the pool's cost here.
// From 4 Tau on, half a second is enough; below that, two whole windows after a partial one may be needed.
func TestOnset(t *testing.T) {
	for _, s := range []surge{
		{name: "half of all requests", share: 0.5, bytes: 1000, rate: 40_000, limit: 500 * ms},
		{name: "half of all requests, few of them", share: 0.5, bytes: 1000, rate: 4_000, limit: 500 * ms},
		{name: "one request in 13, 6 tau", share: 0.075, bytes: 100, rate: 40_000, limit: 500 * ms},
		{name: "one request in 40, 2 tau", share: 0.025, bytes: 100, rate: 100_000, limit: 750 * ms},
		{name: "100 kB, one request in 100", share: 0.01, bytes: 100_000, rate: 40_000, limit: 500 * ms},
		{name: "100 kB, one in 100, by its answers", share: 0.01, bytes: 100_000, separate: true, rate: 40_000, limit: 500 * ms},
		{name: "8 kB, one request in 50", share: 0.02, bytes: 8192, rate: 40_000, limit: 500 * ms},
		{name: "8 kB, one in 50, by its answers", share: 0.02, bytes: 8192, separate: true, rate: 40_000, limit: 500 * ms},
		{name: "1 MB, one request in 2,000", share: 0.0005, bytes: 1_000_000, rate: 40_000, limit: 500 * ms},
	} {
		t.Run(s.name, func(t *testing.T) {
			low, high := int64(1<<62), int64(0)
			for phase := range int64(9) { // 30 ms apart, over a whole window
				delay, err := s.run(750*ms+phase*30*ms+ms, uint64(phase))
				if err != nil {
					t.Fatalf("onset %d ms into a window: %v", phase*30+1, err)
				}
				if delay > s.limit {
					t.Errorf("onset %d ms into a window: found after %d ms, want at most %d", phase*30+1, delay/ms, s.limit/ms)
				}
				low, high = min(low, delay), max(high, delay)
			}
			t.Logf("found after %d-%d ms", low/ms, high/ms)
		})
	}
}

// TestNothingHot: of uniform loads, many requests or few, of small values or of some large ones, no key is ever hot.
func TestNothingHot(t *testing.T) {
	for _, c := range []struct {
		keys uint64
		rate int64
		size func(key uint64) int
	}{
		{1_000_000, 100_000, func(uint64) int { return 100 }},
		{1_000_000, 1000, func(uint64) int { return 100 }},
		{10_000, 20_000, func(key uint64) int { return int(key) }},
		{2_000, 2000, func(uint64) int { return 20_000 }},
	} {
		r, f := rand.New(rand.NewPCG(1, 2)), newFleet(4, 8, 1)
		for now := int64(0); now < 5*second; now += second / c.rate {
			f.until(now)
			key := r.Uint64N(c.keys)
			f.workers[r.IntN(4)].Observe(hashOf(key), nameOf(key), hotkey.Read, c.size(key))
		}
		if len(f.events) > 0 {
			t.Errorf("%d keys, %d requests/s: %+v", c.keys, c.rate, f.events)
		}
	}
}
