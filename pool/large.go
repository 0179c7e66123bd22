package pool

import (
	"mcproxy/backend"
	"mcproxy/internal/budget"
	"mcproxy/internal/buffer"
	"mcproxy/protocol"
	"mcproxy/split"
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
	*l = Large{}
}

// plain is an answer that costs nothing.
func plain(answer []byte) *Large { return &Large{Bytes: answer, refs: 1} }

// finishLarge gives an exchange its answer.
func (x *Exchange) finishLarge(l *Large) {
	x.Cold, x.Large = true, l
	x.To.Finish(x, l.Bytes)
}

// Needs is how many bytes of the budget a request takes whose value is length bytes, which its client has announced: the value
// itself, and its chunks until their backends have answered. 0: it goes as it comes, and needs none.
func (p *Pool) Needs(length int) int {
	if p.splitter == nil || !split.Oversized(length, p.splitter.cfg.Threshold) {
		return 0
	}
	return length + min(length*p.splitter.copies(), Window)
}

// Purse gives the worker's access to the budget.
func (p *Pool) Purse() *budget.Purse { return p.purse }

// copies is how many items a byte of a value goes into, at most.
func (s *splitter) copies() int { return min(s.cfg.Copies, len(s.p.Shared.Backends)) }

// reserve waits until the op holds at least n bytes of the budget. Its time stands still meanwhile. It is false if they cannot be
// had; then the client is told OutOfMemory.
func (o *op) reserve(n int) bool {
	if n <= o.reserved || o.p.purse == nil {
		return true
	}
	began, granted := o.p.loop.Now, true
	c, ok := o.p.purse.Claim(n-o.reserved, func(ok bool) {
		granted = ok
		o.ended()
	})
	if !ok {
		o.open++
		o.wait()
		o.deadline += o.p.loop.Now - began
	}
	if !granted {
		o.crowded = true
		o.p.Figures.Split.Crowded++
		return false
	}
	o.claims = append(o.claims, c)
	o.reserved = n
	return true
}

// Room for the rest of an answer, in bytes: before the value the longest line with a key, and behind it line ends.
const (
	headRoom = 512
	tailRoom = 16
)

// room gives n bytes for a value to be put together in, in the midst of a frame for the whole answer. What it gave before is gone.
func (o *op) room(n int) []byte {
	b := &o.p.loop.Buffers
	if o.frame != nil {
		b.Put(o.frame)
	}
	o.frame = b.Get(headRoom + n + tailRoom)[:headRoom+n]
	return o.frame[headRoom:]
}

// framed makes an answer of a value, where it stands if room gave it. What the op has reserved goes with it.
func (o *op) framed(head, value []byte, tail string) *Large {
	if len(value) == 0 || len(o.frame) != headRoom+len(value) || &o.frame[headRoom] != &value[0] || len(head) > headRoom {
		return plain(append(append(append(make([]byte, 0, len(head)+len(value)+len(tail)), head...), value...), tail...))
	}
	from := headRoom - len(head)
	copy(o.frame[from:], head)
	frame := append(o.frame, tail...)
	l := &Large{Bytes: frame[from:], buffers: &o.p.loop.Buffers, frame: frame, claims: o.claims, refs: 1}
	o.frame, o.claims, o.reserved = nil, nil, 0
	return l
}

// release gives back what an op held, when it is over.
func (o *op) release() {
	if o.frame != nil {
		o.p.loop.Buffers.Put(o.frame)
		o.frame = nil
	}
	for _, c := range o.claims {
		c.Drop()
	}
	o.claims, o.reserved = nil, 0
}

// lost is the answer to a retrieval whose value cannot be had.
func (o *op) lost() *Large {
	answer := []byte(protocol.End)
	switch why := o.refusal(); {
	case o.crowded:
		answer = []byte(OutOfMemory)
	case why != nil:
		answer = appendError(nil, why)
	}
	return plain(answer)
}

// refusal is why a value cannot be had, if that is to be said; nil: it is a miss.
func (o *op) refusal() *backend.Error {
	if o.why == nil {
		return nil
	}
	o.p.Figures.Failures++
	if o.p.Shared.Config.OnError != OnErrorError && o.why.Err != backend.ErrOverloaded {
		return nil
	}
	return o.why
}
