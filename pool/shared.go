package pool

import (
	"fmt"
	"sync/atomic"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/budget"
	"mcproxy/internal/keybook"
	"mcproxy/placement"
	"mcproxy/pool/chunks"
	"mcproxy/pool/copies"
	"mcproxy/ring"
	"mcproxy/split"
)

// Shared is what all workers of a process have in common of one pool. It is immutable, but for what its backends do, and
// for which keys are hot.
type Shared struct {
	Config   Config
	Ring     ring.Ring
	Table    *placement.Table   // where keys are looked for; Ring's nodes, unless backends are down
	Backends []*backend.Backend // in the order of Config.Backends
	Budget   *budget.Budget     // of the process, for values that are split; nil: without bounds. Set it before New.

	timeout time.Duration                  // of the backends; immutable
	proofs  proofs                         // that conns to the backends need; immutable
	mutant  mutant                         // what tests break. Immutable
	split   chunks.Shared                  // of the splitters
	hot     atomic.Pointer[keybook.HotSet] // nil: no key is
	copies  *copies.Shared                 // nil: keys have none. Immutable
}

// NewShared checks a configuration and prepares its ring and backends; nothing is connected. notify is backend.New's.
func NewShared(cfg Config, notify func(b *backend.Backend, s backend.State, cause error)) (*Shared, error) {
	var s *Shared
	changed := func(b *backend.Backend, state backend.State, cause error) {
		if notify != nil {
			notify(b, state, cause)
		}
		s.Table.Changed()
	}
	var err error
	s, err = NewSharedAfter(nil, cfg, func(c *BackendConfig) (*backend.Backend, error) {
		return backend.New(c.ID(), c.Network, c.Address, cfg.Backend, changed)
	})
	return s, err
}

// NewSharedAfter is NewShared with backends that find gives, in the order of cfg.Backends. The former, which may be nil, had the same
// name under another configuration: what was learned of its keys is kept. Whoever makes the backends tells Table of their changes.
func NewSharedAfter(former *Shared, cfg Config, find func(*BackendConfig) (*backend.Backend, error)) (*Shared, error) {
	r, err := NewRing(cfg)
	if err != nil {
		return nil, err
	}
	proofs, err := readProofs(&cfg)
	if err != nil {
		return nil, err
	}
	s := &Shared{Config: cfg, Ring: r, timeout: cfg.Backend.WithDefaults().Timeout, proofs: proofs}
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
	s.Table = placement.New(r, s.Backends, cfg.OnDown, cfg.MaxDown)
	if former != nil {
		s.Table.Succeed(former.Table)
	}
	fingerprint, err := Fingerprint(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.OnDown == placement.OnDownFail { // otherwise proxies do not agree where a key belongs
		s.copies = copies.NewShared(cfg.Copies, s.Backends, fingerprint)
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
		var err error
		if nodes[i], err = placement.Node(c.Name, c.Network, c.Address, c.Weight); err != nil {
			return nil, fmt.Errorf("pool %s: %w", cfg.Name, err)
		}
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
