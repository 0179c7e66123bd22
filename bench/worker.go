package bench

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"time"

	"mcproxy/bench/workload"
	"mcproxy/protocol"
)

// A worker drives its share of the conns on one goroutine, which is locked to a thread:
//
//	wait ─► each ready conn: read ─► count answers ─► next operations ─► one write
//	     ─► conns whose next arrival is due (open loop): next operations ─► one write
//	     ─► at times: operations without an answer, the second's figures, new sockets for broken conns
type worker struct {
	recorder
	meta   bool
	pace   pace
	stopAt time.Duration // when a stop, or the end, was noticed; 0 before

	poller poller
	conns  []*conn
	dues   dueHeap // open loop: the conns that have room, by their next arrival
	ids    []int32

	response protocol.Response
	scratch  []byte // read into, when no answer has begun
	out      []byte // composed in
	spares   [][]byte

	nextCheck time.Duration
	broken    []*conn // wait for a new socket
	dialed    chan dialed
	dialing   int
}

// A dialed is the outcome of opening a conn anew.
type dialed struct {
	conn *conn
	sock net.Conn
	err  error
}

const (
	scratchSize = 256 << 10
	maxCompose  = 256 << 10              // bytes in one write, so that a deep pipeline of big values goes out in pieces
	maxWait     = 20 * time.Millisecond  // so that a stop is noticed
	checkEvery  = 50 * time.Millisecond  // looks for operations without an answer
	redialAfter = 100 * time.Millisecond // rests between tries to open a conn
	grace       = 2 * time.Second        // for the last answers, at most
)

// loop ends when every conn has done what it had to and has its answers, or some time after w.until. It owns everything
// of the worker.
func (w *worker) loop() error {
	runtime.LockOSThread() // for the precise timer; the thread ends with the goroutine
	precise()
	w.now = w.run.clock()
	for _, c := range w.conns {
		if err := w.fill(c); err != nil {
			w.fail(c, err)
		}
	}
	for !w.finished() {
		var err error
		if w.ids, err = w.poller.wait(w.ids[:0], w.sleep()); err != nil {
			return err
		}
		for _, id := range w.ids {
			w.serve(w.conns[id])
		}
		w.now = w.run.clock()
		w.arrive()
		if w.now >= w.windowEnd {
			w.closeWindow()
		}
		if w.now >= w.nextCheck {
			w.check()
		}
	}
	w.leave()
	return nil
}

// serve reads what has come for a ready conn and sends what it makes room for.
func (w *worker) serve(c *conn) {
	if c.socket == nil {
		return
	}
	for more := true; more; {
		var err error
		if more, err = w.receive(c); err != nil {
			w.fail(c, err)
			return
		}
	}
	if err := w.fill(c); err != nil {
		w.fail(c, err)
	}
}

// fill begins the operations that c has room for and that are due, and sends them with one write.
func (w *worker) fill(c *conn) error {
	w.out = w.out[:0]
	for c.inFlight < len(c.ring) && !c.over && len(w.out) < maxCompose {
		if w.run.stopped.Load() || w.now >= w.until || c.quota == 0 {
			c.over = true
			break
		}
		wake, ok := w.prepare(c)
		if !ok {
			if wake > 0 && !c.queued {
				c.queued = true
				w.dues.push(due{wake, int32(c.id)})
			}
			break
		}
		w.begin(c)
	}
	if len(w.out) == 0 && !c.watching {
		return nil
	}
	return w.flush(c)
}

// prepare has the next operation in its slot when ok. Else wake is when to try again, or 0: after an answer, or never.
func (w *worker) prepare(c *conn) (wake time.Duration, ok bool) {
	o := c.slot()
	if !c.held {
		o.Reset()
		switch c.stream.Next(o, max(w.now, c.due)) {
		case workload.Ended:
			c.over = true
			return 0, false
		case workload.Later:
			return o.At, false
		}
		c.held = true
	}
	if w.pace.open() && !o.Follows && c.due > w.now {
		return c.due, false
	}
	return 0, true
}

// begin puts the prepared operation in flight.
func (w *worker) begin(c *conn) {
	o := c.slot()
	c.held = false
	o.Sent = w.now
	switch {
	case w.pace.open() && !o.Follows:
		o.At = c.due
		c.due += w.pace.gap(c.arrivals)
	case o.At == 0:
		o.At = w.now
	}
	if o.At >= w.measureFrom && c.quota > 0 {
		c.quota--
	}
	if c.watch != nil {
		c.watch.Sending(o)
	}
	c.inFlight++
	w.out = o.Append(w.out, w.meta)
}

// sleep is how long wait may take.
func (w *worker) sleep() time.Duration {
	until := min(w.now+maxWait, w.windowEnd)
	if len(w.dues) > 0 {
		until = min(until, w.dues[0].at)
	}
	return max(until-w.run.clock(), 0)
}

// finished says whether nothing is left to do.
func (w *worker) finished() bool {
	stopped := w.run.stopped.Load()
	if stopped || w.now >= w.until {
		if w.stopAt == 0 {
			w.stopAt = w.now
		}
		if w.now-w.stopAt > grace {
			return true
		}
	}
	for _, c := range w.conns {
		if c.inFlight > 0 {
			return false
		}
		if !c.over && !stopped && w.now < w.until {
			return false
		}
	}
	return true
}

// check fails the conns whose oldest operation has waited too long, and opens broken ones anew.
func (w *worker) check() {
	w.nextCheck = w.now + checkEvery
	for _, c := range w.conns {
		if c.inFlight > 0 && w.now-c.oldest().Sent > w.run.cfg.Timeout {
			w.tally.timeouts++
			w.fail(c, fmt.Errorf("no answer within %v", w.run.cfg.Timeout))
		}
	}
	w.redial()
}

// fail ends the conn's socket and the operations in flight on it, and has it opened anew.
func (w *worker) fail(c *conn, err error) {
	if c.socket == nil {
		return
	}
	c.socket.close()
	c.socket, c.watching = nil, false
	c.in, c.need = w.release(c.in), 0
	c.out, c.taken = w.release(c.out), 0
	w.now = w.run.clock()
	if w.measuring() {
		w.tally.broken += int64(c.inFlight)
		w.tally.failure(truncate(err.Error()), 1)
	}
	for c.inFlight > 0 {
		w.finish(c.watch, c.oldest(), protocol.StatusInvalid)
		c.pop()
	}
	w.broken = append(w.broken, c)
}

func truncate(text string) string { return text[:min(len(text), maxFailureText)] }

// redial takes the sockets that have been opened, and asks for those that are missing, from a goroutine for each that ends
// with its dial.
func (w *worker) redial() {
	for w.dialing > 0 {
		select {
		case d := <-w.dialed:
			w.dialing--
			w.revive(d)
			continue
		default:
		}
		break
	}
	const atOnce = 16
	for len(w.broken) > 0 && w.dialing < atOnce && w.now < w.until && !w.run.stopped.Load() {
		c := w.broken[0]
		w.broken = slices.Delete(w.broken, 0, 1)
		w.dialing++
		go func() {
			sock, err := w.run.address.dial(w.run.cfg.Timeout)
			if err != nil {
				time.Sleep(redialAfter)
			}
			w.dialed <- dialed{c, sock, err}
		}()
	}
}

// revive gives a conn its new socket, or puts it back among the broken.
func (w *worker) revive(d dialed) {
	c := d.conn
	if d.err == nil {
		c.socket, d.err = w.poller.add(c.id, d.sock)
	}
	if d.err != nil {
		if w.measuring() {
			w.tally.failure(truncate(d.err.Error()), 1)
		}
		w.broken = append(w.broken, c)
		return
	}
	w.tally.redials++
	if err := w.fill(c); err != nil {
		w.fail(c, err)
	}
}

// leave counts what an open loop did not get to send and closes everything.
func (w *worker) leave() {
	end := min(w.now, w.until)
	if w.stopAt > 0 {
		w.ended = w.stopAt
	}
	for _, c := range w.conns {
		if c.quota != 0 {
			w.tally.late += w.pace.late(max(c.due, w.measureFrom), end)
		}
		if c.inFlight > 0 {
			w.fail(c, fmt.Errorf("no answer %v after the end", grace))
		}
		if c.socket != nil {
			c.socket.close()
		}
	}
	for range w.dialing {
		if d := <-w.dialed; d.err == nil {
			d.sock.Close()
		}
	}
	w.close()
	w.poller.close()
}
