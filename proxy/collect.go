package proxy

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"mcproxy/pool"
	"mcproxy/proxy/figures"
	"mcproxy/proxy/limits"
	"mcproxy/ring"
)

// ringFacts are what people are told of a pool's ring.
type ringFacts struct {
	shares []float64 // of the keys, by backend
	hash   uint64
}

func newRingFacts(p *pool.Shared) ringFacts {
	hash, err := pool.Fingerprint(p.Config)
	if err != nil {
		panic("proxy: the ring of a pool that is there: " + err.Error())
	}
	return ringFacts{shares(p.Ring, len(p.Backends)), hash}
}

// shares tells which part of the keys a ring places on each of n nodes: of many keys that are as good as any others.
func shares(r ring.Ring, n int) []float64 {
	const samples = 1 << 14
	counts := make([]float64, n)
	var key []byte
	for i := range samples {
		key = strconv.AppendInt(append(key[:0], "sample:"...), int64(i), 10)
		counts[r.Lookup(key)] += 1.0 / samples
	}
	return counts
}

// Snapshot collects the figures. It waits for the present turn of each worker, which lasts microseconds, and gives up when
// ctx is done. Before Serve and after it there is nothing to collect, and only what needs no worker is set.
func (s *Server) Snapshot(ctx context.Context) (Snapshot, error) {
	s.turning.RLock() // all workers tell of the same tables
	defer s.turning.RUnlock()
	t := s.tables.Load()
	snap := Snapshot{
		Start: s.epoch, At: time.Now(), Workers: len(s.workers), Draining: s.draining.Load(), Reloads: s.reloads.get(),
		Upgrades: UpgradeFigures{s.adoptedConns, s.upgradeFailures.Load()}, Large: s.budget.Figures(), Whole: s.budget.Whole.Figures(), Events: s.events.List(),
		FilesChanged: s.files.Changed.Load(), FilesFailed: s.files.Failed.Load(),
	}
	snap.Clients.Errors, snap.Clients.ClosedBy, snap.Clients.OverLimit = make(map[string]uint64), make(map[string]uint64), make(map[string]uint64)
	for i, p := range t.pools {
		snap.Pools = append(snap.Pools, s.poolFigures(p, &t.rings[i]))
	}
	if s.ready.Load() {
		if err := s.askWorkers(ctx, &snap); err != nil {
			return Snapshot{}, fmt.Errorf("figures: %w", err)
		}
	}
	for i, p := range t.pools {
		f := &snap.Pools[i]
		f.Oversized, f.Seen = figures.Oversized(p, f.Seen, int64(time.Since(s.epoch))), nil
		f.Callers, f.Called = figures.Callers(f.Called), nil
	}
	for _, w := range t.watchers {
		p, seen := &snap.Pools[w.index], w.Seen()
		p.HotKeys, p.HotShare, p.Promoted, p.Demoted = seen.Hot, seen.Share, seen.Promoted, seen.Demoted
	}
	snap.Clients.Conns, snap.Clients.Accepted, snap.Clients.Rejected = int(s.conns.Load()), s.accepted.Load(), s.rejected.Load()
	snap.Clients.Listeners = t.acceptors.Figures()
	snap.Journal.Figures = s.journalFigures()
	return snap, nil
}

// poolFigures begin with what all workers share.
func (s *Server) poolFigures(p *pool.Shared, r *ringFacts) PoolFigures {
	f := PoolFigures{Name: p.Config.Name, OversizedValues: make(map[string]uint64), Backends: make([]BackendFigures, len(p.Backends))}
	f.Requests, f.Called = make(map[string]uint64), make(map[uint64][]pool.KeyCaller)
	f.Ring = RingFigures{Kind: cmp.Or(p.Config.Ring.Kind, "consistent"), Hash: fmt.Sprintf("%016x", r.hash), Changes: map[string]uint64{"reload": s.reloads.ring(f.Name)}}
	if id := p.Identity(); id != nil {
		f.Expires = id.Expires()
	}
	for i, b := range p.Backends {
		t := &f.Backends[i]
		t.Name, t.Address, t.Version, t.State = b.Name, b.Address, b.Version(), b.State().String()
		t.Requests, t.Errors = make(map[string]uint64), make(map[string]uint64)
		t.JournalKeys, t.Journalled = b.Journal()
		t.Stats, t.Share, t.Changes = b.Stats(), r.shares[i], s.changes.Of(f.Name, b.Name)
	}
	addPlacement(&f, p)
	f.Copies = p.Copies().Summary(s.clock.Elapsed())
	return f
}

// askWorkers adds what each worker has counted. One snapshot at a time does, for the sake of the addresses.
func (s *Server) askWorkers(ctx context.Context, snap *Snapshot) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case addresses := <-s.addresses:
		defer func() { s.addresses <- addresses }()
		for _, w := range s.workers {
			take := func() {
				w.collect(snap)
				addresses.Take(&w.counts.clients)
			}
			if err := w.loop.Visit(ctx, take); err != nil {
				addresses.Drop()
				return err
			}
		}
		snap.Addresses = addresses.Sum(int64(time.Since(s.epoch)))
		total := addresses.Total()
		snap.Clients.Requests, snap.Clients.BytesIn, snap.Clients.BytesOut = total.Requests, total.BytesIn, total.BytesOut
		return nil
	}
}

// collect adds the worker's figures to a snapshot. The loop calls it.
func (w *worker) collect(to *Snapshot) {
	w.counts.addTo(&to.Clients)
	to.Clients.OverLimit[limits.Answers.String()] += w.gatherer.Shed
	to.Journal.Late += w.unsafe.Late
	for i, p := range w.pools {
		t := &to.Pools[i]
		p.SetClock(to.At.UnixNano())
		t.Add(&p.Figures.Pool)
		for fate, n := range p.Figures.Oversized {
			t.OversizedValues[pool.Fate(fate).String()] += n
		}
		t.Failures += p.Figures.Failures
		t.Fetches += p.Figures.Fetches
		t.Joined += p.Figures.Joined
		t.Split.Add(&p.Figures.Split)
		if t.Copies != nil {
			t.Copies.Add(&p.Figures.Copies)
		}
		t.Seen = p.AppendOversized(t.Seen)
		p.AddCallers(t.Called)
		for j, pl := range p.Pipelines {
			t.Backends[j].Add(pl)
			t.Backends[j].Add(p.Bulk(j))
		}
	}
}
