package steps

import (
	"mcproxy/backend"
	"mcproxy/internal/budget"
	"mcproxy/internal/buffer"
)

// OutOfMemory is the answer to a request for whose value the budget had no bytes in time.
const OutOfMemory = "SERVER_ERROR out of memory for large values\r\n"

// A Large is an answer that may be too large to be copied: it goes to its client, or to several, as it stands. Who keeps it beyond
// Requester.Finish retains it, and releases it when its bytes have been written. It is the loop's.
type Large struct {
	Bytes []byte // the whole answer

	buffers *buffer.Pool    // nil: frame is nobody's
	frame   []byte          // what Bytes lie in
	claims  []*budget.Claim // what they cost
	dial    *budget.Dial    // that counts the frame; nil: none does
	refs    int
}

// Retain keeps the bytes for one more.
func (l *Large) Retain() { l.refs++ }

// Release is the end of one Retain. After the last the bytes are gone.
func (l *Large) Release() {
	if l.refs--; l.refs > 0 {
		return
	}
	if l.buffers != nil {
		l.buffers.Put(l.frame)
	}
	for _, c := range l.claims {
		c.Drop()
	}
	l.dial.Add(-cap(l.frame))
	*l = Large{}
}

// Copied is a copy of an answer, for several clients. It counts on dial until the last of them has it.
func Copied(answer []byte, buffers *buffer.Pool, dial *budget.Dial) *Large {
	frame := append(buffers.Get(len(answer)), answer...)
	dial.Add(cap(frame))
	return &Large{Bytes: frame, buffers: buffers, frame: frame, dial: dial, refs: 1}
}

// Plain is an answer that costs nothing.
func Plain(answer []byte) *Large { return &Large{Bytes: answer, refs: 1} }

// Paid is an answer in a buffer of buffers, which it gives back with its claim.
func Paid(answer []byte, buffers *buffer.Pool, claim *budget.Claim) *Large {
	return &Large{Bytes: answer, buffers: buffers, frame: answer, claims: []*budget.Claim{claim}, refs: 1}
}

// Reserve waits until the op holds at least n bytes of the budget. Its time stands still meanwhile. It is false if they cannot be
// had; then the op is Crowded, and the client is told OutOfMemory.
func (o *Op) Reserve(n int) bool {
	if n <= o.reserved || o.runner.Purse == nil {
		return true
	}
	began, granted := o.runner.Loop.Now, true
	c, ok := o.runner.Purse.Claim(n-o.reserved, func(ok bool) {
		granted = ok
		o.Ended()
	})
	if !ok {
		o.open++
		o.Wait()
		o.Deadline += o.runner.Loop.Now - began
	}
	if !granted {
		o.Crowded = true
		return false
	}
	o.claims = append(o.claims, c)
	o.reserved = n
	return true
}

// Hold gives the op n bytes of the budget that were claimed before; c is nil if somebody else drops the claim.
func (o *Op) Hold(n int, c *budget.Claim) {
	if c != nil {
		o.claims = append(o.claims, c)
	}
	o.reserved = max(o.reserved, n)
}

// Room for the rest of an answer, in bytes: before the value the longest line with a key, and behind it line ends.
const (
	headRoom = 512
	tailRoom = 16
)

// Room gives n bytes for a value to be put together in, in the midst of a frame for the whole answer. What it gave before is gone.
func (o *Op) Room(n int) []byte {
	b := &o.runner.Loop.Buffers
	if o.frame != nil {
		b.Put(o.frame)
	}
	o.frame = b.Get(headRoom + n + tailRoom)[:headRoom+n]
	return o.frame[headRoom:]
}

// Framed makes an answer of a value, where it stands if Room gave it. What the op has reserved goes with it.
func (o *Op) Framed(head, value []byte, tail string) *Large {
	if len(value) == 0 || len(o.frame) != headRoom+len(value) || &o.frame[headRoom] != &value[0] || len(head) > headRoom {
		return Plain(append(append(append(make([]byte, 0, len(head)+len(value)+len(tail)), head...), value...), tail...))
	}
	from := headRoom - len(head)
	copy(o.frame[from:], head)
	frame := append(o.frame, tail...)
	l := &Large{Bytes: frame[from:], buffers: &o.runner.Loop.Buffers, frame: frame, claims: o.claims, refs: 1}
	o.frame, o.claims, o.reserved = nil, nil, 0
	return l
}

// release gives back what an op held, when it is over.
func (o *Op) release() {
	if o.frame != nil {
		o.runner.Loop.Buffers.Put(o.frame)
		o.frame = nil
	}
	for _, c := range o.claims {
		c.Drop()
	}
	o.claims, o.reserved = nil, 0
}

// AppendError appends the error line that tells a client of a failure.
func AppendError(dst []byte, err *backend.Error) []byte {
	dst = append(dst, "SERVER_ERROR "...)
	if err.Err == backend.ErrOverloaded {
		return append(dst, "overloaded\r\n"...)
	}
	start := len(dst)
	dst = append(dst, err.Backend...)
	dst = append(dst, ": "...)
	dst = append(dst, err.Err.Error()...)
	for i := start; i < len(dst); i++ { // a name or a system's message must not end the line early
		if dst[i] < ' ' {
			dst[i] = '?'
		}
	}
	return append(dst, "\r\n"...)
}
