package proxy

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/budget"
	"mcproxy/pool"
	"mcproxy/protocol"
)

// Values that are split are large, and the process has a budget for them. A client that announces one is not read from until
// the budget has room for it; its answer is not copied into the client's own buffer, but written from where it was put together.

const (
	keepAnswer   = 32 << 10  // bytes; a shorter answer is copied, and its own buffer free at once
	writePerTurn = 256 << 10 // bytes of one client's large answer, before others get their turn
	writeAll     = 8 << 20   // and of all clients' about, if each is to have leastWrite
	leastWrite   = 16 << 10
	stallCheck   = int64(time.Second) // between two looks at clients that hold large values
)

// claimed is what a session has of the budget for the value that its client has announced.
type claimed struct {
	*budget.Claim
	state claimState
}

type claimState uint8

const (
	claimHeld  claimState = iota // the value may come
	claimWaits                   // nothing is read meanwhile
	claimLost                    // there was no room in time
)

// afford says whether a request's value may be taken in.
type afford uint8

const (
	now   afford = iota // it may, or costs nothing
	later               // the session is woken
	never
	tooHeavy // limits.Config.Bytes is reached
)

// refusal is why a value may not be taken in.
func (a afford) refusal() clientError {
	if a == tooHeavy {
		return overloaded
	}
	return outOfMemory
}

// afford asks the budget for the value that req announces, the first time that it is called for it.
func (s *session) afford(req *protocol.Request) afford {
	if c := s.claim; c != nil {
		switch c.state {
		case claimWaits:
			return later
		case claimLost:
			s.claim = nil
			return never
		}
		return now
	}
	if s.coming > 0 {
		return now
	}
	p, need := (*pool.Pool)(nil), 0
	if s.w.splits {
		p = s.w.poolFor(req.Key)
		need = p.Needs(req.ValueLen)
	}
	if need == 0 || p.Purse() == nil {
		return s.affordWhole(req)
	}
	c := &claimed{state: claimWaits}
	granted := false
	c.Claim, granted = p.Purse().Claim(need, func(granted bool) {
		c.state = claimHeld
		if !granted {
			c.state = claimLost
			p.Figures.Split.Crowded++
		}
		s.moved = s.w.loop.Now
		s.wake()
	})
	s.claim = c
	s.w.guard()
	if !granted {
		return later
	}
	c.state = claimHeld
	return now
}

func (s *session) dropClaim() {
	if s.coming > 0 {
		s.w.dial.Add(-s.coming)
		s.coming = 0
	}
	if s.claim != nil {
		s.claim.Drop()
		s.claim = nil
	}
}

// passedOn is called when a value's pool has taken it. A long one stays where it is until the exchange is finished, and belongs to that
// (see pool.Window). What a shorter one cost here is given back, unless it extends another, and is kept for that.
func (s *session) passedOn(x *pool.Exchange, req *protocol.Request) {
	if !x.Cold || x.Claim == nil { // nothing was claimed, or it is finished
		return
	}
	if len(req.Value) > pool.Window {
		x.Body, s.in = s.in, nil
		return
	}
	extends := req.Verb == protocol.Append || req.Verb == protocol.Prepend ||
		req.Verb == protocol.MetaSet && req.Mode != 0 && strings.IndexByte("AaPp", req.Mode) >= 0
	if !extends {
		x.Claim.Shrink(max(0, s.w.poolFor(req.Key).Needs(req.ValueLen)-req.ValueLen))
	}
}

// keeps says whether an answer stays where it is.
func keeps(x *pool.Exchange, answer []byte) bool { return len(answer) >= keepAnswer && x.Large != nil }

// hold keeps an answer until it is its turn, or until Flush can write it, if it is large.
func (s *session) hold(x *pool.Exchange, answer []byte) {
	switch {
	case keeps(x, answer):
		x.Large.Retain()
		x.Cold, x.Kept = true, x.Large
		s.held += len(answer)
		s.large += len(answer)
		s.moved = s.w.loop.Now
		s.w.guard()
	case len(answer) > 0:
		s.lend(x, answer)
		s.held += len(answer)
	}
	x.Done = true
}

// lend keeps a copy of an answer, with others of the session if it is small: one buffer for all of them stays in the processor's cache.
func (s *session) lend(x *pool.Exchange, answer []byte) {
	b := &s.w.loop.Buffers
	x.Cold = true
	if s.aside == nil && len(answer) <= asideBytes {
		s.aside = b.Get(asideBytes)
	}
	start := len(s.aside)
	if start+len(answer) > cap(s.aside) {
		x.Held = append(b.Get(len(answer)), answer...)
		return
	}
	s.aside = append(s.aside, answer...)
	x.Held, x.Lent = s.aside[start:], true
	s.lent++
}

// returned forgets an exchange's answer that was kept with others.
func (s *session) returned(x *pool.Exchange) {
	x.Held, x.Lent = nil, false
	if s.lent--; s.lent == 0 {
		s.w.loop.Buffers.Put(s.aside)
		s.aside = nil
	}
}

// replyHeld sends the answers whose turn it is, up to a large one, which Flush writes.
func (s *session) replyHeld() {
	for s.head != nil && s.head.Done && (!s.head.Cold || s.head.Kept == nil) {
		if s.head.Cold { // or it is empty
			s.held -= len(s.head.Held)
			s.reply(s.head.Held)
		}
		s.pop()
	}
}

// writeKept writes what the kernel takes of head's large answer. It is false if the conn is broken.
func (s *session) writeKept() bool {
	answer := s.head.Kept.Bytes
	n, errno := s.w.loop.Kernel.Write(s.fd, answer[s.written:min(len(answer), s.written+s.w.writeShare())])
	if errno != 0 && errno != unix.EAGAIN {
		return false
	}
	s.written += n
	s.from.Sent(n)
	if n > 0 {
		s.moved = s.w.loop.Now
	}
	if s.written < len(answer) { // more when the kernel has room, but not in this turn
		s.full = true
		return true
	}
	s.held -= len(answer)
	s.large -= len(answer)
	s.written = 0
	s.pop()
	s.replyHeld()
	return true
}

// writeShare is how many bytes of a large answer a client gets in a turn: fewer when many clients wait for something.
func (w *worker) writeShare() int {
	return max(leastWrite, min(writePerTurn, writeAll/max(1, w.busy)))
}

// holds says whether a session keeps bytes of the budget that its client is to move on.
func (s *session) holds() bool {
	return s.claim != nil && s.claim.state == claimHeld || s.head != nil && s.head.Kept != nil
}

// guard has the worker look after clients that hold large values.
func (w *worker) guard() { w.guardian.Set(w.loop.Now + stallCheck) }

// A guardian closes the conns of clients that hold large values or much that they do not read, and move no byte, while others wait
// for the budget, or are refused.
type guardian struct{ w *worker }

// Expire is epoll.Timer's.
func (g guardian) Expire(now int64) (next int64) {
	w := g.w
	crowded, refused := w.srv.budget.Crowded(), w.dial.Refused() > now-2*stallCheck
	for i := len(w.sessions) - 1; i >= 0; i-- {
		s := w.sessions[i]
		heavy := s.weight > 0 || s.coming > 0
		if !heavy && !s.holds() {
			continue
		}
		if (crowded && s.holds() || refused && (heavy || s.holds())) && now-s.moved > int64(w.tables.cfg.AssemblyStall) {
			s.why = byStall
			s.close()
			continue
		}
		next = now + stallCheck
	}
	return next
}
