package bench

import (
	"math/rand/v2"
	"time"
)

// A pace says when a conn sends.
type pace struct {
	interval float64 // open loop: mean nanoseconds between the arrivals of one conn; 0 is a closed loop
	even     bool
}

func newPace(cfg *Config) pace {
	p := pace{even: cfg.Arrivals == "even"}
	if cfg.Rate > 0 {
		p.interval = float64(time.Second) * float64(cfg.Conns) / cfg.Rate
	}
	return p
}

func (p pace) open() bool { return p.interval > 0 }

// first is when conn i of n sends first.
func (p pace) first(r *rand.Rand, i, n int) time.Duration {
	if p.even {
		return time.Duration(p.interval * float64(i) / float64(n))
	}
	return p.gap(r)
}

// gap is the time from one arrival on a conn to the next. Independent Poisson processes, one a conn, add up to one of the
// whole rate.
func (p pace) gap(r *rand.Rand) time.Duration {
	if p.even {
		return time.Duration(p.interval)
	}
	return time.Duration(r.ExpFloat64() * p.interval)
}

// late is how many arrivals there are between two moments.
func (p pace) late(from, end time.Duration) int64 {
	if !p.open() || from >= end {
		return 0
	}
	return int64(float64(end-from) / p.interval)
}

// arrive begins the operations that are due on conns with room.
func (w *worker) arrive() {
	for len(w.dues) > 0 && w.dues[0].at <= w.now {
		c := w.conns[w.dues.pop().id]
		c.queued = false
		if c.socket == nil {
			continue // revive takes it up
		}
		if err := w.fill(c); err != nil {
			w.fail(c, err)
		}
	}
}

// A due is a conn's next arrival.
type due struct {
	at time.Duration
	id int32
}

// A dueHeap is a binary heap of arrivals, the earliest first. A conn is in it at most once.
type dueHeap []due

func (h *dueHeap) push(d due) {
	s := append(*h, d)
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if s[parent].at <= s[i].at {
			break
		}
		s[parent], s[i] = s[i], s[parent]
		i = parent
	}
	*h = s
}

func (h *dueHeap) pop() due {
	s := *h
	first := s[0]
	last := len(s) - 1
	s[0] = s[last]
	s = s[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(s) {
			break
		}
		if child+1 < len(s) && s[child+1].at < s[child].at {
			child++
		}
		if s[i].at <= s[child].at {
			break
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
	*h = s
	return first
}
