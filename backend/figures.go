package backend

import (
	"mcproxy/internal/tally"
	"mcproxy/protocol"
)

// Figures count what a pipeline did.
type Figures struct {
	Requests      [protocol.Verbs]uint64 // calls sent, those sent again included
	Timeouts      uint64                 // calls that had no answer in time
	Retries       uint64                 // calls sent a second time because their conn broke
	Connects      uint64                 // conns begun
	ConnectErrors uint64
	BytesIn       uint64
	BytesOut      uint64
	Durations     tally.Durations // of calls that were answered, from when they were sent
	Batches       tally.Sizes     // calls that went with one write
	Slow          uint64          // calls that took longer than Options.SlowCall
	errors        [numFailures]uint64
}

func (f *Figures) called(v protocol.Verb) {
	if tally.Counting {
		f.Requests[v]++
	}
}

func (f *Figures) sent(n int) {
	if tally.Counting {
		f.BytesOut += uint64(n)
	}
}

func (f *Figures) received(n int) {
	if tally.Counting {
		f.BytesIn += uint64(n)
	}
}

// Calls are the calls sent, those sent again included.
func (f *Figures) Calls() uint64 {
	n := uint64(0)
	for _, c := range f.Requests {
		n += c
	}
	return n
}

// Failures are the calls that failed for whatever reason, refused ones included.
func (f *Figures) Failures() uint64 {
	n := uint64(0)
	for _, c := range f.errors {
		n += c
	}
	return n
}

// AddCalls adds the calls by verb, those that came.
func (f *Figures) AddCalls(to map[string]uint64) {
	for v, n := range f.Requests {
		if n > 0 {
			to[protocol.Verb(v).String()] += n
		}
	}
}

// AddErrors adds the failures by kind, all kinds.
func (f *Figures) AddErrors(to map[string]uint64) {
	for kind, n := range f.errors {
		to[failure(kind).String()] += n
	}
}

// A failure is a kind of Error.
type failure uint8

const (
	failedClosed  failure = iota // the conn broke
	failedConnect                // there was none
	failedTimeout
	failedProtocol
	failedOverloaded
	failedDown
	failedHeld
	failedUnsettled
	failedShutdown
	failedAway
	numFailures
)

func (k failure) String() string {
	return [...]string{"closed", "connect", "timeout", "protocol", "overloaded", "down", "held", "unsettled", "shutdown", "away"}[k]
}

// failed counts a call that failed.
func (f *Figures) failed(why *Error) {
	kind := failedClosed
	switch {
	case why.connect:
		kind = failedConnect
	case why.Err == ErrTimeout:
		kind = failedTimeout
	case why.Err == ErrProtocol:
		kind = failedProtocol
	case why.Err == ErrOverloaded:
		kind = failedOverloaded
	case why.Err == ErrDown:
		kind = failedDown
	case why.Err == ErrHeld:
		kind = failedHeld
	case why.Err == ErrUnsettled:
		kind = failedUnsettled
	case why.Err == ErrShutdown:
		kind = failedShutdown
	case why.Err == ErrAway:
		kind = failedAway
	}
	f.errors[kind]++
}
