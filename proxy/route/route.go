package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mcproxy/pool"
	"mcproxy/ring"
)

// Config names the pools that keys can go to.
type Config struct {
	Pools   []pool.Config
	Routes  []Route
	Default string // the pool of keys without a route; "" is the only pool
}

// A Route sends the keys that begin with Prefix to the pool named Pool; the longest prefix wins.
type Route struct {
	Prefix string
	Pool   string
}

// A Table sends keys to pools, by the index of the pool in the configuration. It is immutable.
type Table struct {
	Default int          // the default pool
	routes  []tableRoute // longest prefix first
}

type tableRoute struct {
	prefix string
	pool   int
}

// NewTable says what is wrong with a configuration, or gives its table.
func NewTable(cfg Config) (*Table, error) {
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
	t := &Table{}
	if cfg.Default != "" {
		i, ok := index[cfg.Default]
		if !ok {
			return nil, fmt.Errorf("default pool %q is not defined", cfg.Default)
		}
		t.Default = i
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

// Pool gives the index of the pool that key goes to.
func (t *Table) Pool(key []byte) int {
	for i := range t.routes {
		r := &t.routes[i]
		if len(key) >= len(r.prefix) && string(key[:len(r.prefix)]) == r.prefix {
			return r.pool
		}
	}
	return t.Default
}

// A Router places keys as a proxy with the same configuration would, without any server. It is immutable.
type Router struct {
	cfg   Config
	table *Table
	rings []ring.Ring
}

// New makes the rings and routes of a configuration.
func New(cfg Config) (*Router, error) {
	t, err := NewTable(cfg)
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
	i := r.table.Pool(key)
	p := &r.cfg.Pools[i]
	b := &p.Backends[r.rings[i].Lookup(key)]
	return Placement{
		Key: string(key), Pool: p.Name, Ring: cmp.Or(p.Ring.Kind, "consistent"), Hash: r.rings[i].Hash(key),
		Backend: cmp.Or(b.Name, b.Address), Address: b.Address,
	}
}
