package proxy

import (
	"net/netip"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"mcproxy/internal/handover"
	"mcproxy/proxy/porch"
)

// takeIn gives the adopted clients to the workers. Those of listeners that are no more are not served: nobody has said what they may ask.
func (s *Server) takeIn(t *tables) {
	lost := 0
	for i := range s.adopted {
		c := s.adopted[i]
		by := t.acceptors.Heir(s.adoptedBy, c.Listener)
		if by == nil {
			unix.Close(c.FD)
			lost++
			continue
		}
		s.conns.Add(1)
		s.assignTo(by, c.FD, func(w *worker) { w.takeIn(&c, by) })
	}
	if lost > 0 {
		s.log.Warn("clients came by listeners that are not configured any more: their conns are closed", zap.Int("conns", lost))
	}
	s.adopted, s.adoptedBy = nil, nil
}

// export gives the clients, and leaves them alone. The bytes are valid as long as nothing is thawed.
func (w *worker) export(t *tables) []handover.Session {
	all := make([]handover.Session, 0, len(w.sessions))
	for _, s := range w.sessions {
		all = append(all, s.export(t))
	}
	return all
}

// export is what the session consists of when no request is under way.
func (s *session) export(t *tables) handover.Session {
	s.dropClaim()
	for s.head != nil { // all have their answers
		if x := s.head; x.Cold && x.Kept != nil {
			s.reply(x.Kept.Bytes[s.written:])
			s.held -= len(x.Kept.Bytes)
			s.large -= len(x.Kept.Bytes)
			s.written = 0
			s.pop()
		}
		s.replyHeld()
	}
	s.w.loop.Detach(s.fd, s.tag)
	s.away = true
	c := handover.Session{
		FD: s.fd, Listener: slices.Index(t.acceptors, s.by), From: s.peer, LoggedIn: !s.gate.Locked(), In: s.in, Out: s.out[s.sent:], Skip: s.skip, EOF: s.eof,
	}
	if r := s.after; r != nil {
		c.Refusal = &handover.Refusal{Answer: r.answer, Unlink: r.unlink}
	}
	return c
}

// thaw has a frozen session go on.
func (s *session) thaw() {
	s.book.Release()
	if s.away {
		s.away = false
		var err error
		s.interest = 0
		if s.tag, err = s.w.loop.Register(s.fd, s, s.interest); err != nil {
			s.away = true // it is not registered
			s.close()
			return
		}
	}
	s.full = false // Flush will see
	s.wake()
}

// takeIn goes on with a client of another process.
func (w *worker) takeIn(c *handover.Session, by *porch.Acceptor) {
	from, _ := netip.ParseAddr(c.From) // what is no address is a unix socket
	s := w.adopt(porch.Guest{FD: c.FD, By: by, From: from})
	if s == nil {
		return
	}
	if c.LoggedIn {
		s.gate = by.Door.Load().GateAfter(nil)
	}
	b := &w.loop.Buffers
	if len(c.In) > 0 {
		s.in = b.Append(nil, c.In)
	}
	if len(c.Out) > 0 {
		s.out = b.Append(nil, c.Out)
	}
	s.skip, s.eof = c.Skip, c.EOF
	if r := c.Refusal; r != nil {
		s.after = &refusal{answer: r.Answer, unlink: r.Unlink}
	}
	s.paused = true // what it sent is looked at when the turn ends
	s.wake()
}
