package proxy

import (
	"fmt"
	"time"

	"mcproxy/internal/budget"
	"mcproxy/internal/statlines"
	"mcproxy/internal/tally"
	"mcproxy/pool"
	"mcproxy/pool/copies"
	"mcproxy/protocol"
	"mcproxy/proxy/figures"
	"mcproxy/proxy/porch"
)

// A Snapshot is the process's figures at one moment, summed over the workers. It is the caller's own copy.
type Snapshot struct {
	Start    time.Time
	At       time.Time // when it was asked for
	Workers  int
	Draining bool // no clients are accepted any more
	Reloads  ReloadFigures
	Upgrades UpgradeFigures
	Clients  ClientFigures
	// Addresses are what clients did, by address: at most 50, the busiest of the last minute first, and behind them all others as one
	// (OtherAddresses).
	Addresses []AddressFigures
	Journal   JournalFigures
	Large     BudgetFigures // of values that are split, in all pools
	Whole     MeterFigures  // of whole values on their way, and of unread answers
	Pools     []PoolFigures // in the order of Config.Pools
	Events    []Event       // the last 256, the oldest first

	FilesChanged uint64 // times that certificates, keys or files of users were replaced while the proxy ran
	FilesFailed  uint64 // and were of no use
}

// A Histogram is a copy of one: Count, Quantile, Since (an earlier copy), Bound.
type Histogram = tally.Histogram

// A Scale says where the buckets of a Histogram end.
type Scale = tally.Scale

// The scales.
const (
	Seconds  = tally.Seconds
	Powers   = tally.Powers
	Lifespan = tally.Lifespan
)

// AddressFigures are what clients with one address did: Address, Conns, Requests, Stores, BytesIn, BytesOut.
type AddressFigures = tally.AddressSum

// OtherAddresses is the Address of those that are not told by name.
const OtherAddresses = tally.Other

// ListenerFigures are one listener's: Address, Conns, Accepted, Rejected, Denied, TLS, Handshakes, Handshaking, Expires.
type ListenerFigures = porch.Figures

// A PoolSum is a pool's requests: Requests by verb, Keys by verb and status, Durations by op, sizes of values Read and Written,
// Lifetimes by class, Hits and Misses.
type PoolSum = tally.PoolSum

// A KeyCount says how often clients were told a Status of keys, by Verb.
type KeyCount = tally.KeyCount

// OpDurations are the durations of requests of an Op: a Histogram of seconds.
type OpDurations = tally.OpDurations

// A LifetimeSum has the numbers of Classes by name, and a Histogram of Seconds.
type LifetimeSum = tally.LifetimeSum

// BudgetFigures tell of the budget for large values.
type BudgetFigures = budget.Figures

// CopySummary is what is known of a pool's copies of hot keys, and what was done for them.
type CopySummary = copies.Summary

// CopyFigures count what was done for copies.
type CopyFigures = copies.Figures

// CopyGuard is what is known of one backend's guard.
type CopyGuard = copies.Guard

// MeterFigures tell of the bytes that are held for whole values.
type MeterFigures = budget.MeterFigures

// SplitFigures count what was done with a pool's large values.
type SplitFigures = pool.SplitFigures

// ReloadFigures tell of new configurations: see Server.Reloaded.
type ReloadFigures struct {
	Done   uint64
	Failed uint64
	OK     bool      // the last one is in force; true before the first
	At     time.Time // of the last one, or of the start

	Success time.Time // of the last one that is in force; zero before the first
	Moves   []Move    // that it brought
}

// UpgradeFigures tell of processes that take each other's place.
type UpgradeFigures struct {
	Adopted int    // conns that this one has taken over
	Failed  uint64 // times that another one was to take this one's place, and did not
}

// BackendStats are a backend's own figures: Version, StartTime, Items, Bytes, Limit, Evictions, Connections, Gets, Sets.
type BackendStats = statlines.Server

// ClientFigures are counted on the client side.
type ClientFigures = figures.Clients

// PoolFigures are one pool's.
type PoolFigures = figures.Pool

// BackendFigures are one backend's, summed over the workers' conns.
type BackendFigures = figures.Backend

// RingFigures say which ring a pool has.
type RingFigures = figures.Ring

// A Caller is a client that asks for a key.
type Caller = figures.Caller

// An OversizedKey is a key with a value longer than its pool's split threshold.
type OversizedKey = figures.OversizedKey

// appendStatLines appends the proxy's own figures as `stats` lines.
func appendStatLines(dst []byte, s *Snapshot, version string) []byte {
	line := func(name string, value any) { dst = fmt.Appendf(dst, "STAT mcproxy_%s %v\r\n", name, value) }
	line("version", version)
	line("uptime", int64(time.Since(s.Start)/time.Second))
	line("workers", s.Workers)
	line("curr_connections", s.Clients.Conns)
	line("total_connections", s.Clients.Accepted)
	line("rejected_connections", s.Clients.Rejected)
	line("bytes_read", s.Clients.BytesIn)
	line("bytes_written", s.Clients.BytesOut)
	line("refused_lines", s.Clients.Refused)
	for i := range s.Pools {
		p := &s.Pools[i]
		line("pool_"+p.Name+"_hits", p.Hits)
		line("pool_"+p.Name+"_misses", p.Misses)
		line("pool_"+p.Name+"_failures", p.Failures)
		for j := range p.Backends {
			b := &p.Backends[j]
			name := "pool_" + p.Name + "_backend_" + b.Name
			line(name+"_state", b.State)
			line(name+"_calls", b.Calls)
			line(name+"_timeouts", b.Timeouts)
			line(name+"_failures", b.Failures)
			line(name+"_journal_keys", b.JournalKeys)
		}
	}
	return dst
}

// stats answers for the pool; without an argument it adds the proxy's own figures, which take a word with every worker.
func (s *session) stats(req *protocol.Request) {
	x := s.exchange()
	if len(req.Arg) > 0 {
		s.w.defaultPool().Stats(x, req, s.affinity, nil)
		return
	}
	w, affinity := s.w, s.affinity
	w.srv.background(func() {
		lines := w.srv.statLines()
		w.loop.Post(func() {
			w.defaultPool().Stats(x, &protocol.Request{Verb: protocol.Stats, ValueLen: -1}, affinity, lines)
		})
	})
}
