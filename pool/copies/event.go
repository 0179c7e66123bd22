package copies

import (
	"fmt"

	"mcproxy/replica"
)

// A Kind says what an Event tells.
type Kind uint8

// The kinds.
const (
	Copied    Kind = iota // a key has copies that are read
	Withdrawn             // and has none any more, for Reason
	Stale                 // a copy was older than it may be
	Foreign               // proxies with another ring, or another mode, use the backend
	Agreed                // and do so no more
)

// An Event is something that happened to copies, not to a request.
type Event struct {
	Kind   Kind
	Home   int    // the backend where the key belongs, or that has the guard
	Hash   uint64 // hotkey.Hash of the key
	Copies int    // Copied
	Reason replica.Reason
	Host   int // Stale: the backend that had the copy
}

func (k Kind) String() string {
	switch k {
	case Copied:
		return "copied"
	case Withdrawn:
		return "withdrawn"
	case Stale:
		return "stale"
	case Foreign:
		return "foreign"
	case Agreed:
		return "agreed"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// SetNotify has notify told of events, in any goroutine; it must not block. Call it before the first Replicator is made.
func (s *Shared) SetNotify(notify func(Event)) { s.notify = notify }

func (s *Shared) tellOf(e Event) {
	if s.notify != nil {
		s.notify(e)
	}
}

// Text says it in a line for people, who know the key and the backends by those names.
func (e *Event) Text(key string, backends func(i int) string) string {
	switch e.Kind {
	case Copied:
		return fmt.Sprintf("%s is read from %d copies too", key, e.Copies)
	case Withdrawn:
		return fmt.Sprintf("%s has no copies any more: %s", key, e.Reason)
	case Stale:
		return fmt.Sprintf("the copy of %s on %s was older than it may be; it was deleted", key, backends(e.Host))
	case Foreign:
		return "proxies with another ring, or another mode of replicas, use " + backends(e.Home) + ": no key gets copies"
	}
	return "all proxies that use " + backends(e.Home) + " have the same ring again"
}
