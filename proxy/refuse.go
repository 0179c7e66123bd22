package proxy

import (
	"bytes"
	"errors"

	"mcproxy/pool"
	"mcproxy/protocol"
	"mcproxy/proxy/door"
	"mcproxy/proxy/limits"
)

// A refusal is a storage request that is answered with an error once its data block has gone by.
type refusal struct {
	answer string // "" for none
	unlink []byte // the key whose old value goes away, or nil
}

const (
	binaryMagic  = 0x80 // begins every request of memcached's binary protocol
	tlsHandshake = 0x16 // and tlsMajor begin a conn with TLS (RFC 8446, 5.1)
	tlsMajor     = 3
)

// foreign says whether p begins something else than a line.
func foreign(p []byte) bool {
	return p[0] == binaryMagic || p[0] == tlsHandshake && len(p) > 1 && p[1] == tlsMajor
}

// reject ends a stream that cannot go on; what was asked before is still answered.
func (s *session) reject(err error) {
	s.w.counts.errors[streamBroken]++
	if errors.Is(err, protocol.ErrBinary) {
		s.w.refuseProtocol(byBinary)
		s.hangUp(byBinary)
		return
	}
	s.hangUp(byGarbage)
}

// badChunk answers a request whose value does not end where it should.
func (s *session) badChunk(req *protocol.Request) {
	s.w.counts.errors[badChunk]++
	s.admitted = false
	if !req.NoReply || req.Verb.IsMeta() {
		s.answer(protocol.BadDataChunk)
	}
}

// judge does with a request what the session's gate and the limits say. used bytes of data, where its line has n, were dealt with; end: the
// rest cannot be looked at now. Neither: it may be begun.
func (s *session) judge(req *protocol.Request, data []byte, n int) (used int, end bool) {
	if s.gate == nil {
		return s.restrain(req, n), false
	}
	v := s.gate.Judge(req, data, n)
	switch v.Kind {
	case door.Pass:
		return s.restrain(req, n), false
	case door.More:
		s.need = v.Used
		return 0, true
	case door.LoggedIn:
		s.w.counts.logins++
		if v.Open {
			s.gate = nil
		}
	case door.Forbidden:
		s.w.counts.errors[forbidden]++
	case door.Unauthenticated:
		s.w.counts.errors[unauthenticated]++
	case door.LoginFailed:
		s.w.counts.errors[loginFailed]++
	}
	if !v.Always && req.NoReply && !req.Verb.IsMeta() {
		v.Answer = ""
	}
	switch {
	case v.Swallow > 0 && !v.End:
		s.skip, s.after = v.Swallow, &refusal{answer: v.Answer}
	case v.Answer != "":
		s.answer(v.Answer)
	}
	if v.End {
		s.hangUp(byGuesses)
		return len(data), true
	}
	return v.Used, false
}

// refuseValue refuses a value that is too large, or for which there is no memory, as memcached does: the block goes by, then comes
// the error, and a set takes the old value away (memcached.c: "avoid stale data persisting in cache").
func (s *session) refuseValue(req *protocol.Request, why clientError) {
	s.w.counts.errors[why]++
	s.admitted = false
	answer := protocol.TooLarge
	switch why {
	case outOfMemory:
		answer = pool.OutOfMemory
	case overloaded:
		answer = limits.Overloaded
		s.w.counts.overLimit[limits.Values]++
	}
	s.skip = req.ValueLen + 2
	s.after = &refusal{}
	if !req.NoReply || req.Verb.IsMeta() {
		s.after.answer = answer
	}
	if req.Verb == protocol.Set || req.Verb == protocol.MetaSet && (req.Mode == 0 || req.Mode == 'S' || req.Mode == 's') {
		s.after.unlink = bytes.Clone(req.Key)
	}
}

// answer answers a request without a backend, in its turn.
func (s *session) answer(text string) {
	if s.head == nil {
		b := &s.w.loop.Buffers
		s.out = append(b.Grow(s.out, len(text)), text...)
		s.wake()
		return
	}
	s.Finish(s.exchange(), []byte(text))
}

// refuse answers a request whose data block has gone by.
func (s *session) refuse() {
	r := s.after
	s.after = nil
	if r.unlink == nil {
		s.answer(r.answer)
		return
	}
	x := s.exchange()
	x.To = &instead{s, r.answer}
	s.w.poolFor(r.unlink).Delete(x, r.unlink, s.affinity)
}

// instead gives a client another answer than the pool's.
type instead struct {
	s      *session
	answer string
}

// Finish is pool.Requester's.
func (i *instead) Finish(x *pool.Exchange, _ []byte) { i.s.Finish(x, []byte(i.answer)) }
