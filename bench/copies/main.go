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
	"slices"
	"strings"
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

// options are what the command line says, checked.
type options struct {
	runs     int           // of each line, >= 1
	pairs    int           // A B, of what cold keys pay, >= 1
	duration time.Duration // of a run
	lines    []string      // empty: all
	out      string        // the page; empty: by the date
	binary   string        // mcproxy
}

func (o *options) full() bool {
	return o.runs >= fullRuns && o.pairs >= fullPairs && o.duration >= fullSeconds*time.Second && len(o.lines) == 0
}

func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{}
	var seconds int
	var chosen string
	flags := flag.NewFlagSet("bench-copies", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintln(out, "bench-copies starts memcacheds and several mcproxies on loopback, measures what copies of hot keys do, and\n"+
			"writes bench/results/<date>-copies.md (-copies-quick.md unless everything was measured, as often as by default).")
		flags.PrintDefaults()
	}
	flags.IntVar(&o.runs, "runs", fullRuns, "how often each line is measured")
	flags.IntVar(&o.pairs, "pairs", fullPairs, "how many pairs A B of runs, for what cold keys pay")
	flags.IntVar(&seconds, "seconds", fullSeconds, "seconds of a run")
	flags.StringVar(&chosen, "lines", "", "only these, such as zipf,write")
	flags.StringVar(&o.out, "out", "", "the file to write")
	flags.StringVar(&o.binary, "mcproxy", "bin/mcproxy", "the program to measure, which is the load generator too")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	o.duration = time.Duration(seconds) * time.Second
	if chosen != "" {
		o.lines = strings.Split(chosen, ",")
	}
	return o, o.check(flags.Args())
}

func (o *options) check(rest []string) error {
	var wrong []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	must(len(rest) == 0, "unexpected: %q", rest)
	must(o.runs >= 1 && o.runs <= 1000, "--runs %d: want 1 to 1000", o.runs)
	must(o.pairs >= 1 && o.pairs <= 1000, "--pairs %d: want 1 to 1000", o.pairs)
	must(o.duration >= 2*time.Second && o.duration <= time.Hour, "--seconds %v: want 2 to 3600", o.duration.Seconds())
	var names []string
	for _, l := range (&harness{}).lines() {
		names = append(names, l.Name)
	}
	for _, name := range o.lines {
		must(slices.Contains(names, name), "--lines %q: want some of %s", name, strings.Join(names, ","))
	}
	return errors.Join(wrong...)
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
	machine, err := rig.NewMachine(ctx, "bench-copies", out, opts.binary)
	if err != nil {
		return err
	}
	defer machine.Close()
	h := &harness{machine, opts}
	rows, err := h.Describe(ctx)
	if err != nil {
		return err
	}
	rows = append(rows, []string{"memcached", h.VersionLine(ctx, "memcached", "-V")})
	page := &rig.Page{
		Title: "Copies of hot keys", Target: "bench-copies", Kind: "-copies", Full: opts.full(), Begun: time.Now(), Machine: rows,
		Method: fmt.Sprintf("Fresh memcacheds (-t 1) for each line, and fresh mcproxies (1 worker each, as by default but for `[pools.main.replicas]` and a "+
			"timeout of 5 s), which know nothing of each other. The proxies are on one core, `mcproxy bench` and the memcacheds on another. A line is measured %d "+
			"times, %v each, and what counts is the median, with the least and the greatest beside it. `make bench-copies COPYFLAGS='--lines zipf'` measures one line.",
			opts.runs, opts.duration),
		Head: []string{"", "line", "to reach", "figures (median, min..max)", "reached"},
	}
	var chosen []rig.Load
	for _, l := range h.lines() {
		if len(opts.lines) == 0 || slices.Contains(opts.lines, l.Name) {
			chosen = append(chosen, l)
		}
	}
	return h.Run(ctx, page, chosen, opts.out)
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
