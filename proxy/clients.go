package proxy

import (
	"mcproxy/internal/tally"
	"mcproxy/proxy/limits"
)

// A closing is why a client's conn was closed.
type closing uint8

const (
	byClient  closing = iota // it ended or broke off
	byQuit                   // quit
	byBinary                 // the binary protocol
	byGarbage                // a line that is no memcached command's, or too long: HTTP for one
	byStall                  // it held a large value and moved no byte while others waited for the budget
	byDrain                  // the proxy is ending
	byTLS                    // TLS, on a listener without
	byGuesses                // too many logins that failed
	numClosings
)

func (c closing) String() string {
	return [...]string{"client", "quit", "binary", "garbage", "stalled", "drain", "tls", "guesses"}[c]
}

// A clientError is a kind of answer that the proxy itself refuses a client's line with.
type clientError uint8

const (
	refusedLine     clientError = iota // the line is wrong
	badChunk                           // the value does not end where it should
	tooLarge                           // the value is over max_value
	outOfMemory                        // the budget had no bytes for the value in time
	streamBroken                       // the conn cannot go on: the binary protocol, or garbage
	unauthenticated                    // the client must log in first
	loginFailed                        // the login was wrong
	forbidden                          // the listener does not permit the command, or the key
	overloaded                         // a limit
	numClientErrors
)

func (e clientError) String() string {
	return [...]string{"line", "data_chunk", "too_large", "out_of_memory", "stream", "unauthenticated", "login", "forbidden", "overloaded"}[e]
}

// clientCounts are what a worker counts of its clients.
type clientCounts struct {
	clients  tally.Clients // by address: requests and bytes
	inFlight int           // requests without their answer sent
	errors   [numClientErrors]uint64
	closed   [numClosings]uint64
	widths   tally.Sizes // keys of the retrievals with several
	logins   uint64      // that were right

	overLimit [limits.Count]uint64 // requests and answers that a limit refused
}

func (c *clientCounts) addTo(to *ClientFigures) {
	to.InFlight += c.inFlight
	to.Logins += c.logins
	for e, n := range c.errors {
		to.Errors[clientError(e).String()] += n
		to.Refused += n
	}
	for why, n := range c.closed {
		to.ClosedBy[closing(why).String()] += n
		to.Closed += n
	}
	for l, n := range c.overLimit {
		to.OverLimit[limits.Limit(l).String()] += n
	}
	to.Binary += c.closed[byBinary]
	to.Stalled += c.closed[byStall]
	c.widths.AddTo(&to.Widths)
}
