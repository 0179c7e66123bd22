// Command rivals compares mcproxy with other proxies on one machine: twemproxy (nutcracker), haproxy as a plain TCP relay, and
// any that a user has built. "make bench-rivals" runs it.
//
//	loads        W1 … W8 and what each is to reach
//	  harness    runs a load: alternating pairs (compare), ranges (growth), idle clients, system calls
//	    fleet    the memcacheds and proxies of one load; package rig has the processes, the runs and the tables
//	  findings   figures against targets
//	report       the page that is written
//
// It needs the programs alone, and knows nothing of mcproxy but its command line, its configuration file and the load
// generator's JSON.
package main

import (
	"context"
	"io"
	"time"

	"mcproxy/bench/rig"
)

func main() { rig.Main("bench-rivals", run) }

// run measures the loads that args choose and writes the page; what it does meanwhile goes to out. When ctx is done it ends
// what it has started, and writes what was finished. A load that could not be measured is an error, after all others were.
func run(ctx context.Context, args []string, out io.Writer) error {
	opts, err := parseOptions(args, out)
	if err != nil {
		return err
	}
	h, err := newHarness(ctx, opts, out)
	if err != nil {
		return err
	}
	defer h.Close()
	page, err := newPage(ctx, h, time.Now())
	if err != nil {
		return err
	}
	return h.Run(ctx, page, h.loads(), opts.Out)
}

// loads are those that the options choose.
func (h *harness) loads() []rig.Load {
	var chosen []rig.Load
	for _, l := range loads() {
		if h.opts.Measured(l.name) {
			chosen = append(chosen, rig.Load{
				Name: l.name, Title: l.title, ToReach: l.toReach,
				Measure: func(ctx context.Context, f *rig.Findings) error { return h.measure(ctx, l, f) },
			})
		}
	}
	return chosen
}
