// Command hotkeys measures what mcproxy does about hot and oversized keys, on real memcacheds, against targets: "make
// bench-hotkeys" runs it.
//
//	lines      a … h and what each is to reach
//	  token    Keystone's token store: lists that all lie on one server, and lists past memcached's limit
//	  viral    one key that is read by half of all clients, or by all
//	  onset    how long it takes to find a key
//	  uniform  what watching costs while nothing is hot
//	  large    values of 1 MiB and 8 MB
//	judge      runs to verdicts
//	admin      the proxy's list of hot keys, over HTTP
//	item       a client of one conn, for what "mcproxy bench" does not send
//
// Package rig has the processes, the runs and the page. Both know mcproxy by its command line, its configuration file, its JSON and
// its admin port alone.
package main

import (
	"context"
	"fmt"
	"io"

	"mcproxy/bench/rig"
)

func main() { rig.Main("bench-hotkeys", run) }

// run measures the lines that args choose and writes the page; what it does meanwhile goes to out.
func run(ctx context.Context, args []string, out io.Writer) error {
	opts, err := parseOptions(args, out)
	if err != nil {
		return err
	}
	machine, page, err := opts.Begin(ctx, "bench-hotkeys", out, rig.Nutcracker, opts.goCommand)
	if err != nil {
		return err
	}
	defer machine.Close()
	h := &harness{machine, opts}
	page.Title, page.Kind, page.Full = "Hot and oversized keys", "-hotkeys", opts.full()
	page.Method = h.method()
	return h.Run(ctx, page, h.lines(), opts.Out)
}

// A harness measures lines.
type harness struct {
	*rig.Machine
	opts *options
}

// method says how the figures came about.
func (h *harness) method() string {
	return fmt.Sprintf("Each line has fresh memcacheds (-t 1) and a fresh mcproxy (1 worker, [pools.main.split] enabled = true, else as by default "+
		"but for its patience: a timeout of 5 s). The proxies are on one core, `mcproxy bench` and the memcacheds on another. "+
		"A line is measured %d times, %v each, and what counts is the median; with the least and the greatest beside it. Where all runs must "+
		"reach a target, it says so. `make bench-hotkeys HOTKEYFLAGS='--lines a'` measures one line; the commands in each section are those of "+
		"its load generator, PROXY and MEMCACHED standing for addresses.", h.opts.Runs, h.opts.Duration)
}
