package proxy

import (
	"mcproxy/hotkey"
	"mcproxy/internal/tally"
	"mcproxy/pool"
	"mcproxy/protocol"
)

// What a client pipelines takes effect in its order. Requests to one backend are in order on their conn, large values aside (Exchange.Lane). But a get may share a
// fetch that was asked before (Exchange.Alone, Exchange.Waits), a split value takes several calls, and a copy is read from another
// backend (Exchange.Strays): then what comes later waits here.

// overtakes says whether a request must wait for others of the same client, where values may be split or copied: a write for reads, because
// a read takes several calls, or is far away, and the write would be there before the last; and anything for what is unsure. It keeps book
// of the reads.
func (s *session) overtakes(req *protocol.Request) bool {
	if !s.w.splits && s.strays == 0 {
		return false
	}
	if s.reads == 0 {
		s.reading = [4]uint64{}
	}
	if s.unsure == 0 {
		s.doubted = [4]uint64{}
	}
	s.blocked = s.blocked && s.reads+s.unsure > 0
	if req.Verb == protocol.FlushAll {
		return s.reads+s.unsure > 0
	}
	if len(req.Key) == 0 {
		return false
	}
	if req.NumKeys <= 1 {
		return s.overtakesKey(req, req.Key)
	}
	for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
		if s.overtakesKey(req, key) {
			return true
		}
	}
	return false
}

func (s *session) overtakesKey(req *protocol.Request, key []byte) bool {
	h := hotkey.Hash(key)
	word, bit := &s.reading[h>>6&3], uint64(1)<<(h&63)
	if changes := req.Verb.IsWrite() || req.Verb == protocol.Gat || req.Verb == protocol.Gats || req.Verb == protocol.MetaGet; changes {
		if s.reads > 0 && *word&bit != 0 { // a lifetime in the past is as good as a delete
			return true
		}
	}
	if s.unsure > 0 && s.doubted[h>>6&3]&bit != 0 {
		return true
	}
	if s.laned > 0 && *word&bit != 0 { // a read that comes later must not find what is older
		return true
	}
	if req.Verb.IsRead() {
		*word |= bit
	}
	return false
}

// doubt notes an exchange that its pool may begin a second time, when it has seen what stands in the place of a client's value: one
// that counts, or compares cas numbers. What the client asks of that key later must not come in between.
func (s *session) doubt(x *pool.Exchange, req *protocol.Request) {
	if !s.w.splits {
		return
	}
	switch req.Verb {
	case protocol.CAS, protocol.Incr, protocol.Decr, protocol.MetaArithmetic:
	case protocol.MetaSet, protocol.MetaDelete:
		if !protocol.HasFlag(req.MetaFlags, 'C') {
			return
		}
	default:
		return
	}
	h := hotkey.Hash(req.Key)
	s.doubted[h>>6&3] |= 1 << (h & 63)
	x.Unsure = true
	s.unsure++
}

// do hands a request of one key to its pool.
func (s *session) do(x *pool.Exchange, req *protocol.Request) {
	s.starting = x // it may be finished at once
	p := s.w.poolFor(req.Key)
	p.Time(x, tally.OpOf(req.Verb))
	p.Do(x, req, s.affinity)
	s.starting = nil
	if x.Waits && !x.Done {
		s.waits++
	}
	if x.Lane {
		s.laned++
	}
	if x.Strays && !x.Done {
		if s.strays == 0 && !s.w.splits { // so that nobody keeps book otherwise
			s.reading = [4]uint64{}
		}
		s.strays++
		h := hotkey.Hash(req.Key)
		s.reading[h>>6&3] |= 1 << (h & 63)
	}
}

// change counts an exchange that may change what a get finds, until it is finished: the client's gets behind it read alone.
// value is the length of its value in bytes.
func (s *session) change(x *pool.Exchange, value int) {
	x.Size = 1 + value // more than 0, so that it is known when it ends
	s.flight += x.Size
	s.writes++
	if value >= heavy && s.claim == nil {
		x.Heavy, x.Cold = true, true
		s.w.dial.Add(value)
	}
}

// markRead notes an exchange that reads.
func (s *session) markRead(x *pool.Exchange) {
	x.Reads = true
	s.reads++
}

// gather begins a retrieval of several keys.
func (s *session) gather(req *protocol.Request) {
	x := s.exchange()
	s.w.counts.widths.Observe(req.NumKeys)
	s.w.poolFor(req.Key).Time(x, tally.OpMultiget)
	s.markRead(x)
	if req.Verb == protocol.Gat || req.Verb == protocol.Gats {
		s.change(x, 0)
	}
	x.Alone = s.writes > 0
	g := s.w.gatherer.Begin(x, req)
	for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
		g.Add(s.w.poolFor(key), key)
	}
	s.starting = x
	g.Send(s.affinity)
	s.starting = nil
	if x.Lane {
		s.laned++
	}
	if x.Strays && !x.Done {
		s.strays++
		s.reading = [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	}
}
