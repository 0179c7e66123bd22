package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"mcproxy/pool"
)

// Why a reload is refused. Nothing has changed then.
var (
	ErrNotServing = errors.New("the proxy does not serve")
	ErrUnsettled  = errors.New("requests from before the last reload are still under way")
)

// Reload has the server live by another configuration, wholly or, with an error, not at all. Requests under way are finished by the one
// that they were begun with; all workers go over to the next in the same moment. Backends of the same name and address in a pool of the
// same name keep their conns, health and journal; what servers have missed is remembered whatever they are called. Clients stay, those
// of listeners that are no more too. The number of workers cannot change: 0 is what it is. When ctx is done while requests from before
// the last reload are still under way, it gives up.
func (s *Server) Reload(ctx context.Context, cfg Config) error {
	s.life.Lock()
	defer s.life.Unlock()
	if !s.ready.Load() {
		return ErrNotServing
	}
	if n := len(s.workers); cfg.Workers != 0 && cfg.Workers != n {
		return fmt.Errorf("workers cannot be changed from %d to %d while the proxy runs", n, cfg.Workers)
	}
	if now := &s.tables.Load().cfg; cfg.JournalDir != now.JournalDir || cfg.DNSServer != now.DNSServer {
		return errors.New("where the journal is kept, and who is asked for names, cannot be changed while the proxy runs")
	}
	cfg.Workers = len(s.workers)
	cfg = cfg.withDefaults()
	former := s.tables.Load()
	select {
	case <-former.settled:
	case <-ctx.Done():
		return ErrUnsettled
	}
	interim, needed := interimOf(cfg, former)
	if !needed {
		next, err := s.newTables(former, cfg)
		if err != nil {
			return err
		}
		s.enforce(next, former)
		s.watching = s.watchAll(next)
		return nil
	}
	first, err := s.newTables(former, interim)
	if err != nil {
		return err
	}
	next, err := s.newTables(first, cfg)
	if err != nil {
		s.discard(first, former)
		return err
	}
	s.enforce(first, former)
	select {
	case <-first.settled: // no request's time is endless
	case <-s.stopping:
	}
	s.enforce(next, first)
	s.watching = s.watchAll(next)
	return nil
}

// interimOf gives the configuration that must be in force until no request is under way any more that was begun by former, if cfg
// may not follow that at once; see pool.Config.Interim.
func interimOf(cfg Config, former *tables) (interim Config, needed bool) {
	cfg.Pools = slices.Clone(cfg.Pools)
	for i := range cfg.Pools {
		var before *pool.Config
		if p := former.pool(cfg.Pools[i].Name); p != nil {
			before = &p.Config
		}
		if c, ok := cfg.Pools[i].Interim(before); ok {
			cfg.Pools[i], needed = c, true
		}
	}
	return cfg, needed
}

// enforce brings tables into force that follow former. Nobody looks at hot keys from then on.
func (s *Server) enforce(next, former *tables) {
	s.watching.stop()
	for _, w := range next.watchers {
		for _, o := range former.watchers {
			if o.Pool.Config.Name == w.Pool.Config.Name {
				w.Follow(o.Watcher)
			}
		}
	}
	for i, p := range next.pools {
		if j := former.index(p.Config.Name); j >= 0 && former.rings[j].hash != next.rings[i].hash {
			s.reloads.moved(p.Config.Name)
		}
		p.Equip(s.services)
	}
	s.budget.Whole.SetLimit(next.cfg.Limits.Bytes)
	s.budget.Change(next.cfg.Assembly, int64(next.cfg.AssemblyWait))
	for i, a := range next.acceptors {
		if err := a.Adapt(next.cfg.Listeners[i].Mode, next.cfg.Keepalive); err != nil {
			s.log.Warn("a listener cannot be changed", zap.Stringer("address", a.Addr()), zap.Error(err))
		}
	}
	next.openDoors()
	s.files.Refresh(next.secrets())
	s.keepBackends(next)
	s.turnTo(next)
	s.keepTables(next, former)
	next.acceptors.Start(former.acceptors)
	former.acceptors.CloseBut(next.acceptors)
}
