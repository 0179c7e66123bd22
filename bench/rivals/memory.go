package main

import (
	"context"
	"fmt"
	"net"
	"time"
)

// How long a proxy may take to give memory back, and how often one looks.
const (
	settleTimeout  = 30 * time.Second
	settleInterval = 250 * time.Millisecond
)

// memoryRounds is how often the memory of fresh processes is measured: it varies far less than times do.
const memoryRounds = 3

// waitResident returns as soon as the process has no more than enough bytes resident, or after settleTimeout: with how many it
// has then, and how long that took.
func waitResident(ctx context.Context, pid int, enough float64) (resident float64, took time.Duration, err error) {
	begun := time.Now()
	for {
		bytes, err := readResident(pid)
		took = time.Since(begun)
		if err != nil || float64(bytes) <= enough || took >= settleTimeout {
			return float64(bytes), took, err
		}
		select {
		case <-time.After(settleInterval):
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
	}
}

// maxResidue is the part of the memory before a load that may be resident after it.
const maxResidue = 1.20

// remains is the memory of a process before, during and after a load, in bytes.
type remains struct {
	before, peak, after float64
	took                time.Duration // until it was as little as after
}

// memoryAfterwards measures what multi-gets of 33,000 keys leave behind in a proxy.
func memoryAfterwards(ctx context.Context, h *harness, f *findings) error {
	result := table{
		title: "33,000 keys: resident memory, median (min..max) of fresh processes",
		head:  []string{"proxy", "before", "peak", "after", "after : before", "seconds until then"},
	}
	for i, c := range h.candidates() {
		var before, peak, after, ratios, took []float64
		for range min(h.opts.pairs, memoryRounds) {
			var r remains
			err := h.persist(ctx, func() (err error) {
				r, err = h.remains(ctx, c)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			h.say("%s: %s before, %s at most, %s after %.1f s", c.name, mebibytes(r.before), mebibytes(r.peak), mebibytes(r.after), r.took.Seconds())
			before, peak, after = append(before, r.before), append(peak, r.peak), append(after, r.after)
			ratios, took = append(ratios, r.after/r.before), append(took, r.took.Seconds())
		}
		result.rows = append(result.rows, []string{
			c.name, spreadOf(before).format(mebibytes), spreadOf(peak).format(mebibytes), spreadOf(after).format(mebibytes),
			spreadOf(ratios).format(ratio), spreadOf(took).format(decimals(1, "")),
		})
		if i == 0 {
			f.verdicts = append(f.verdicts, verdict{
				what: "33,000 keys: memory after : before", limit: maxResidue, text: ratio, figure: spreadOf(ratios),
			})
		}
	}
	f.tables = append(f.tables, result)
	f.note("\"before\" is after a second of single gets on 50 conns; \"after\" is read every %v until it is within %.0f %% of that, for at most %v.",
		settleInterval, 100*(maxResidue-1), settleTimeout)
	return nil
}

// A candidate is a proxy whose memory is measured; start gives a fresh process, but for a user's own.
type candidate struct {
	name  string
	start func(context.Context, *fleet) (proxy, error)
}

// candidates are mcproxy, which is judged, and the rivals that can hold many clients; not the relay, which keeps nothing.
func (h *harness) candidates() []candidate {
	all := []candidate{{ours, func(ctx context.Context, fl *fleet) (proxy, error) { return fl.startMcproxy(ctx, 1) }}}
	if h.starts(nutcracker) {
		all = append(all, candidate{nutcracker, func(ctx context.Context, fl *fleet) (proxy, error) { return fl.startNutcracker(ctx, nutcracker, 0) }})
	}
	for _, rival := range h.opts.rivals {
		all = append(all, candidate{rival.name, func(context.Context, *fleet) (proxy, error) { return rival, nil }})
	}
	return all
}

// remains measures a candidate once.
func (h *harness) remains(ctx context.Context, c candidate) (remains, error) {
	fl, err := h.startFleet(ctx, usualBackends, memcachedMemory)
	if err != nil {
		return remains{}, err
	}
	defer fl.close()
	p, err := c.start(ctx, fl)
	if err != nil {
		return remains{}, err
	}
	wide := multigets("", 1, 33_000)
	if err := h.fill(ctx, wide, []string{p.address}); err != nil {
		return remains{}, err
	}
	if _, err := h.sample(ctx, subject{p, smallValues(50, 1)}); err != nil {
		return remains{}, err
	}
	var r remains
	bytes, err := readResident(p.pid)
	if err != nil {
		return r, err
	}
	r.before = float64(bytes)
	during, err := h.sample(ctx, subject{p, wide})
	if err != nil {
		return r, err
	}
	r.peak = during.peak
	r.after, r.took, err = waitResident(ctx, p.pid, maxResidue*r.before)
	return r, err
}

// What idle clients may cost.
const (
	idleConns   = 10_000
	maxIdleCost = 10 << 20 // bytes, of all together
)

// idleClients measures the memory that clients cost that said something once and stay.
func idleClients(ctx context.Context, h *harness, f *findings) error {
	if err := h.needDescriptors(idleConns); err != nil {
		return err
	}
	result := table{
		title: fmt.Sprintf("resident memory with %d idle clients, above that of the same process without clients: median (min..max)", idleConns),
		head:  []string{"proxy", "without clients", "above it at once", "above it in the end", "seconds until then"},
	}
	for i, c := range h.candidates() {
		var before, first, last, took []float64
		for range min(h.opts.pairs, memoryRounds) {
			var cost idleCost
			err := h.persist(ctx, func() (err error) {
				cost, err = h.idleCost(ctx, c)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			h.say("%s: %s for %d idle clients, of a process of %s", c.name, mebibytes(cost.last), idleConns, mebibytes(cost.before))
			before, first, last, took = append(before, cost.before), append(first, cost.first), append(last, cost.last), append(took, cost.took.Seconds())
		}
		result.rows = append(result.rows, []string{
			c.name, spreadOf(before).format(mebibytes), spreadOf(first).format(mebibytes), spreadOf(last).format(mebibytes),
			spreadOf(took).format(decimals(1, "")),
		})
		if i == 0 {
			f.verdicts = append(f.verdicts, verdict{
				what: "resident above an idle proxy", limit: maxIdleCost, text: mebibytes, figure: spreadOf(last),
			})
		}
	}
	f.tables = append(f.tables, result)
	f.note("Each client has sent one get, and has read its answer; \"in the end\" is when it is at most %s, or after %v.",
		mebibytes(maxIdleCost), settleTimeout)
	return nil
}

// idleCost is what idle clients cost a process, in bytes.
type idleCost struct {
	before, first, last float64
	took                time.Duration // from the last client's answer
}

// idleCost measures a candidate once.
func (h *harness) idleCost(ctx context.Context, who candidate) (idleCost, error) {
	var c idleCost
	fl, err := h.startFleet(ctx, usualBackends, memcachedMemory)
	if err != nil {
		return c, err
	}
	defer fl.close()
	p, err := who.start(ctx, fl)
	if err != nil {
		return c, err
	}
	bytes, err := readResident(p.pid)
	if err != nil {
		return c, err
	}
	c.before = float64(bytes)
	clients, err := dialIdle(ctx, p.address, idleConns)
	defer func() {
		for _, conn := range clients {
			conn.Close()
		}
	}()
	if err != nil {
		return c, err
	}
	if bytes, err = readResident(p.pid); err != nil {
		return c, err
	}
	c.first = float64(bytes) - c.before
	c.last, c.took, err = waitResident(ctx, p.pid, c.before+maxIdleCost)
	c.last -= c.before
	return c, err
}

// dialIdle opens conns, each of which asks for one key. With an error it gives those that are open.
func dialIdle(ctx context.Context, address string, n int) ([]net.Conn, error) {
	var dialer net.Dialer
	var all []net.Conn
	for i := range n {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return all, fmt.Errorf("client %d: %w", i+1, err)
		}
		all = append(all, conn)
		if err := ask(conn, "get idle\r\n", "END\r\n", 5*time.Second); err != nil {
			return all, fmt.Errorf("client %d: %w", i+1, err)
		}
	}
	return all, nil
}
