// Package figures is what people are told of a proxy: of its clients, pools and backends, summed over the workers.
package figures

import (
	"time"

	"mcproxy/backend"
	"mcproxy/internal/chronicle"
	"mcproxy/internal/statlines"
	"mcproxy/internal/tally"
	"mcproxy/pool"
	"mcproxy/pool/copies"
	"mcproxy/proxy/porch"
)

// Clients are counted on the client side.
type Clients struct {
	Conns    int    // open now
	Accepted uint64 // conns
	Rejected uint64 // conns over MaxConns
	Binary   uint64 // conns closed because they spoke the binary protocol
	Stalled  uint64 // conns closed because they held a large value and moved no byte while others waited for the budget
	Closed   uint64 // conns
	BytesIn  uint64
	BytesOut uint64
	Refused  uint64 // lines answered with an error by the proxy itself
	Requests uint64 // those that the proxy itself answered not included
	InFlight int    // requests whose answers are not sent
	Logins   uint64 // that were right

	Errors map[string]uint64 // Refused by kind: "line", "data_chunk", "too_large", "out_of_memory", "stream",
	// "unauthenticated", "login", "forbidden", "overloaded"
	OverLimit map[string]uint64 // what a limit refused, by limit: "values", "answers", "requests", "address", "prefix"
	ClosedBy  map[string]uint64 // Closed by reason: "client", "quit", "binary", "garbage", "stalled", "drain", "tls", "guesses"
	Widths    tally.Histogram   // keys of the retrievals with several
	Listeners []porch.Figures   // in the order of Config.Listeners
}

// Pool are one pool's.
type Pool struct {
	Name string
	tally.PoolSum
	Failures uint64 // requests (or a multi-key request's fragments) whose backend did not answer
	Fetches  uint64 // gets sent to backends that other clients' gets could join
	Joined   uint64 // gets that were answered by another client's fetch
	Moves    uint64 // changes of which backends' keys are looked for elsewhere
	Divided  uint64 // how often other proxies took a backend for away while this one used it

	Split  pool.SplitFigures
	Copies *copies.Summary // nil: no key gets copies

	Ring Ring

	OversizedValues map[string]uint64 // requests with values over the pool's split threshold: "passed", "split", "refused"
	// Oversized are the keys with the longest values over the pool's split threshold of which something was seen within the last
	// minute, the longest first; 20 at most.
	Oversized []OversizedKey
	Seen      []pool.Oversized // what the workers know of them

	// Callers are the clients that ask most for the keys which are hot or have large values, by HotKey.Hash: at most 4 of each, the busiest
	// first.
	Callers map[uint64][]Caller
	Called  map[uint64][]pool.KeyCaller // what the workers know of them

	HotKeys  map[string]int // keys that are hot now, by kind ("read-hot", "write-hot", "byte-hot")
	HotShare float64        // of the pool's cost, by the heaviest hot key; 0..1
	Promoted uint64         // keys that became hot
	Demoted  uint64         // keys that ceased to be

	Expires time.Time // when the certificate does that the proxy shows to the backends; zero: it shows none

	Backends []Backend // in the order of the configuration
}

// Ring say which ring a pool has.
type Ring struct {
	Kind string // "consistent"
	Hash string // 16 hex digits: of all that decides where keys belong. Proxies with the same one place keys alike

	Changes map[string]uint64 // of where keys belong, by reason: "reload"
}

// Backend are one backend's, summed over the workers' conns.
type Backend struct {
	Name          string
	Address       string
	Version       string // as the backend says; "" while unknown
	State         string // "up", "down" (calls fail at once), "held" (an operator must release it)
	Conns         int
	Pending       int    // calls without an answer yet
	Calls         uint64 // sent
	Timeouts      uint64 // calls not answered within the timeout
	Failures      uint64 // calls that failed for any reason, timeouts included
	Retries       uint64 // reads sent a second time because their conn was dead
	Connects      uint64 // conns opened
	ConnectErrors uint64
	BytesIn       uint64 // from the backend
	BytesOut      uint64
	JournalKeys   int    // keys in the missed-writes journal now
	Journalled    uint64 // writes that went into it
	Lost          uint64 // writes that it had no room for
	Out           bool   // its keys are looked for elsewhere
	Standing      string // where they are looked for, as all proxies have agreed: "home", "away" or "none"; "alone": they need not agree
	Strays        int    // its keys that were written elsewhere meanwhile, and have not been deleted there

	Requests  map[string]uint64 // Calls by verb
	Errors    map[string]uint64 // Failures by kind: "timeout", "connect", "closed", "protocol", "overloaded", "down", "held", "unsettled", "shutdown", "away"
	Durations tally.Histogram   // of calls that were answered, from their sending on
	Batches   tally.Histogram   // calls that went with one write

	Changes []chronicle.StateChange // those that there were
	Slow    uint64                  // calls that took longer than Config.SlowCall

	Share float64           // of the keys that the ring places here, 0..1
	Stats *statlines.Server // what the backend last said of itself; nil: nothing yet. It is not to be changed
}

// Add adds what a worker's conns to the backend did.
func (t *Backend) Add(pl *backend.Pipeline) {
	conns, pending := pl.Conns()
	f := &pl.Figures
	t.Conns += conns
	t.Pending += pending
	t.Timeouts += f.Timeouts
	t.Failures += f.Failures()
	t.Retries += f.Retries
	t.Slow += f.Slow
	t.Connects += f.Connects
	t.ConnectErrors += f.ConnectErrors
	t.BytesIn += f.BytesIn
	t.BytesOut += f.BytesOut
	f.AddCalls(t.Requests)
	f.AddErrors(t.Errors)
	f.Durations.AddTo(&t.Durations)
	f.Batches.AddTo(&t.Batches)
	t.Calls += f.Calls()
}
