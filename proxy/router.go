package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mcproxy/pool"
	"mcproxy/ring"
)

// A routeTable sends keys to pools, by the index of the pool in the configuration.
type routeTable struct {
	routes []tableRoute // longest prefix first
	other  int          // the default pool
}

type tableRoute struct {
	prefix string
	pool   int
}

func newRouteTable(cfg Config) (*routeTable, error) {
	if len(cfg.Pools) == 0 {
		return nil, errors.New("no pools")
	}
	index := make(map[string]int, len(cfg.Pools))
	for i := range cfg.Pools {
		name := cfg.Pools[i].Name
		if _, twice := index[name]; twice {
			return nil, fmt.Errorf("two pools are named %q", name)
		}
		index[name] = i
	}
	t := &routeTable{}
	if cfg.DefaultPool != "" {
		i, ok := index[cfg.DefaultPool]
		if !ok {
			return nil, fmt.Errorf("default pool %q is not defined", cfg.DefaultPool)
		}
		t.other = i
	} else if len(cfg.Pools) > 1 {
		return nil, errors.New("several pools, and none is named as the default pool")
	}
	for _, r := range cfg.Routes {
		i, ok := index[r.Pool]
		if !ok {
			return nil, fmt.Errorf("route %q leads to pool %q, which is not defined", r.Prefix, r.Pool)
		}
		if slices.ContainsFunc(t.routes, func(o tableRoute) bool { return o.prefix == r.Prefix }) {
			return nil, fmt.Errorf("two routes have the prefix %q", r.Prefix)
		}
		t.routes = append(t.routes, tableRoute{r.Prefix, i})
	}
	slices.SortFunc(t.routes, func(a, b tableRoute) int {
		return cmp.Or(cmp.Compare(len(b.prefix), len(a.prefix)), strings.Compare(a.prefix, b.prefix))
	})
	return t, nil
}

// pool gives the index of the pool that key goes to.
func (t *routeTable) pool(key []byte) int {
	for i := range t.routes {
		r := &t.routes[i]
		if len(key) >= len(r.prefix) && string(key[:len(r.prefix)]) == r.prefix {
			return r.pool
		}
	}
	return t.other
}

// A Router places keys as a Server with the same configuration would, without any server. It is immutable.
type Router struct {
	cfg   Config
	table *routeTable
	rings []ring.Ring
}

// NewRouter makes the rings and routes of a configuration.
func NewRouter(cfg Config) (*Router, error) {
	t, err := newRouteTable(cfg)
	if err != nil {
		return nil, err
	}
	r := &Router{cfg: cfg, table: t}
	for i := range cfg.Pools {
		rg, err := pool.NewRing(cfg.Pools[i])
		if err != nil {
			return nil, err
		}
		r.rings = append(r.rings, rg)
	}
	return r, nil
}

// A Placement says where a key belongs.
type Placement struct {
	Key     string `json:"key"`
	Pool    string `json:"pool"`
	Ring    string `json:"ring"` // the recipe's name
	Hash    uint64 `json:"hash"` // by that recipe
	Backend string `json:"backend"`
	Address string `json:"address"`
}

// Route places a key of 1..250 bytes.
func (r *Router) Route(key []byte) Placement {
	i := r.table.pool(key)
	p := &r.cfg.Pools[i]
	b := &p.Backends[r.rings[i].Lookup(key)]
	return Placement{
		Key: string(key), Pool: p.Name, Ring: cmp.Or(p.Ring.Kind, "consistent"), Hash: r.rings[i].Hash(key),
		Backend: cmp.Or(b.Name, b.Address), Address: b.Address,
	}
}
