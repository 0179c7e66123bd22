package placement

import (
	"fmt"

	"mcproxy/placement/quarantine"
)

// An Event is a change of what the proxies agree upon about a backend.
type Event struct {
	Node     int
	Standing quarantine.Standing // where its keys are looked for now
	// Divided: it is no change. Other proxies took the backend for away, while this one used it all the time: what was written through either
	// may be hidden from the other.
	Divided bool
}

// Kind is "standing", or "divided".
func (e *Event) Kind() string {
	if e.Divided {
		return "divided"
	}
	return "standing"
}

// Text says it in a line for people.
func (e *Event) Text(backend string) string {
	switch {
	case e.Divided:
		return fmt.Sprintf("another proxy did not reach %s while this one did: values may have been hidden", backend)
	case e.Standing == quarantine.Home:
		return fmt.Sprintf("the keys of %s are looked for there", backend)
	case e.Standing == quarantine.Away:
		return fmt.Sprintf("the keys of %s are looked for elsewhere", backend)
	case e.Standing == quarantine.Alone:
		return fmt.Sprintf("%s knows no meta commands: this proxy judges alone whether it is used", backend)
	}
	return fmt.Sprintf("the keys of %s are looked for nowhere until the proxies agree", backend)
}

func (t *Table) tell(g *gate, divided bool) {
	if t.notify != nil {
		t.notify(Event{Node: g.node, Standing: g.standing, Divided: divided})
	}
}
