package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"mcproxy/backend"
	"mcproxy/internal/budget"
	"mcproxy/internal/epoll"
	"mcproxy/internal/tally"
	"mcproxy/pool"
)

// A Server is a running proxy. Its methods are safe for concurrent use.
type Server struct {
	// Immutable after New.
	cfg       Config
	log       *zap.Logger
	epoch     time.Time // what the loops' clock counts from
	clock     *epoll.Clock
	pools     []*pool.Shared
	shares    [][]float64 // by pool and backend: of the keys
	routes    *routeTable
	acceptors []*acceptor
	workers   []*worker
	watchers  []*watcher
	budget    *budget.Budget
	stopping  chan struct{} // closed when Serve begins to end

	ready     atomic.Bool
	draining  atomic.Bool
	conns     atomic.Int64     // of all listeners
	listeners []listenerCounts // by Config.Listeners
	events    events

	addresses chan *tally.Addresses // lends them to one Snapshot at a time

	running sync.WaitGroup // goroutines of background
}

// New checks cfg, opens the listeners and prepares the workers. Nothing is accepted before Serve. log gets events, never
// requests.
func New(cfg Config, log *zap.Logger) (*Server, error) {
	s := &Server{cfg: cfg.withDefaults(), log: log, epoch: time.Now(), stopping: make(chan struct{}), addresses: make(chan *tally.Addresses, 1)}
	s.clock = epoll.NewClock(s.epoch)
	if len(cfg.Listeners) == 0 {
		return nil, errors.New("no listeners")
	}
	var err error
	if s.routes, err = newRouteTable(cfg); err != nil {
		return nil, err
	}
	s.budget = budget.New(s.cfg.Assembly, int64(s.cfg.AssemblyWait))
	for i := range cfg.Pools {
		pc := cfg.Pools[i]
		pc.Backend.StatsInterval = max(0, s.cfg.StatsInterval)
		p, err := pool.NewShared(pc, s.backendChanged(cfg.Pools[i].Name))
		if err != nil {
			return nil, err
		}
		p.Budget = s.budget
		s.shares = append(s.shares, shares(p.Ring, len(p.Backends)))
		s.pools = append(s.pools, p)
	}
	s.listeners = make([]listenerCounts, len(cfg.Listeners))
	s.addresses <- new(tally.Addresses)
	for i, l := range cfg.Listeners {
		a, err := s.listen(i, l)
		if err != nil {
			s.closeListeners()
			return nil, err
		}
		s.acceptors = append(s.acceptors, a)
	}
	for range s.cfg.Workers {
		w, err := newWorker(s)
		if err != nil {
			s.closeListeners()
			for _, w := range s.workers {
				w.loop.Kernel.Release()
			}
			return nil, err
		}
		s.workers = append(s.workers, w)
	}
	s.newWatchers()
	return s, nil
}

func (s *Server) backendChanged(pool string) func(*backend.Backend, backend.State, error) {
	return func(b *backend.Backend, state backend.State, cause error) {
		fields := []zap.Field{zap.String("pool", pool), zap.String("backend", b.Name), zap.String("address", b.Address)}
		if cause != nil {
			fields = append(fields, zap.String("cause", cause.Error()))
		}
		event := Event{Pool: pool, Backend: b.Name}
		switch state {
		case backend.StateUp:
			event.Kind, event.Text = EventUp, "the backend is up"
			s.log.Info("backend is up", fields...)
		case backend.StateDown:
			event.Kind, event.Text = EventDown, "the backend is down"
			s.log.Warn("backend is down", fields...)
		case backend.StateHeld:
			event.Kind, event.Text = EventHeld, "the backend is held: its journal overflowed"
			s.log.Error("backend is held: its journal of missed writes overflowed, so it may hold old values; "+
				"flush or restart it, then release it", fields...)
		}
		if cause != nil {
			event.Text += ": " + cause.Error()
		}
		s.Note(event)
	}
}

// Addrs gives the listeners' addresses in the order of the configuration, with the port that port 0 became.
func (s *Server) Addrs() []net.Addr {
	var addrs []net.Addr
	for _, a := range s.acceptors {
		addrs = append(addrs, a.ln.Addr())
	}
	return addrs
}

// Ready says whether clients are accepted: not before Serve, and no more when it is ending.
func (s *Server) Ready() bool { return s.ready.Load() }

// Serve runs until ctx is done, then drains: nothing more is accepted, what clients sent so far is answered, their conns
// are closed as they become idle, and after DrainTimeout whatever they are. It gives an error if a worker could not go
// on. Call it once.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers, acceptors, watchers sync.WaitGroup
	for _, w := range s.workers {
		workers.Go(func() {
			if err := w.run(); err != nil {
				cancel(fmt.Errorf("worker: %w", err))
			}
		})
	}
	s.keepBackends()
	for _, a := range s.acceptors {
		acceptors.Go(a.run)
	}
	for _, w := range s.watchers {
		watchers.Go(func() { s.watch(ctx, w) })
	}
	watchers.Go(func() { s.pace(ctx) })
	s.ready.Store(true)
	s.Note(Event{Kind: EventStart, Text: "clients are accepted"})
	<-ctx.Done()

	s.ready.Store(false)
	s.draining.Store(true)
	s.Note(Event{Kind: EventDrain, Text: "no more clients are accepted; what was asked is answered"})
	close(s.stopping)
	s.closeListeners()
	acceptors.Wait()
	watchers.Wait()
	s.drain()
	s.running.Wait()
	for _, w := range s.workers {
		w.loop.Post(w.loop.Stop)
	}
	workers.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// keepBackends spreads the care of the backends over the workers.
func (s *Server) keepBackends() {
	i := 0
	for _, p := range s.pools {
		for _, b := range p.Backends {
			w := s.workers[i%len(s.workers)]
			w.loop.Post(func() { b.Keep(w.loop) })
			i++
		}
	}
}

// drain waits until every worker has answered what it was asked, at most DrainTimeout. Then the backends' keepers end.
func (s *Server) drain() {
	var left sync.WaitGroup
	for _, w := range s.workers {
		left.Add(1)
		if !w.loop.Post(func() { w.drain(left.Done) }) {
			left.Done()
		}
	}
	drained := make(chan struct{})
	go func() { // ends at the latest when the workers have closed their sessions
		left.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(s.cfg.DrainTimeout):
		s.log.Warn("clients are still waiting after the drain timeout; their conns are closed",
			zap.Int64("conns", s.conns.Load()))
	}
	i := 0
	for _, p := range s.pools {
		for _, b := range p.Backends {
			s.workers[i%len(s.workers)].loop.Post(b.Unkeep)
			i++
		}
	}
}

func (s *Server) closeListeners() {
	for _, a := range s.acceptors {
		a.close() // twice is harmless
	}
}

// background runs fn in a goroutine that Serve waits for; fn must not outlast a few hundred milliseconds.
func (s *Server) background(fn func()) { s.running.Go(fn) }

// Release lets a held backend come back: see backend.Backend.Release. It says whether there is such a backend, and it was
// held.
func (s *Server) Release(poolName, backendName string) bool {
	for _, p := range s.pools {
		if p.Config.Name != poolName {
			continue
		}
		for _, b := range p.Backends {
			if b.Name == backendName && b.Release() {
				s.Note(Event{Kind: EventRelease, Pool: poolName, Backend: backendName, Text: "an operator has released the backend"})
				return true
			}
		}
	}
	return false
}

// visit has fn run by the worker's loop and waits for it. If ctx ends first, fn does not run any more.
func (w *worker) visit(ctx context.Context, fn func()) error {
	const (
		waiting = iota
		begun
		givenUp
	)
	var state atomic.Int32
	done := make(chan struct{})
	if !w.loop.Post(func() {
		if state.CompareAndSwap(waiting, begun) {
			fn()
		}
		close(done)
	}) {
		return nil
	}
	select {
	case <-done:
	case <-ctx.Done():
		if state.CompareAndSwap(waiting, givenUp) {
			return fmt.Errorf("figures: %w", ctx.Err())
		}
		<-done
	}
	return nil
}

// statLines are the proxy's own lines for `stats`.
func (s *Server) statLines() []byte {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return nil
	}
	return appendStatLines(nil, &snap, s.cfg.Version)
}
