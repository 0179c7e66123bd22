package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mcproxy/bench/rig"
)

// A comparison is a load that runs with a fault and without it.
type comparison struct {
	proxy      rig.Proxy
	args       []string // of the load
	begin, end func(context.Context) error
	beside     func(context.Context) error // runs beside the load, with the fault and without; nil: nothing does
}

// The sides of a pair.
const (
	without = iota
	with
)

// A pairing is how the runs of a comparison went, pair by pair.
type pairing [2][]rig.Sample

// ratios are what figure has with the fault for one without.
func (p *pairing) ratios(figure func(rig.Sample) float64) rig.Spread {
	var list []float64
	for i := range p[with] {
		list = append(list, figure(p[with][i])/figure(p[without][i]))
	}
	return rig.SpreadOf(list)
}

func (p *pairing) spread(side int, figure func(rig.Sample) float64) rig.Spread {
	var list []float64
	for _, s := range p[side] {
		list = append(list, figure(s))
	}
	return rig.SpreadOf(list)
}

func rate(s rig.Sample) float64 { return s.Rate }
func p50(s rig.Sample) float64  { return s.P50 }
func p99(s rig.Sample) float64  { return s.P99 }

// compare runs the load in pairs.
func (h *harness) compare(ctx context.Context, c comparison) (*pairing, error) {
	var p pairing
	if _, err := h.once(ctx, c); err != nil { // all that is to be opened is
		return nil, err
	}
	for i := range h.opts.Pairs {
		for turn := range 2 {
			side := (turn + i) % 2
			if side == with {
				if err := c.begin(ctx); err != nil {
					return nil, err
				}
			}
			s, err := h.once(ctx, c)
			if err != nil {
				return nil, err
			}
			if side == with {
				if err := c.end(ctx); err != nil {
					return nil, err
				}
			}
			p[side] = append(p[side], s)
		}
		a, b := p[with][i], p[without][i]
		h.Say("pair %d of %d, with : without: %.0f : %.0f requests/s, p50 %s : %s, p99 %s : %s, %.2f : %.2f µs of the proxy a request", i+1, h.opts.Pairs,
			a.Rate, b.Rate, rig.Duration(a.P50), rig.Duration(b.P50), rig.Duration(a.P99), rig.Duration(b.P99), a.Total(), b.Total())
	}
	return &p, nil
}

// once is one run.
func (h *harness) once(ctx context.Context, c comparison) (s rig.Sample, err error) {
	err = h.Persist(ctx, func() error {
		asking, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { // ends with stop; waited for below
			if c.beside == nil {
				done <- nil
				return
			}
			done <- c.beside(asking)
		}()
		s, err = h.Sample(ctx, c.proxy, h.opts.Duration, append([]string{c.proxy.Address}, c.args...)...)
		stop()
		if other := <-done; err == nil {
			err = other
		}
		return err
	})
	return s, err
}

// tell adds what was measured beside the verdicts.
func (p *pairing) tell(f *rig.Findings, args []string) {
	micro, whole := rig.Decimals(2, " µs"), rig.Decimals(0, "")
	table := rig.Table{Title: "median (min..max)", Head: []string{"", "requests/s", "p50", "p99", "the proxy's time a request"}}
	for side, name := range []string{without: "without", with: "with"} {
		table.Rows = append(table.Rows, []string{
			name, p.spread(side, rate).Format(whole), p.spread(side, p50).Format(rig.Duration), p.spread(side, p99).Format(rig.Duration),
			p.spread(side, rig.Sample.Total).Format(micro),
		})
	}
	table.Rows = append(table.Rows, []string{
		"with : without", p.ratios(rate).Format(thousandths), p.ratios(p50).Format(thousandths), p.ratios(p99).Format(thousandths),
		p.ratios(rig.Sample.Total).Format(thousandths),
	})
	f.Tables = append(f.Tables, table)
	f.Note("`mcproxy bench PROXY %s`", strings.Join(args, " "))
}

func thousandths(v float64) string { return rig.Decimals(3, "")(v) }

func verdict(what string, limit float64, floor bool, figure rig.Spread) rig.Verdict {
	return rig.Verdict{What: what + ", with : without", Limit: limit, Floor: floor, Text: thousandths, Figure: figure}
}

// loadArgs are the options of the load that is judged: so many conns, and so many requests a second; 0 is a closed loop.
func loadArgs(conns, rate int, more ...string) []string {
	args := append([]string{"--conns", strconv.Itoa(conns), "--value-size", "100", "--set-ratio", "0.1", "--threads", "1"}, more...)
	if rate > 0 {
		args = append(args, "--rate", strconv.Itoa(rate))
	}
	return args
}

// awaitTimeout is how long a state may take to come about.
const awaitTimeout = 20 * time.Second

// await asks until is reports true.
func await(ctx context.Context, what string, is func() (bool, error)) error {
	for start := time.Now(); ; {
		if ok, err := is(); err != nil || ok {
			return err
		}
		if time.Since(start) > awaitTimeout {
			return fmt.Errorf("%s: not after %v", what, awaitTimeout)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
