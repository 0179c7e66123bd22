package proxy

import (
	"iter"
	"reflect"
	"slices"
	"time"

	"go.uber.org/zap"

	"mcproxy/backend"
	"mcproxy/pool"
)

// keepTables ends the placement tables of pools that next does not have, and then begins those that former does not have: what was written
// elsewhere by the one must be noted before the other looks for keys elsewhere.
func (s *Server) keepTables(next, former *tables) {
	for _, p := range former.pools {
		if !slices.Contains(next.pools, p) {
			p.Table.Retire()
		}
	}
	for i, p := range next.pools {
		if !slices.Contains(former.pools, p) {
			w := s.workers[i%len(s.workers)]
			w.loop.Post(func() { p.Table.Keep(w.loop) })
		}
	}
}

// tellTable tells a pool's placement table that a backend's state has changed.
func (s *Server) tellTable(pool string) {
	if t := s.tables.Load(); t != nil {
		if p := t.pool(pool); p != nil {
			p.Table.Changed()
		}
	}
}

// sameGutter says whether the pool that stands in for cfg's backends is the same in both.
func sameGutter(cfg *pool.Config, t, former *tables) bool {
	if cfg.Gutter == "" {
		return true
	}
	now := slices.IndexFunc(t.cfg.Pools, func(c pool.Config) bool { return c.Name == cfg.Gutter })
	before := slices.IndexFunc(former.cfg.Pools, func(c pool.Config) bool { return c.Name == cfg.Gutter })
	return now >= 0 && before >= 0 && reflect.DeepEqual(t.cfg.Pools[now], former.cfg.Pools[before]) && sameStats(t, former)
}

// sameStats says whether backends are asked for their own figures as before, which is a part of every pool's configuration.
func sameStats(t, former *tables) bool { return t.cfg.StatsInterval == former.cfg.StatsInterval }

// addPlacement adds where keys are to a pool's figures.
func addPlacement(f *PoolFigures, p *pool.Shared) {
	var strays []int
	var out []bool
	f.Moves, strays, out = p.Table.Figures()
	f.Divided = p.Table.Divided()
	for i := range f.Backends {
		t := &f.Backends[i]
		t.Out, t.Strays, t.Lost = out != nil && out[i], strays[i], p.Backends[i].Lost()
		t.Standing = p.Table.Standing(i).String()
	}
}

// names looks up the backends that are given by name.
func (s *Server) names() *backend.Names {
	return &backend.Names{
		Backends: func() iter.Seq[*backend.Backend] { return s.tables.Load().backends() },
		Resolver: s.ledger.Resolver,
		Interval: func() time.Duration { return s.tables.Load().cfg.DNSInterval },
		Moved: func(b *backend.Backend) {
			s.log.Info("a backend's name has another address", zap.String("backend", b.Name), zap.String("address", b.Address))
		},
		Lost: func(b *backend.Backend, err error) {
			s.log.Warn("a backend's name is not found", zap.String("backend", b.Name), zap.String("address", b.Address), zap.Error(err))
		},
	}
}
