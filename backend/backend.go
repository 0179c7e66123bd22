package backend

import (
	"fmt"
	"sync/atomic"

	"mcproxy/internal/statlines"
)

// A State says whether a backend is used.
type State uint32

const (
	StateUp   State = iota // calls are sent
	StateDown              // calls fail at once; a probe that succeeds, and the journal's replay, lead back to StateUp
	StateHeld              // calls fail at once until Release: the journal overflowed, or Options.OnReturn says so
)

func (s State) String() string {
	switch s {
	case StateUp:
		return "up"
	case StateDown:
		return "down"
	case StateHeld:
		return "held"
	}
	return fmt.Sprintf("State(%d)", uint32(s))
}

// A Backend is one memcached as the whole process sees it. Its methods are safe for concurrent use.
type Backend struct {
	// Immutable after New.
	Name    string
	Address string
	server  string // as the ledger knows it
	host    string // the name to be resolved; "": the address is no name
	port    int    // of host
	notify  func(b *Backend, s State, cause error)
	journal *Journal // of the server: another Backend may have the same
	down    *Error   // what a call gets at once; made once, so that a dead backend costs no garbage
	held    *Error
	away    *Error
	waits   *Error
	busy    *Error

	// Atomic.
	options   atomic.Pointer[Options]
	addr      atomic.Pointer[location] // nil: the name has not been resolved yet
	found     atomic.Pointer[finding]  // when the name was looked up; nil: never
	state     atomic.Uint32
	fails     atomic.Int32 // consecutive connect errors and timeouts
	connIDs   atomic.Uint64
	version   atomic.Pointer[string]
	keeper    atomic.Pointer[keeper]
	stats     atomic.Pointer[statlines.Server]
	release   atomic.Bool               // an operator has said that it may come back
	transport atomic.Pointer[Transport] // nil: none
	lease     atomic.Int64              // see SetLease; 0: there is none
}

// New describes a backend; nothing is connected. network is "tcp" (address "host:port") or "unix" (address a path). A host
// name is resolved here, and again by Resolve; one that is not known yet makes a backend that is down. notify, which may be nil, is told of each change of state, from any goroutine; it must not
// block.
func New(name, network, address string, o Options, notify func(b *Backend, s State, cause error)) (*Backend, error) {
	return new(Ledger).New(name, network, address, o, notify)
}

func describe(name, network, address string, notify func(b *Backend, s State, cause error)) (*Backend, error) {
	b := &Backend{Name: name, Address: address, server: serverID(network, address), notify: notify}
	if err := b.locate(network, address); err != nil {
		return nil, fmt.Errorf("backend %s: %w", name, err)
	}
	b.down = &Error{Backend: name, Err: ErrDown}
	b.held = &Error{Backend: name, Err: ErrHeld}
	b.away = &Error{Backend: name, Err: ErrAway}
	b.waits = &Error{Backend: name, Err: ErrUnsettled}
	b.busy = &Error{Backend: name, Err: ErrOverloaded}
	return b, nil
}

// Options are the limits in force, without zeros.
func (b *Backend) Options() *Options { return b.options.Load() }

// SetOptions changes the limits. Calls that were sent keep their deadlines. How many conns there are changes with Pipeline.Adapt.
func (b *Backend) SetOptions(o Options) {
	o = o.WithDefaults()
	b.options.Store(&o)
	b.kick()
}

// State is the backend's present state.
func (b *Backend) State() State { return State(b.state.Load()) }

// Version is what the backend last answered to `version` ("1.6.18"), or "" before it ever did.
func (b *Backend) Version() string {
	if v := b.version.Load(); v != nil {
		return *v
	}
	return ""
}

// Journal gives how many keys are in the missed-writes journal now, and how many missed writes ever went into it.
func (b *Backend) Journal() (keys int, missed uint64) { return b.journal.figures() }

// Release lets a held backend come back. If its journal overflowed, the operator says with it that it holds nothing old (it was
// flushed or restarted), and the journal is dropped; otherwise the journal's keys are deleted there first. It says whether the backend
// was held.
func (b *Backend) Release() bool {
	if b.State() != StateHeld {
		return false
	}
	if b.Overflowed() {
		b.journal.drop()
	}
	b.release.Store(true)
	return b.transition(StateHeld, StateDown, nil) // and up again by a probe
}

// Overflowed says whether writes were missed that the journal had no room for, so that the backend may hold values that are old.
func (b *Backend) Overflowed() bool { return b.journal.isOverflowed() }

// Lost is how many missed writes the journal ever had no room for.
func (b *Backend) Lost() uint64 { return b.journal.lostSoFar() }

// transition changes the state if it is still from.
func (b *Backend) transition(from, to State, cause error) bool {
	if !b.state.CompareAndSwap(uint32(from), uint32(to)) {
		return false
	}
	if to == StateUp {
		b.fails.Store(0)
	}
	if b.notify != nil {
		b.notify(b, to, cause)
	}
	b.kick()
	return true
}

// failure counts one connect error, or one conn's timeouts of a moment.
func (b *Backend) failure(cause error) {
	if b.fails.Add(1) >= int32(b.Options().FailureLimit) {
		b.transition(StateUp, StateDown, cause)
	}
}

// alive is told of each sign of life.
func (b *Backend) alive() {
	if b.fails.Load() != 0 {
		b.fails.Store(0)
	}
}

// missed puts a key into the journal for a write that was not answered. Whoever holds the debt owes the key a confirmed
// delete: confirm says how many.
func (b *Backend) missed(key []byte, confirm int, now int64) *debt {
	d, ok := b.journal.add(b, key, confirm, now)
	if !ok {
		b.overflowed()
	}
	return d
}

// Overflow says that a write was missed whose key nobody has noted: the backend may hold old values from here on.
func (b *Backend) Overflow() {
	b.journal.lose()
	b.overflowed()
}

func (b *Backend) overflowed() {
	to := StateHeld
	if b.Options().OnReturn == OnReturnFlush {
		to = StateDown
	}
	if !b.transition(StateUp, to, ErrOverflow) && to == StateHeld {
		b.transition(StateDown, to, ErrOverflow)
	}
}

// Owe has a key deleted here before it is read or written here again, because it is written elsewhere, at the Loop time now. Writes of
// it that are under way here may stand: they are as new. It is false if the journal has no room for the key.
func (b *Backend) Owe(key []byte, now int64) bool {
	d, ok := b.journal.owe(b, key, now, 1)
	if d != nil {
		b.journal.leave(d, 0)
	}
	return ok
}

// Regret is Owe for a key that was written here, and should not be here any more: if it is in the journal already, a delete that is
// under way may have come before the write, so that another follows. share is the part of the journal that such keys may fill.
func (b *Backend) Regret(key []byte, now int64, share float64) bool {
	d, ok := b.journal.owe(b, key, now, share)
	switch {
	case d != nil:
		b.journal.leave(d, 0)
	case ok:
		b.journal.refuse(key, now, 0)
	}
	return ok
}

// kick makes the keeper look at its work.
func (b *Backend) kick() {
	if k := b.keeper.Load(); k != nil {
		k.kick()
	}
}
