package proxy

import (
	"sync"
	"time"
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
