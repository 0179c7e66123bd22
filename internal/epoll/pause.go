package epoll

import "time"

// A busy loop that looks for events as soon as it has served some finds few each time: it is woken for one request, and writes
// one, where a slower program finds several and writes them at once. Waking a thread and sending a packet cost the kernel far
// more than a request costs us, on both ends of the conn. So a loop with many busy clients pauses for a moment before it
// looks, as a network card does before it interrupts (interrupt moderation). A loop with few clients, or little to do, never
// pauses: with them nothing more would come meanwhile.

const (
	crowd       = 24                          // sources that were heard of in a period, for a pause to be worth while
	crowdPeriod = int64(5 * time.Millisecond) // the period; 24 in 5 ms are 5,000 a second at least
	busyTurn    = 3                           // pieces of work in a turn: with fewer, nothing came at once
)

// A Source is somebody who sends requests, a client say. The zero value was never heard of.
type Source struct{ period uint32 }

// pacer counts what the decision to pause takes.
type pacer struct {
	work   int    // pieces of work in this turn
	period uint32 // counts periods, from 1 on
	until  int64  // Loop time when the period ends
	heard  int    // sources heard of in this period
	before int    // and in the one before
}

// Hear notes that something came from s.
func (l *Loop) Hear(s *Source) {
	p := &l.pacer
	if l.Now >= p.until {
		p.before = p.heard
		if l.Now >= p.until+crowdPeriod {
			p.before = 0 // nothing was heard for a whole period
		}
		p.heard = 0
		p.period++
		p.until = l.Now + crowdPeriod
	}
	if s.period != p.period {
		s.period = p.period
		p.heard++
	}
}

// Did notes a piece of work: a request begun, or an answer delivered.
func (l *Loop) Did() { l.pacer.work++ }

// pause lets events gather, if that is worth while.
func (l *Loop) pause() {
	p := &l.pacer
	worth := p.work >= busyTurn && max(p.before, p.heard) >= crowd
	p.work = 0
	if worth && l.Pause > 0 {
		l.Kernel.Pause(l.Pause)
	}
}
