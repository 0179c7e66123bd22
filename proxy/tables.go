package proxy

import (
	"iter"
	"reflect"
	"slices"
	"sync/atomic"

	"mcproxy/backend"
	"mcproxy/pool"
	"mcproxy/proxy/door"
	"mcproxy/proxy/limits"
	"mcproxy/proxy/porch"
	"mcproxy/proxy/route"
)

// tables are all that the configuration says: a reload replaces them as a whole. Each worker has a pointer to those by which it lives,
// and the views of their pools; all workers go over to others in the same moment (Server.turnTo). Requests under way are
// finished by the views that they were begun with.
type tables struct {
	// Immutable.
	cfg       Config // with its defaults
	pools     []*pool.Shared
	rings     []ringFacts // of pools
	routes    *route.Table
	rates     *limits.Rates      // nil: clients may ask as often as they like
	acceptors porch.Row          // by cfg.Listeners
	doors     []*door.Door       // of the acceptors, when t is in force
	watchers  []*watcher         // of the pools whose keys are watched
	made      []*backend.Backend // those that the former tables do not have

	behind  atomic.Int32  // workers that have requests under way which were begun under the former tables
	settled chan struct{} // closed when there are none, and what only the former tables had is gone
}

// newTables makes tables of cfg, which follow former (nil: they are the first). What both have they share: pools that are configured
// alike, backends of the same name and address in a pool of the same name, listeners on the same address. Nothing of former changes; on
// an error nothing is left behind.
func (s *Server) newTables(former *tables, cfg Config) (*tables, error) {
	if former == nil {
		former = &tables{}
	}
	t := &tables{cfg: cfg, settled: make(chan struct{})}
	var err error
	t.rates = limits.NewRates(&cfg.Limits, &s.buckets)
	if t.routes, err = route.NewTable(cfg.routing()); err != nil {
		return nil, err
	}
	if err = s.addPools(t, former); err == nil {
		err = t.readDoors()
	}
	if err == nil {
		t.acceptors, err = s.house.OpenAll(cfg.Listeners, former.acceptors, cfg.Keepalive, s.inherited)
	}
	if err != nil {
		s.discard(t, former)
		return nil, err
	}
	t.watchers = s.newWatchers(t.pools)
	return t, nil
}

// addPools makes the pools, as far as former does not have them.
func (s *Server) addPools(t, former *tables) error {
	for i := range t.cfg.Pools {
		cfg := t.cfg.Pools[i]
		cfg.Backend.StatsInterval, cfg.Backend.SlowCall = max(0, t.cfg.StatsInterval), t.cfg.SlowCall
		old := former.pool(cfg.Name)
		if old != nil && !s.frozen && reflect.DeepEqual(old.Config, cfg) && sameGutter(&cfg, t, former) {
			t.pools = append(t.pools, old)
			t.rings = append(t.rings, former.rings[former.index(cfg.Name)])
			continue
		}
		p, err := pool.NewSharedAfter(old, cfg, func(c *pool.BackendConfig) (*backend.Backend, error) {
			if b := findBackend(old, c); b != nil {
				return b, nil
			}
			b, err := s.ledger.New(c.ID(), c.Network, c.Address, cfg.Backend, s.backendChanged(cfg.Name))
			if err == nil {
				t.made = append(t.made, b)
			}
			return b, err
		})
		if err != nil {
			return err
		}
		p.Budget = s.budget
		p.OnStanding(s.standingChanged)
		if c := p.Copies(); c != nil {
			c.SetNotify(s.copiesChanged(p))
		}
		t.pools = append(t.pools, p)
		t.rings = append(t.rings, newRingFacts(p))
	}
	return pool.Link(t.pools)
}

// findBackend finds a backend of a pool by its configuration; nil if there is none. p may be nil.
func findBackend(p *pool.Shared, c *pool.BackendConfig) *backend.Backend {
	if p == nil {
		return nil
	}
	for i := range p.Config.Backends {
		if o := &p.Config.Backends[i]; o.ID() == c.ID() && o.Network == c.Network && o.Address == c.Address {
			return p.Backends[i]
		}
	}
	return nil
}

// index finds a pool by its name; -1 if there is none.
func (t *tables) index(name string) int {
	return slices.IndexFunc(t.pools, func(p *pool.Shared) bool { return p.Config.Name == name })
}

// pool finds a pool by its name; nil if there is none.
func (t *tables) pool(name string) *pool.Shared {
	if i := t.index(name); i >= 0 {
		return t.pools[i]
	}
	return nil
}

// backends gives the backends of all pools.
func (t *tables) backends() iter.Seq[*backend.Backend] {
	return func(yield func(*backend.Backend) bool) {
		for _, p := range t.pools {
			for _, b := range p.Backends {
				if !yield(b) {
					return
				}
			}
		}
	}
}

// discard undoes the making of tables that do not come into force.
func (s *Server) discard(t, former *tables) {
	t.acceptors.CloseBut(former.acceptors)
	for _, b := range t.made {
		s.ledger.Retire(b)
	}
}
