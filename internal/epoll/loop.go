package epoll

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mcproxy/internal/buffer"
)

// A Handler is told when its descriptor is ready.
type Handler interface {
	Ready(ev Events)
}

// A Flusher has something to write, or to go on with, at the end of the turn.
type Flusher interface {
	Flush()
}

// A Timer is asked to do what is due at now, and gives the time when it wants to be asked again (0: not until it is
// armed).
type Timer interface {
	Expire(now int64) (next int64)
}

// A Loop is one event loop. Only Post and Stop may be called from other goroutines than Run's.
type Loop struct {
	Kernel  Kernel
	Buffers buffer.Pool
	// Scratch is where conns without a buffer of their own read into; its content does not outlive a Ready.
	Scratch []byte
	// Now is the time of the present turn, in nanoseconds of Kernel.Now.
	Now int64
	// Pause is how long the loop lets events gather when it has many busy clients, before it looks for more; 0: it never does.
	Pause time.Duration

	// Owned by the loop.
	slots    []slot
	freeSlot []uint32
	deferred []Flusher
	events   []Event
	timers   []*Alarm
	nextDue  int64 // no alarm is due before it; 0: none is set
	stopped  bool
	pacer    pacer

	mu     sync.Mutex
	posted []func() // guarded by mu
	closed bool     // guarded by mu: Run is over, nothing is taken any more
	run    []func() // owned by the loop: the batch being run
}

type slot struct {
	h   Handler
	gen uint32
}

// A Tag names a registration. It is never reused for another descriptor, so that an event that was fetched before its
// descriptor was closed reaches nobody.
type Tag uint64

// CopyBytes is how long a begin of something may be that is copied to Scratch, so that the rest can be read behind it; a longer
// one stays in a buffer of its own, and the rest comes there.
const CopyBytes = 16 << 10

const (
	scratchBytes = 256 << 10
	keepBuffers  = 64 << 20 // bytes of free buffers a loop keeps from one Trim to the next
)

// New makes a loop over k.
func New(k Kernel) *Loop {
	l := &Loop{Kernel: k, Scratch: make([]byte, scratchBytes), events: make([]Event, maxEvents), Now: k.Now()}
	l.Buffers.Limit = keepBuffers
	return l
}

// Register adds a descriptor to the loop.
func (l *Loop) Register(fd int, h Handler, want Events) (Tag, error) {
	var i uint32
	if n := len(l.freeSlot); n > 0 {
		i = l.freeSlot[n-1]
		l.freeSlot = l.freeSlot[:n-1]
	} else {
		i = uint32(len(l.slots))
		l.slots = append(l.slots, slot{})
	}
	s := &l.slots[i]
	s.h = h
	tag := Tag(uint64(i) | uint64(s.gen)<<32)
	if err := l.Kernel.Add(fd, uint64(tag), want); err != nil {
		l.free(tag)
		return 0, err
	}
	return tag, nil
}

// Modify changes what a registered descriptor waits for.
func (l *Loop) Modify(fd int, tag Tag, want Events) error {
	return l.Kernel.Modify(fd, uint64(tag), want)
}

// CloseFD ends a registration and closes the descriptor.
func (l *Loop) CloseFD(fd int, tag Tag) {
	l.free(tag)
	l.Kernel.Close(fd)
}

// Detach ends a registration and leaves the descriptor open.
func (l *Loop) Detach(fd int, tag Tag) {
	l.free(tag)
	_ = l.Kernel.Remove(fd)
}

func (l *Loop) free(tag Tag) {
	i := uint32(tag)
	l.slots[i].h = nil
	l.slots[i].gen = (l.slots[i].gen + 1) & 0x7fffffff // the all-ones tag stays the kernel's own
	l.freeSlot = append(l.freeSlot, i)
}

// Defer has f flushed at the end of the turn. Whoever calls it keeps f from being deferred twice.
func (l *Loop) Defer(f Flusher) { l.deferred = append(l.deferred, f) }

// An Alarm is a Timer's place in a loop.
type Alarm struct {
	loop *Loop
	t    Timer
	due  int64 // 0: not set
	gone bool  // it was removed
}

// NewAlarm adds a timer to the loop, not set.
func (l *Loop) NewAlarm(t Timer) *Alarm {
	a := &Alarm{loop: l, t: t}
	l.timers = append(l.timers, a)
	return a
}

// Set makes the alarm go off at the time at, or earlier if it was set to earlier.
func (a *Alarm) Set(at int64) {
	if a.due != 0 && a.due <= at || a.gone {
		return
	}
	a.due = at
	if a.loop.nextDue == 0 || at < a.loop.nextDue {
		a.loop.nextDue = at
	}
}

// Remove takes the alarm out of the loop: it never goes off again.
func (a *Alarm) Remove() {
	l := a.loop
	a.due, a.gone = 0, true
	// A new list, because expire may be on its way through the old one.
	l.timers = slices.DeleteFunc(slices.Clone(l.timers), func(o *Alarm) bool { return o == a })
}

// Post has fn run by the loop, after the events of a turn. It says whether it will be: a loop whose Run has ended takes
// nothing. Functions posted by one goroutine run in their order.
func (l *Loop) Post(fn func()) bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.posted = append(l.posted, fn)
	l.Kernel.Wake() // under mu: once closed is set nobody wakes a kernel that may be released
	l.mu.Unlock()
	return true
}

// Visit has fn run by the loop and waits for it; a loop whose Run has ended does not run it. If ctx ends first, fn does not run any more.
func (l *Loop) Visit(ctx context.Context, fn func()) error {
	const (
		waiting = iota
		begun
		givenUp
	)
	var state atomic.Int32
	done := make(chan struct{})
	if !l.Post(func() {
		if state.CompareAndSwap(waiting, begun) {
			fn()
		}
		close(done)
	}) {
		return nil
	}
	select {
	case <-done:
	case <-ctx.Done():
		if state.CompareAndSwap(waiting, givenUp) {
			return fmt.Errorf("the loop has no time: %w", ctx.Err())
		}
		<-done
	}
	return nil
}

// Stop makes Run return at the end of its turn. The loop itself calls it (from elsewhere: Post it).
func (l *Loop) Stop() { l.stopped = true }

// Run turns until Stop, or until the kernel fails. Functions that are still posted then are run last.
func (l *Loop) Run() error {
	var err error
	for !l.stopped && err == nil {
		err = l.Turn()
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.runPosted()
	return err
}

// Turn is one turn of the loop. Run calls it; a simulation may.
func (l *Loop) Turn() error {
	l.pause()
	n, err := l.Kernel.Wait(l.events, l.patience())
	if err != nil {
		return err
	}
	l.Now = l.Kernel.Now()
	for _, ev := range l.events[:n] {
		i := uint32(ev.Tag)
		if s := &l.slots[i]; s.h != nil && s.gen == uint32(ev.Tag>>32) {
			s.h.Ready(ev.Events)
		}
	}
	l.flush()
	l.runPosted()
	if l.nextDue != 0 && l.Now >= l.nextDue {
		l.expire()
	}
	l.flush()
	return nil
}

// patience is how long the next Wait may last.
func (l *Loop) patience() time.Duration {
	if l.nextDue == 0 {
		return -1
	}
	return time.Duration(max(0, l.nextDue-l.Now))
}

// flush serves everything deferred, what is deferred meanwhile included.
func (l *Loop) flush() {
	for i := 0; i < len(l.deferred); i++ {
		l.deferred[i].Flush()
	}
	clear(l.deferred)
	l.deferred = l.deferred[:0]
}

func (l *Loop) runPosted() {
	l.mu.Lock()
	l.run, l.posted = l.posted, l.run[:0]
	l.mu.Unlock()
	for i, fn := range l.run {
		fn()
		l.run[i] = nil
	}
}

func (l *Loop) expire() {
	l.nextDue = 0
	for _, a := range l.timers {
		if a.due != 0 && a.due <= l.Now {
			a.due = 0
			if next := a.t.Expire(l.Now); next != 0 {
				a.Set(next)
			}
		}
		if a.due != 0 && (l.nextDue == 0 || a.due < l.nextDue) {
			l.nextDue = a.due
		}
	}
}
