package pool

import (
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/budget"
	"mcproxy/internal/keybook"
	"mcproxy/pool/chunks"
	"mcproxy/ring"
	"mcproxy/split"
)

// Shared is what all workers of a process have in common of one pool. It is immutable, but for what its backends do, and
// for which keys are hot.
type Shared struct {
	Config   Config
	Ring     ring.Ring
	Backends []*backend.Backend // in the order of Config.Backends
	Budget   *budget.Budget     // of the process, for values that are split; nil: without bounds. Set it before New.

	timeout time.Duration                  // of the backends; immutable
	mutant  mutant                         // what tests break. Immutable
	split   chunks.Shared                  // of the splitters
	hot     atomic.Pointer[keybook.HotSet] // nil: no key is
}

// NewShared checks a configuration and prepares its ring and backends; nothing is connected. notify is backend.New's.
func NewShared(cfg Config, notify func(b *backend.Backend, s backend.State, cause error)) (*Shared, error) {
	return NewSharedAfter(nil, cfg, func(c *BackendConfig) (*backend.Backend, error) {
		return backend.New(c.ID(), c.Network, c.Address, cfg.Backend, notify)
	})
}

// NewSharedAfter is NewShared with backends that find gives, in the order of cfg.Backends. The former, which may be nil, had the same
// name under another configuration: what was learned of its keys is kept.
func NewSharedAfter(former *Shared, cfg Config, find func(*BackendConfig) (*backend.Backend, error)) (*Shared, error) {
	r, err := NewRing(cfg)
	if err != nil {
		return nil, err
	}
	s := &Shared{Config: cfg, Ring: r, timeout: cfg.Backend.WithDefaults().Timeout}
	s.split.Config, s.split.MinSpread = cfg.Split, split.ManifestLen
	if former != nil {
		s.split.Known = former.split.Known
	} else {
		s.split.Known = new(chunks.Known)
	}
	for i := range cfg.Backends {
		b, err := find(&cfg.Backends[i])
		if err != nil {
			return nil, fmt.Errorf("pool %s: %w", cfg.Name, err)
		}
		s.Backends = append(s.Backends, b)
	}
	return s, nil
}

// NewRing makes a pool's ring, which needs no servers.
func NewRing(cfg Config) (ring.Ring, error) {
	nodes, err := ringNodes(cfg)
	if err != nil {
		return nil, err
	}
	r, err := ring.New(nodes, cfg.Ring)
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", cfg.Name, err)
	}
	return r, nil
}

// Fingerprint is a hash of all that decides where a pool's keys belong: see ring.Fingerprint.
func Fingerprint(cfg Config) (uint64, error) {
	nodes, err := ringNodes(cfg)
	return ring.Fingerprint(nodes, cfg.Ring), err
}

func ringNodes(cfg Config) ([]ring.Node, error) {
	nodes := make([]ring.Node, len(cfg.Backends))
	for i := range cfg.Backends {
		c := &cfg.Backends[i]
		n := ring.Node{Name: c.ID(), Named: c.Name != "", Weight: max(1, c.Weight), Host: c.Address}
		if c.Network != "unix" {
			host, port, err := net.SplitHostPort(c.Address)
			if err != nil {
				return nil, fmt.Errorf("pool %s: backend address %q: %w", cfg.Name, c.Address, err)
			}
			if n.Port, err = strconv.Atoi(port); err != nil {
				return nil, fmt.Errorf("pool %s: backend address %q: %w", cfg.Name, c.Address, err)
			}
			n.Host = host
		}
		nodes[i] = n
	}
	return nodes, nil
}

// ID is what the backend is called.
func (c *BackendConfig) ID() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Address
}
