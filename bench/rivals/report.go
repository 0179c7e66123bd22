package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mcproxy/bench/rig"
)

// A report is the page.
type report struct {
	h           *harness
	begun       time.Time
	machine     [][]string // name, value
	outcomes    []outcome
	interrupted bool
}

// An outcome is a load that was measured, or an error with what was measured before it.
type outcome struct {
	load     load
	findings *rig.Findings
	err      error
}

func newReport(ctx context.Context, h *harness, begun time.Time) (*report, error) {
	r := &report{h: h, begun: begun}
	machine, err := h.Describe(ctx)
	if err != nil {
		return nil, err
	}
	r.machine = machine
	for _, one := range []struct{ name, flag string }{{"memcached", "-V"}, {nutcracker, "-V"}, {haproxy, "-v"}} {
		if h.Program(one.name) == "" {
			continue
		}
		r.machine = append(r.machine, []string{one.name, h.VersionLine(ctx, one.name, one.flag)})
	}
	for _, rival := range h.opts.rivals {
		r.machine = append(r.machine, []string{"rival " + rival.Name, fmt.Sprintf("%s, process %d", rival.Address, rival.PID)})
	}
	return r, nil
}

// defaultFile tells full runs from others.
func (r *report) defaultFile() string {
	name := r.begun.Format(time.DateOnly)
	if !r.h.opts.full() || r.interrupted {
		name += "-quick"
	}
	return filepath.Join("bench", "results", name+".md")
}

func (r *report) write(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(r.markdown()), 0o644)
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# mcproxy and its rivals, %s\n\n", r.begun.Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(&b, "Written by `make bench-rivals`; every figure is computed from the runs.\n\n")
	if r.interrupted {
		b.WriteString("**The run was interrupted: the loads that are missing were not measured.**\n\n")
	}
	rig.Table{Head: []string{"machine", ""}, Rows: r.machine}.Markdown(&b)
	r.method(&b)
	b.WriteString("## Summary\n\n")
	r.summary().Markdown(&b)
	for _, o := range r.outcomes {
		fmt.Fprintf(&b, "## %s: %s\n\n", o.load.name, o.load.title)
		if o.err != nil {
			fmt.Fprintf(&b, "**Not measured to the end: %v**\n\n", o.err)
		}
		if len(o.findings.Verdicts) > 0 {
			rig.VerdictTable(o.findings.Verdicts).Markdown(&b)
		}
		for _, t := range o.findings.Tables {
			t.Markdown(&b)
		}
		for _, note := range o.findings.Notes {
			fmt.Fprintf(&b, "%s\n\n", note)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// method says in five sentences how the figures came about.
func (r *report) method(b *strings.Builder) {
	o := r.h.opts
	fmt.Fprintf(b, "Each load has %d fresh memcacheds (-t 1 -m %d), with every key set in each; before them stand mcproxy (1 worker, ketama with "+
		"fnv1a_64, a timeout of 5 s, its admin port open), twemproxy with the same ring and its default buffers (nutcracker) and with -m %d (nutcracker-64k), and haproxy as a TCP relay, "+
		"which sees no keys and gives each client conn to one of the memcacheds in turn, so that it does less than a proxy must. ",
		usualBackends, memcachedMemory, bigBuffers)
	fmt.Fprintf(b, "The proxy that is measured is alone on its core, as the others are idle; `mcproxy bench` (closed loop, one thread) "+
		"and the memcacheds share another. ")
	fmt.Fprintf(b, "mcproxy and a rival take turns, A B A B, %d pairs of runs of %v after a warm-up of %v, and what counts is the median of "+
		"the pairs' ratios, mcproxy : rival, with the least and the greatest beside it. ", o.pairs, o.duration, rig.Warmup)
	b.WriteString("User and system time are the proxy's own, all threads, from /proc/PID/stat, over the time and the requests that the load " +
		"generator counted; the kernel samples how time divides into the two, and on a virtual machine system time swings with the cost of " +
		"waking an idle core. ")
	b.WriteString("Resident memory is Rss of /proc/PID/smaps_rollup in the middle of a run, and a request that failed or missed is " +
		"\"lost\", of which a run may have one in a thousand.\n\n")
}

// summary has a row for each load.
func (r *report) summary() rig.Table {
	t := rig.Table{Head: []string{"", "load", "to reach (mcproxy : rival)", "figures (median, min..max)", "reached"}}
	for _, o := range r.outcomes {
		var parts []string
		all := o.err == nil && len(o.findings.Verdicts) > 0
		for _, v := range o.findings.Verdicts {
			text := v.What + " " + v.Figure.Format(v.Text)
			if !v.Reached() {
				all = false
				text = "**" + text + "**"
			}
			parts = append(parts, text)
		}
		if o.err != nil {
			parts = append(parts, "not measured to the end")
		}
		t.Rows = append(t.Rows, []string{o.load.name, o.load.title, o.load.toReach, strings.Join(parts, "; "), rig.Yes(all)})
	}
	return t
}
