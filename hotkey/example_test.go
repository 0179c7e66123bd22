package hotkey_test

import (
	"fmt"
	"hash/maphash"
	"sync/atomic"

	"mcproxy/hotkey"
)

// A worker as package pool has it: its detector, and the place where it leaves its windows for the coordinator.
type worker struct {
	detector *hotkey.Detector
	lent     atomic.Pointer[hotkey.Window] // the worker fills it, the coordinator empties it
}

// turn is what a worker does at the end of each turn of its loop, and at least once each window.
func (w *worker) turn(now int64) {
	if w.detector.Lent() && w.lent.Load() == nil {
		w.detector.Release()
	}
	if window := w.detector.Freeze(now); window != nil {
		w.lent.Store(window)
	}
}

// A coordinator has one merger and one tracker a pool.
type coordinator struct {
	workers []*worker
	merger  hotkey.Merger
	tracker *hotkey.Tracker
	windows []*hotkey.Window
	hot     atomic.Pointer[map[uint64]hotkey.Status] // what workers look hashes up in; never changed once it is there
}

// tick runs once a window, when the workers have had their turns.
func (c *coordinator) tick(backends int) {
	c.windows = c.windows[:0]
	var from []*worker
	for _, w := range c.workers {
		if window := w.lent.Load(); window != nil {
			c.windows, from = append(c.windows, window), append(from, w)
		}
	}
	events := c.tracker.Update(c.merger.Merge(c.windows), backends)
	for _, w := range from {
		w.lent.Store(nil) // the view is read no more
	}
	for _, e := range events {
		fmt.Printf("%d ms: %s is %s (%s, %s, values of %d bytes)\n",
			e.At/1e6, e.Status.Key, e.Change, e.Reason, e.Status.Kind, e.Status.ValueSize)
	}
	if len(events) > 0 {
		hot := map[uint64]hotkey.Status{}
		for _, status := range c.tracker.AppendHot(nil) {
			hot[status.Hash] = status
		}
		c.hot.Store(&hot)
	}
}

// Example shows two workers and a coordinator in one goroutine, with a clock of their own.
func Example() {
	cfg := hotkey.Config{MinRate: 200}
	if err := cfg.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	c := &coordinator{tracker: hotkey.NewTracker(cfg)}
	for seed := range uint64(2) {
		c.workers = append(c.workers, &worker{detector: hotkey.NewDetector(cfg, seed, 0)})
	}
	hashSeed := maphash.MakeSeed() // the same for all workers of a pool
	get := func(w *worker, key string, valueBytes int) {
		w.detector.Observe(maphash.String(hashSeed, key), []byte(key), hotkey.Read, valueBytes)
	}

	for now := int64(0); now <= 7_000; now++ { // milliseconds
		for i, w := range c.workers {
			w.turn(now * 1e6)
			get(w, fmt.Sprint("user:", now*2+int64(i)), 300) // 2,000 different keys a second
			if now >= 800 && now < 1_500 {
				get(w, "token-list", 580_000) // and for a while, one large one
			}
		}
		if now%250 == 0 {
			c.tick(4)
		}
	}
	fmt.Println("hot at the end:", len(*c.hot.Load()))

	// Output:
	// 1000 ms: token-list is promoted (sudden, byte-hot, values of 580000 bytes)
	// 6500 ms: token-list is demoted (cooled, byte-hot, values of 580000 bytes)
	// hot at the end: 0
}
