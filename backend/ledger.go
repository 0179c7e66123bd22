package backend

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mcproxy/internal/resolve"
)

// A Ledger is what a process remembers of servers, by their addresses, for longer than it uses them: the journals of what they missed,
// and whether they were up. A server that is taken out of the configuration and put back, under whatever name and in whatever pool, comes back as it left; and a
// process that takes another's place begins with what that knew. It is safe for concurrent use; the zero value is empty.
type Ledger struct {
	Resolver *resolve.Resolver // of backends' names. Set it before the first Backend is made

	unanswered atomic.Pointer[time.Time] // when nobody answered in time who a name is; nil: never

	mu      sync.Mutex
	entries map[string]*entry // guarded by mu: by Record.Server
	order   uint64            // guarded by mu: counts retirements
	store   Store             // guarded by mu: nil: journals are in memory alone
}

// entry is one server's. The ledger's mu guards it.
type entry struct {
	journal *Journal
	users   []*Backend
	state   State  // in which the last user left it
	version string // as the last user knew it
	retired uint64 // when the last user left, in the ledger's order
}

// Bounds of what is remembered of servers that nobody uses.
const (
	maxJournals = 32   // with their keys; of one more, only that it must be held is remembered
	maxServers  = 4096 // at all
)

// A Record is what a ledger says of one server.
type Record struct {
	Server  string // network and address: "tcp 127.0.0.1:11211"
	State   State
	Version string   // as Backend.Version
	IP      string   // of a server that is known by name; "": not known
	Keys    [][]byte // missed writes that are not made good; any bytes
	// Overflowed says that there were more.
	Overflowed bool
}

func serverID(network, address string) string { return network + " " + address }

// New is the package's New for a server that the ledger may know.
func (l *Ledger) New(name, network, address string, o Options, notify func(b *Backend, s State, cause error)) (*Backend, error) {
	b, err := describe(name, network, address, notify)
	if err != nil {
		return nil, err
	}
	b.SetOptions(o)
	if b.Named() {
		l.lookUp(b)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(b.server)
	if len(e.users) > 0 { // another pool's view says nothing of this one's
		e.state = StateUp
	}
	e.users = append(e.users, b)
	b.journal = e.journal
	b.begin(e)
	return b, nil
}

// lookUp looks a backend's name up for the first time; Names does so again. When nobody answers it is not tried for the next names, so
// that many of them do not keep a start waiting.
func (l *Ledger) lookUp(b *Backend) {
	if last := l.unanswered.Load(); last != nil && time.Since(*last) < unansweredFor {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), firstLookup)
	defer cancel()
	if _, err := b.Resolve(ctx, l.Resolver); err != nil && ctx.Err() != nil {
		now := time.Now()
		l.unanswered.Store(&now)
	}
}

// begin has a Backend that is not used yet begin with what is known of its server. The ledger's mu is held.
func (b *Backend) begin(e *entry) {
	if e.version != "" {
		v := e.version
		b.version.Store(&v)
	}
	state := e.state
	switch {
	case !e.journal.isOverflowed():
	case b.Options().OnReturn == OnReturnFlush: // its keeper knows the way
		state = StateDown
	default:
		state = StateHeld
	}
	if b.addr.Load() == nil && state == StateUp {
		state = StateDown
	}
	b.state.Store(uint32(state))
}

// entry gives a server's entry, a new one if there is none. The caller holds mu.
func (l *Ledger) entry(server string) *entry {
	e := l.entries[server]
	if e == nil {
		e = &entry{journal: &Journal{store: store{l.store, server}}}
		if l.entries == nil {
			l.entries = make(map[string]*entry)
		}
		l.entries[server] = e
	}
	return e
}

// Retire notes that a Backend is not used any more: its keeper has ended, and its pipelines are closed. What it missed is remembered.
func (l *Ledger) Retire(b *Backend) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[b.server]
	if e == nil {
		return
	}
	e.users = slices.DeleteFunc(e.users, func(o *Backend) bool { return o == b })
	if len(e.users) > 0 {
		return
	}
	e.state, e.version = b.State(), b.Version()
	l.order++
	e.retired = l.order
	l.prune()
}

// prune forgets what need not be remembered, and what there is no room for. The caller holds mu.
func (l *Ledger) prune() {
	var idle []string
	for server, e := range l.entries {
		switch keys, _ := e.journal.figures(); {
		case len(e.users) > 0:
		case keys == 0 && e.state == StateUp && !e.journal.isOverflowed():
			delete(l.entries, server)
		default:
			idle = append(idle, server)
		}
	}
	slices.SortFunc(idle, func(a, b string) int { return int(int64(l.entries[b].retired) - int64(l.entries[a].retired)) }) // the latest first
	for i, server := range idle {
		if i >= maxServers {
			delete(l.entries, server)
		} else if i >= maxJournals {
			l.entries[server].journal.overflow()
		}
	}
}

// Records gives all that is known, ordered by server.
func (l *Ledger) Records() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Record
	for _, server := range slices.Sorted(maps.Keys(l.entries)) {
		e := l.entries[server]
		r := Record{Server: server, State: e.state, Version: e.version, Keys: e.journal.keys()}
		for i, b := range e.users {
			if i == 0 || b.State() < r.State { // who gets through to it is right
				r.State, r.Version = b.State(), b.Version()
			}
			r.IP = cmp.Or(r.IP, b.resolved())
		}
		r.Overflowed = e.journal.isOverflowed()
		all = append(all, r)
	}
	return all
}

// Restore takes another process's Records over, before a Backend is used that it has made. Each key's write may still be on its way to the server, in
// a conn of that process: so it gets two deletes, as if its conn had broken.
func (l *Ledger) Restore(records []Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		e := l.entry(r.Server)
		e.state, e.version = r.State, r.Version
		if r.Overflowed {
			e.journal.overflow()
		}
		e.journal.restore(r.Keys)
		for _, b := range e.users {
			b.relocate(r.IP)
			b.begin(e)
		}
	}
}
