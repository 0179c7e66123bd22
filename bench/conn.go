package bench

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"mcproxy/bench/workload"
	"mcproxy/protocol"
)

// A conn is one of a worker's conns to the endpoint, and the operations in flight on it, first in, first out.
//
// Its stream survives the socket: when that breaks, the operations in flight fail, and the next ones go out on a new one.
type conn struct {
	id     int // its place among the worker's conns
	socket socket
	stream workload.Stream
	watch  workload.Observer // may be nil

	ring     []workload.Op // the slots; cap is the pipeline's depth
	head     int           // the oldest operation in flight
	inFlight int
	due      time.Duration // open loop: when the next operation is to be sent
	queued   bool          // is among the worker's dues
	arrivals *rand.Rand    // open loop: draws the gaps
	quota    int64         // operations that it may still begin; < 0: no limit
	over     bool          // its stream has ended, or its quota
	held     bool          // the next operation is in its slot, and not yet due

	in       []byte // the beginning of an answer that has not come whole
	need     int    // bytes of in that are worth another look
	out      []byte // what has been composed while the kernel took no more
	taken    int    // of out
	watching bool   // wait tells of writability
}

// oldest gives the operation whose answer comes next.
func (c *conn) oldest() *workload.Op { return &c.ring[c.head] }

func (c *conn) pop() {
	c.head++
	if c.head == len(c.ring) {
		c.head = 0
	}
	c.inFlight--
}

// slot gives the slot of the next operation; there is one when inFlight < len(ring).
func (c *conn) slot() *workload.Op {
	i := c.head + c.inFlight
	if i >= len(c.ring) {
		i -= len(c.ring)
	}
	return &c.ring[i]
}

// errUnasked says that the endpoint sent something that nobody had asked for.
var errUnasked = errors.New("an answer without a request")

// receive reads once and takes what answers are whole. more says that there may be more to read.
func (w *worker) receive(c *conn) (more bool, err error) {
	buf := w.scratch
	if len(c.in) > 0 {
		// A long answer gathers in memory of its own, where nothing moves.
		c.in = w.grow(c.in, max(c.need, len(c.in)+minRead))
		buf = c.in[len(c.in):cap(c.in)]
	}
	n, err := c.socket.read(buf)
	if err != nil {
		if errors.Is(err, errAgain) {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("closed by the endpoint")
		}
		return false, err
	}
	w.now = w.run.clock()
	more = n == len(buf)
	if w.measuring() {
		w.tally.received += int64(n)
	}
	data := buf[:n]
	if len(c.in) > 0 {
		c.in = c.in[:len(c.in)+n]
		data = c.in
	}
	if len(data) < c.need {
		return more, nil
	}
	used, err := w.answers(c, data)
	if err != nil {
		return false, err
	}
	w.keep(c, data[used:])
	return more, nil
}

const (
	minRead   = 16 << 10 // what is worth a read
	keepRead  = 64 << 10 // memory that a conn keeps while it has nothing to gather
	maxSpares = 16       // longer pieces of memory that a worker keeps for the next conn that needs one
)

// keep puts the beginning of the next answer aside.
func (w *worker) keep(c *conn, rest []byte) {
	if len(rest) > 0 {
		if cap(c.in) < len(rest) {
			c.in = w.grow(c.in[:0], len(rest))
		}
		c.in = append(c.in[:0], rest...)
		return
	}
	c.in = w.release(c.in)
}

// grow gives b room for size bytes in all.
func (w *worker) grow(b []byte, size int) []byte {
	if cap(b) >= size {
		return b
	}
	var bigger []byte
	for i, spare := range w.spares {
		if cap(spare) >= size {
			w.spares = slices.Delete(w.spares, i, i+1)
			bigger = spare[:0]
			break
		}
	}
	if bigger == nil {
		bigger = make([]byte, 0, max(size, 2*cap(b)))
	}
	bigger = append(bigger, b...)
	w.release(b)
	return bigger
}

// release empties b, and takes it away if it is long.
func (w *worker) release(b []byte) []byte {
	if cap(b) <= keepRead {
		return b[:0]
	}
	if len(w.spares) == maxSpares {
		w.spares = slices.Delete(w.spares, 0, 1)
	}
	w.spares = append(w.spares, b)
	return nil
}

// answers takes the whole answers at the start of data and gives their length.
func (w *worker) answers(c *conn, data []byte) (used int, err error) {
	c.need = 0
	for used < len(data) {
		if c.inFlight == 0 {
			return 0, fmt.Errorf("%w: %.40q", errUnasked, data[used:])
		}
		o := c.oldest()
		shape, units := o.Shape(w.meta)
		n, err := protocol.ParseResponse(data[used:], shape, &w.response)
		if err != nil {
			return 0, fmt.Errorf("%w: %.40q", err, data[used:])
		}
		if n == 0 {
			c.need = w.response.Need
			return used, nil
		}
		used += n
		w.unit(c.watch, o, &w.response)
		if units > 0 && o.Units == units || units == 0 && w.response.Last {
			w.finish(c.watch, o, w.response.Status)
			c.pop()
		}
	}
	return used, nil
}

// flush hands w.out, after what c still has to send, to the kernel.
func (w *worker) flush(c *conn) error {
	out := w.out
	if len(c.out) > 0 {
		c.out = append(w.grow(c.out, len(c.out)+len(out)), out...)
		out = c.out[c.taken:]
	}
	sent := 0
	for sent < len(out) {
		n, err := c.socket.write(out[sent:])
		if errors.Is(err, errAgain) {
			break
		}
		if err != nil {
			return err
		}
		sent += n
	}
	if w.measuring() {
		w.tally.sentOut += int64(sent)
	}
	switch {
	case sent == len(out):
		c.out, c.taken = w.release(c.out), 0
	case len(c.out) > 0:
		c.taken += sent
	default:
		c.out = append(w.grow(c.out, len(out)-sent), out[sent:]...)
	}
	if waits := len(c.out) > 0; waits != c.watching {
		c.watching = waits
		return c.socket.watchWrites(c.id, waits)
	}
	return nil
}
