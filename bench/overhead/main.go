// Command overhead measures what counting requests costs mcproxy: the program as it is, asked for its metrics once a second, against the
// same program built to count nothing (the build tag uncounted). "make bench-metrics" runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mcproxy/bench/rig"
)

// What a full run is; a smaller one is for a quick look.
const (
	fullPairs   = 20
	fullSeconds = 3
)

func main() { rig.Main("bench-metrics", run) }

// options are what the command line says, checked.
type options struct {
	rig.Options
	uncounted string // mcproxy that counts nothing: an absolute path
}

func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{Options: rig.Options{Pairs: fullPairs, Duration: fullSeconds * time.Second}}
	flags := flag.NewFlagSet("bench-metrics", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.uncounted, "uncounted", "bin/mcproxy-uncounted", "the program to compare with, built with the tag uncounted")
	err := o.Parse(flags, args, rig.Choice{})
	if err != nil {
		return nil, err
	}
	if o.uncounted, err = filepath.Abs(o.uncounted); err != nil {
		return nil, err
	}
	_, err = os.Stat(o.uncounted)
	return o, err
}

// run measures both loads and writes the page; what it does meanwhile goes to out.
func run(ctx context.Context, args []string, out io.Writer) error {
	opts, err := parseOptions(args, out)
	if err != nil {
		return err
	}
	machine, page, err := opts.Begin(ctx, "bench-metrics", out)
	if err != nil {
		return err
	}
	defer machine.Close()
	h := &harness{machine, opts}
	page.Title, page.Kind, page.Full = "What counting costs", "-metrics", opts.Full(fullPairs, fullSeconds)
	page.Method = fmt.Sprintf("4 memcacheds (-t 1) and two mcproxies before them (1 worker, configured as for `make bench-rivals`): the program as it is, whose "+
		"/metrics is fetched once a second, and the same source built with the tag uncounted, which counts no requests, keys, bytes, sizes, lifetimes and durations. "+
		"The proxies are on one core, `mcproxy bench` and the memcacheds on another. They take turns, A B, B A, %d pairs of runs of %v after a warm-up of %v; "+
		"what counts is the median of the pairs' ratios, with the least and the greatest beside it.", opts.Pairs, opts.Duration, rig.Warmup)
	loads := []rig.Load{
		{Name: "W1", Title: "50 conns, no pipelining, 100 B, 10 % sets", Measure: func(ctx context.Context, f *rig.Findings) error { return h.compare(ctx, f, 1) }},
		{Name: "W3", Title: "50 conns, pipeline 16", Measure: func(ctx context.Context, f *rig.Findings) error { return h.compare(ctx, f, 16) }},
	}
	for i := range loads {
		loads[i].ToReach = "all metrics ≤ 2 %"
	}
	return h.Run(ctx, page, loads, opts.Out)
}

// A harness measures loads.
type harness struct {
	*rig.Machine
	opts *options
}

const (
	counted = "counted"                                  // the program as it is, in tables
	ring    = "ring = \"ketama\"\nhash = \"fnv1a_64\"\n" // that of make bench-rivals
)

// compare is one load.
func (h *harness) compare(ctx context.Context, f *rig.Findings, pipeline int) error {
	fl, err := h.StartFleet(ctx, 4, 256)
	if err != nil {
		return err
	}
	defer fl.Close()
	with, err := fl.StartMcproxy(ctx, counted, rig.McproxyConfig{Workers: 1, Ring: ring})
	if err != nil {
		return err
	}
	without, err := fl.StartMcproxy(ctx, "uncounted", rig.McproxyConfig{Workers: 1, Ring: ring, Program: h.opts.uncounted})
	if err != nil {
		return err
	}
	args := []string{"--conns", "50", "--pipeline", strconv.Itoa(pipeline), "--keys", "100000", "--value-size", "100", "--set-ratio", "0.1", "--threads", "1"}
	for _, p := range []rig.Proxy{with, without} {
		err := h.Persist(ctx, func() error {
			_, err := h.Generate(ctx, append([]string{p.Address, "--prefill=true", "--requests", "50000"}, args...)...)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := areTwo(ctx, with, without); err != nil {
		return err
	}
	sides := []rig.Proxy{with, without}
	var total, rate [2][]float64
	var ratios, rates []float64
	for i := range h.opts.Pairs {
		for turn := range sides {
			side := (turn + i) % 2
			s, err := h.sample(ctx, sides[side], args)
			if err != nil {
				return err
			}
			total[side], rate[side] = append(total[side], s.Total()), append(rate[side], s.Rate)
		}
		ratios, rates = append(ratios, total[0][i]/total[1][i]), append(rates, rate[0][i]/rate[1][i])
		h.Say("pair %d of %d: %.3f : %.3f µs, %.0f : %.0f requests/s", i+1, h.opts.Pairs, total[0][i], total[1][i], rate[0][i], rate[1][i])
	}
	thousandths := rig.Decimals(3, "")
	f.Verdicts = append(f.Verdicts,
		rig.Verdict{What: "user + system, counted : uncounted", Limit: 1.02, Text: thousandths, Figure: rig.SpreadOf(ratios)},
		rig.Verdict{What: "requests/s, counted : uncounted", Limit: 0.98, Floor: true, Text: thousandths, Figure: rig.SpreadOf(rates)},
	)
	micro, whole := rig.Decimals(3, " µs"), rig.Decimals(0, "")
	table := rig.Table{Title: "median (min..max)", Head: []string{"program", "user + system a request", "requests/s"}}
	for side, p := range sides {
		table.Rows = append(table.Rows, []string{p.Name, rig.SpreadOf(total[side]).Format(micro), rig.SpreadOf(rate[side]).Format(whole)})
	}
	f.Tables = append(f.Tables, table)
	f.Note("`mcproxy bench PROXY %s`", strings.Join(args, " "))
	return nil
}

// sample measures a proxy; one that counts is asked for its metrics meanwhile.
func (h *harness) sample(ctx context.Context, p rig.Proxy, args []string) (s rig.Sample, err error) {
	err = h.Persist(ctx, func() error {
		asking, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		if p.Name == counted {
			go func() { done <- scrape(asking, p) }()
		} else {
			done <- nil
		}
		s, err = h.Sample(ctx, p, h.opts.Duration, append([]string{p.Address}, args...)...)
		stop()
		return errors.Join(err, <-done)
	})
	return s, err
}

// scrape fetches the metrics once a second until ctx is done.
func scrape(ctx context.Context, p rig.Proxy) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := p.Ask(ctx, "/metrics"); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// areTwo sees that after a load one of them has counted requests and the other has not.
func areTwo(ctx context.Context, with, without rig.Proxy) error {
	for _, p := range []rig.Proxy{with, without} {
		text, err := p.Ask(ctx, "/metrics")
		if err != nil {
			return err
		}
		if counts := strings.Contains(string(text), "mcproxy_pool_requests_total{pool=\"main\",verb=\"get\""); counts != (p.Name == counted) {
			return fmt.Errorf("%s: requests are counted: %v", p.Name, counts)
		}
	}
	return nil
}
