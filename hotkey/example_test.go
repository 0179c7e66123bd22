package hotkey_test

import (
	"fmt"
	"sync/atomic"

	"mcproxy/hotkey"
)

// A coordinator has one merger and one tracker a pool. Each worker has a detector, which only the worker's loop touches.
type coordinator struct {
	detectors []*hotkey.Detector
	merger    hotkey.Merger
	tracker   *hotkey.Tracker
	windows   []*hotkey.Window
	hot       atomic.Pointer[map[uint64]hotkey.Status] // what workers look hashes up in; never changed once it is there
}

// visit has a worker's loop run f, and waits for it. Here all is one goroutine.
func visit(f func()) { f() }

// tick runs once a window.
func (c *coordinator) tick(now int64, backends int) {
	c.windows = c.windows[:0]
	var lenders []*hotkey.Detector
	for _, d := range c.detectors {
		var window *hotkey.Window
		visit(func() { window = d.Freeze(now) })
		if window != nil {
			c.windows, lenders = append(c.windows, window), append(lenders, d)
		}
	}
	events := c.tracker.Update(c.merger.Merge(c.windows), backends)
	for _, d := range lenders { // the view is read no more
		visit(d.Release)
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
		c.detectors = append(c.detectors, hotkey.NewDetector(cfg, seed, 0))
	}
	get := func(d *hotkey.Detector, key string, valueBytes int) {
		d.Observe(hotkey.Hash([]byte(key)), []byte(key), hotkey.Read, valueBytes)
	}

	for now := int64(1); now <= 7_000; now++ { // milliseconds
		for i, d := range c.detectors {
			get(d, fmt.Sprint("user:", now*2+int64(i)), 300) // 2,000 different keys a second
			if now > 800 && now <= 1_500 {
				get(d, "token-list", 580_000) // and for a while, one large one
			}
		}
		if now%250 == 0 {
			c.tick(now*1e6, 4)
		}
	}
	fmt.Println("hot at the end:", len(*c.hot.Load()))

	// Output:
	// 1000 ms: token-list is promoted (sudden, byte-hot, values of 580000 bytes)
	// 6500 ms: token-list is demoted (cooled, byte-hot, values of 580000 bytes)
	// hot at the end: 0
}
