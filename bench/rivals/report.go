package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
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
	findings *findings
	err      error
}

func newReport(ctx context.Context, h *harness, begun time.Time) (*report, error) {
	r := &report{h: h, begun: begun}
	version, err := output(ctx, h.opts.binary, "version")
	if err != nil {
		return nil, err
	}
	version, _, _ = strings.Cut(version, "\n")
	r.machine = [][]string{
		{"cores", fmt.Sprintf("%d (%s); the proxies on CPU %s, all else on CPU %s", len(h.cores), cpuModel(), h.proxyCores(1), h.loadCores())},
		{"kernel", firstLine("/proc/sys/kernel/osrelease")},
		{"mcproxy", version},
		{"go", runtime.Version() + ", this comparison's"},
	}
	for _, one := range []struct{ name, flag string }{{"memcached", "-V"}, {nutcracker, "-V"}, {haproxy, "-v"}} {
		if h.programs[one.name] == "" {
			continue
		}
		r.machine = append(r.machine, []string{one.name, h.versionLine(ctx, one.name, one.flag)})
	}
	for _, rival := range h.opts.rivals {
		r.machine = append(r.machine, []string{"rival " + rival.name, fmt.Sprintf("%s, process %d", rival.address, rival.pid)})
	}
	return r, nil
}

// versionLine is the first line that a program says of its version: nutcracker writes it on its standard error.
func (h *harness) versionLine(ctx context.Context, name, flag string) string {
	var out tail
	c, err := startChild(name, &out, h.programs[name], flag)
	if err != nil {
		return err.Error()
	}
	if err := c.wait(ctx); err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(strings.TrimSpace(out.String()+"\n"+c.said.String()), "\n")
	return line
}

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "model unknown"
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
	table{head: []string{"machine", ""}, rows: r.machine}.markdown(&b)
	r.method(&b)
	b.WriteString("## Summary\n\n")
	r.summary().markdown(&b)
	for _, o := range r.outcomes {
		fmt.Fprintf(&b, "## %s: %s\n\n", o.load.name, o.load.title)
		if o.err != nil {
			fmt.Fprintf(&b, "**Not measured to the end: %v**\n\n", o.err)
		}
		if len(o.findings.verdicts) > 0 {
			verdictTable(o.findings.verdicts).markdown(&b)
		}
		for _, t := range o.findings.tables {
			t.markdown(&b)
		}
		for _, note := range o.findings.notes {
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
		"the pairs' ratios, mcproxy : rival, with the least and the greatest beside it. ", o.pairs, o.duration, warmup)
	b.WriteString("User and system time are the proxy's own, all threads, from /proc/PID/stat, over the time and the requests that the load " +
		"generator counted; the kernel samples how time divides into the two, and on a virtual machine system time swings with the cost of " +
		"waking an idle core. ")
	b.WriteString("Resident memory is Rss of /proc/PID/smaps_rollup in the middle of a run, and a request that failed or missed is " +
		"\"lost\", of which a run may have one in a thousand.\n\n")
}

// summary has a row for each load.
func (r *report) summary() table {
	t := table{head: []string{"", "load", "to reach (mcproxy : rival)", "figures (median, min..max)", "reached"}}
	for _, o := range r.outcomes {
		var parts []string
		all := o.err == nil && len(o.findings.verdicts) > 0
		for _, v := range o.findings.verdicts {
			text := v.what + " " + v.figure.format(v.text)
			if !v.reached() {
				all = false
				text = "**" + text + "**"
			}
			parts = append(parts, text)
		}
		if o.err != nil {
			parts = append(parts, "not measured to the end")
		}
		t.rows = append(t.rows, []string{o.load.name, o.load.title, o.load.toReach, strings.Join(parts, "; "), yes(all)})
	}
	return t
}
