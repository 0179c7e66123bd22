package proxy

import (
	"mcproxy/pool"
	"mcproxy/protocol"
	"mcproxy/proxy/limits"
)

// What is held for clients is bounded for the whole process (limits.Config.Bytes). Small requests and answers are not counted: of them a
// client has few at once. A heavy value counts from its announcement until the backend has answered; answers count while they
// wait for their client, if they are much together. Past the limit a heavy value is refused, and so is an answer that would have to be
// kept; a client that reads slowly gets an error instead of a value, and others get their small answers as ever.

const (
	heavy        = 16 << 10  // bytes from which on a value counts, and above which a session's answers do
	heavyLine    = 128 << 10 // bytes of a request line that go on while the limit is reached
	shortAnswer  = 64        // bytes of an answer that is told whatever is over: it has no value, and may be the answer to a write
	crowdFrom    = 16        // sessions with requests under way, from which on less is read of each at once
	crowdRead    = 32 << 10  // bytes; what cannot be begun yet lies in a buffer
	fairRequests = 4096      // requests that a worker has under way, before sessions with more than an equal share of them wait
)

// affordWhole is afford for a value that is not split.
func (s *session) affordWhole(req *protocol.Request) afford {
	if req.ValueLen < heavy {
		return now
	}
	if s.w.dial.Refuses(req.ValueLen, s.w.loop.Now) {
		return tooHeavy
	}
	s.coming = req.ValueLen
	s.w.dial.Add(s.coming)
	s.w.guard()
	return now
}

// restrain refuses a request that is over a limit, and gives how many bytes of its line were dealt with; 0: it may be begun.
func (s *session) restrain(req *protocol.Request, n int) (used int) {
	if s.w.counts.inFlight >= s.w.most && len(req.Key) > 0 {
		s.refuseRequest(req, limits.Requests)
		return n
	}
	if r := s.w.rates; r != nil && !s.admitted {
		if why, refused := r.Refuses(&s.visitor, s.peer, req, s.w.loop.Now); refused {
			s.refuseRequest(req, why)
			return n
		}
		s.admitted = true
	}
	return 0
}

// refuseRequest answers a request that a limit does not allow. It changes nothing.
func (s *session) refuseRequest(req *protocol.Request, why limits.Limit) {
	s.w.counts.errors[overloaded]++
	s.w.counts.overLimit[why]++
	s.dropClaim() // it was let through when its value began to come
	s.admitted = false
	answer := limits.Overloaded
	if req.NoReply && !req.Verb.IsMeta() {
		answer = ""
	}
	switch {
	case req.ValueLen >= 0:
		s.skip, s.after = req.ValueLen+2, &refusal{answer: answer}
	case answer != "":
		s.answer(answer)
	}
}

// landed is when a value that counts is not on its way any more.
func (w *worker) landed(x *pool.Exchange) {
	if x.Cold && x.Heavy {
		x.Heavy = false
		w.dial.Add(1 - x.Size)
	}
}

// weigh counts what the session's buffers hold, if it is much.
func (s *session) weigh() {
	weight := 0
	if n := cap(s.out) + s.held - s.large; n > heavy {
		weight = n
	}
	if n := cap(s.in); n > heavy && s.coming == 0 && s.claim == nil {
		weight += n
	}
	if weight != s.weight && !s.closed {
		s.w.dial.Add(weight - s.weight)
		if s.weight == 0 {
			s.moved = s.w.loop.Now
			s.w.guard()
		}
		s.weight = weight
	}
}

// rest is when the session may have nothing more to do for the moment.
func (s *session) rest() {
	if s.busy && s.head == nil && !s.paused {
		s.busy = false
		s.w.busy--
	}
}

// lighten is when the session is closed.
func (s *session) lighten() {
	s.w.dial.Add(-s.weight)
	s.weight = 0
	if s.busy {
		s.w.busy--
	}
	s.visitor.Leave(s.peer, s.w.loop.Now)
}

// bearable gives an answer, or an error in its stead if it would be too much. It is called when much waits for the client with it.
func (s *session) bearable(x *pool.Exchange, answer []byte) []byte {
	if len(answer) <= shortAnswer || keeps(x, answer) || !s.w.dial.Refuses(len(answer), s.w.loop.Now) {
		return answer
	}
	s.w.counts.overLimit[limits.Answers]++
	return []byte(limits.Overloaded)
}

// tooLong ends a conn whose request line does not end.
func (s *session) tooLong() {
	s.w.counts.errors[streamBroken]++
	s.reply([]byte("SERVER_ERROR out of memory reading request\r\n"))
	s.hangUp(byGarbage)
}
