package proxy

import (
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"mcproxy/internal/chronicle"
	"mcproxy/pool"
	"mcproxy/pool/copies"
	"mcproxy/proxy/watch"
)

// An Event is something that happened to the proxy, not to a request. Its Kind is one of those below.
type Event = chronicle.Event

// A StateChange is how often a backend came to a state for a reason.
type StateChange = chronicle.StateChange

// The kinds of events.
const (
	EventStart    = "start"    // the proxy accepts clients
	EventDrain    = "drain"    // and does so no more
	EventUpgrade  = "upgrade"  // another process was to take over, or this one has
	EventUp       = "up"       // a backend is used again
	EventDown     = "down"     // a backend is not used
	EventHeld     = "held"     // a backend waits for an operator
	EventRelease  = "release"  // an operator has released it
	EventPromoted = "promoted" // a key has become hot
	EventDemoted  = "demoted"  // a key is hot no more
	EventTurned   = "turned"   // a hot key has another kind
	EventReload   = "reload"   // a new configuration is in force
	EventRefused  = "refused"  // a new configuration is not
	EventStale    = "stale"    // a copy of a key was older than it may be
	EventForeign  = "foreign"  // proxies with another ring use a backend
	EventAgreed   = "agreed"   // and do so no more
	EventStanding = "standing" // the proxies agree where a backend's keys are looked for
	EventDivided  = "divided"  // they did not: values may have been hidden
	EventCopied   = "copied"   // a key is read from copies
	EventDropped  = "dropped"  // and is so no more
)

// copiesChanged gives who is told of what happens to a pool's copies.
func (s *Server) copiesChanged(p *pool.Shared) func(copies.Event) {
	kinds := map[copies.Kind]string{
		copies.Copied: EventCopied, copies.Withdrawn: EventDropped, copies.Stale: EventStale, copies.Foreign: EventForeign, copies.Agreed: EventAgreed,
	}
	backendName := func(i int) string { return p.Backends[i].Name }
	return func(e copies.Event) {
		event := Event{Kind: kinds[e.Kind], Pool: p.Config.Name, Backend: backendName(e.Home)}
		if e.Hash != 0 {
			event.Key = watch.KeyName("", e.Hash, true)
		}
		event.Text = e.Text(event.Key, backendName)
		s.report(event, e.Kind == copies.Stale || e.Kind == copies.Foreign)
	}
}

// standingChanged is told of what the proxies agree upon about a backend. Only that they do not is worth an alarm.
func (s *Server) standingChanged(kind, pool, backend, text string) {
	s.report(Event{Kind: kind, Pool: pool, Backend: backend, Text: text}, kind == EventDivided)
}

// report logs an event, and notes it.
func (s *Server) report(event Event, bad bool) {
	level := zap.InfoLevel
	if bad {
		level = zap.ErrorLevel
	}
	s.log.Log(level, event.Text, zap.String("pool", event.Pool), zap.String("backend", event.Backend))
	s.Note(event)
}

// Note adds an event to those of Snapshot.Events; what else has happened to the process is its owner's to tell. The event's ID and
// time are set here.
func (s *Server) Note(e Event) { s.events.Add(e) }

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

// Upgraded notes why another process has not taken this one's place. Whoever has tried says so.
func (s *Server) Upgraded(err error) {
	s.upgradeFailures.Add(1)
	s.Note(Event{Kind: EventUpgrade, Text: err.Error()})
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
