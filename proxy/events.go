package proxy

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"mcproxy/backend"
)

// An Event is something that happened to the proxy, not to a request: what the log says of it, for who looks at it now.
type Event struct {
	ID      uint64    `json:"id"` // counts from 1, without gaps
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"` // one of the kinds below
	Pool    string    `json:"pool,omitempty"`
	Backend string    `json:"backend,omitempty"`
	Key     string    `json:"key,omitempty"` // as HotKey.Name writes it
	Text    string    `json:"text"`          // a line for people
}

// The kinds of events.
const (
	EventStart    = "start"    // the proxy accepts clients
	EventDrain    = "drain"    // and does so no more
	EventUp       = "up"       // a backend is used again
	EventDown     = "down"     // a backend is not used
	EventHeld     = "held"     // a backend waits for an operator
	EventRelease  = "release"  // an operator has released it
	EventPromoted = "promoted" // a key has become hot
	EventDemoted  = "demoted"  // a key is hot no more
	EventTurned   = "turned"   // a hot key has another kind
	EventReload   = "reload"   // a new configuration is in force
	EventRefused  = "refused"  // a new configuration is not
)

// keptEvents is how many there are to look at.
const keptEvents = 256

// events are the last that happened. Its methods are safe for concurrent use; none is called for a request.
type events struct {
	mu    sync.Mutex
	count uint64            // guarded by mu
	ring  [keptEvents]Event // guarded by mu; the event with ID i is at i % keptEvents
}

// add takes an event; its ID and time are set here.
func (l *events) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	e.ID, e.At = l.count, time.Now()
	l.ring[e.ID%keptEvents] = e
}

// list gives the last events, the oldest first.
func (l *events) list() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(l.count, keptEvents)
	list := make([]Event, 0, n)
	for id := l.count - n + 1; id <= l.count; id++ {
		list = append(list, l.ring[id%keptEvents])
	}
	return list
}

// Note adds an event to those of Snapshot.Events; what else has happened to the process is its owner's to tell. The event's ID and
// time are set here.
func (s *Server) Note(e Event) { s.events.add(e) }

// reloads tell of new configurations. Its methods are safe for concurrent use.
type reloads struct {
	mu      sync.Mutex
	figures ReloadFigures     // guarded by mu
	rings   map[string]uint64 // guarded by mu: changes of pools' rings
}

// Reloaded notes that a new configuration is in force, and which keys belong elsewhere by it, or (err != nil) why it is not. Whoever calls Reload says so, and if there is no
// configuration to call it with, too.
func (s *Server) Reloaded(moves []Move, err error) {
	event := Event{Kind: EventReload, Text: "a new configuration is in force"}
	if err != nil {
		reason, _, _ := strings.Cut(err.Error(), "\n")
		event.Kind, event.Text = EventRefused, "the configuration stays as it is: "+reason
	}
	s.Note(event)
	r := &s.reloads
	r.mu.Lock()
	defer r.mu.Unlock()
	r.figures.OK, r.figures.At = err == nil, time.Now()
	if err == nil {
		r.figures.Done++
		r.figures.Success, r.figures.Moves = r.figures.At, moves
	} else {
		r.figures.Failed++
	}
}

func (r *reloads) get() ReloadFigures {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.figures
}

// moved notes that the keys of a pool belong elsewhere since a reload.
func (r *reloads) moved(pool string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rings == nil {
		r.rings = make(map[string]uint64)
	}
	r.rings[pool]++
}

func (r *reloads) ring(pool string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rings[pool]
}

// stateChanges counts what became of backends. Its methods are safe for concurrent use.
type stateChanges struct {
	mu     sync.Mutex
	counts map[stateChange]uint64 // guarded by mu
}

type stateChange struct{ pool, backend, state, reason string }

func (c *stateChanges) count(pool, name string, state backend.State, cause error) {
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
		c.counts = make(map[stateChange]uint64)
	}
	c.counts[stateChange{pool, name, state.String(), reason}]++
}

// of gives a backend's, in a certain order.
func (c *stateChanges) of(pool, name string) []StateChange {
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
