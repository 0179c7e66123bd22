package backend

import (
	"time"

	"mcproxy/internal/tally"
	"mcproxy/protocol"
)

// A SlowCall is one that took longer than Options.SlowCall.
type SlowCall struct {
	Verb   protocol.Verb
	Key    string        // the first one's bytes
	Keys   int           // how many there were
	Bytes  int           // of the value that was sent, or came back
	Queued time.Duration // until its request was handed to the kernel
	Took   time.Duration // from then to its answer, or its failure
	Err    error         // why there was no answer; nil: there was one
}

// keptSlow is how many slow calls a pipeline keeps until it is asked for them; those that come then are only counted.
const keptSlow = 8

// slowness is how long a call has taken, if it is worth telling; else 0.
func (p *Pipeline) slowness(call *Call) int64 {
	limit := int64(p.Backend.Options().SlowCall)
	if limit <= 0 {
		return 0
	}
	if d := call.at.Until(p.loop.Now); d >= limit {
		return d
	}
	return 0
}

// tellSlow takes up a call that took d nanoseconds. req is its request; size the bytes of the answer's value.
func (p *Pipeline) tellSlow(call *Call, req []byte, d int64, size int, why error) {
	p.Figures.Slow++
	if len(p.slow) >= keptSlow {
		return
	}
	if n, err := protocol.ParseRequest(req, &p.request); err != nil || n == 0 {
		return
	}
	queued := min(d, call.conn.queued(call))
	p.slow = append(p.slow, SlowCall{
		Verb: call.verb, Key: string(p.request.Key), Keys: max(1, p.request.NumKeys), Bytes: max(size, p.request.ValueLen, 0),
		Queued: time.Duration(queued), Took: time.Duration(d - queued), Err: why,
	})
}

// TakeSlow gives the slow calls since the last time, of each second a few. The loop calls it.
func (p *Pipeline) TakeSlow() []SlowCall {
	slow := p.slow
	p.slow = nil
	return slow
}

// A mark says that the stream up to end was with the kernel at a time.
type mark struct {
	end uint64
	at  tally.Tick
}

// keptMarks is how many late writes a conn remembers.
const keptMarks = 8

// late remembers a write that did not come in the turn of the calls before it: the conn was not open, or the kernel's buffer full.
func (c *conn) late() {
	if len(c.marks) == keptMarks {
		c.marks = append(c.marks[:0], c.marks[1:]...)
	}
	c.marks = append(c.marks, mark{c.base + uint64(c.sent), tally.TickOf(c.p.loop.Now)})
	c.held = c.wantOut
}

// queued is how many nanoseconds passed before the request of a call was with the kernel. Usually it goes in the turn that it came in.
func (c *conn) queued(call *Call) int64 {
	if call.end > c.base+uint64(c.sent) {
		return call.at.Until(c.p.loop.Now) // it waits still
	}
	for _, m := range c.marks {
		if m.end >= call.end {
			return max(0, int64(int32(m.at-call.at))<<10) // a mark from before is of earlier calls
		}
	}
	return 0
}
