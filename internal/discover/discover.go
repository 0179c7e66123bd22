// Package discover finds the backends of pools whose configuration names a set of them: the SRV records of a name.
package discover

import (
	"context"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mcproxy/internal/resolve"
	"mcproxy/pool"
	"mcproxy/proxy"
)

// A Finder replaces sets of backends by those that they stand for. It is safe for concurrent use.
type Finder struct {
	Resolver *resolve.Resolver // immutable

	mu    sync.Mutex
	known map[string][]pool.BackendConfig // guarded by mu: what was found last, by name
}

// Sets says whether a configuration has any.
func Sets(cfg *proxy.Config) bool {
	return slices.ContainsFunc(cfg.Pools, func(p pool.Config) bool {
		return slices.ContainsFunc(p.Backends, func(b pool.BackendConfig) bool { return b.Network == pool.NetworkSRV })
	})
}

// Expand gives cfg with backends in the place of sets. A name that is not found stands for what was found last; before it ever
// was, for one backend that is down, since nobody knows its address. missing are those names. The others hold for so long.
func (f *Finder) Expand(ctx context.Context, cfg proxy.Config) (expanded proxy.Config, missing []string, holds time.Duration) {
	holds = resolve.Untold
	if !Sets(&cfg) {
		return cfg, nil, holds
	}
	cfg.Pools = slices.Clone(cfg.Pools)
	for i := range cfg.Pools {
		p := &cfg.Pools[i]
		var list []pool.BackendConfig
		for _, b := range p.Backends {
			if b.Network != pool.NetworkSRV {
				list = append(list, b)
				continue
			}
			found, ok, lives := f.find(ctx, b.Address)
			if !ok {
				missing = append(missing, b.Address)
			}
			holds = min(holds, lives)
			for _, b := range found {
				if !slices.ContainsFunc(list, func(o pool.BackendConfig) bool { return o.Network == b.Network && o.Address == b.Address }) {
					list = append(list, b)
				}
			}
		}
		p.Backends = list
	}
	return cfg, missing, holds
}

// find looks one name up. Not ok: what it gives is from before.
func (f *Finder) find(ctx context.Context, name string) (list []pool.BackendConfig, ok bool, holds time.Duration) {
	records, holds, err := f.Resolver.Services(ctx, name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || len(records) == 0 {
		if last := f.known[name]; last != nil {
			return last, false, holds
		}
		return []pool.BackendConfig{{Network: "tcp", Address: net.JoinHostPort(name, "11211"), Weight: 1}}, false, holds
	}
	for _, r := range records {
		address := net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port)))
		list = append(list, pool.BackendConfig{Network: "tcp", Address: address, Weight: max(1, int(r.Weight))})
	}
	// In whatever order the records come.
	slices.SortFunc(list, func(a, b pool.BackendConfig) int { return strings.Compare(a.Address, b.Address) })
	if f.known == nil {
		f.known = make(map[string][]pool.BackendConfig)
	}
	f.known[name] = list
	return list, true, holds
}

// Same says whether two configurations that came from the same one have the same backends.
func Same(a, b *proxy.Config) bool {
	return slices.EqualFunc(a.Pools, b.Pools, func(p, q pool.Config) bool { return reflect.DeepEqual(p.Backends, q.Backends) })
}
