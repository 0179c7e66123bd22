package backend

import "errors"

// Why a call got no answer.
var (
	ErrDown       = errors.New("down")                               // fails fast until a probe succeeds
	ErrAway       = errors.New("not agreed upon by the proxies yet") // see SetLease
	ErrHeld       = errors.New("held for the operator")              // its journal overflowed, or it is to be held when it returns
	ErrMoved      = errors.New("its name has another address now")
	ErrUnresolved = errors.New("its name is not known")
	ErrReturned   = errors.New("back after an outage")    // why it is held, with OnReturnHold
	ErrOverflow   = errors.New("journal overflowed")      // why it is held, or down with OnReturnFlush
	ErrNoFlush    = errors.New("flush_all was refused")   // why it is held, with OnReturnFlush
	ErrUnsettled  = errors.New("earlier write unsettled") // the key is in the journal
	ErrOverloaded = errors.New("overloaded")              // a conn's queue is full
	ErrTimeout    = errors.New("timed out")
	ErrClosed     = errors.New("conn closed by the backend")
	ErrProtocol   = errors.New("answer out of protocol")
	ErrShutdown   = errors.New("proxy is shutting down")
	ErrLogin      = errors.New("login refused") // the backend does not take the pool's name and password
)

// An Error says that a call was not answered. The conn to the client is not concerned.
type Error struct {
	Backend string // name
	Sent    bool   // bytes of the request may have reached the backend: it may have been, or may yet be, carried out
	Err     error  // one of the sentinels, or a system error of connect, read or write
	connect bool   // there was no conn, and none could be opened
}

func (e *Error) Error() string { return e.Backend + ": " + e.Err.Error() }

// Unwrap gives Err.
func (e *Error) Unwrap() error { return e.Err }
