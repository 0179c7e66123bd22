package backend

import (
	"context"
	"iter"
	"net"
	"time"
)

// Names looks up the names of backends again and again. What a name stands for now and then is another server.
type Names struct {
	Backends func() iter.Seq[*Backend]
	Resolver *net.Resolver         // nil: as the system does
	Interval func() time.Duration  // between lookups of a backend that is up
	Moved    func(*Backend)        // told of a name that has another address
	Lost     func(*Backend, error) // told of a name that is not found, once
}

const (
	lookupTimeout = 2 * time.Second
	downInterval  = time.Second // between lookups of a backend that is not up: it may come back elsewhere
)

// Resolver asks one DNS server (host:port), or (nil, for "") as the system does.
func Resolver(server string) *net.Resolver {
	if server == "" {
		return nil
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, server)
	}}
}

// Run is a goroutine; it ends with ctx.
func (n *Names) Run(ctx context.Context) {
	tick := time.NewTicker(downInterval)
	defer tick.Stop()
	asked := time.Now()
	lost := make(map[string]bool) // by address
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all := time.Since(asked) >= n.Interval()
		if all {
			asked = time.Now()
		}
		for b := range n.Backends() {
			if !b.Named() || !all && b.State() == StateUp {
				continue
			}
			lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
			moved, err := b.Resolve(lookup, n.Resolver)
			cancel()
			if ctx.Err() != nil {
				return
			}
			if err != nil && !lost[b.Address] {
				n.Lost(b, err)
			}
			lost[b.Address] = err != nil
			if moved {
				n.Moved(b)
			}
		}
	}
}
