package rig

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// A Reading is what a process had used at a time.
type Reading struct {
	At time.Time
	Usage
}

// Readings are in the order of time.
type Readings struct {
	All      []Reading
	Resident int64 // bytes, at the time that was asked for
}

// At is what the process had used at t, between two readings in proportion. An error says that t is not between readings.
func (r Readings) At(t time.Time) (Usage, error) {
	for i := 1; i < len(r.All); i++ {
		a, b := r.All[i-1], r.All[i]
		if t.Before(a.At) || t.After(b.At) {
			continue
		}
		part := t.Sub(a.At).Seconds() / max(b.At.Sub(a.At).Seconds(), 1e-9)
		between := func(a, b time.Duration) time.Duration { return a + time.Duration(part*float64(b-a)) }
		return Usage{User: between(a.User, b.User), System: between(a.System, b.System), Resident: b.Resident}, nil
	}
	return Usage{}, fmt.Errorf("the proxy was not watched at %v", t)
}

// Peak is the most resident bytes of all readings.
func (r Readings) Peak() int64 {
	most := r.Resident
	for _, one := range r.All {
		most = max(most, one.Resident)
	}
	return most
}

// watchInterval is the time between two readings.
const watchInterval = 20 * time.Millisecond

// A Watcher reads what a process uses until it is stopped.
type Watcher struct {
	done   chan struct{} // closed by stop
	wait   sync.WaitGroup
	result Readings // of the goroutine, until wait returns
	err    error    // likewise
}

// Watch begins with a first reading of a process, and looks at the memory exactly once, after the delay.
func Watch(pid int, memoryAfter time.Duration) (*Watcher, error) {
	w := &Watcher{done: make(chan struct{})}
	if err := w.read(pid); err != nil {
		return nil, err
	}
	w.wait.Go(func() { w.err = w.loop(pid, memoryAfter) }) // until stop
	return w, nil
}

func (w *Watcher) loop(pid int, memoryAfter time.Duration) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	memory := time.NewTimer(memoryAfter)
	defer memory.Stop()
	for {
		select {
		case <-ticker.C:
			if err := w.read(pid); err != nil {
				return err
			}
		case <-memory.C:
			if err := w.readMemory(pid); err != nil {
				return err
			}
		case <-w.done:
			if w.result.Resident == 0 { // the load ended before its time
				if err := w.readMemory(pid); err != nil {
					return err
				}
			}
			return w.read(pid)
		}
	}
}

func (w *Watcher) read(pid int) error {
	u, err := ReadUsage(pid)
	if errors.Is(err, syscall.ESRCH) {
		err = fmt.Errorf("process %d has ended", pid)
	}
	w.result.All = append(w.result.All, Reading{time.Now(), u})
	return err
}

func (w *Watcher) readMemory(pid int) (err error) {
	w.result.Resident, err = ReadResident(pid)
	return err
}

// Stop ends the watch with a last reading.
func (w *Watcher) Stop() (Readings, error) {
	close(w.done)
	w.wait.Wait()
	return w.result, w.err
}
