package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// What a full run is; a smaller one is for a quick look.
const (
	fullRuns    = 3
	fullPairs   = 10
	fullSeconds = 5
)

// options are what the command line says, checked.
type options struct {
	runs      int           // of each line, >= 1
	pairs     int           // A B, of what watching costs, >= 1
	duration  time.Duration // of a run
	lines     []string      // a …; empty: all
	out       string        // the page; empty: by the date
	binary    string        // mcproxy
	goCommand string        // for the micro-benchmarks
}

// full reports whether everything is measured, as often as it takes for figures to quote.
func (o *options) full() bool {
	return o.runs >= fullRuns && o.pairs >= fullPairs && o.duration >= fullSeconds*time.Second && len(o.lines) == 0
}

func (o *options) chosen(name string) bool {
	return len(o.lines) == 0 || slices.Contains(o.lines, name)
}

func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{}
	var seconds int
	var chosen string
	flags := flag.NewFlagSet("bench-hotkeys", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintln(out, "bench-hotkeys starts memcached, mcproxy and nutcracker on loopback, measures what becomes of hot and oversized keys, and\n"+
			"writes bench/results/<date>-hotkeys.md (-hotkeys-quick.md unless everything was measured, as often as by default).")
		flags.PrintDefaults()
	}
	flags.IntVar(&o.runs, "runs", fullRuns, "how often each line is measured")
	flags.IntVar(&o.pairs, "pairs", fullPairs, "how many pairs A B of runs, for what watching costs")
	flags.IntVar(&seconds, "seconds", fullSeconds, "seconds of a run")
	flags.StringVar(&chosen, "lines", "", "only these, such as a,c")
	flags.StringVar(&o.out, "out", "", "the file to write")
	flags.StringVar(&o.binary, "mcproxy", "bin/mcproxy", "the program to measure, which is the load generator too")
	flags.StringVar(&o.goCommand, "go", "go", "the go command, for the micro-benchmarks")
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
	must(o.duration >= time.Second && o.duration <= time.Hour, "--seconds %v: want 1 to 3600", o.duration.Seconds())
	for _, name := range o.lines {
		must(len(name) == 1 && strings.Contains(lineNames, name), "--lines %q: want some of %s", name, strings.Join(strings.Split(lineNames, ""), ","))
	}
	return errors.Join(wrong...)
}
