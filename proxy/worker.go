package proxy

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"mcproxy/internal/budget"
	"mcproxy/internal/epoll"
	"mcproxy/pool"
	"mcproxy/protocol"
	"mcproxy/proxy/door"
	"mcproxy/proxy/limits"
	"mcproxy/proxy/porch"
)

// A worker is one event loop with its clients, its view of every pool, and its conns to every backend. Its fields belong to
// the loop, but for conns.
type worker struct {
	srv  *Server
	loop *epoll.Loop

	tables   *tables
	pools    []*pool.Pool // by tables' index
	former   *former      // what is left of the tables before; nil: nothing
	orphans  *orphans
	gatherer *pool.Gatherer
	splits   bool             // some pool's values may be split
	copies   bool             // some pool's keys may have copies
	request  protocol.Request // what sessions parse into

	sessions  []*session
	exchanges *pool.Exchange // free ones, by Next
	free      int            // how many
	nextID    uint32
	draining  bool
	busy      int           // sessions with requests under way, or that wait
	rates     *limits.Rates // in force; nil: none
	most      int           // requests under way, before more are refused
	dial      *budget.Dial  // of what is heavy and has no claim
	limits    limits.Config // in force
	drained   func()        // called once, when the last session of a draining worker is gone
	trim      *epoll.Alarm
	guardian  *epoll.Alarm
	dropped   uint64 // Buffers.Dropped at the last look
	collected uint64 // and when memory was last given back to the system

	complained int64 // Loop time of the last complaint about a client

	counts clientCounts

	unsafe unsafeAnswers

	conns atomic.Int64 // sessions and those about to be; the acceptors balance by it
}

const (
	keepExchanges = 4096
	trimInterval  = int64(time.Second) // between two looks at what a burst has left
)

func newWorker(s *Server, t *tables) (*worker, error) {
	k, err := epoll.NewLinux(s.clock)
	if err != nil {
		return nil, err
	}
	return newWorkerOn(s, k, t), nil
}

func newWorkerOn(s *Server, k epoll.Kernel, t *tables) *worker {
	w := &worker{srv: s, loop: epoll.New(k), tables: &tables{}, orphans: new(orphans), dial: budget.NewDial(s.budget.Whole)}
	w.gatherer = pool.NewGatherer(w.loop)
	w.gatherer.Dial = w.dial
	w.use(t, w.views(t))
	w.trim = w.loop.NewAlarm(w)
	w.guardian = w.loop.NewAlarm(guardian{w})
	w.unsafe.watch(w)
	return w
}

// run is the worker's goroutine; it ends when the loop is stopped.
func (w *worker) run() error {
	err := w.loop.Run()
	for len(w.sessions) > 0 {
		w.sessions[len(w.sessions)-1].close()
	}
	for _, p := range w.pools {
		p.Close()
	}
	if w.former != nil {
		w.former.close()
	}
	w.loop.Kernel.Release()
	return err
}

// litter is how many bytes of dropped buffers are worth a collection of their own. The data path makes no other garbage, so
// without it they would lie there until the runtime collects by the clock, every two minutes.
const litter = 16 << 20

// Expire lets go of what a burst has left, as long as there is something. When the burst is over, what it left as garbage goes
// back to the system.
func (w *worker) Expire(now int64) (next int64) {
	kept := w.loop.Buffers.Trim()
	dropped := w.loop.Buffers.Dropped()
	quiet := dropped == w.dropped
	w.dropped = dropped
	if quiet && dropped-w.collected >= litter && !w.draining {
		w.collected = dropped
		w.srv.background(debug.FreeOSMemory)
	}
	if kept == 0 && w.free == 0 && dropped-w.collected < litter {
		return 0
	}
	for n := w.free / 2; w.free > n; {
		w.exchanges = w.exchanges.Next
		w.free--
	}
	return now + trimInterval
}

// adopt takes a client's conn over; nil: it is closed. The loop calls it.
func (w *worker) adopt(g porch.Guest) *session {
	if w.draining {
		w.loop.Kernel.Close(g.FD)
		w.gone(g.By)
		return nil
	}
	w.nextID++
	s := &session{
		w: w, fd: g.FD, by: g.By, relay: g.Relay, gate: g.By.Door.Load().Gate(), index: len(w.sessions), affinity: w.nextID,
		window: firstWindow, interest: epoll.In,
	}
	var err error
	if s.tag, err = w.loop.Register(g.FD, s, epoll.In); err != nil {
		w.loop.Kernel.Close(g.FD)
		w.gone(g.By)
		return nil
	}
	s.peer = door.NameOf(g.From)
	s.from = w.counts.clients.Join(s.peer)
	w.sessions = append(w.sessions, s)
	return s
}

// remove forgets a session that is closed.
func (w *worker) remove(s *session) {
	last := len(w.sessions) - 1
	w.sessions[s.index] = w.sessions[last]
	w.sessions[s.index].index = s.index
	w.sessions[last] = nil
	w.sessions = w.sessions[:last]
	w.counts.closed[s.why]++
	w.counts.clients.Leave(s.from)
	w.gone(s.by)
	w.checkDrained()
}

func (w *worker) gone(by *porch.Acceptor) {
	w.conns.Add(-1)
	w.srv.conns.Add(-1)
	by.Counts.Conns.Add(-1)
}

// refuseProtocol says that a client speaks another protocol, but not for each of a thousand: a log that is read slowly must not hold up
// the loop.
func (w *worker) refuseProtocol(why closing) {
	if w.complained != 0 && w.loop.Now-w.complained <= int64(time.Minute) {
		return
	}
	w.complained = w.loop.Now
	text := "a client speaks memcached's binary protocol, which mcproxy does not: its conn is closed"
	if why == byTLS {
		text = "a client speaks TLS on a listener without: its conn is closed"
	}
	w.srv.log.Warn(text + " (told at most once a minute and worker)")
}

// drain has the sessions end, each when it has its answers and nothing more has arrived, and calls done after the last.
func (w *worker) drain(done func()) {
	w.draining = true
	w.drained = done
	for i := len(w.sessions) - 1; i >= 0; i-- {
		w.sessions[i].wake()
	}
	w.checkDrained()
}

func (w *worker) checkDrained() {
	if w.draining && len(w.sessions) == 0 && w.drained != nil {
		w.drained()
		w.drained = nil
	}
}

// drained ends the session of a client who has all its answers, if nothing more of it has arrived, and says whether it did. It is in
// the midst of no request then.
func (s *session) drained() bool {
	if s.paused || s.book.Pending() > 0 || s.sent < len(s.out) || len(s.in) > 0 || s.skip > 0 || s.claim != nil {
		return false
	}
	if !s.eof {
		if some := s.read(); s.closed || some {
			return s.closed
		}
		s.why = byDrain
	}
	s.close()
	return true
}

func (w *worker) poolFor(key []byte) *pool.Pool { return w.pools[w.tables.routes.Pool(key)] }
func (w *worker) defaultPool() *pool.Pool       { return w.pools[w.tables.routes.Default] }

func (w *worker) newExchange() *pool.Exchange {
	x := w.exchanges
	if x == nil {
		w.trim.Set(w.loop.Now + trimInterval)
		return new(pool.Exchange)
	}
	w.exchanges = x.Next
	w.free--
	x.Next = nil
	return x
}

func (w *worker) recycle(x *pool.Exchange) {
	if x.Cold {
		w.recycleCold(x)
	}
	x.To, x.Size, x.Done, x.Alone, x.Behind, x.Fences, x.Waits, x.Reads, x.Unsure, x.Strays, x.Lane = nil, 0, false, false, false, false, false, false, false, false, false
	if w.free >= keepExchanges {
		x.Next = nil
		return
	}
	x.Next = w.exchanges
	w.exchanges = x
	w.free++
}

// recycleCold clears what few exchanges have.
func (w *worker) recycleCold(x *pool.Exchange) {
	w.loop.Buffers.Put(x.Held)
	w.loop.Buffers.Put(x.Body)
	if x.Kept != nil {
		x.Kept.Release()
	}
	if x.Claim != nil {
		x.Claim.Drop()
	}
	w.landed(x)
	x.Held, x.Kept, x.Claim, x.Body = nil, nil, nil, nil
	x.Forget()
}
