package hotkey_test

import (
	"testing"

	"mcproxy/hotkey"
)

const (
	ms     = int64(1_000_000)
	second = 1000 * ms
)

// always makes a detector pick every request that a test sends.
const always = 1 << 30

func TestFreeze(t *testing.T) {
	const start = 17 * second
	d := hotkey.NewDetector(hotkey.Config{}, 1, start)
	if w := d.Freeze(start + 125*ms - 1); w != nil {
		t.Fatalf("Freeze before half a window is over gives %+v", w)
	}
	d.Observe(1, []byte("a"), hotkey.Read, always)
	first := d.Freeze(start + 260*ms)
	if first == nil || first.From != start || first.To != start+260*ms || first.Summary.Len() != 1 || !d.Lent() {
		t.Fatalf("Freeze at the window's end gives %+v, lent %v", first, d.Lent())
	}

	// The first one is lent: nothing may change it.
	d.Observe(2, []byte("b"), hotkey.Write, always)
	if w := d.Freeze(start + 600*ms); w != nil {
		t.Errorf("Freeze while a window is lent gives %+v", w)
	}
	if _, ok := first.Summary.Lookup(1); !ok || first.Summary.Len() != 1 {
		t.Errorf("the lent window has %d entries, and key 1: %v", first.Summary.Len(), ok)
	}

	d.Release()
	second := d.Freeze(start + 600*ms)
	if second == nil || second == first || second.From != start+260*ms || second.To != start+600*ms {
		t.Fatalf("the next window is %+v", second)
	}
	e, ok := second.Summary.Lookup(2)
	if !ok || second.Summary.Len() != 1 || string(e.Key) != "b" || e.Writes != 1 || e.WriteBytes != always || e.Size != always {
		t.Errorf("the next window has %d entries, and of key 2 %+v", second.Summary.Len(), e)
	}
	d.Release()
	if third := d.Freeze(start + 850*ms); third != first || third.Summary.Len() != 0 {
		t.Errorf("the third window is %+v, want the first one's memory, empty", third)
	}
}

func TestFreezeWithoutRelease(t *testing.T) {
	d := hotkey.NewDetector(hotkey.Config{Window: 100 * ms}, 1, 0)
	if d.Freeze(100*ms) == nil {
		t.Fatal("no window")
	}
	d.Observe(1, nil, hotkey.Read, always)
	for now := 200 * ms; now < 1700*ms; now += 100 * ms {
		if w := d.Freeze(now); w != nil || d.Discarded() != 0 {
			t.Fatalf("at %d ms: window %+v, %d discarded", now/ms, w, d.Discarded())
		}
	}
	if w := d.Freeze(1700 * ms); w != nil || d.Discarded() != 1 {
		t.Fatalf("after 16 windows: %+v, %d discarded, want none and 1", w, d.Discarded())
	}
	d.Release()
	if w := d.Freeze(1800 * ms); w == nil || w.From != 1700*ms || w.Summary.Len() != 0 {
		t.Errorf("afterwards: %+v, want an empty window from 1700 ms", w)
	}
}

func TestObserve(t *testing.T) {
	d := hotkey.NewDetector(hotkey.Config{}, 1, 0)
	d.Observe(1, []byte("a"), hotkey.Read, always)
	d.Observe(1, []byte("a"), hotkey.Write, always/2)
	d.ObserveValue(1, []byte("a"), always)
	d.ObserveValue(2, nil, always)
	d.Observe(3, []byte("c"), hotkey.Read, -1) // a caller's mistake counts as a huge value, and silences nothing
	for range 100_000 {
		d.ObserveValue(4, []byte("d"), 0) // weighs nothing
	}
	s := d.Freeze(second).Summary
	for _, c := range []struct {
		hash uint64
		want hotkey.Entry
	}{
		{1, hotkey.Entry{
			Hash: 1, Key: []byte("a"), Count: 2*1280 + 2*always + always/2,
			Reads: 1, Writes: 1, ReadBytes: 2 * always, WriteBytes: always / 2, Size: always,
		}},
		{2, hotkey.Entry{Hash: 2, Count: always, ReadBytes: always, Size: always}},
		{3, hotkey.Entry{Hash: 3, Key: []byte("c"), Count: 1280 + 1<<32 - 1, Reads: 1, ReadBytes: 1<<32 - 1, Size: 1<<32 - 1}},
	} {
		got, _ := s.Lookup(c.hash)
		same := string(got.Key) == string(c.want.Key)
		got.Key, c.want.Key = nil, nil
		if !same || !equal(got, c.want) {
			t.Errorf("key %d: %+v, want %+v (names are the same: %v)", c.hash, got, c.want, same)
		}
	}
	if s.Len() != 3 {
		t.Errorf("%d keys, want 3", s.Len())
	}
}

func equal(a, b hotkey.Entry) bool {
	return a.Hash == b.Hash && a.Count == b.Count && a.Err == b.Err && a.Reads == b.Reads && a.Writes == b.Writes &&
		a.ReadBytes == b.ReadBytes && a.WriteBytes == b.WriteBytes && a.Size == b.Size
}

// TestFreezeByTimer: a timer that is now early and now late gets a window each time.
func TestFreezeByTimer(t *testing.T) {
	d := hotkey.NewDetector(hotkey.Config{}, 1, 0)
	for tick, jitter := range []int64{0, 1, -1, 30, -30, 90, 0, -90, 15} {
		now := int64(tick+1)*250*ms + jitter*ms
		if w := d.Freeze(now); w == nil || w.To != now {
			t.Fatalf("tick %d, %d ms off: window %+v", tick, jitter, w)
		}
		d.Release()
	}
}

// TestDetectorsDiffer: workers of different seeds pick different requests, and one seed the same ones again.
func TestDetectorsDiffer(t *testing.T) {
	count := func(seed uint64) uint64 {
		d := hotkey.NewDetector(hotkey.Config{}, seed, 0)
		for i := range uint64(10_000) {
			d.Observe(hashOf(i), nil, hotkey.Read, int(i%1000))
		}
		return d.Freeze(second).Summary.Total()
	}
	if a, b, c := count(1), count(1), count(2); a != b || a == c {
		t.Errorf("seeds 1, 1 and 2 give totals of %d, %d and %d", a, b, c)
	}
}
