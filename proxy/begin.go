package proxy

import (
	"mcproxy/internal/tally"
	"mcproxy/pool"
	"mcproxy/protocol"
)

// begin starts one request.
func (s *session) begin(req *protocol.Request) {
	s.admitted = false
	switch req.Verb {
	case protocol.Refused:
		s.w.counts.errors[refusedLine]++
		if req.Swallow > 0 {
			s.skip = req.Swallow
			s.after = &refusal{}
			if !req.NoReply {
				s.after.answer = req.Refusal
			}
			return
		}
		if !req.NoReply {
			s.answer(req.Refusal)
		}
	case protocol.Get, protocol.Gets, protocol.Gat, protocol.Gats:
		if req.NumKeys > 1 {
			s.gather(req)
			return
		}
		x := s.exchange()
		s.book.Read(x)
		s.book.Get(x)
		if req.Verb == protocol.Gat || req.Verb == protocol.Gats {
			s.change(x, 0)
		}
		s.do(x, req)
	case protocol.MetaNoop:
		s.answer(protocol.Noop)
	case protocol.Version:
		s.w.defaultPool().Version(s.exchange(), req, s.affinity, s.w.tables.cfg.Version)
	case protocol.Verbosity:
		if !req.NoReply {
			s.answer(protocol.OK)
		}
	case protocol.Quit:
		s.hangUp(byQuit)
	case protocol.Stats:
		s.stats(req)
	case protocol.FlushAll:
		x := s.exchange()
		s.change(x, 0)
		if s.w.splits || s.w.copies { // chunks go on other conns, where they would be there before it; copies, to other backends
			x.Waits = true
			s.book.Hold()
		}
		s.w.defaultPool().FlushAll(x, req, s.affinity)
	default:
		x := s.exchange()
		if req.ValueLen >= 0 {
			s.from.Stored()
		}
		if req.Verb.IsRead() {
			s.book.Read(x)
		}
		if req.Verb.IsWrite() || req.Verb == protocol.MetaGet { // mg can set the time to live, and make an item
			s.change(x, len(req.Value))
		}
		if c := s.claim; c != nil {
			x.Cold, x.Claim, s.claim = true, c.Claim, nil
		}
		if s.w.splits {
			s.book.Doubt(x, req)
		}
		s.do(x, req)
		s.passedOn(x, req)
	}
}

// do hands a request of one key to its pool.
func (s *session) do(x *pool.Exchange, req *protocol.Request) {
	s.starting = x // it may be finished at once
	p := s.w.poolFor(req.Key)
	p.Time(x, tally.OpOf(req.Verb))
	p.Do(x, req, s.affinity)
	s.starting = nil
	s.book.Begun(x, req.Key, s.w.splits)
}

// change counts an exchange that may change what a get finds. value is the length of its value in bytes.
func (s *session) change(x *pool.Exchange, value int) {
	x.Size = 1 + value // more than 0, so that it is known when it ends
	s.flight += x.Size
	s.book.Write()
	if value >= heavy && s.claim == nil {
		x.Heavy, x.Cold = true, true
		s.w.dial.Add(value)
	}
}

// gather begins a retrieval of several keys.
func (s *session) gather(req *protocol.Request) {
	x := s.exchange()
	s.w.counts.widths.Observe(req.NumKeys)
	s.w.poolFor(req.Key).Time(x, tally.OpMultiget)
	s.book.Read(x)
	if req.Verb == protocol.Gat || req.Verb == protocol.Gats {
		s.change(x, 0)
	}
	s.book.Gather(x)
	g := s.w.gatherer.Begin(x, req)
	for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
		g.Add(s.w.poolFor(key), key)
	}
	s.starting = x
	g.Send(s.affinity)
	s.starting = nil
	s.book.Begun(x, nil, s.w.splits)
}

// exchange queues a new exchange.
func (s *session) exchange() *pool.Exchange {
	s.w.loop.Did()
	x := s.w.newExchange()
	x.To = s
	s.from.Asked()
	s.w.counts.inFlight++
	if s.tail == nil {
		s.head = x
		if !s.busy {
			s.busy = true
			s.w.busy++
		}
	} else {
		s.tail.Next = x
	}
	s.tail = x
	s.book.Begin(x)
	return x
}
