package steps

import (
	"iter"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/budget"
	"mcproxy/internal/epoll"
	"mcproxy/placement"
	"mcproxy/protocol"
)

// A Runner is what the ops of a worker's pool run on.
type Runner struct {
	Loop    *epoll.Loop
	Timeout time.Duration // of the backends
	Purse   *budget.Purse // nil: without bounds
	Places  Places
}

// Places says where keys are to be found now.
type Places interface {
	Place(key []byte) (placement.Spot, *backend.Pipeline)
	// Leave prepares a request for a spot that is away. An error says that it must not be sent.
	Leave(spot placement.Spot, req *protocol.Request) *backend.Error
	// Holds says why the answer of a spot that is away does not count; nil: it does.
	Holds(spot placement.Spot) *backend.Error
}

// An Op is a request that takes several calls.
type Op struct {
	Affinity uint32
	Deadline int64          // Loop time by which the client has its answer
	Crowded  bool           // the budget had no bytes left in time
	Why      *backend.Error // its owner's own: why the last value could not be read; nil: all backends answered

	runner  *Runner
	spot    placement.Spot    // where the key is to be found
	home    *backend.Pipeline // to there; nil: nobody has asked
	yield   func(struct{}) bool
	resume  func() (struct{}, bool)
	open    int // steps without an answer
	waiting bool

	claims   []*budget.Claim // of the budget
	reserved int             // bytes of them
	frame    []byte          // what a value is put together in; nil: none was
}

// A Step is one call of an op, and what came back.
type Step struct {
	Err *backend.Error // no answer came

	Status protocol.Status
	Flags  uint32
	Unique uint64
	Line   []byte // the answer's first line, or all of it if it has no data
	Value  []byte

	o    *Op
	away bool // to a stand-in
	call backend.Call
}

// Run starts an op for a request that just came; body runs at once, until it first waits. It has twice the timeout for all
// its steps, each of which has one.
func (r *Runner) Run(affinity uint32, body func(o *Op)) {
	r.RunBy(affinity, r.Loop.Now+2*int64(r.Timeout), body)
}

// RunBy is Run with the Loop time by which the client has its answer.
func (r *Runner) RunBy(affinity uint32, deadline int64, body func(o *Op)) {
	o := &Op{runner: r, Affinity: affinity, Deadline: deadline}
	o.resume, _ = iter.Pull(func(yield func(struct{}) bool) {
		o.yield = yield
		body(o)
		o.release()
	})
	o.resume()
}

// Home gives the conns to where the op's key is to be found. An op stays there to its end, though the key may move: what it has read, and
// what it then compares with, must be the same server's.
func (o *Op) Home(key []byte) *backend.Pipeline {
	if o.home == nil {
		o.spot, o.home = o.runner.Places.Place(key)
	}
	return o.home
}

// Send sends a step's request over pl; the answer is not there until Wait returns.
func (o *Op) Send(s *Step, pl *backend.Pipeline, req *protocol.Request) {
	o.SendFor(s, s, pl, req, Way{})
}

// SendFor is Send where another than the step hears of its call first. It passes Fail on to the step, and Answer or the last unit's end
// (Ended). It says whether the request was sent; if not, the owner hears nothing.
func (o *Op) SendFor(owner backend.Completer, s *Step, pl *backend.Pipeline, req *protocol.Request, way Way) bool {
	*s = Step{o: o, Line: s.Line[:0], Value: s.Value[:0]}
	s.call.Owner, s.call.Care = owner, way.Care
	if o.spot.Away() && pl == o.home {
		if s.Err = o.runner.Places.Leave(o.spot, req); s.Err != nil {
			return false
		}
		s.away = true
	}
	by := min(pl.Deadline(), o.Deadline)
	if way.Conn != 0 {
		s.Err = pl.SendOn(way.Conn, &s.call, req, by)
	} else {
		s.Err = pl.SendBy(&s.call, req, o.Affinity, by)
	}
	if s.Err != nil {
		return false
	}
	o.open++
	return true
}

// A Way says how a step is sent; the zero Way is that of a client's request.
type Way struct {
	Care backend.Care
	Conn uint64 // the ConnID of the conn that it must go on; 0: any
}

// Wait returns when every step that was sent has ended, and all that was expected.
func (o *Op) Wait() {
	for o.open > 0 {
		o.waiting = true
		o.yield(struct{}{})
	}
}

// Ask sends one step and waits for it.
func (o *Op) Ask(s *Step, pl *backend.Pipeline, req *protocol.Request) {
	o.Send(s, pl, req)
	o.Wait()
}

// Answer keeps a step's answer.
func (s *Step) Answer(c *backend.Call, r *protocol.Response, _ []byte) error {
	if s.away {
		if s.Err = s.o.arrived(c); s.Err != nil {
			if r.Last {
				s.o.Ended()
			}
			return nil
		}
	}
	s.Status, s.Flags, s.Unique = r.Status, r.ClientFlags, r.Unique
	s.Line = append(s.Line[:0], r.Line...)
	s.Value = append(s.Value[:0], r.Value...)
	if r.Last {
		s.o.Ended()
	}
	return nil
}

// arrived takes note of a stand-in's answer, and says why it does not count; nil: it does.
func (o *Op) arrived(c *backend.Call) *backend.Error {
	var req protocol.Request
	if n, err := protocol.ParseRequest(c.Request(), &req); err != nil || n == 0 {
		panic("steps: a request of our own does not parse")
	}
	if req.Verb.IsWrite() {
		o.spot.Arrived(req.Key, o.runner.Loop.Now)
	}
	return o.runner.Places.Holds(o.spot)
}

// ConnID names the conn that the step was sent on; it is there from when SendFor has sent it until its end.
func (s *Step) ConnID() uint64 { return s.call.ConnID() }

// Fail notes that a step has no answer.
func (s *Step) Fail(_ *backend.Call, _ []byte, err *backend.Error) {
	s.Err = err
	s.o.Ended()
}

// Expect has Wait wait for something else too, which calls Ended.
func (o *Op) Expect() { o.open++ }

// Ended is the end of something that the op waits for. The op goes on within the call if it was the last.
func (o *Op) Ended() {
	if o.open--; o.open == 0 && o.waiting {
		o.waiting = false
		o.resume()
	}
}
