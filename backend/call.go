package backend

import (
	"mcproxy/internal/tally"
	"mcproxy/protocol"
)

// A Completer gets what became of a call: any number of Answers of which one is the last, or one Fail; never both ends.
type Completer interface {
	// Answer gives one unit of the answer, parsed and raw; both are valid until it returns. r.Last marks the end: the call
	// is the owner's again. An error means that the unit cannot be an answer to this request: the conn is broken then, and
	// Fail follows.
	Answer(c *Call, r *protocol.Response, raw []byte) error
	// Fail says that no (further) answer will come. req is the request as it was sent, valid until Fail returns. A write's key
	// is in the journal already.
	Fail(c *Call, req []byte, err *Error)
}

// A Call is one request on its way to a backend and back. Its owner sets Owner, sends it, and leaves it alone until its end.
type Call struct {
	Owner Completer // nil: nobody waits for the answer any more
	Care  Care

	conn     *conn // the one it was sent on last
	verb     protocol.Verb
	shape    protocol.Shape
	keyLen   uint8 // of a retrieval of one key: the key ends the request line
	internal bool  // the backend's own: not admitted, not journalled, not sent again
	begun    bool  // a unit of the answer was delivered
	retried  bool
	affinity uint32
	at       tally.Tick // when it was first sent
	deadline int64      // Loop time; 0: none
	off, end uint64     // where the request lies in its conn's outgoing stream
}

// A Care says what becomes of a call that gets no answer.
type Care uint8

// The cares.
const (
	ForClient  Care = iota // a write's key goes into the journal; only what cannot have been carried out is sent again
	Repeatable             // the same, but it does no harm if it is carried out twice, and so it is sent again if its conn breaks
	Once                   // it is never sent again, and the journal does not hear of it
)

// ConnID names the conn that the call was sent on last: no other of the backend's ever has the same. It is there during Answer.
func (c *Call) ConnID() uint64 { return c.conn.id }

// Deadline is the Loop time by which the call has ended; 0: none. It is there during Answer.
func (c *Call) Deadline() int64 { return c.deadline }

// Request is the request as it was sent; it is there during Answer, and valid until Answer returns.
func (c *Call) Request() []byte { return c.conn.request(c) }

// Sent says whether bytes of the request have been handed to the kernel. Before, whatever is asked now will be answered later
// than now.
func (c *Call) Sent() bool { return c.conn.touched(c) }

// fifo is a queue of calls, in the order in which they were sent.
type fifo struct {
	ring []*Call // a power of two long
	head int
	n    int
}

func (f *fifo) push(c *Call) {
	if f.n == len(f.ring) {
		grown := make([]*Call, max(16, 2*len(f.ring)))
		for i := range f.n {
			grown[i] = f.at(i)
		}
		f.ring, f.head = grown, 0
	}
	f.ring[(f.head+f.n)&(len(f.ring)-1)] = c
	f.n++
}

func (f *fifo) at(i int) *Call     { return f.ring[(f.head+i)&(len(f.ring)-1)] }
func (f *fifo) set(i int, c *Call) { f.ring[(f.head+i)&(len(f.ring)-1)] = c }

func (f *fifo) pop() {
	f.ring[f.head] = nil
	f.head = (f.head + 1) & (len(f.ring) - 1)
	f.n--
	if f.n == 0 && len(f.ring) > 4096 {
		f.ring, f.head = nil, 0 // a burst's queue
	}
}
