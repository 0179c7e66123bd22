package route

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"mcproxy/pool"
	"mcproxy/protocol"
)

// A Move says which part of some keys belongs to another server than before.
type Move struct {
	Prefix string  // of a route, before or after; "": the keys that have no route
	Pool   string  // where they are after
	Share  float64 // 0..1, measured with so many keys:
	Keys   int
}

// A Comparison says what it means for the keys to live by another configuration.
type Comparison struct {
	Moves    []Move   // of all prefixes, the one of the keys without a route first
	Warnings []string // a line each
}

// movedKeys is how many keys are placed twice for each prefix, so that a share of a half is right to 1 %.
const movedKeys = 10_000

// Compare places keys by two configurations. A key has moved if its server has another address, whatever that is called.
func Compare(before, after Config) (*Comparison, error) {
	a, err := New(before)
	if err != nil {
		return nil, err
	}
	b, err := New(after)
	if err != nil {
		return nil, err
	}
	c := &Comparison{}
	prefixes := map[string]bool{"": true}
	for _, r := range slices.Concat(before.Routes, after.Routes) {
		prefixes[r.Prefix] = true
	}
	moved := false
	for _, prefix := range slices.Sorted(maps.Keys(prefixes)) {
		m := Move{Prefix: prefix, Keys: movedKeys}
		n := 0
		for i := range movedKeys {
			key := sampleKey(prefix, i)
			_, was := a.server(key)
			index, is := b.server(key)
			if was.Network != is.Network || was.Address != is.Address {
				n++
			}
			m.Pool = after.Pools[index].Name
		}
		m.Share = float64(n) / movedKeys
		moved = moved || n > 0
		c.Moves = append(c.Moves, m)
	}
	if moved {
		c.Warnings = append(c.Warnings, "keys that move are misses where they belong now, or older values if that server has them from before: "+
			"flush servers that come back")
	}
	for i := range after.Pools {
		c.comparePool(before, &after.Pools[i])
	}
	return c, nil
}

// sampleKey gives one of many keys that begin with prefix and are as good as any others.
func sampleKey(prefix string, i int) []byte {
	const longest = 250
	key := strconv.AppendUint([]byte(prefix), (uint64(i)+1)*0x9E3779B97F4A7C15, 36) // neighbours differ in most digits
	return key[:min(len(key), longest)]
}

// server gives the pool, by its index, and the server of a key.
func (r *Router) server(key []byte) (index int, b *pool.BackendConfig) {
	index = r.table.Pool(key)
	return index, &r.cfg.Pools[index].Backends[r.rings[index].Lookup(key)]
}

// comparePool warns of what is lost where values are split.
func (c *Comparison) comparePool(before Config, after *pool.Config) {
	i := slices.IndexFunc(before.Pools, func(p pool.Config) bool { return p.Name == after.Name })
	if i < 0 || !before.Pools[i].Split.Enabled {
		return
	}
	was := &before.Pools[i]
	same := func(a, b pool.BackendConfig) bool { return a.Network == b.Network && a.Address == b.Address }
	switch {
	case !after.Split.Enabled:
		c.Warnings = append(c.Warnings, fmt.Sprintf("pool %s: values are not split any more; those that stand in chunks are lost, and clients are given "+
			"what stands in their place: flush the pool", after.Name))
	case !slices.EqualFunc(was.Backends, after.Backends, same):
		c.Warnings = append(c.Warnings, fmt.Sprintf("pool %s: values that stand in chunks are misses where their servers are others, or stand in another order",
			after.Name))
	}
}

// String gives what a move says to people: "25.1 % of the keys".
func (m Move) String() string {
	what := "the keys without a route"
	if m.Prefix != "" {
		what = "keys with the prefix " + protocol.EscapeKey(m.Prefix)
	}
	return fmt.Sprintf("%.1f %% of %s move (pool %s)", 100*m.Share, what, m.Pool)
}
