package proxy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"mcproxy/backend"
	"mcproxy/internal/handover"
)

// A server gives its clients to another process between two requests: Freeze lets nothing more begin, waits until what was begun has
// its answers, and gives the conns and what is known of the servers. Then either Leave ends the server, which touches none of it any
// more, or Thaw has it go on.
//
// Nothing is left to the network meanwhile: the conns to backends are ended, so that a write that nobody has answered is in a journal, and
// the journals are the last that is read.

// ErrBusy says that requests under way did not end in time.
var ErrBusy = errors.New("requests under way did not end in time")

// waitInterval is the time between two looks whether requests are under way.
const waitInterval = 500 * time.Microsecond

// Listeners gives the sockets that clients come to. Their files are the server's.
func (s *Server) Listeners() []handover.Listener {
	return s.tables.Load().acceptors.Handover()
}

// Freeze stops the server between two requests of every client, and gives what it holds: the conns stay the server's until Leave. When
// ctx is done before, or the server is not serving, it gives an error and the server goes on. Otherwise Leave or Thaw must follow.
func (s *Server) Freeze(ctx context.Context) (*handover.State, error) {
	s.life.Lock()
	if !s.ready.Load() {
		s.life.Unlock()
		return nil, ErrNotServing
	}
	t := s.tables.Load()
	select {
	case <-t.settled:
	case <-ctx.Done():
		s.life.Unlock()
		return nil, ErrUnsettled
	}
	s.watching.stop()
	err := s.shut(ctx, t)
	s.onWorkers((*worker).freeze)
	if err == nil {
		err = s.wait(ctx, func() (busy int) {
			s.onWorkers(func(w *worker) { busy += w.underWay() })
			return busy
		})
	}
	if err != nil {
		s.thaw(t)
		s.life.Unlock()
		return nil, err
	}
	for _, p := range t.pools {
		p.Table.Retire()
	}
	s.onWorkers((*worker).suspend)
	s.onKeepers(func(b *backend.Backend, _ *worker) { b.Unkeep() })
	state := &handover.State{}
	for _, r := range s.ledger.Records() {
		state.Servers = append(state.Servers, handover.Server{
			Server: r.Server, State: r.State.String(), Version: r.Version, IP: r.IP, Keys: r.Keys, Overflowed: r.Overflowed,
		})
	}
	s.onWorkers(func(w *worker) { state.Sessions = append(state.Sessions, w.export(t)...) })
	s.closeJournal() // the next process opens it
	s.frozen = true
	return state, nil
}

// Thaw has a frozen server go on.
func (s *Server) Thaw() {
	t := s.tables.Load()
	if err := s.openJournal(t.cfg.JournalDir); err != nil {
		s.log.Error("the journal is kept in memory alone from now on: restart the proxy", zap.Error(err))
		s.disk.Store(nil)
	}
	s.onWorkers(func(w *worker) { w.unsafe.Set = s.disk.Load() })
	s.onKeepers(func(b *backend.Backend, w *worker) { b.Keep(w.loop) })
	s.onWorkers((*worker).resume)
	// What said where keys are while backends are out has ended: new pools take the place of the old ones, over the same backends.
	if next, err := s.newTables(t, t.cfg); err == nil {
		s.enforce(next, t)
		t = next
	} else {
		s.log.Error("the proxy goes on, but does not look elsewhere for keys of backends that are down: restart it", zap.Error(err))
	}
	s.frozen = false
	s.thaw(t)
	s.life.Unlock()
}

// thaw has clients served again.
func (s *Server) thaw(t *tables) {
	s.onWorkers((*worker).thaw)
	t.acceptors.Resume()
	s.watching = s.watchAll(t)
}

// Leave ends a frozen server: Serve returns, and what Freeze gave is another's. Linger should follow.
func (s *Server) Leave() {
	close(s.leaving)
	s.life.Unlock()
}

// Linger carries the bytes of clients with TLS to and from the process that serves them now, until all of them have gone, or
// for DrainTimeout after ctx is done. Call it when Serve has returned after Leave.
func (s *Server) Linger(ctx context.Context) {
	limited, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(s.tables.Load().cfg.DrainTimeout, cancel) })
	defer stop()
	if n := s.guests.Relays(); n > 0 {
		s.log.Info("this process stays for the clients that it has TLS with", zap.Int("conns", n))
	}
	s.guests.Outlast(limited)
}

// onWorkers calls fn in the loop of each worker, one after the other.
func (s *Server) onWorkers(fn func(w *worker)) {
	for _, w := range s.workers {
		_ = w.loop.Visit(context.Background(), func() { fn(w) }) // it has no time limit
	}
}

// onKeepers calls fn for each backend, in the loop that looks after it.
func (s *Server) onKeepers(fn func(b *backend.Backend, w *worker)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var done sync.WaitGroup
	for b, w := range s.keepers {
		done.Add(1)
		if !w.loop.Post(func() {
			fn(b, w)
			done.Done()
		}) {
			done.Done()
		}
	}
	done.Wait()
}

// shut lets nobody in any more. Whoever is in the midst of a handshake gets through it first, while listeners without TLS go on.
func (s *Server) shut(ctx context.Context, t *tables) error {
	err := s.wait(ctx, func() int { return t.acceptors.Pause(true) + s.guests.Handshaking() })
	t.acceptors.Pause(false)
	s.house.Wait() // those that still wait for a place for a handshake get one soon, as handshakes have an end
	return err
}

// wait waits until count finds nothing that is under way.
func (s *Server) wait(ctx context.Context, count func() int) error {
	for {
		busy := count()
		if busy == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %d of them", ErrBusy, busy)
		case <-s.stopping:
			return ErrNotServing
		case <-time.After(waitInterval):
		}
	}
}

// Adopt has a server that does not serve yet begin with what another process gave. The conns, which came by those listeners, are the server's
// when it serves.
func (s *Server) Adopt(state *handover.State, listeners []handover.Listener) error {
	if err := s.openJournal(s.tables.Load().cfg.JournalDir); err != nil {
		return err
	}
	for _, w := range s.workers {
		w.unsafe.Set = s.disk.Load()
	}
	var records []backend.Record
	for i := range state.Servers {
		r := &state.Servers[i]
		record := backend.Record{Server: r.Server, Version: r.Version, IP: r.IP, Keys: r.Keys, Overflowed: r.Overflowed}
		for _, known := range []backend.State{backend.StateUp, backend.StateDown, backend.StateHeld} {
			if known.String() == r.State {
				record.State = known
			}
		}
		records = append(records, record)
	}
	s.ledger.Restore(records)
	s.adopted, s.adoptedBy, s.adoptedConns = state.Sessions, listeners, len(state.Sessions)
	return nil
}

// freeze lets nothing more begin: no client is read from.
func (w *worker) freeze() {
	for _, s := range w.sessions {
		s.book.Hold()
		s.paused = true
		s.watch()
	}
}

// thaw undoes freeze, and export.
func (w *worker) thaw() {
	for i := len(w.sessions) - 1; i >= 0; i-- {
		w.sessions[i].thaw()
	}
}

// underWay counts the requests without their answer.
func (w *worker) underWay() int {
	n := w.orphans.pending
	for _, s := range w.sessions {
		for x := s.head; x != nil; x = x.Next {
			if !x.Done {
				n++
			}
		}
	}
	return n
}

// suspend ends the conns to the backends, and lets no new ones be opened.
func (w *worker) suspend() {
	for _, p := range w.pools {
		p.Suspend()
	}
}

func (w *worker) resume() {
	for _, p := range w.pools {
		p.Resume()
	}
}
