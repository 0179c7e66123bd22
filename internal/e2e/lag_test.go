package e2e

import (
	"sync"
	"time"
)

// lag measures how late this machine lets a goroutine run: what a test on time must allow for besides its own margin, or
// it would fail for another program's hunger.
var lag lagMeter

type lagMeter struct {
	mu     sync.Mutex
	stalls []stall // guarded by mu; the newest last
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
		start := time.Now()
		time.Sleep(lagStep)
		end := time.Now()
		if late := end.Sub(start) - lagStep; late > lagMin {
			m.mu.Lock()
			m.stalls = append(m.stalls, stall{end, late})
			m.mu.Unlock()
		}
	}
}

// since is by how much the machine may have delayed what began at start: twice the time for which this process was seen to
// wait, because the servers wait too.
func (m *lagMeter) since(start time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum time.Duration
	for i := len(m.stalls) - 1; i >= 0 && m.stalls[i].end.After(start); i-- {
		sum += m.stalls[i].late
	}
	return 2 * sum
}
