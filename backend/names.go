package backend

import (
	"context"
	"iter"
	"sync"
	"time"

	"mcproxy/internal/resolve"
)

// Names looks up the names of backends again and again. What a name stands for now and then is another server.
type Names struct {
	Backends func() iter.Seq[*Backend]
	Resolver *resolve.Resolver
	Interval func() time.Duration  // between lookups of a backend that is up, at most: what was found may hold for less
	Moved    func(*Backend)        // told of a name that has another address
	Lost     func(*Backend, error) // told of a name that is not found, once
}

const (
	lookupTimeout = 2 * time.Second // of all that are asked for together
	lookupsAtOnce = 16
	downInterval  = time.Second // between lookups of a backend that is not up: it may come back elsewhere. And of any, at least
)

// Run is a goroutine; it ends with ctx.
func (n *Names) Run(ctx context.Context) {
	tick := time.NewTicker(downInterval)
	defer tick.Stop()
	lost := make(map[string]bool) // by address
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, l := range n.lookUp(ctx) {
			if ctx.Err() != nil {
				return
			}
			if l.err != nil && !lost[l.b.Address] {
				n.Lost(l.b, l.err)
			}
			lost[l.b.Address] = l.err != nil
			if l.moved {
				n.Moved(l.b)
			}
		}
	}
}

// A lookup is what came of one.
type lookup struct {
	b     *Backend
	moved bool
	err   error
}

// lookUp looks up the names of backends that are not up, and those of which it is time, some at once: one that nobody answers for does not keep the
// others waiting.
func (n *Names) lookUp(ctx context.Context) (done []*lookup) {
	interval := n.Interval()
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	places := make(chan struct{}, lookupsAtOnce)
	var under sync.WaitGroup
	for b := range n.Backends() {
		if !b.Named() || b.State() == StateUp && !b.unsure(interval) {
			continue
		}
		l := &lookup{b: b}
		done = append(done, l)
		places <- struct{}{}
		under.Go(func() { // ends with ctx at the latest
			l.moved, l.err = b.Resolve(ctx, n.Resolver)
			<-places
		})
	}
	under.Wait()
	return done
}
