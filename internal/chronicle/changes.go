package chronicle

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"

	"mcproxy/backend"
)

// A StateChange is how often a backend came to a state for a reason.
type StateChange struct {
	State  string // "up", "down", "held"
	Reason string // "timeout", "connect", "journal", "returned", "flush", "recovered", "released"
	Count  uint64
}

// StateChanges counts what became of backends. The zero value has counted nothing. Its methods are safe for concurrent use.
type StateChanges struct {
	mu     sync.Mutex
	counts map[change]uint64 // guarded by mu
}

type change struct{ pool, backend, state, reason string }

// Count counts a change; the names are the pool's and the backend's.
func (c *StateChanges) Count(pool, name string, state backend.State, cause error) {
	reason := "connect"
	switch {
	case state == backend.StateUp:
		reason = "recovered"
	case errors.Is(cause, backend.ErrOverflow):
		reason = "journal"
	case errors.Is(cause, backend.ErrReturned):
		reason = "returned"
	case errors.Is(cause, backend.ErrNoFlush):
		reason = "flush"
	case cause == nil:
		reason = "released"
	case errors.Is(cause, backend.ErrTimeout):
		reason = "timeout"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = make(map[change]uint64)
	}
	c.counts[change{pool, name, state.String(), reason}]++
}

// Of gives a backend's, in a certain order.
func (c *StateChanges) Of(pool, name string) []StateChange {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []StateChange
	for key, n := range c.counts {
		if key.pool == pool && key.backend == name {
			list = append(list, StateChange{key.state, key.reason, n})
		}
	}
	slices.SortFunc(list, func(a, b StateChange) int {
		return cmp.Or(strings.Compare(a.State, b.State), strings.Compare(a.Reason, b.Reason))
	})
	return list
}
