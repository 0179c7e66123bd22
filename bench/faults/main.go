// Command faults measures what the misfortune of some costs others, over real memcacheds, against targets: "make bench-faults" runs it.
//
//	main     the lines, and what each is to reach
//	pairs    a load with a fault and without, in turns
//	stopped  one of eight memcacheds is stopped; the keys of the other seven are asked for
//	slow     a thousand clients take a megabyte, a byte a second; others ask for small values
//
// Package rig has the processes, the runs and the page.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"mcproxy/bench/rig"
)

func main() { rig.Main("bench-faults", run) }

// What a full run is; a smaller one is for a quick look.
const (
	fullPairs   = 20
	fullSeconds = 1
)

// options are what the command line says, checked.
type options struct {
	rig.Options
	rate    int // requests a second of the open loops
	clients int // slow ones
}

func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{Options: rig.Options{Pairs: fullPairs, Duration: fullSeconds * time.Second}}
	flags := flag.NewFlagSet("bench-faults", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintln(out, "bench-faults starts memcacheds and an mcproxy on loopback, measures what a stopped memcached and slow clients cost others, and\n"+
			"writes bench/results/<date>-faults.md (-faults-quick.md unless everything was measured, as often as by default).")
		flags.PrintDefaults()
	}
	flags.IntVar(&o.rate, "rate", 4000, "requests a second of the lines with a fixed rate")
	flags.IntVar(&o.clients, "clients", slowClients, "slow clients")
	var names []string
	for _, l := range (&harness{}).lines() {
		names = append(names, l.Name)
	}
	if err := o.Parse(flags, args, rig.Choice{Option: "lines", Example: "stopped,slow", Names: names}); err != nil {
		return nil, err
	}
	if err := rig.InBounds("rate", o.rate, 1_000_000); err != nil {
		return nil, err
	}
	return o, rig.InBounds("clients", o.clients, 100_000)
}

func (o *options) full() bool { return o.Full(fullPairs, fullSeconds) && o.clients == slowClients }

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
	machine, page, err := opts.Begin(ctx, "bench-faults", out)
	if err != nil {
		return err
	}
	defer machine.Close()
	h := &harness{machine, opts}
	page.Title, page.Kind, page.Full = "What the misfortune of some costs others", "-faults", opts.full()
	page.Method = fmt.Sprintf("Fresh memcacheds (-t 1) and a fresh mcproxy (1 worker) for each line. The proxy is on one core, `mcproxy bench`, the memcacheds and the slow "+
		"clients on another. The same load runs with the fault and without it in turns, A B, B A, %d pairs of runs of %v after a warm-up of %v, on the same "+
		"processes; what is judged is the median of the pairs' ratios, with : without, and the least and the greatest ratio stand beside it. "+
		"`make bench-faults FAULTBENCHFLAGS='--lines slow'` measures one line.", opts.Pairs, opts.Duration, rig.Warmup)
	return h.Run(ctx, page, opts.Select(h.lines()), opts.Out)
}

// lines are all.
func (h *harness) lines() []rig.Load {
	const isolation = "throughput ≥ 95 %, p99 ≤ 105 %"
	slow := fmt.Sprintf("p99 ≤ 110 %%; memory within the limit and %d KiB a client", slowEach>>10)
	return []rig.Load{
		{Name: "stopped", Title: "one of 8 memcacheds is stopped; the other seven's keys in a closed loop", ToReach: isolation, Measure: h.stoppedClosed},
		{Name: "stopped-rate", Title: "the same at a fixed rate, far from what the proxy can do", ToReach: "p99 ≤ 105 %", Measure: h.stoppedRate},
		{Name: "stopped-asked", Title: "the same, while other clients ask for the stopped one's keys", ToReach: "p99 ≤ 105 %", Measure: h.stoppedAsked},
		{Name: "slow", Title: "1,000 clients read whole values of 1 MB, a byte a second; others at a fixed rate", ToReach: slow, Measure: h.slowWhole},
		{Name: "slow-chunks", Title: "the same with values in chunks", ToReach: slow, Measure: h.slowChunks},
	}
}
