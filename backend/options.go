package backend

import (
	"cmp"
	"fmt"
	"time"
)

// Options are the limits of one backend. Zero fields take the defaults named here.
type Options struct {
	Timeout         time.Duration // from a request's sending to its answer; 250 ms
	ConnectTimeout  time.Duration // for a conn to be opened; Timeout
	StallTimeout    time.Duration // a conn on which calls timed out, and none was answered in time for so long, is set aside; 2 s
	Connections     int           // conns of each worker to the backend, 1..64; 1
	MaxPending      int           // calls unanswered on one conn; 8,192
	MaxPendingBytes int           // bytes of unanswered requests on one conn; 64 MiB

	FailureLimit  int           // consecutive connect errors or timeouts after which the backend is down; 3
	ProbeInterval time.Duration // first wait between probes of a backend that is down, doubled each time, with jitter; 50 ms
	ProbeMax      time.Duration // the longest such wait; 500 ms
	JournalLimit  int           // keys in the missed-writes journal; past it the backend is held; 100,000
	Settle        time.Duration // between the two deletes of a key whose write may still lie in a dead conn; 1 s
	SlowCall      time.Duration // calls that take so long are told by Pipeline.TakeSlow; 0: none
	StatsInterval time.Duration // between two looks at the backend's own figures; 0: never
	OnReturn      OnReturn      // what must be done before a backend that was down is used again
	Damping       time.Duration // the longest that a backend which goes down again and again must answer before it is used again; 0: it need not
	Keepalive     time.Duration // TCP keepalive's idle time; 60 s; < 0 is off

	Mutant Mutant // for tests alone
}

// OnReturn says what must be done before a backend that was down is used again.
type OnReturn uint8

// The values of OnReturn.
const (
	OnReturnReplay OnReturn = iota // "replay": delete the keys that the journal names; if that overflowed, as OnReturnHold
	OnReturnFlush                  // "flush": flush_all, confirmed, besides
	OnReturnHold                   // "hold": an operator must release it
)

func (o OnReturn) String() string {
	switch o {
	case OnReturnReplay:
		return "replay"
	case OnReturnFlush:
		return "flush"
	case OnReturnHold:
		return "hold"
	}
	return fmt.Sprintf("OnReturn(%d)", uint8(o))
}

// WithDefaults gives o with its zero fields set.
func (o Options) WithDefaults() Options {
	o.Timeout = cmp.Or(o.Timeout, 250*time.Millisecond)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, o.Timeout)
	o.StallTimeout = cmp.Or(o.StallTimeout, 2*time.Second)
	o.Connections = cmp.Or(o.Connections, 1)
	o.MaxPending = cmp.Or(o.MaxPending, 8192)
	o.MaxPendingBytes = cmp.Or(o.MaxPendingBytes, 64<<20)
	o.FailureLimit = cmp.Or(o.FailureLimit, 3)
	o.ProbeInterval = cmp.Or(o.ProbeInterval, 50*time.Millisecond)
	o.ProbeMax = cmp.Or(o.ProbeMax, 500*time.Millisecond)
	o.JournalLimit = cmp.Or(o.JournalLimit, 100_000)
	o.Settle = cmp.Or(o.Settle, time.Second)
	o.Keepalive = cmp.Or(o.Keepalive, time.Minute)
	return o
}
