package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"mcproxy/bench/rig"
)

// What a full run is; a smaller one is for a quick look.
const (
	fullRuns    = 3
	fullPairs   = 10
	fullSeconds = 5
)

// options are what the command line says, checked. The pairs are of what watching costs.
type options struct {
	rig.Options
	goCommand string // for the micro-benchmarks
}

// full reports whether everything is measured, as often as it takes for figures to quote.
func (o *options) full() bool { return o.Runs >= fullRuns && o.Full(fullPairs, fullSeconds) }

func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{Options: rig.Options{Runs: fullRuns, Pairs: fullPairs, Duration: fullSeconds * time.Second}}
	flags := flag.NewFlagSet("bench-hotkeys", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintln(out, "bench-hotkeys starts memcached, mcproxy and nutcracker on loopback, measures what becomes of hot and oversized keys, and\n"+
			"writes bench/results/<date>-hotkeys.md (-hotkeys-quick.md unless everything was measured, as often as by default).")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.goCommand, "go", "go", "the go command, for the micro-benchmarks")
	return o, o.Parse(flags, args, rig.Choice{Option: "lines", Example: "a,c", Names: strings.Split(lineNames, "")})
}
