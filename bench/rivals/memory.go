package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"mcproxy/bench/rig"
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
		bytes, err := rig.ReadResident(pid)
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
func memoryAfterwards(ctx context.Context, h *harness, f *rig.Findings) error {
	result := rig.Table{
		Title: "33,000 keys: resident memory, median (min..max) of fresh processes",
		Head:  []string{"proxy", "before", "peak", "after", "after : before", "seconds until then"},
	}
	for i, c := range h.candidates() {
		var before, peak, after, ratios, took []float64
		for range min(h.opts.Pairs, memoryRounds) {
			var r remains
			err := h.Persist(ctx, func() (err error) {
				r, err = h.remains(ctx, c)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			h.Say("%s: %s before, %s at most, %s after %.1f s", c.name, rig.Mebibytes(r.before), rig.Mebibytes(r.peak), rig.Mebibytes(r.after), r.took.Seconds())
			before, peak, after = append(before, r.before), append(peak, r.peak), append(after, r.after)
			ratios, took = append(ratios, r.after/r.before), append(took, r.took.Seconds())
		}
		result.Rows = append(result.Rows, []string{
			c.name, rig.SpreadOf(before).Format(rig.Mebibytes), rig.SpreadOf(peak).Format(rig.Mebibytes), rig.SpreadOf(after).Format(rig.Mebibytes),
			rig.SpreadOf(ratios).Format(rig.Ratio), rig.SpreadOf(took).Format(rig.Decimals(1, "")),
		})
		if i == 0 {
			f.Verdicts = append(f.Verdicts, rig.Verdict{
				What: "33,000 keys: memory after : before", Limit: maxResidue, Text: rig.Ratio, Figure: rig.SpreadOf(ratios),
			})
		}
	}
	f.Tables = append(f.Tables, result)
	f.Note("\"before\" is after a second of single gets on 50 conns; \"after\" is read every %v until it is within %.0f %% of that, for at most %v.",
		settleInterval, 100*(maxResidue-1), settleTimeout)
	return nil
}

// A candidate is a proxy whose memory is measured; start gives a fresh process, but for a user's own.
type candidate struct {
	name  string
	start func(context.Context, *fleet) (rig.Proxy, error)
}

// candidates are mcproxy, which is judged, and the rivals that can hold many clients; not the relay, which keeps nothing.
func (h *harness) candidates() []candidate {
	all := []candidate{{ours, func(ctx context.Context, fl *fleet) (rig.Proxy, error) { return fl.startMcproxy(ctx, 1) }}}
	if h.starts(nutcracker) {
		all = append(all, candidate{nutcracker, func(ctx context.Context, fl *fleet) (rig.Proxy, error) {
			return fl.StartNutcracker(ctx, nutcracker, 0)
		}})
	}
	for _, rival := range h.opts.rivals {
		all = append(all, candidate{rival.Name, func(context.Context, *fleet) (rig.Proxy, error) { return rival, nil }})
	}
	return all
}

// remains measures a candidate once.
func (h *harness) remains(ctx context.Context, c candidate) (remains, error) {
	fl, err := h.startFleet(ctx, usualBackends, memcachedMemory)
	if err != nil {
		return remains{}, err
	}
	defer fl.Close()
	p, err := c.start(ctx, fl)
	if err != nil {
		return remains{}, err
	}
	wide := multigets("", 1, 33_000)
	if err := h.fill(ctx, wide, []string{p.Address}); err != nil {
		return remains{}, err
	}
	if _, err := h.sample(ctx, subject{p, smallValues(50, 1)}); err != nil {
		return remains{}, err
	}
	var r remains
	bytes, err := rig.ReadResident(p.PID)
	if err != nil {
		return r, err
	}
	r.before = float64(bytes)
	during, err := h.sample(ctx, subject{p, wide})
	if err != nil {
		return r, err
	}
	r.peak = during.Peak
	r.after, r.took, err = waitResident(ctx, p.PID, maxResidue*r.before)
	return r, err
}

// What idle clients may cost.
const (
	idleConns   = 10_000
	maxIdleCost = 10 << 20 // bytes, of all together
)

// idleClients measures the memory that clients cost that said something once and stay.
func idleClients(ctx context.Context, h *harness, f *rig.Findings) error {
	if err := h.NeedDescriptors(idleConns); err != nil {
		return err
	}
	result := rig.Table{
		Title: fmt.Sprintf("resident memory with %d idle clients, above that of the same process without clients: median (min..max)", idleConns),
		Head:  []string{"proxy", "without clients", "above it at once", "above it in the end", "seconds until then"},
	}
	for i, c := range h.candidates() {
		var before, first, last, took []float64
		for range min(h.opts.Pairs, memoryRounds) {
			var cost idleCost
			err := h.Persist(ctx, func() (err error) {
				cost, err = h.idleCost(ctx, c)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			h.Say("%s: %s for %d idle clients, of a process of %s", c.name, rig.Mebibytes(cost.last), idleConns, rig.Mebibytes(cost.before))
			before, first, last, took = append(before, cost.before), append(first, cost.first), append(last, cost.last), append(took, cost.took.Seconds())
		}
		result.Rows = append(result.Rows, []string{
			c.name, rig.SpreadOf(before).Format(rig.Mebibytes), rig.SpreadOf(first).Format(rig.Mebibytes), rig.SpreadOf(last).Format(rig.Mebibytes),
			rig.SpreadOf(took).Format(rig.Decimals(1, "")),
		})
		if i == 0 {
			f.Verdicts = append(f.Verdicts, rig.Verdict{
				What: "resident above an idle proxy", Limit: maxIdleCost, Text: rig.Mebibytes, Figure: rig.SpreadOf(last),
			})
		}
	}
	f.Tables = append(f.Tables, result)
	f.Note("Each client has sent one get, and has read its answer; \"in the end\" is when it is at most %s, or after %v.",
		rig.Mebibytes(maxIdleCost), settleTimeout)
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
	defer fl.Close()
	p, err := who.start(ctx, fl)
	if err != nil {
		return c, err
	}
	bytes, err := rig.ReadResident(p.PID)
	if err != nil {
		return c, err
	}
	c.before = float64(bytes)
	clients, err := dialIdle(ctx, p.Address, idleConns)
	defer func() {
		for _, conn := range clients {
			conn.Close()
		}
	}()
	if err != nil {
		return c, err
	}
	if bytes, err = rig.ReadResident(p.PID); err != nil {
		return c, err
	}
	c.first = float64(bytes) - c.before
	c.last, c.took, err = waitResident(ctx, p.PID, c.before+maxIdleCost)
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
		if err := rig.Ask(conn, "get idle\r\n", "END\r\n", 5*time.Second); err != nil {
			return all, fmt.Errorf("client %d: %w", i+1, err)
		}
	}
	return all, nil
}
