// Package chronicle remembers what happened to a process, for who looks at it later: the last events, and how often backends came to which
// state. Nothing of it is called for a request.
package chronicle

import (
	"sync"
	"time"
)

// An Event is something that happened to the proxy, not to a request: what the log says of it, for who looks at it now.
type Event struct {
	ID      uint64    `json:"id"` // counts from 1, without gaps
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Pool    string    `json:"pool,omitempty"`
	Backend string    `json:"backend,omitempty"`
	Key     string    `json:"key,omitempty"` // as people are told it
	Text    string    `json:"text"`          // a line for people
}

// kept is how many events there are to look at.
const kept = 256

// Events are the last that happened. The zero value has none. Its methods are safe for concurrent use.
type Events struct {
	mu    sync.Mutex
	count uint64      // guarded by mu
	ring  [kept]Event // guarded by mu; the event with ID i is at i % kept
}

// Add takes an event; its ID and time are set here.
func (l *Events) Add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	e.ID, e.At = l.count, time.Now()
	l.ring[e.ID%kept] = e
}

// List gives the last 256 events, the oldest first.
func (l *Events) List() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(l.count, kept)
	list := make([]Event, 0, n)
	for id := l.count - n + 1; id <= l.count; id++ {
		list = append(list, l.ring[id%kept])
	}
	return list
}
