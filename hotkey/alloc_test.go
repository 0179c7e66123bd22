//go:build !race

package hotkey_test

import (
	"runtime"
	"testing"

	"mcproxy/hotkey"
)

// TestNoAllocations: the data path allocates nothing once a detector is made, and the coordinator nothing once it has seen
// as many keys as there are.
func TestNoAllocations(t *testing.T) {
	load, long := zipf(100_000, 0.9), longName(1, 200)
	d := hotkey.NewDetector(hotkey.Config{SampleCost: 1}, 1, 0)
	at, now := 0, int64(0)
	round := func() {
		for range 1000 {
			hash := load[at&loadMask]
			d.Observe(hash, long[:40+hash%160], hotkey.Op(hash&1), int(hash%5000))
			d.ObserveValue(hash, long[:40], int(hash%9000))
			at++
		}
		now += second
		if w := d.Freeze(now); w == nil {
			t.Fatal("no window")
		}
		d.Release()
	}
	if got := testing.AllocsPerRun(200, round); got != 0 {
		t.Errorf("observing and freezing: %v allocations a round, want 0", got)
	}

	var windows []*hotkey.Window
	for seed := range uint64(4) {
		w := hotkey.NewDetector(hotkey.Config{SampleCost: 1}, seed, 0)
		for _, hash := range load[seed*10_000:][:10_000] {
			w.Observe(hash, long[:40], hotkey.Read, 100)
		}
		windows = append(windows, w.Freeze(second))
	}
	var merger hotkey.Merger
	tracker := hotkey.NewTracker(hotkey.Config{})
	list := make([]hotkey.Status, 0, 200)
	update := func() {
		tracker.Update(merger.Merge(windows), 8)
		list = tracker.AppendTop(list[:0])
	}
	for range 10 {
		update()
	}
	if got := testing.AllocsPerRun(100, update); got != 0 {
		t.Errorf("merging and tracking: %v allocations a window, want 0", got)
	}
}

// TestMemory: the two summaries of a worker and pool, names included, are at most 1 MiB.
func TestMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d := hotkey.NewDetector(hotkey.Config{}, 1, 0)
	runtime.ReadMemStats(&after)
	got := after.TotalAlloc - before.TotalAlloc
	one := hotkey.NewSummary(4096, 1).MemoryBytes()
	t.Logf("a detector takes %d bytes, a summary %d: %.1f an entry", got, one, float64(one)/4096)
	if got > 1<<20 {
		t.Errorf("a detector takes %d bytes, want at most 1 MiB", got)
	}
	if 2*one > 1<<20 || uint64(2*one) > got {
		t.Errorf("two summaries say they take %d bytes, of %d", 2*one, got)
	}
	runtime.KeepAlive(d)
}
