package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mcproxy/bench/rig"
)

// newPage describes the machine and the method.
func newPage(ctx context.Context, h *harness, begun time.Time) (*rig.Page, error) {
	machine, err := h.Describe(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range []struct{ name, flag string }{{"memcached", "-V"}, {nutcracker, "-V"}, {haproxy, "-v"}} {
		if h.Program(one.name) != "" {
			machine = append(machine, []string{one.name, h.VersionLine(ctx, one.name, one.flag)})
		}
	}
	for _, rival := range h.opts.rivals {
		machine = append(machine, []string{"rival " + rival.Name, fmt.Sprintf("%s, process %d", rival.Address, rival.PID)})
	}
	return &rig.Page{
		Title: "mcproxy and its rivals", Target: "bench-rivals", Begun: begun, Machine: machine, Method: h.method(),
		Full: h.opts.full(),
		Head: []string{"", "load", "to reach (mcproxy : rival)", "figures (median, min..max)", "reached"},
	}, nil
}

// method says in five sentences how the figures came about.
func (h *harness) method() string {
	o := h.opts
	var b strings.Builder
	fmt.Fprintf(&b, "Each load has %d fresh memcacheds (-t 1 -m %d), with every key set in each; before them stand mcproxy (1 worker, ketama with "+
		"fnv1a_64, a timeout of 5 s, its admin port open), twemproxy with the same ring and its default buffers (nutcracker) and with -m %d (nutcracker-64k), and haproxy as a TCP relay, "+
		"which sees no keys and gives each client conn to one of the memcacheds in turn, so that it does less than a proxy must. ",
		usualBackends, memcachedMemory, bigBuffers)
	fmt.Fprintf(&b, "The proxy that is measured is alone on its core, as the others are idle; `mcproxy bench` (closed loop, one thread) "+
		"and the memcacheds share another. ")
	fmt.Fprintf(&b, "mcproxy and a rival take turns, A B A B, %d pairs of runs of %v after a warm-up of %v, and what counts is the median of "+
		"the pairs' ratios, mcproxy : rival, with the least and the greatest beside it. ", o.Pairs, o.Duration, rig.Warmup)
	b.WriteString("User and system time are the proxy's own, all threads, from /proc/PID/stat, over the time and the requests that the load " +
		"generator counted; the kernel samples how time divides into the two, and on a virtual machine system time swings with the cost of " +
		"waking an idle core. ")
	b.WriteString("Resident memory is Rss of /proc/PID/smaps_rollup in the middle of a run, and a request that failed or missed is " +
		"\"lost\", of which a run may have one in a thousand.")
	return b.String()
}
