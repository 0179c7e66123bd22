package epoll

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Clock is what the loops of a process tell the time by. It is safe for concurrent use.
type Clock struct {
	start time.Time

	skipped atomic.Int64 // by how much Elapsed is before Now
	drift   atomic.Int64 // how far the wall clock had moved more than the monotonic one, when a step of it was last seen

	mu sync.Mutex // of those who note a step
}

// NewClock makes a clock that counts from start, which has a monotonic reading.
func NewClock(start time.Time) *Clock { return &Clock{start: start} }

// Now is the time since the start in nanoseconds, without what the machine slept through (CLOCK_MONOTONIC).
func (c *Clock) Now() int64 { return int64(time.Since(c.start)) }

// wallStep is the least difference between the two clocks that is taken for a step.
const wallStep = int64(time.Millisecond)

// Elapsed is the time since the start in nanoseconds, and never less than has passed for other machines, as far as this one can tell:
// what the machine slept through counts, and so does each step of the wall clock ahead, which is how a virtual machine learns that it was
// stopped. So it is good for saying how old something is at most, and not for saying how long something has lasted at least. (The kernel's
// own CLOCK_BOOTTIME takes a system call in Go, and knows nothing of stopped virtual machines.)
func (c *Clock) Elapsed() int64 {
	t := time.Now()
	now := int64(t.Sub(c.start))
	drift := t.Round(0).Sub(c.start.Round(0)).Nanoseconds() - now
	seen := c.drift.Load() // before skipped, which is stored first
	if d := drift - seen; d > wallStep || d < -wallStep {
		c.step(drift)
	}
	return now + c.skipped.Load()
}

func (c *Clock) step(drift int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := drift - c.drift.Load(); d > wallStep {
		c.skipped.Add(d)
		c.drift.Store(drift)
	} else if d < -wallStep { // set back: no time has passed
		c.drift.Store(drift)
	}
}
