package backend

import (
	"fmt"
	"net"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
	"mcproxy/internal/statlines"
)

// A State says whether a backend is used.
type State uint32

const (
	StateUp   State = iota // calls are sent
	StateDown              // calls fail at once; a probe that succeeds, and the journal's replay, lead back to StateUp
	StateHeld              // the journal overflowed: calls fail at once until Release
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
	addr    epoll.Address
	notify  func(b *Backend, s State, cause error)
	journal *Journal // of the server: another Backend may have the same
	down    *Error   // what a call gets at once; made once, so that a dead backend costs no garbage
	held    *Error
	waits   *Error
	busy    *Error

	// Atomic.
	options atomic.Pointer[Options]
	state   atomic.Uint32
	fails   atomic.Int32 // consecutive connect errors and timeouts
	connIDs atomic.Uint64
	version atomic.Pointer[string]
	keeper  atomic.Pointer[keeper]
	stats   atomic.Pointer[statlines.Server]
}

// New describes a backend; nothing is connected. network is "tcp" (address "host:port") or "unix" (address a path). A host
// name is resolved here, once. notify, which may be nil, is told of each change of state, from any goroutine; it must not
// block.
func New(name, network, address string, o Options, notify func(b *Backend, s State, cause error)) (*Backend, error) {
	return new(Ledger).New(name, network, address, o, notify)
}

func describe(name, network, address string, notify func(b *Backend, s State, cause error)) (*Backend, error) {
	b := &Backend{Name: name, Address: address, server: serverID(network, address), notify: notify}
	var err error
	if b.addr, err = resolve(network, address); err != nil {
		return nil, fmt.Errorf("backend %s: %w", name, err)
	}
	b.down = &Error{Backend: name, Err: ErrDown}
	b.held = &Error{Backend: name, Err: ErrHeld}
	b.waits = &Error{Backend: name, Err: ErrUnsettled}
	b.busy = &Error{Backend: name, Err: ErrOverloaded}
	return b, nil
}

func resolve(network, address string) (epoll.Address, error) {
	if network == "unix" {
		return epoll.Address{Sockaddr: &unix.SockaddrUnix{Name: address}, Family: unix.AF_UNIX}, nil
	}
	tcp, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return epoll.Address{}, fmt.Errorf("resolve %s: %w", address, err)
	}
	if ip := tcp.IP.To4(); ip != nil {
		sa := &unix.SockaddrInet4{Port: tcp.Port}
		copy(sa.Addr[:], ip)
		return epoll.Address{Sockaddr: sa, Family: unix.AF_INET}, nil
	}
	sa := &unix.SockaddrInet6{Port: tcp.Port}
	copy(sa.Addr[:], tcp.IP.To16())
	if tcp.Zone != "" {
		ifi, err := net.InterfaceByName(tcp.Zone)
		if err != nil {
			return epoll.Address{}, fmt.Errorf("resolve %s: %w", address, err)
		}
		sa.ZoneId = uint32(ifi.Index)
	}
	return epoll.Address{Sockaddr: sa, Family: unix.AF_INET6}, nil
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

// Release lets a held backend come back: the operator says that it holds nothing old (it was flushed or restarted). Its
// journal is dropped. It says whether the backend was held.
func (b *Backend) Release() bool {
	if b.State() != StateHeld {
		return false
	}
	b.journal.drop()
	return b.transition(StateHeld, StateDown, nil) // and up again by a probe
}

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
	if !ok && !b.transition(StateUp, StateHeld, ErrHeld) {
		b.transition(StateDown, StateHeld, ErrHeld)
	}
	return d
}

// kick makes the keeper look at its work.
func (b *Backend) kick() {
	if k := b.keeper.Load(); k != nil {
		k.kick()
	}
}
