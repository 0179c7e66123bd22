// Package pace has the garbage collector look more often while large values are held.
//
// Go's collector lets the heap grow to twice of what is in use before it looks for garbage (GOGC=100). For the usual few MiB that is
// nothing. While large values fill their budget it would be the budget once more, so it looks more often then: a value has no pointers,
// so that a collection is short however many values there are.
package pace

import (
	"context"
	"runtime/debug"
	"time"

	"mcproxy/internal/budget"
)

const (
	percent  = 20          // of the heap in use that it may grow by while large values are held
	interval = time.Second // between two looks whether they are still
)

// Run has the collector look more often while a quarter of the budget or more is in use, until ctx is done.
func Run(ctx context.Context, b *budget.Budget) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.Filling():
		}
		untilEmpty(ctx, b)
	}
}

// untilEmpty returns when the budget was not filling for a while, or ctx is done.
func untilEmpty(ctx context.Context, b *budget.Budget) {
	usual := debug.SetGCPercent(percent)
	defer debug.SetGCPercent(usual)
	if 0 <= usual && usual < percent {
		debug.SetGCPercent(usual) // somebody wants even less
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			select {
			case <-b.Filling(): // it has been filling since the last look
				continue
			default:
			}
			if !b.Busy() {
				return
			}
		}
	}
}
