package proxy

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"mcproxy/backend"
	"mcproxy/pool"
)

// A turn is the moment in which the workers go over from one set of tables to another. What clients asked before it is finished as it
// was begun, by the former views of the pools; what they ask after it is begun by the next. A client that has requests under way
// at that moment is not read from before they are finished, so that what it asks later cannot overtake them on another conn.

// former is what a worker has left of the tables before the last turn.
type former struct {
	w       *worker
	tables  *tables      // that came after
	pools   []*pool.Pool // views that tables do not have
	pending int          // requests under way that were begun before the turn
}

// turnTo has all workers go over to t in the same moment.
func (s *Server) turnTo(t *tables) {
	s.turning.Lock()
	defer s.turning.Unlock()
	t.behind.Store(int32(len(s.workers)))
	var arrived, done sync.WaitGroup
	all := make(chan struct{})
	for _, w := range s.workers {
		arrived.Add(1)
		done.Add(1)
		if !w.loop.Post(func() { // it has the loop wait until the others have come to an end of their turns, which takes microseconds
			views := w.views(t)
			arrived.Done()
			<-all
			w.turn(t, views)
			done.Done()
		}) {
			arrived.Done()
			done.Done()
		}
	}
	arrived.Wait()
	close(all)
	done.Wait()
	s.tables.Store(t)
	s.keepGuards(t)
}

// views gives the worker's views of the pools of t: those that it has already, and new ones.
func (w *worker) views(t *tables) []*pool.Pool {
	views := make([]*pool.Pool, len(t.pools))
	for i, sh := range t.pools {
		if j := slices.Index(w.tables.pools, sh); j >= 0 {
			views[i] = w.pools[j]
			continue
		}
		var before *pool.Pool
		if j := w.tables.index(sh.Config.Name); j >= 0 {
			before = w.pools[j]
		}
		views[i] = pool.NewAfter(before, sh, w.loop, rand.Uint64())
		views[i].Dial = w.dial
	}
	return views
}

// use has what comes from now on begun by t.
func (w *worker) use(t *tables, views []*pool.Pool) {
	w.tables, w.pools = t, views
	pool.LinkPools(views)
	w.loop.Pause = max(0, t.cfg.BatchDelay)
	w.limits, w.rates = t.cfg.Limits.WithDefaults(), t.rates
	w.most = max(1, w.limits.Requests/max(1, t.cfg.Workers))
	w.splits = slices.ContainsFunc(t.pools, func(p *pool.Shared) bool { return p.Config.Split.Enabled })
	w.copies = slices.ContainsFunc(t.pools, func(p *pool.Shared) bool { return p.Copies() != nil })
}

// turn goes over to t. What was left of a turn before is over: Reload has waited for that.
func (w *worker) turn(t *tables, views []*pool.Pool) {
	f := &former{w: w, tables: t}
	for _, p := range w.pools {
		if !slices.Contains(views, p) {
			f.pools = append(f.pools, p)
		}
	}
	w.use(t, views)
	f.pending = 1
	for _, s := range w.sessions {
		s.turn(f)
	}
	if w.orphans.pending > 0 {
		f.pending++
		w.orphans.ended = f.ended
		w.orphans = new(orphans)
	}
	w.former = f
	f.ended()
}

// ended is the end of one request that was begun before the turn. After the last, nobody needs the former views.
func (f *former) ended() {
	if f.pending--; f.pending > 0 {
		return
	}
	f.close()
	f.w.former = nil
	if f.tables.behind.Add(-1) == 0 {
		f.w.srv.settle(f.tables)
	}
}

func (f *former) close() {
	for _, p := range f.pools {
		p.Close()
	}
}

// settle is called when every request has ended that was begun before t. Backends that t does not have are let go.
func (s *Server) settle(t *tables) {
	s.mu.Lock()
	defer s.mu.Unlock()
	used := make(map[*backend.Backend]bool)
	for b := range t.backends() {
		used[b] = true
	}
	var left atomic.Int32
	left.Store(1)
	done := func() {
		if left.Add(-1) == 0 {
			close(t.settled)
		}
	}
	for b, w := range s.keepers {
		if used[b] {
			continue
		}
		delete(s.keepers, b)
		left.Add(1)
		if !w.loop.Post(func() {
			b.Unkeep()
			s.ledger.Retire(b)
			done()
		}) {
			done()
		}
	}
	done()
}

// turn has what the client asks from now on wait until its requests under way are finished, and counts them for f.
func (s *session) turn(f *former) {
	s.gate = s.by.Door.Load().GateAfter(s.gate)
	for x := s.head; x != nil; x = x.Next {
		if x.Done {
			continue
		}
		x.To = &late{s: s, f: f, to: x.To}
		s.book.Hold()
		f.pending++
	}
	if s.claim != nil || s.coming > 0 { // a former view's; the next one is asked when the request is looked at again
		s.dropClaim()
		s.paused = true
		s.wake()
	}
}

// late is who gets the answer to a request that was begun before the turn.
type late struct {
	s  *session
	f  *former
	to pool.Requester
}

// Finish is pool.Requester's.
func (l *late) Finish(x *pool.Exchange, answer []byte) {
	l.s.book.Release()
	x.To = l.to
	l.to.Finish(x, answer)
	l.f.ended()
}

// orphans get the answers to requests whose clients have gone away.
type orphans struct {
	pending int
	ended   func() // called after the last; nil: by nobody
}

func (o *orphans) adopt(w *worker, x *pool.Exchange) {
	if _, ok := x.To.(*late); ok { // it is counted, and its session knows that it is closed
		return
	}
	o.pending++
	x.To = &orphan{w, o}
}

type orphan struct {
	w *worker
	o *orphans
}

// Finish is pool.Requester's.
func (p *orphan) Finish(x *pool.Exchange, _ []byte) {
	x.Timed()
	p.w.recycle(x)
	if p.o.pending--; p.o.pending == 0 && p.o.ended != nil {
		p.o.ended()
	}
}

// keepGuards has the workers look after the guards of the pools whose keys may have copies.
func (s *Server) keepGuards(t *tables) {
	hired := 0
	for _, p := range t.pools {
		if p.Copies() == nil || !p.Copies().Hire() {
			continue
		}
		for node := range p.Backends {
			w := s.workers[hired%len(s.workers)]
			hired++
			w.loop.Post(func() {
				if i := slices.Index(w.tables.pools, p); i >= 0 {
					w.pools[i].Replicator().Keep(node)
				}
			})
		}
	}
}
