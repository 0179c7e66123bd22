package backend

import (
	"bytes"

	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
	"mcproxy/internal/tlsrelay"
	"mcproxy/protocol"
)

type connState uint8

const (
	connConnecting connState = iota // calls queue up; nothing is sent
	connOpen
	connAside  // it stalled: no new calls; late answers are drained and journalled deletes follow
	connClosed // for good
)

const (
	readsPerTurn = 4        // full buffers read from one conn before others get their turn
	keepOut      = 64 << 10 // bytes of outgoing buffer that an idle conn may keep
	firstRead    = 1 << 20  // bytes of buffer that an answer's announced length gets before its bytes are there
)

// A conn is one stream to a backend. The loop owns it.
//
// out is the tail of the outgoing stream, from base on: first the requests that were sent and not answered, kept to be
// sent again or to name their keys, then from out[sent:] what was not sent. calls are their owners, in the same order.
type conn struct {
	addr      *location // where it leads
	p         *Pipeline
	fd        int
	id        uint64
	tag       epoll.Tag
	state     connState
	surplus   bool // no new calls; it ends when those that it has are answered
	deferred  bool // Flush is coming
	wantOut   bool // the kernel's buffer was full; Flush waits for Out
	connectBy int64
	stalled   int64 // when a call timed out, none that somebody waited for having been answered since; 0: not so
	asideBy   int64 // connAside: when to give up

	out  []byte
	base uint64
	sent int

	in   []byte // the begin of an answer; nil when there is none
	need int    // bytes of in before parsing it is worth a try

	calls fifo
	fresh int    // of calls: those enqueued since the last write
	held  bool   // what is written next has waited
	marks []mark // of writes that were late, the oldest first

	opening *opening        // of a conn that is not open yet; nil where connecting is all
	relay   *tlsrelay.Relay // that encrypts it; nil: none
}

// enqueue appends a call whose request is in out already, from off on.
func (c *conn) enqueue(call *Call, off int) {
	call.conn = c
	call.off = c.base + uint64(off)
	call.end = c.base + uint64(len(c.out))
	call.begun = false
	c.calls.push(call)
	c.fresh++
	c.wake()
}

func (c *conn) wake() {
	if !c.deferred {
		c.deferred = true
		c.p.loop.Defer(c)
	}
}

// request is a call's request as it stands in the stream; valid until out grows or shrinks.
func (c *conn) request(call *Call) []byte { return c.out[call.off-c.base : call.end-c.base] }

// touched says whether bytes of a call's request may have left the process.
func (c *conn) touched(call *Call) bool { return call.off < c.base+uint64(c.sent) }

// Flush does the turn's one write.
func (c *conn) Flush() {
	c.deferred = false
	if c.state == connConnecting || c.state == connClosed || c.wantOut || c.sent == len(c.out) {
		return
	}
	n, errno := c.p.loop.Kernel.Write(c.fd, c.out[c.sent:])
	c.sent += n
	c.p.Figures.sent(n)
	if c.fresh > 0 {
		c.p.Figures.Batches.Observe(c.fresh)
		c.fresh = 0
	}
	c.wantOut = c.sent < len(c.out)
	if c.held || c.wantOut {
		c.late()
	}
	switch {
	case errno != 0 && errno != unix.EAGAIN:
		c.fail(errno)
	case c.wantOut:
		c.modify(epoll.In | epoll.Out)
	}
}

func (c *conn) modify(want epoll.Events) {
	if err := c.p.loop.Modify(c.fd, c.tag, want); err != nil {
		c.fail(err)
	}
}

// Ready is the loop's word that the descriptor is ready.
func (c *conn) Ready(ev epoll.Events) {
	if c.state == connConnecting {
		c.goOn(ev)
		return
	}
	if ev&(epoll.In|epoll.Hup|epoll.Err) != 0 {
		c.read()
	}
	if ev&epoll.Out != 0 && c.wantOut && c.state != connClosed {
		c.wantOut = false
		c.modify(epoll.In)
		c.Flush()
	}
}

// read takes what the kernel has and hands out the answers in it.
func (c *conn) read() {
	for range readsPerTurn {
		room, begun := c.room()
		n, errno := c.p.loop.Kernel.Read(c.fd, room[begun:])
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0:
			c.fail(errno)
			return
		case n == 0:
			c.fail(ErrClosed)
			return
		}
		c.p.Figures.received(n)
		if !c.p.aloof {
			c.p.Backend.alive()
		}
		data := room[:begun+n]
		used := 0
		if len(data) >= c.need {
			used = c.consume(data)
			if c.state == connClosed {
				return
			}
		}
		c.keep(data[used:])
		if c.calls.n == 0 {
			c.stalled = 0
		}
		if (c.state == connAside || c.surplus) && c.calls.n == 0 {
			c.fail(ErrClosed) // all that was owed is paid; a new conn has taken its place
			return
		}
		if begun+n < len(room) {
			return
		}
	}
}

// room gives where to read, and how many bytes at its start are the begin of an answer already. That is the loop's
// scratch, unless a long answer has a buffer of its own.
func (c *conn) room() (room []byte, begun int) {
	l := c.p.loop
	if len(c.in) <= epoll.CopyBytes && c.need <= len(l.Scratch) {
		return l.Scratch, copy(l.Scratch, c.in)
	}
	c.in = l.Buffers.Grow(c.in, min(max(c.need-len(c.in), 4096), max(len(c.in), firstRead)))
	return c.in[:cap(c.in)], len(c.in)
}

// keep holds the begin of the next answer until more of it is there. rest may lie in c.in itself.
func (c *conn) keep(rest []byte) {
	if len(rest) == 0 {
		c.p.loop.Buffers.Put(c.in)
		c.in = nil
		return
	}
	if cap(c.in) < len(rest) {
		c.p.loop.Buffers.Put(c.in)
		c.in = c.p.loop.Buffers.Get(max(min(c.need, firstRead), len(rest)))
	}
	c.in = c.in[:copy(c.in[:cap(c.in)], rest)]
}

// consume hands out the whole units in data and gives how many bytes they were. The conn may be closed afterwards.
func (c *conn) consume(data []byte) (used int) {
	r := &c.p.response
	for used < len(data) {
		if c.calls.n == 0 {
			c.fail(ErrProtocol) // nobody asked
			return used
		}
		call := c.calls.at(0)
		n, err := protocol.ParseResponse(data[used:], call.shape, r)
		if err != nil || n > 0 && !c.fits(call, r) {
			call.begun = true // bytes of an answer came, whosesoever: it is not asked again
			c.fail(ErrProtocol)
			return used
		}
		if n == 0 {
			call.begun = true
			c.need = r.Need
			return used
		}
		unit := data[used : used+n]
		used += n
		if c.p.leaseEnded() && call.Owner != nil && !call.internal {
			c.abandon(0, &Error{Backend: c.p.Backend.Name, Sent: true, Err: ErrAway})
			if c.state == connClosed {
				return used
			}
			call = c.calls.at(0)
		}
		end := call.end
		if r.Last {
			c.calls.pop() // before its owner hears, who may use the call again
		}
		if !c.deliver(call, r, unit) || c.state == connClosed {
			return used
		}
		if r.Last {
			c.acknowledge(end)
		}
	}
	c.need = 0
	return used
}

// fits says whether a parsed unit can be an answer to call: to its verb, not before the whole request was sent, and of the key
// that was asked for.
func (c *conn) fits(call *Call, r *protocol.Response) bool {
	if call.end > c.base+uint64(c.sent) || !call.verb.Fits(r.Status) {
		return false
	}
	if call.keyLen > 0 && r.Status == protocol.StatusHit {
		end := int(call.end-c.base) - 2
		return bytes.Equal(r.Key, c.out[end-int(call.keyLen):end])
	}
	return call.shape != protocol.ShapeMeta || !r.Torn() || c.mayEcho(call)
}

// mayEcho says whether the answer to a meta request may have a carriage return in it: of an opaque, or of a key.
func (c *conn) mayEcho(call *Call) bool {
	req := &c.p.request
	n, err := protocol.ParseRequest(c.request(call), req)
	return err == nil && n > 0 && (req.Base64 || bytes.IndexByte(req.RawKey, '\r') >= 0 || bytes.IndexByte(req.MetaFlags, '\r') >= 0)
}

func (c *conn) deliver(call *Call, r *protocol.Response, unit []byte) bool {
	c.p.loop.Did()
	if call.Owner == nil { // given up, and only drained
		if r.Last {
			c.p.recycle(call)
		}
		return true
	}
	call.begun = true
	if !call.internal {
		if r.Last {
			c.p.Figures.Durations.Observe(call.at.Until(c.p.loop.Now))
			if d := c.p.slowness(call); d > 0 {
				c.p.tellSlow(call, c.request(call), d, len(r.Value), nil)
			}
		}
		c.stalled = 0 // somebody has what he waited for; a stream that only serves calls given up is late for ever
	}
	if err := call.Owner.Answer(call, r, unit); err != nil {
		c.fail(err)
		return false
	}
	return true
}

// acknowledge forgets the stream up to end.
func (c *conn) acknowledge(end uint64) {
	if c.calls.n == 0 && c.sent == len(c.out) {
		c.base += uint64(len(c.out))
		c.sent = 0
		if cap(c.out) > keepOut {
			c.p.loop.Buffers.Put(c.out)
			c.out = nil
		}
		c.out = c.out[:0]
		return
	}
	if gone := int(end - c.base); gone >= keepOut && gone > len(c.out)/2 {
		c.out = c.out[:copy(c.out, c.out[gone:])]
		c.base = end
		c.sent -= gone
	}
}

// expire fails the calls whose time is over and gives the next call's deadline (0: none).
func (c *conn) expire(now int64) (next int64) {
	timedOut := false
	for i := 0; i < c.calls.n; i++ {
		call := c.calls.at(i)
		if call.Owner == nil || call.deadline == 0 {
			continue
		}
		if call.deadline > now { // those behind it may be due earlier: they were sent again, or had waited before
			if next == 0 || call.deadline < next {
				next = call.deadline
			}
			continue
		}
		timedOut = true
		c.p.Figures.Timeouts++
		c.abandon(i, &Error{Backend: c.p.Backend.Name, Sent: true, Err: ErrTimeout})
	}
	if timedOut {
		if c.stalled == 0 {
			c.stalled = now
		}
		if !c.p.aloof {
			c.p.Backend.failure(ErrTimeout)
		}
	}
	return next
}

// abandon fails the i-th call and leaves its place in the stream to nobody: its answer will be drained. A write's delete
// follows it on this conn.
func (c *conn) abandon(i int, why *Error) {
	call := c.calls.at(i)
	ghost := c.p.newCall()
	*ghost = *call
	ghost.Owner = nil
	c.calls.set(i, ghost)
	owed := c.p.fail(call, c.request(call), why, 1)
	if owed != nil {
		c.sendDelete(owed)
	}
}

// sendDelete sends a debt's delete behind everything that was sent before on this conn.
func (c *conn) sendDelete(d *debt) {
	c.p.sendInternal(c, d, func(dst []byte) ([]byte, protocol.Verb) { return d.appendDelete(dst) }, 0)
}

// setAside takes a conn that stalled out of use. Its calls are failed; if writes among those that it carried are owed
// deletes, the conn is kept for their sake.
func (c *conn) setAside(now int64) {
	c.state = connAside
	c.asideBy = now + int64(15*c.p.Backend.Options().StallTimeout)
	c.p.forget(c)
	owes := false
	for i := 0; i < c.calls.n; i++ {
		call := c.calls.at(i)
		switch {
		case call.internal && call.Owner != nil:
			owes = true
		case call.Owner != nil:
			c.abandon(i, &Error{Backend: c.p.Backend.Name, Sent: true, Err: ErrTimeout})
			// A write's delete is at the end of the queue now, and will be seen there.
		}
	}
	if !owes {
		c.fail(ErrTimeout)
		return
	}
	c.p.aside = append(c.p.aside, c)
}

// fail ends the conn. Each call it carried is sent again, if that is safe, or fails.
func (c *conn) fail(cause error) {
	if c.state == connClosed {
		return
	}
	connected := c.state != connConnecting
	c.state = connClosed
	p := c.p
	c.closeFD()
	p.forget(c)
	if c.calls.n > 0 && c.in != nil {
		c.calls.at(0).begun = true
	}
	for ; c.calls.n > 0; c.calls.pop() {
		call := c.calls.at(0)
		if call.Owner == nil {
			p.recycle(call)
			continue
		}
		sent := c.touched(call)
		if connected && p.mayRetry(call, c.request(call), sent) && p.resend(call, c.request(call)) {
			continue
		}
		confirm := 1
		if sent && p.Backend.Options().Mutant != DeletesOnce {
			confirm = 2
		}
		if owed := p.fail(call, c.request(call), &Error{Backend: p.Backend.Name, Sent: sent, Err: cause, connect: !connected}, confirm); owed != nil {
			p.Backend.journal.leave(owed, 0)
		}
	}
	p.loop.Buffers.Put(c.in)
	p.loop.Buffers.Put(c.out)
	c.in, c.out = nil, nil
}

// closeFD closes the descriptor, or sees to it that there will be none.
func (c *conn) closeFD() {
	if c.fd < 0 {
		c.opening.cancel()
		return
	}
	c.p.loop.CloseFD(c.fd, c.tag)
	if c.relay != nil { // before any delete follows on another conn, so that nothing more of this one arrives
		c.relay.Abort()
	}
}

// due is when the conn wants to be looked at next, apart from its calls' deadlines; 0: not.
func (c *conn) due() int64 {
	switch {
	case c.state == connConnecting:
		return c.connectBy
	case c.state == connAside:
		return c.asideBy
	case c.stalled != 0:
		return c.stalled + int64(c.p.Backend.Options().StallTimeout)
	}
	return 0
}

// check does what is due at now, and gives when to look again (0: no need).
func (c *conn) check(now int64) (next int64) {
	if due := c.due(); due != 0 && due <= now {
		switch c.state {
		case connConnecting:
			c.p.connectFailed(c, ErrTimeout)
		case connAside:
			c.fail(ErrTimeout)
		case connOpen:
			c.setAside(now)
		}
		return 0
	}
	next = c.expire(now)
	if due := c.due(); due != 0 && (next == 0 || due < next) {
		next = due
	}
	return next
}
