package admin

import (
	"slices"
	"time"

	"mcproxy/proxy"
)

// A Status is what GET /api/status answers, as JSON: how it stands now. Figures a second and ratios are means over the last Seconds.
type Status struct {
	At        time.Time    `json:"at"`
	Seconds   Figure       `json:"seconds"`
	Version   string       `json:"version"`
	GoVersion string       `json:"go_version"`
	Start     time.Time    `json:"start"` // of the process
	Ready     bool         `json:"ready"` // clients are accepted
	Workers   int          `json:"workers"`
	Clients   ClientStatus `json:"clients"`
	Pools     []PoolStatus `json:"pools"` // in the order of the configuration

	Events []proxy.Event `json:"events"` // the last 256, the newest first
}

// A ClientStatus is about all clients together.
type ClientStatus struct {
	Conns    int    `json:"conns"`
	Accepted uint64 `json:"accepted"` // conns, since the start
	Rejected uint64 `json:"rejected"`
	Sent     Figure `json:"sent_bytes_per_second"` // to clients
	Received Figure `json:"received_bytes_per_second"`

	// Addresses are at most 50, the busiest of the last minute first, and then all others as "other".
	Addresses []AddressStatus `json:"addresses"`
}

// An AddressStatus is about the clients with one address.
type AddressStatus struct {
	Address  string `json:"address"`
	Conns    int    `json:"conns"`
	Requests Figure `json:"requests_per_second"`
	Stores   Figure `json:"stores_per_second"` // requests that bring a value
	Sent     Figure `json:"sent_bytes_per_second"`
	Received Figure `json:"received_bytes_per_second"`
}

// A PoolStatus is about one pool.
type PoolStatus struct {
	Pool      string          `json:"pool"`
	Ops       Figure          `json:"operations_per_second"` // requests of clients
	HitRatio  Figure          `json:"hit_ratio"`             // 0..1; null if nobody has read
	Failures  Figure          `json:"failures_per_second"`   // requests, or parts of some, whose backend did not answer
	Coalesced Figure          `json:"coalesced_reads_per_second"`
	HotKeys   int             `json:"hot_keys"`
	Oversized int             `json:"oversized_keys"` // of the last minute
	Latency   []Latency       `json:"latency"`        // of all requests ("all"), and of each kind that there was
	Skew      Skew            `json:"skew"`
	Backends  []BackendStatus `json:"backends"` // in the order of the configuration
}

// A Latency is how long requests took, in seconds: from when they were read to when their answers were there. A share of 50 %, 99 % and
// 99.9 % of them took no longer than so.
type Latency struct {
	Op   string `json:"operation"`
	Rate Figure `json:"per_second"`
	P50  Figure `json:"p50"`
	P99  Figure `json:"p99"`
	P999 Figure `json:"p99_9"`
}

// A Skew says how uneven the backends' load is: the busiest one's over the mean. 1 is even, the number of backends is all on one, and
// null is no load.
type Skew struct {
	Ops      Figure `json:"operations"`
	Bytes    Figure `json:"bytes"` // both ways
	Sent     Figure `json:"sent_bytes"`
	Received Figure `json:"received_bytes"`
	Busiest  string `json:"busiest"` // the backend with most bytes; "" if there is no load
}

// A BackendStatus is about one backend.
type BackendStatus struct {
	Backend     string `json:"backend"`
	Address     string `json:"address"`
	Version     string `json:"version"`               // as it says itself; "" while unknown
	State       string `json:"state"`                 // "up", "down", "held" or "quarantined"
	Ops         Figure `json:"operations_per_second"` // calls
	Sent        Figure `json:"sent_bytes_per_second"` // to the backend
	Received    Figure `json:"received_bytes_per_second"`
	Load        Figure `json:"load"` // its bytes, both ways, over the mean backend's
	Failures    Figure `json:"failures_per_second"`
	Timeouts    Figure `json:"timeouts_per_second"`
	Conns       int    `json:"conns"`
	Pending     int    `json:"pending_calls"`
	JournalKeys int    `json:"journal_keys"`
}

// statusOf tells what has happened between two moments.
func statusOf(now, then moment, build Build, ready bool) Status {
	seconds := now.at.Sub(then.at).Seconds()
	rate := func(now, then uint64) Figure { return Figure(perSecond(now, then, seconds)) }
	c, before := &now.Clients, &then.Clients
	out := Status{
		At: now.at.UTC(), Seconds: Figure(seconds), Version: build.Version, GoVersion: build.GoVersion, Start: now.Start.UTC(), Ready: ready,
		Workers: now.Workers,
		Clients: ClientStatus{
			Conns: c.Conns, Accepted: c.Accepted, Rejected: c.Rejected, Sent: rate(c.BytesOut, before.BytesOut),
			Received: rate(c.BytesIn, before.BytesIn), Addresses: addressesOf(now.Addresses, then.Addresses, rate),
		},
		Pools: []PoolStatus{}, Events: slices.Clone(now.Events),
	}
	slices.Reverse(out.Events)
	for i := range now.Pools {
		p := &now.Pools[i]
		old := poolOf(&then.Snapshot, p.Name)
		if old == nil { // it is new, and nothing can be said of its rates yet
			old = p
		}
		hits, misses := rate(p.Hits, old.Hits), rate(p.Misses, old.Misses)
		ps := PoolStatus{
			Pool: p.Name, Ops: rate(requests(p), requests(old)), HitRatio: over(float64(hits), float64(hits+misses)),
			Failures: rate(p.Failures, old.Failures), Coalesced: rate(p.Joined, old.Joined), Oversized: len(p.Oversized), Backends: []BackendStatus{},
			Latency: latencyOf(p, old, seconds),
		}
		for _, n := range p.HotKeys {
			ps.HotKeys += n
		}
		for j := range p.Backends {
			ps.Backends = append(ps.Backends, backendStatus(&p.Backends[j], old, rate))
		}
		ps.weigh()
		out.Pools = append(out.Pools, ps)
	}
	return out
}

// addressesOf compares what clients did by address. An address that was not told by name before has no rates yet.
func addressesOf(now, then []proxy.AddressFigures, rate func(now, then uint64) Figure) []AddressStatus {
	list := []AddressStatus{}
	for i := range now {
		a := &now[i]
		old := a
		if j := slices.IndexFunc(then, func(o proxy.AddressFigures) bool { return o.Address == a.Address }); j >= 0 {
			old = &then[j]
		}
		list = append(list, AddressStatus{
			Address: a.Address, Conns: a.Conns, Requests: rate(a.Requests, old.Requests), Stores: rate(a.Stores, old.Stores),
			Sent: rate(a.BytesOut, old.BytesOut), Received: rate(a.BytesIn, old.BytesIn),
		})
	}
	return list
}

// latencyOf gives the percentiles of the requests between two moments: of all, and of each kind.
func latencyOf(now, then *proxy.PoolFigures, seconds float64) []Latency {
	var all proxy.Histogram
	kinds := []Latency{}
	for i := range now.Durations {
		d := &now.Durations[i]
		h := d.Histogram
		if j := slices.IndexFunc(then.Durations, func(o proxy.OpDurations) bool { return o.Op == d.Op }); j >= 0 && then.Durations[j].Count() <= d.Count() { // else it was begun anew
			h = d.Since(then.Durations[j].Histogram)
		}
		all.Merge(&h)
		if h.Count() > 0 {
			kinds = append(kinds, percentiles(d.Op, &h, seconds))
		}
	}
	return append([]Latency{percentiles("all", &all, seconds)}, kinds...)
}

func percentiles(op string, h *proxy.Histogram, seconds float64) Latency {
	l := Latency{Op: op, Rate: Figure(perSecond(h.Count(), 0, seconds)), P50: None(), P99: None(), P999: None()}
	if h.Count() > 0 {
		l.P50, l.P99, l.P999 = Figure(h.Quantile(.5)), Figure(h.Quantile(.99)), Figure(h.Quantile(.999))
	}
	return l
}

func backendStatus(b *proxy.BackendFigures, pool *proxy.PoolFigures, rate func(now, then uint64) Figure) BackendStatus {
	old := backendOf(pool, b.Name)
	if old == nil {
		old = b
	}
	return BackendStatus{
		Backend: b.Name, Address: b.Address, Version: b.Version, State: stateOf(b), Ops: rate(b.Calls, old.Calls), Sent: rate(b.BytesOut, old.BytesOut),
		Received: rate(b.BytesIn, old.BytesIn), Failures: rate(b.Failures, old.Failures), Timeouts: rate(b.Timeouts, old.Timeouts),
		Conns: b.Conns, Pending: b.Pending, JournalKeys: b.JournalKeys,
	}
}

// stateOf is the state that people are shown: a backend that is up is quarantined until all proxies have agreed that its keys are looked
// for there.
func stateOf(b *proxy.BackendFigures) string {
	if b.State == "up" && (b.Standing == "away" || b.Standing == "none") {
		return "quarantined"
	}
	return b.State
}

// weigh compares the backends with each other.
func (p *PoolStatus) weigh() {
	n := float64(len(p.Backends))
	skew := func(read func(b *BackendStatus) Figure) (ratio Figure, mean float64) {
		var sum, most float64
		for i := range p.Backends {
			v := float64(read(&p.Backends[i]))
			sum, most = sum+v, max(most, v)
		}
		return over(most*n, sum), sum / n
	}
	p.Skew.Ops, _ = skew(func(b *BackendStatus) Figure { return b.Ops })
	p.Skew.Sent, _ = skew(func(b *BackendStatus) Figure { return b.Sent })
	p.Skew.Received, _ = skew(func(b *BackendStatus) Figure { return b.Received })
	var mean float64
	p.Skew.Bytes, mean = skew(func(b *BackendStatus) Figure { return b.Sent + b.Received })
	most := 0.0
	for i := range p.Backends {
		b := &p.Backends[i]
		v := float64(b.Sent + b.Received)
		b.Load = over(v, mean)
		if v > most {
			most, p.Skew.Busiest = v, b.Backend
		}
	}
}
