package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
)

// lag measures how late this machine lets a goroutine run: what a test on time must allow for besides its own margin, or
// it would fail for another program's hunger.
var lag lagMeter

type lagMeter struct {
	own     lagProbe // sleeps for a moment, again and again
	control lagProbe // asks a memcached that nobody else asks, while somebody has one watched
}

// A lagProbe is something that takes a moment on a machine that has nothing else to do, done again and again.
type lagProbe struct {
	mu     sync.Mutex
	began  time.Time // guarded by mu: the last time, which has not ended; zero: none
	stalls []stall   // guarded by mu; the newest last
}

type stall struct {
	end  time.Time
	late time.Duration
}

const (
	lagStep = 5 * time.Millisecond
	lagMin  = 10 * time.Millisecond // less is not worth keeping
)

// run measures until the process ends. TestMain starts it.
func (m *lagMeter) run() {
	for {
		m.own.begin()
		time.Sleep(lagStep)
		m.own.end(lagStep)
	}
}

// watch has it ask a memcached of its own, until the test ends: another process, which waits for its turn as the proxy does.
func (m *lagMeter) watch(t *testing.T) {
	t.Helper()
	conn := endpointOf(memcachedtest.Start(t)).dial(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop; waited for below
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(lagStep):
			}
			m.control.begin()
			if _, err := fmt.Fprint(conn, "mn\r\n"); err == nil {
				_, err = conn.unit(time.Now().Add(answerTimeout))
				if err != nil {
					t.Errorf("the control memcached: %v", err)
					return
				}
			}
			m.control.end(0)
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
	})
}

func (p *lagProbe) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
}

// end notes by how much it took longer than usual.
func (p *lagProbe) end(usual time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := time.Now()
	if late := end.Sub(p.began) - usual; late > lagMin {
		p.stalls = append(p.stalls, stall{end, late})
	}
	p.began = time.Time{}
}

// since adds up the stalls that ended after start, and the one that has not ended; longest is the longest of them.
func (p *lagProbe) since(start time.Time) (sum, longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	add := func(late time.Duration) { sum, longest = sum+late, max(longest, late) }
	if late := time.Since(p.began) - lagStep; !p.began.IsZero() && late > lagMin {
		add(late)
	}
	for i := len(p.stalls) - 1; i >= 0 && p.stalls[i].end.After(start); i-- {
		add(p.stalls[i].late)
	}
	return sum, longest
}

// since is by how much the machine may have delayed what began at start: the time for which this process was seen to wait, and once more
// that, or what a memcached waited, because the servers wait too.
func (m *lagMeter) since(start time.Time) time.Duration {
	own, _ := m.own.since(start)
	control, _ := m.control.since(start)
	return own + max(own, control)
}

// longest is the longest single time since start for which the machine was seen to keep somebody waiting.
func (m *lagMeter) longest(start time.Time) time.Duration {
	_, own := m.own.since(start)
	_, control := m.control.since(start)
	return max(own, control)
}
