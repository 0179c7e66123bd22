package proxy

import (
	"bytes"

	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
	"mcproxy/internal/tally"
	"mcproxy/internal/tlsrelay"
	"mcproxy/pool"
	"mcproxy/protocol"
	"mcproxy/proxy/door"
	"mcproxy/proxy/limits"
	"mcproxy/proxy/order"
	"mcproxy/proxy/porch"
)

const (
	firstWindow  = 16       // requests of one client under way at first; doubled each time the client could use more, up to limits.Config.ClientRequests
	maxExpected  = 2 << 20  // bytes of answers that the requests under way may be expected to bring
	maxFlight    = 1 << 20  // bytes of values of one client that backends have not answered for, before its next request waits
	maxLine      = 32 << 20 // bytes of one request line; only a retrieval of very many keys comes near
	readsPerTurn = 4        // full buffers read from one client before others get their turn
	compactSent  = 1 << 20  // bytes of answers that have left, before those that have not are moved to the buffer's begin
	sendAtOnce   = 16 << 10 // bytes of an answer that need not wait for the turn's end
	asideBytes   = 8 << 10  // bytes of small answers that wait in one buffer
	firstRead    = 1 << 20  // bytes of buffer that an announced value gets before its bytes are there
)

// A session is the state of one client's conn. Its worker's loop owns it. While the client is idle it holds no buffer.
type session struct {
	w        *worker
	peer     string        // its client's address
	from     *tally.Client // of that address
	tag      epoll.Tag
	fd       int
	by       *porch.Acceptor // that it came by
	gate     *door.Gate      // before its requests; nil: everything may be asked
	index    int             // in worker.sessions
	affinity uint32          // picks the conns to the backends
	why      closing         // it is closed, when it is
	relay    *tlsrelay.Relay // of a conn with TLS; nil

	in  []byte // the begin of a request, or requests that must wait; nil when there are none
	out []byte // answers; nil when there are none
	// sent bytes of out have left; need bytes of in are there before parsing is worth a try (0: unknown).
	sent, need int

	// What every request uses stands together, in few cache lines.
	head, tail *pool.Exchange // requests without their answer sent, oldest first
	held       int            // bytes of answers that wait for an older one, or are large
	flight     int            // bytes of the pending requests' values
	usual      int            // bytes of an answer, a moving average
	starting   *pool.Exchange // the one that its pool is beginning; book has not heard what became of it yet
	window     int            // as many requests may be under way
	weight     int            // bytes of in and out that count against limits.Config.Bytes
	skip       int            // bytes of a refused data block still to come
	claim      *claimed       // of the value that is coming, if it is large; nil: there is none
	moved      int64          // Loop time when bytes came or, of what is heavy, went
	source     epoll.Source
	interest   epoll.Events // what the kernel watches for
	deferred   bool         // Flush is coming
	paused     bool         // in holds requests that must wait for the window, or for the client to read
	busy       bool         // it has requests under way, or that wait: counted in w.busy
	full       bool         // the kernel's buffer was full; Flush waits for Out
	admitted   bool         // the request that in begins with is within the rates; the rest of it is not there, or it must wait
	eof        bool         // nothing more is read
	closed     bool
	away       bool       // its conn is given to another process, and not the loop's any more
	book       order.Book // of the requests under way

	aside   []byte   // answers that wait for their turn, of lent exchanges; nil when there are none
	lent    int      // of them
	after   *refusal // what follows when skip has come down to 0
	coming  int      // bytes of the value that is coming, if it is heavy and has no claim
	large   int      // bytes of held that are large answers'
	written int      // bytes of head's large answer that have left
	visitor limits.Visitor
}

// Ready is the loop's word that the client's descriptor is ready.
func (s *session) Ready(ev epoll.Events) {
	if ev&epoll.Out != 0 && s.full {
		s.full = false
		s.wake()
	}
	switch {
	case ev&(epoll.In|epoll.Hup|epoll.Err) == 0:
	case !s.paused && !s.eof:
		s.read()
	case ev&(epoll.Hup|epoll.Err) != 0:
		s.close() // nobody is there to read the answers
	default:
		s.watch()
	}
}

// read takes what the client sent and begins the requests in it. It says whether there was anything.
func (s *session) read() (some bool) {
	for range readsPerTurn {
		room, begun := s.room()
		n, errno := s.w.loop.Kernel.Read(s.fd, room[begun:])
		switch {
		case errno == unix.EAGAIN:
			return some
		case errno != 0:
			s.close()
			return some
		case n == 0:
			s.eof = true
			s.wake()
			return some
		}
		some = true
		s.from.Received(n)
		s.w.loop.Hear(&s.source)
		s.moved = s.w.loop.Now
		if begun == 0 && s.skip == 0 && s.book.Pending() == 0 && foreign(room[:n]) {
			if s.why = byBinary; room[0] == tlsHandshake {
				s.why = byTLS
			}
			s.w.refuseProtocol(s.why)
			s.close()
			return some
		}
		s.take(room[:begun+n], begun)
		if s.in != nil || s.weight > 0 {
			s.weigh()
		}
		if s.closed || s.paused || s.eof || begun+n < len(room) {
			return some
		}
	}
	return some
}

// room gives where to read, and how many bytes at its start are the begin of a request already. That is the loop's
// scratch, unless a long request has a buffer of its own.
func (s *session) room() (room []byte, begun int) {
	l := s.w.loop
	if len(s.in) <= epoll.CopyBytes && s.need <= len(l.Scratch) {
		room = l.Scratch
		if s.w.busy > crowdFrom && s.need == 0 {
			room = room[:crowdRead]
		}
		return room, copy(room, s.in)
	}
	more := min(max(s.need-len(s.in), 4096), max(len(s.in), firstRead))
	if s.claim != nil { // it is paid for
		more = s.need - len(s.in)
	}
	s.in = l.Buffers.Grow(s.in, more)
	return s.in[:cap(s.in)], len(s.in)
}

// take begins the whole requests in data, of which the first seen bytes were looked at before, and keeps the rest.
func (s *session) take(data []byte, seen int) {
	used := 0
	switch {
	case len(data) < s.need:
	case s.need == 0 && len(data) > heavyLine && s.w.dial.Over(0): // a very long line goes on
		s.tooLong()
		return
	case s.need == 0 && seen > epoll.CopyBytes && bytes.IndexByte(data[seen:], '\n') < 0: // a very long line goes on
		if len(data) > maxLine {
			s.tooLong()
			return
		}
	default:
		used = s.consume(data)
		if s.closed {
			return
		}
	}
	s.keep(data[used:])
}

// keep holds what cannot be begun yet. rest may lie in s.in itself.
func (s *session) keep(rest []byte) {
	b := &s.w.loop.Buffers
	if len(rest) == 0 {
		b.Put(s.in)
		s.in = nil
		return
	}
	if cap(s.in) < len(rest) {
		b.Put(s.in)
		s.in = b.Get(max(min(s.need, firstRead), len(rest)))
	}
	s.in = s.in[:copy(s.in[:cap(s.in)], rest)]
}

// consume begins request after request and gives how many bytes they were.
func (s *session) consume(data []byte) (used int) {
	req := &s.w.request
	s.need = 0
	for used < len(data) {
		if s.skip > 0 {
			n := min(s.skip, len(data)-used)
			used += n
			if s.skip -= n; s.skip == 0 {
				s.refuse()
			}
			continue
		}
		if s.mustWait() {
			s.paused = true
			return used
		}
		n, err := protocol.ParseRequest(data[used:], req)
		if err != nil {
			s.reject(err)
			return len(data)
		}
		if n == 0 {
			if s.gate.Locked() && len(data)-used > protocol.MaxLineLen {
				s.reject(protocol.ErrLineTooLong)
			}
			return used
		}
		if s.gate != nil || s.w.rates != nil || s.w.counts.inFlight >= s.w.most {
			took, end := s.judge(req, data[used:], n)
			if used += took; end {
				return used
			}
			if took > 0 {
				continue
			}
		}
		if s.book.Overtakes(req, s.w.splits) {
			s.paused = true
			return used
		}
		if req.ValueLen < 0 {
			used += n
			if s.begin(req); s.eof {
				return len(data)
			}
			continue
		}
		if int64(req.ValueLen) > s.w.tables.cfg.MaxValue {
			used += n
			s.w.poolFor(req.Key).SawRefused(req.Key, req.ValueLen)
			s.refuseValue(req, tooLarge)
			continue
		}
		switch a := s.afford(req); a {
		case now:
		case later:
			s.paused = true
			return used
		default:
			used += n
			s.refuseValue(req, a.refusal())
			continue
		}
		v, ok := req.TakeValue(data[used+n:])
		if v == 0 {
			s.need = n + req.ValueLen + 2
			return used
		}
		used += n + v
		if ok {
			s.begin(req)
		} else {
			s.badChunk(req)
		}
		s.dropClaim()
	}
	return used
}

// mustWait says whether the client has had enough of us for the moment. What it waits for wakes it.
func (s *session) mustWait() bool {
	unread := len(s.out) - s.sent + s.held
	pending := s.book.Pending()
	return s.book.Holds() || s.claim != nil && s.claim.state == claimWaits || pending >= s.window || pending*s.usual > maxExpected ||
		unread > heavy && (unread > s.w.limits.ClientBytes || s.w.dial.Over(0)) || s.flight > maxFlight || pending*s.w.busy > fairRequests
}

// hangUp lets nothing more in; the conn is closed when all answers are out.
func (s *session) hangUp(why closing) {
	s.eof, s.why = true, why
	s.keep(nil)
	s.wake()
}

// Finish takes an answer: out with it if it is its turn, else it waits for the older ones.
func (s *session) Finish(x *pool.Exchange, answer []byte) {
	x.Timed()
	if s.w.unsafe.Set == nil || !s.keepUnsafe(x, answer) {
		s.finish(x, answer)
	}
}

// finish is Finish when nothing stands in the answer's way.
func (s *session) finish(x *pool.Exchange, answer []byte) {
	if s.closed {
		s.w.recycle(x)
		return
	}
	if x.Size > 0 {
		s.flight -= x.Size
		s.w.landed(x)
	}
	s.book.Finished(x, s.starting == x)
	s.usual += (len(answer) - s.usual) / 4
	much := len(s.out)-s.sent+s.held+len(answer) > heavy
	if much {
		answer = s.bearable(x, answer)
	}
	if s.head == x && !keeps(x, answer) {
		s.reply(s.send(answer))
		s.pop()
		s.replyHeld()
		s.wake()
	} else {
		s.hold(x, answer)
		if s.head == x {
			s.wake()
		}
	}
	if much { // at once: many may get the same answer in this turn
		s.weigh()
	}
}

// send writes a long answer at once, if nothing is before it: the kernel copies it anyway. It gives what is left of it.
func (s *session) send(answer []byte) []byte {
	if len(answer) < sendAtOnce || len(s.out) > 0 || s.full {
		return answer
	}
	n, _ := s.w.loop.Kernel.Write(s.fd, answer) // whatever failed fails again in Flush
	s.from.Sent(n)
	return answer[n:]
}

func (s *session) reply(answer []byte) {
	s.out = s.w.loop.Buffers.Append(s.out, answer)
}

func (s *session) pop() {
	x := s.head
	if s.head = x.Next; s.head == nil {
		s.tail = nil
		s.rest()
	}
	s.book.Sent(x, s.starting == x)
	s.w.counts.inFlight--
	if x.Lent {
		s.returned(x)
	}
	s.w.recycle(x)
}

func (s *session) wake() {
	if !s.deferred {
		s.deferred = true
		s.w.loop.Defer(s)
	}
}

// Flush is the end of a turn in which something happened: the turn's one write, and what can go on after it.
func (s *session) Flush() {
	s.deferred = false
	if s.closed {
		return
	}
	if !s.writeOut() {
		s.close()
		return
	}
	if s.paused && !s.mustWait() {
		s.paused = false
		s.window = min(2*s.window, s.w.limits.ClientRequests)
		s.take(s.in, 0)
		if s.closed {
			return
		}
		s.rest()
	}
	if s.eof && !s.paused && s.book.Pending() == 0 && s.sent == len(s.out) {
		s.close()
		return
	}
	if s.w.draining && s.drained() {
		return
	}
	if s.interest&epoll.Out != 0 || s.full || s.interest&epoll.In == 0 {
		s.watch()
	}
	if s.in != nil || s.out != nil || s.weight > 0 {
		s.weigh()
	}
}

// writeOut writes what the kernel takes: out, and when that is empty the large answer whose turn it is. It is false if the conn is
// broken.
func (s *session) writeOut() bool {
	for !s.full {
		if s.sent < len(s.out) {
			n, errno := s.w.loop.Kernel.Write(s.fd, s.out[s.sent:])
			if errno != 0 && errno != unix.EAGAIN {
				return false
			}
			s.sent += n
			s.from.Sent(n)
			if n > 0 {
				s.moved = s.w.loop.Now
			}
			s.full = s.sent < len(s.out)
		}
		if s.sent < len(s.out) || s.head == nil || !s.head.Cold || s.head.Kept == nil {
			break
		}
		if !s.writeKept() {
			return false
		}
	}
	if s.sent == len(s.out) {
		s.w.loop.Buffers.Put(s.out)
		s.out, s.sent = nil, 0
	} else if s.sent > compactSent && s.sent > len(s.out)/2 {
		s.out = s.out[:copy(s.out, s.out[s.sent:])]
		s.sent = 0
	}
	return true
}

// watch has the kernel watch for what the session can use.
func (s *session) watch() {
	var want epoll.Events
	if !s.paused && !s.eof {
		want |= epoll.In
	}
	if s.full {
		want |= epoll.Out
	}
	if want == s.interest {
		return
	}
	s.interest = want
	if err := s.w.loop.Modify(s.fd, s.tag, want); err != nil {
		s.close()
	}
}

// close ends the session at once. Requests under way go on; nobody gets their answers.
func (s *session) close() {
	if s.closed {
		return
	}
	s.closed = true
	s.w.counts.inFlight -= s.book.Pending()
	s.lighten()
	b := &s.w.loop.Buffers
	b.Put(s.in)
	b.Put(s.out)
	s.in, s.out = nil, nil
	s.dropClaim()
	for x := s.head; x != nil; {
		next := x.Next
		x.Next = nil
		if x.Lent {
			s.returned(x)
		}
		if x.Done {
			s.w.recycle(x)
		} else {
			s.w.orphans.adopt(s.w, x)
		}
		x = next
	}
	s.head, s.tail = nil, nil
	if s.away {
		s.w.loop.Kernel.Close(s.fd)
	} else if s.w.loop.CloseFD(s.fd, s.tag); s.relay != nil {
		s.relay.HangUp()
	}
	s.w.remove(s)
}
