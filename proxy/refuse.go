package proxy

import (
	"bytes"
	"errors"

	"mcproxy/pool"
	"mcproxy/protocol"
)

// A refusal is a storage request that is answered with an error once its data block has gone by.
type refusal struct {
	answer string // "" for none
	unlink []byte // the key whose old value goes away, or nil
}

// reject ends a stream that cannot go on; what was asked before is still answered.
func (s *session) reject(err error) {
	s.w.counts.errors[streamBroken]++
	if errors.Is(err, protocol.ErrBinary) {
		s.w.refuseBinary()
		s.hangUp(byBinary)
		return
	}
	s.hangUp(byGarbage)
}

// refuseValue refuses a value that is too large, or for which there is no memory, as memcached does: the block goes by, then comes
// the error, and a set takes the old value away (memcached.c: "avoid stale data persisting in cache").
func (s *session) refuseValue(req *protocol.Request, why clientError) {
	s.w.counts.errors[why]++
	answer := protocol.TooLarge
	if why == outOfMemory {
		answer = pool.OutOfMemory
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
