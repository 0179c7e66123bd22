// Command copies measures what copies of hot keys do, with several proxies before the same real memcacheds, against targets: "make
// bench-copies" runs it.
//
//	lines    what is measured, and what each is to reach
//	  skew   Zipf's law, one viral key, a proxy that comes later
//	  onset  how long it takes until copies are read
//	  cold   what keys without copies pay
//	  write  what a write of a key with copies takes
//	windows  the memcacheds' own counters, second by second
//	copies   what a proxy tells of its copies, over HTTP
//
// Package rig has the processes, the runs and the page.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"mcproxy/bench/rig"
)

func main() { rig.Main("bench-copies", run) }

// What a full run is; a smaller one is for a quick look.
const (
	fullRuns    = 3
	fullPairs   = 10
	fullSeconds = 10
)

// options are what the command line says, checked. The pairs are of what cold keys pay.
type options struct{ rig.Options }

func (o *options) full() bool { return o.Runs >= fullRuns && o.Full(fullPairs, fullSeconds) }

func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{rig.Options{Runs: fullRuns, Pairs: fullPairs, Duration: fullSeconds * time.Second}}
	flags := flag.NewFlagSet("bench-copies", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintln(out, "bench-copies starts memcacheds and several mcproxies on loopback, measures what copies of hot keys do, and\n"+
			"writes bench/results/<date>-copies.md (-copies-quick.md unless everything was measured, as often as by default).")
		flags.PrintDefaults()
	}
	var names []string
	for _, l := range (&harness{}).lines() {
		names = append(names, l.Name)
	}
	err := o.Parse(flags, args, rig.Choice{Option: "lines", Example: "zipf,write", Names: names})
	if err == nil && o.Duration < 2*time.Second {
		err = errors.New("--seconds 1: want 2 to 3600, as a run is divided") // by two loads, or into windows
	}
	return o, err
}

// A harness measures lines.
type harness struct {
	*rig.Machine
	opts *options
}

// run measures the lines that args choose and writes the page; what it does meanwhile goes to out.
func run(ctx context.Context, args []string, out io.Writer) error {
	opts, err := parseOptions(args, out)
	if err != nil {
		return err
	}
	machine, page, err := opts.Begin(ctx, "bench-copies", out)
	if err != nil {
		return err
	}
	defer machine.Close()
	h := &harness{machine, opts}
	page.Title, page.Kind, page.Full = "Copies of hot keys", "-copies", opts.full()
	page.Method = fmt.Sprintf("Fresh memcacheds (-t 1) for each line, and fresh mcproxies (1 worker each, as by default but for `[pools.main.replicas]` and a "+
		"timeout of 5 s), which know nothing of each other. The proxies are on one core, `mcproxy bench` and the memcacheds on another. A line is measured %d "+
		"times, %v each, and what counts is the median, with the least and the greatest beside it. `make bench-copies COPYFLAGS='--lines zipf'` measures one line.",
		opts.Runs, opts.Duration)
	return h.Run(ctx, page, opts.Select(h.lines()), opts.Out)
}

// lines are all.
func (h *harness) lines() []rig.Load {
	return []rig.Load{
		{
			Name: "zipf", Title: "Zipf(1.2) over 8 servers, through 4 proxies", Measure: h.zipf,
			ToReach: "busiest server : mean ≤ 1.10, operations and bytes, in windows of 1 s",
		},
		{
			Name: "viral", Title: "one viral key, asked through 4 proxies with a small rate each, 8 servers", Measure: h.viral,
			ToReach: "home server's operations ≤ 1.15 x the mean",
		},
		{Name: "onset", Title: "a key becomes hot at 4 proxies", Measure: h.onset, ToReach: "≤ 1.2 s from onset to copies being read, each time"},
		{Name: "cold", Title: "uniform load, with copies and without", Measure: h.cold, ToReach: "no request more; throughput ≥ 99 %"},
		{
			Name: "write", Title: "writes of a key with copies, beside those of one without", Measure: h.write,
			ToReach: "p99 ≤ 2 round trips + 100 µs, and 3 + 100 µs if strict",
		},
		{
			Name: "joins", Title: "a proxy that comes while Zipf(1.2) goes through 3 others", Measure: h.joins,
			ToReach: "it reads copies; busiest server : mean ≤ 1.10 as before",
		},
	}
}
