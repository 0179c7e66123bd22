package proxy

import (
	"context"
	"runtime/debug"
	"time"
)

// Go's collector lets the heap grow to twice of what is in use before it looks for garbage (GOGC=100). For the usual few MiB that is
// nothing. While large values fill their budget it would be the budget once more, so it looks more often then: a value has no pointers,
// so that a collection is short however many values there are.

const (
	pacedPercent = 20          // of the heap in use that it may grow by while large values are held
	paceInterval = time.Second // between two looks whether they are still
)

// pace is a goroutine: it has the collector look more often while a quarter of the budget or more is in use, until ctx is done.
func (s *Server) pace(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.budget.Filling():
		}
		s.pacedUntilEmpty(ctx)
	}
}

// pacedUntilEmpty returns when the budget was not filling for a while, or ctx is done.
func (s *Server) pacedUntilEmpty(ctx context.Context) {
	usual := debug.SetGCPercent(pacedPercent)
	defer debug.SetGCPercent(usual)
	if 0 <= usual && usual < pacedPercent {
		debug.SetGCPercent(usual) // somebody wants even less
	}
	tick := time.NewTicker(paceInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			select {
			case <-s.budget.Filling(): // it has been filling since the last look
				continue
			default:
			}
			if f := s.budget.Figures(); f.Bytes < f.Limit/4 {
				return
			}
		}
	}
}
