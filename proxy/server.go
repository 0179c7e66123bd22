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
	"golang.org/x/sys/unix"

	"mcproxy/backend"
	"mcproxy/internal/budget"
	"mcproxy/internal/chronicle"
	"mcproxy/internal/durable"
	"mcproxy/internal/epoll"
	"mcproxy/internal/handover"
	"mcproxy/internal/pace"
	"mcproxy/internal/resolve"
	"mcproxy/internal/secrets"
	"mcproxy/internal/tally"
	"mcproxy/internal/tlsrelay"
	"mcproxy/pool"
	"mcproxy/proxy/limits"
	"mcproxy/proxy/porch"
)

// A Server is a running proxy. Its methods are safe for concurrent use.
type Server struct {
	// Immutable after New.
	log      *zap.Logger
	epoch    time.Time // what the loops' clock counts from
	clock    *epoll.Clock
	workers  []*worker
	budget   *budget.Budget
	buckets  limits.Buckets
	ledger   *backend.Ledger
	house    *porch.House
	guests   *tlsrelay.Group // of clients' conns
	services *tlsrelay.Group // of conns to backends
	stopping chan struct{}   // closed when Serve begins to end
	leaving  chan struct{}   // closed by Leave
	serving  chan struct{}   // closed when clients are accepted

	adoptedConns int // immutable when serving is closed

	tables   atomic.Pointer[tables]      // those in force
	disk     atomic.Pointer[durable.Set] // where journals are kept; nil: in memory
	ready    atomic.Bool
	draining atomic.Bool
	conns    atomic.Int64 // of all listeners
	accepted atomic.Uint64
	rejected atomic.Uint64

	upgradeFailures atomic.Uint64

	events  chronicle.Events
	changes chronicle.StateChanges
	reloads reloads

	files     secrets.Watcher       // of certificates, keys and files of users
	addresses chan *tally.Addresses // lends them to one Snapshot at a time

	life    sync.Mutex   // held while Reload replaces the tables, and while Serve begins or ends
	turning sync.RWMutex // held for writing while the workers go over to other tables; by who visits several workers, for reading

	mu       sync.Mutex
	keepers  map[*backend.Backend]*worker // guarded by mu: whose loop looks after it
	hired    int                          // guarded by mu: counts them
	watching *watching                    // guarded by life
	frozen   bool                         // guarded by life: between Freeze, and Leave or Thaw

	inherited []handover.Listener // guarded by life: sockets that listen already, and are not used
	adopted   []handover.Session  // before Serve: clients of another process, that came by
	adoptedBy []handover.Listener

	running sync.WaitGroup // goroutines of background
}

// New checks cfg, opens the listeners and prepares the workers. Nothing is accepted before Serve. log gets events, never
// requests.
func New(cfg Config, log *zap.Logger) (*Server, error) { return NewFrom(cfg, log, Inherited{}) }

// Inherited is what a Server is given by the process before, or by who started it.
type Inherited struct {
	// Listeners are sockets that listen already. Those whose addresses the configuration has are used, and their File is nil then.
	Listeners []handover.Listener
	// Clients says that Adopt will be called. The journal on disk is the other process's until then.
	Clients bool
}

// NewFrom is New with what is there already.
func NewFrom(cfg Config, log *zap.Logger, in Inherited) (*Server, error) {
	cfg = cfg.withDefaults()
	s := &Server{
		log: log, epoch: time.Now(), stopping: make(chan struct{}), leaving: make(chan struct{}), serving: make(chan struct{}), inherited: in.Listeners, budget: budget.New(cfg.Assembly, int64(cfg.AssemblyWait)),
		ledger: new(backend.Ledger), guests: tlsrelay.NewGroup(), services: tlsrelay.NewGroup(), keepers: make(map[*backend.Backend]*worker), addresses: make(chan *tally.Addresses, 1),
	}
	s.house = &porch.House{Log: log, Epoch: s.epoch, Relays: s.guests, Closing: s.stopping, Enter: s.assign}
	s.clock = epoll.NewClock(s.epoch)
	s.budget.Whole.SetLimit(cfg.Limits.Bytes)
	s.files.Told = s.filesTold
	s.reloads.figures = ReloadFigures{OK: true, At: s.epoch}
	s.ledger.Resolver = resolve.New(cfg.DNSServer)
	if !in.Clients {
		if err := s.openJournal(cfg.JournalDir); err != nil {
			return nil, err
		}
	}
	t, err := s.newTables(nil, cfg)
	if err != nil {
		s.closeJournal()
		return nil, err
	}
	close(t.settled) // there was nothing before
	t.openDoors()
	for _, p := range t.pools {
		p.Equip(s.services)
	}
	s.tables.Store(t)
	s.addresses <- new(tally.Addresses)
	for range cfg.Workers {
		w, err := newWorker(s, t)
		if err != nil {
			t.acceptors.CloseBut(nil)
			for _, w := range s.workers {
				w.loop.Kernel.Release()
			}
			s.closeJournal()
			return nil, err
		}
		s.workers = append(s.workers, w)
	}
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
			event.Kind, event.Text = EventHeld, "the backend is held until it is released"
			s.log.Error("backend is held until it is released: it may hold old values if its journal of missed writes overflowed; "+
				"flush or restart it then, and release it", fields...)
		}
		s.tellTable(pool)
		s.changes.Count(pool, b.Name, state, cause)
		if cause != nil {
			event.Text += ": " + cause.Error()
		}
		s.Note(event)
	}
}

// Addrs gives the listeners' addresses in the order of the configuration, with the port that port 0 became.
func (s *Server) Addrs() []net.Addr {
	var addrs []net.Addr
	for _, a := range s.tables.Load().acceptors {
		addrs = append(addrs, a.Addr())
	}
	return addrs
}

// Ready says whether clients are accepted: not before Serve, and no more when it is ending.
func (s *Server) Ready() bool { return s.ready.Load() }

// Serving is closed when clients are accepted.
func (s *Server) Serving() <-chan struct{} { return s.serving }

// Serve runs until ctx is done, then drains: nothing more is accepted, what clients sent so far is answered, their conns
// are closed as they become idle, and after DrainTimeout whatever they are. It gives an error if a worker could not go
// on. Call it once.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers, pacer sync.WaitGroup
	for _, w := range s.workers {
		workers.Go(func() {
			if err := w.run(); err != nil {
				cancel(fmt.Errorf("worker: %w", err))
			}
		})
	}
	pacer.Go(func() { pace.Run(ctx, s.budget) })
	pacer.Go(func() { s.names().Run(ctx) })
	pacer.Go(func() { s.tellSlow(ctx) })
	pacer.Go(func() {
		s.files.Run(ctx, s.tables.Load().cfg.FilesInterval, func() []secrets.Refresher { return s.tables.Load().secrets() })
	})
	s.life.Lock()
	t := s.tables.Load()
	s.keepBackends(t)
	s.keepTables(t, new(tables))
	s.keepGuards(t)
	pool.Await(ctx, t.pools)
	s.takeIn(t)
	t.acceptors.Start(nil)
	s.watching = s.watchAll(t)
	s.ready.Store(true)
	close(s.serving)
	s.Note(Event{Kind: EventStart, Text: "clients are accepted"})
	if n := s.adoptedConns; n > 0 {
		s.Note(Event{Kind: EventUpgrade, Text: fmt.Sprintf("this process has taken another one's place, with %d conns", n)})
	}
	s.life.Unlock()
	select {
	case <-ctx.Done():
	case <-s.leaving:
	}
	s.ready.Store(false)
	close(s.stopping)
	s.life.Lock() // a reload that is under way ends first
	defer s.life.Unlock()
	cancel(nil)
	s.guests.Stop()
	s.watching.stop()
	pacer.Wait()
	s.end()
	s.running.Wait()
	for _, w := range s.workers {
		w.loop.Post(w.loop.Stop)
	}
	workers.Wait()
	if !s.frozen { // Linger is for those who stay
		s.guests.Close()
	}
	s.services.Close()
	s.closeJournal()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// end gives what another process has taken over, or answers what clients have asked.
func (s *Server) end() {
	t := s.tables.Load()
	if s.frozen {
		t.acceptors.Leave()
		return
	}
	s.draining.Store(true)
	s.Note(Event{Kind: EventDrain, Text: "no more clients are accepted; what was asked is answered"})
	t.acceptors.Drain()
	s.drain(t.cfg.DrainTimeout)
}

// tooMany is what memcached says in the same case (memcached.c, with maxconns_fast).
const tooMany = "ERROR Too many open connections\r\n"

// assign gives a client's conn to the worker that has the fewest.
func (s *Server) assign(g porch.Guest) {
	if n, most := s.conns.Add(1), s.tables.Load().cfg.MaxConns; most > 0 && n > int64(most) {
		s.conns.Add(-1)
		s.rejected.Add(1)
		g.By.Counts.Rejected.Add(1)
		unix.Write(g.FD, []byte(tooMany)) // a fresh socket's buffer takes it
		unix.Close(g.FD)
		return
	}
	s.accepted.Add(1)
	g.By.Counts.Accepted.Add(1)
	s.assignTo(g.By, g.FD, func(w *worker) { w.adopt(g) })
}

// assignTo has the worker that has the fewest clients adopt another, who is counted already.
func (s *Server) assignTo(by *porch.Acceptor, fd int, adopt func(w *worker)) {
	by.Counts.Conns.Add(1)
	w := s.workers[0]
	for _, o := range s.workers[1:] {
		if o.conns.Load() < w.conns.Load() {
			w = o
		}
	}
	w.conns.Add(1)
	if !w.loop.Post(func() { adopt(w) }) {
		unix.Close(fd)
		w.gone(by)
	}
}

// keepBackends has the workers look after the backends that nobody looks after yet.
func (s *Server) keepBackends(t *tables) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := range t.backends() {
		if s.keepers[b] == nil {
			w := s.workers[s.hired%len(s.workers)]
			s.keepers[b] = w
			s.hired++
			w.loop.Post(func() { b.Keep(w.loop) })
		}
	}
}

// drain waits until every worker has answered what it was asked, for a time at most. Then the backends' keepers end.
func (s *Server) drain(timeout time.Duration) {
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
	case <-time.After(timeout):
		s.log.Warn("clients are still waiting after the drain timeout; their conns are closed",
			zap.Int64("conns", s.conns.Load()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for b, w := range s.keepers {
		w.loop.Post(b.Unkeep)
	}
}

// background runs fn in a goroutine that Serve waits for; fn must not outlast a few hundred milliseconds.
func (s *Server) background(fn func()) { s.running.Go(fn) }

// Release lets a held backend come back: see backend.Backend.Release. It says whether there is such a backend, and it was
// held.
func (s *Server) Release(poolName, backendName string) bool {
	for _, p := range s.tables.Load().pools {
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

// statLines are the proxy's own lines for `stats`.
func (s *Server) statLines() []byte {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return nil
	}
	return appendStatLines(nil, &snap, s.tables.Load().cfg.Version)
}
