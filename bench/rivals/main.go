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
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-rivals:", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		os.Exit(1)
	}
}

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
	r, err := newReport(ctx, h, time.Now())
	if err != nil {
		return err
	}
	failed := h.measureAll(ctx, r)
	if ctx.Err() != nil {
		failed = errors.New("interrupted")
	}
	if len(r.outcomes) == 0 {
		return failed
	}
	file := opts.out
	if file == "" {
		file = r.defaultFile()
	}
	if err := r.write(file); err != nil {
		return errors.Join(failed, err)
	}
	h.Say("written to %s", file)
	return failed
}

// measureAll measures load after load. One that fails is an outcome too: the page says so.
func (h *harness) measureAll(ctx context.Context, r *report) error {
	var failed []error
	for _, l := range loads() {
		if !h.chosen(l.name) {
			continue
		}
		h.Say("%s: %s", l.name, l.title)
		f, err := h.measure(ctx, l)
		if ctx.Err() != nil {
			r.interrupted = true
			return nil
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", l.name, err)
			failed = append(failed, err)
			h.Say("%v", err)
		}
		r.outcomes = append(r.outcomes, outcome{load: l, findings: f, err: err})
	}
	return errors.Join(failed...)
}
