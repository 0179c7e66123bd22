package pool

import (
	"iter"

	"mcproxy/backend"
	"mcproxy/internal/budget"
	"mcproxy/protocol"
)

// An op is a request that takes several calls, written as straight-line code. It is a coroutine of the loop (iter.Pull): it
// runs on the loop's goroutine, from one wait to the next, so it may touch whatever the loop may, waits for no scheduler,
// and is as repeatable as the rest of a simulation.
//
//	o.send(step…) ─► o.wait() ─ ─ the loop turns, answers come ─ ─► the code goes on behind wait
type op struct {
	p        *Pool
	affinity uint32
	deadline int64 // Loop time by which the client has its answer
	yield    func(struct{}) bool
	resume   func() (struct{}, bool)
	open     int // steps without an answer
	waiting  bool

	claims   []*budget.Claim // of the budget
	reserved int             // bytes of them
	crowded  bool            // there were none left in time
	why      *backend.Error  // chunks of the last value could not be read; nil: all servers answered
	frame    []byte          // what a value is put together in; nil: none was
}

// A step is one call of an op, and what came back.
type step struct {
	o    *op
	call backend.Call
	err  *backend.Error // no answer came

	status protocol.Status
	flags  uint32
	unique uint64
	line   []byte // the answer's first line, or all of it if it has no data
	value  []byte
}

// run starts an op for a request that just came; body runs at once, until it first waits. It has twice the timeout for all
// its steps, each of which has one.
func (p *Pool) run(affinity uint32, body func(o *op)) {
	p.runBy(affinity, p.loop.Now+2*int64(p.Shared.timeout), body)
}

// runBy is run with the Loop time by which the client has its answer.
func (p *Pool) runBy(affinity uint32, deadline int64, body func(o *op)) {
	o := &op{p: p, affinity: affinity, deadline: deadline}
	o.resume, _ = iter.Pull(func(yield func(struct{}) bool) {
		o.yield = yield
		body(o)
		o.release()
	})
	o.resume()
}

// send sends a step's request over pl; it is not there yet until wait returns.
func (o *op) send(s *step, pl *backend.Pipeline, req *protocol.Request) {
	*s = step{o: o, line: s.line[:0], value: s.value[:0]}
	s.call.Owner = s
	if err := pl.SendBy(&s.call, req, o.affinity, min(pl.Deadline(), o.deadline)); err != nil {
		s.err = err
		return
	}
	o.open++
}

// wait returns when every step that was sent has ended.
func (o *op) wait() {
	for o.open > 0 {
		o.waiting = true
		o.yield(struct{}{})
	}
}

// ask sends one step and waits for it.
func (o *op) ask(s *step, pl *backend.Pipeline, req *protocol.Request) {
	o.send(s, pl, req)
	o.wait()
}

// Answer keeps a step's answer.
func (s *step) Answer(_ *backend.Call, r *protocol.Response, _ []byte) error {
	s.status, s.flags, s.unique = r.Status, r.ClientFlags, r.Unique
	s.line = append(s.line[:0], r.Line...)
	s.value = append(s.value[:0], r.Value...)
	if r.Last {
		s.ended()
	}
	return nil
}

// Fail notes that a step has no answer.
func (s *step) Fail(_ *backend.Call, _ []byte, err *backend.Error) {
	s.err = err
	s.ended()
}

func (s *step) ended() { s.o.ended() }

// ended is the end of something that the op waits for.
func (o *op) ended() {
	if o.open--; o.open == 0 && o.waiting {
		o.waiting = false
		o.resume()
	}
}
