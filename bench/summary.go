package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"mcproxy/bench/workload"
	"mcproxy/internal/webpage"
)

// WriteSummary writes the result for people.
func (r *Result) WriteSummary(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (version %s): %s\n\n", r.Endpoint, r.ServerVersion, r.Options.describe())
	fmt.Fprintf(&b, "%d answers in %.2f s: %.0f a second, %s/s out, %s/s in\n",
		r.Answers, r.Seconds, r.Rate, bytesText(perSecond(r.BytesSent, r.Seconds)), bytesText(perSecond(r.BytesReceived, r.Seconds)))
	if r.Hits+r.Misses > 0 {
		fmt.Fprintf(&b, "gets found %d of %d keys (%.2f %%)\n", r.Hits, r.Hits+r.Misses, 100*float64(r.Hits)/float64(r.Hits+r.Misses))
	}
	r.writeTrouble(&b)
	writeVerification(&b, r.Verify)
	if r.Replay != nil {
		fmt.Fprintf(&b, "%s: %d commands replayed, %d lines skipped\n", r.Options.File, r.Replay.Commands, r.Replay.Skipped)
		if r.Replay.Skipped > 0 {
			fmt.Fprintf(&b, "  %s\n", r.Replay.FirstSkipped)
		}
	}
	writeKeystone(&b, r.Keystone)
	r.Backends.write(&b)
	b.WriteByte('\n')
	r.writeLatencies(&b)
	fmt.Fprintf(&b, "\nthe tool itself used %.2f s user and %.2f s system: %.0f answers a CPU second\n",
		r.CPU.User, r.CPU.System, r.CPU.AnswersPerCPUSecond)
	if r.Ended == "interrupted" {
		b.WriteString("interrupted: these are the figures until then\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// writeTrouble writes what went wrong, if anything did.
func (r *Result) writeTrouble(b *strings.Builder) {
	if r.Failed > 0 {
		fmt.Fprintf(b, "FAILED: %d operations (%d timeouts, conns opened anew %d times)\n", r.Failed, r.Timeouts, r.Redials)
	}
	for _, text := range slices.SortedFunc(maps.Keys(r.Failures), func(x, y string) int {
		return int(r.Failures[y]-r.Failures[x])*2 + strings.Compare(x, y)
	}) {
		fmt.Fprintf(b, "  %8d  %s\n", r.Failures[text], text)
	}
	if r.Late > 0 {
		fmt.Fprintf(b, "BEHIND: %d operations of the asked rate were never sent; the endpoint, or this tool, is too slow for it\n", r.Late)
	}
}

func writeVerification(b *strings.Builder, v *workload.Verification) {
	if v == nil {
		return
	}
	verdict := "verified"
	if v.Offences() > 0 {
		verdict = "WRONG"
	}
	fmt.Fprintf(b, "%s: of %d values read, %d stale, %d torn, %d crossed (and %d foreign, %d unconfirmed)\n",
		verdict, v.Checked, v.Stale, v.Torn, v.Crossed, v.Foreign, v.Unconfirmed)
	for _, o := range v.Offenders {
		fmt.Fprintf(b, "  %s: conn %d read key %q and found %s, want %s\n", o.Kind, o.Conn, o.Key, o.Found, o.Want)
	}
}

func (s *Backends) write(b *strings.Builder) {
	if s == nil {
		return
	}
	b.WriteByte('\n')
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "backend\toperations\tgets\tsets\tread\twritten\t")
	for _, one := range s.Each {
		name := one.Address
		if one.Restarted {
			name += " (restarted)"
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\t\n", name, one.Operations, one.Gets, one.Sets,
			bytesText(float64(one.BytesRead)), bytesText(float64(one.BytesWritten)))
	}
	_ = table.Flush() // to memory
	fmt.Fprintf(b, "busiest backend over the mean: %.3f of operations, %.3f of bytes; Jain's index: %.3f and %.3f\n",
		s.OperationsMaxMean, s.BytesMaxMean, s.OperationsJain, s.BytesJain)
}

func writeKeystone(b *strings.Builder, f *workload.KeystoneFigures) {
	if f == nil {
		return
	}
	fmt.Fprintf(b, "%d tokens issued, %d refused; %d validations, %d of them missed\n", f.Issued, f.Refused, f.Validations, f.Invalid)
	fmt.Fprintf(b, "%d updates of lists, %d refused, %d locks never free; the largest list has %s\n",
		f.ListUpdates, f.ListsRefused, f.LockFailures, bytesText(float64(f.LargestList)))
	fmt.Fprintf(b, "%d tokens were lost from their user's list\n", f.LostUpdates)
	if f.UncheckedUsers > 0 {
		fmt.Fprintf(b, "(the lists of %d users were not looked at)\n", f.UncheckedUsers)
	}
}

func (r *Result) writeLatencies(b *strings.Builder) {
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "latency\tcount\tmean\tp50\tp90\tp95\tp99\tp99.9\tp99.99\tmax\t")
	line := func(name string, l Latency) {
		fmt.Fprintf(table, "%s\t%d\t", name, l.Count)
		for _, v := range []float64{l.Mean, l.P50, l.P90, l.P95, l.P99, l.P999, l.P9999, l.Max} {
			fmt.Fprintf(table, "%s\t", durationText(v))
		}
		fmt.Fprintln(table)
	}
	line("all", r.Latency)
	if len(r.ByKind) > 1 {
		for k := range workload.Kinds {
			name := k.String()
			if l, ok := r.ByKind[name]; ok {
				line(name, l)
			}
		}
	}
	_ = table.Flush() // to memory
}

// describe says in a line what runs.
func (c *Config) describe() string {
	load := "closed loop"
	if c.Rate > 0 {
		load = fmt.Sprintf("open loop at %.0f/s (%s)", c.Rate, c.Arrivals)
	}
	return fmt.Sprintf("%s, %s, %d conns x %d, %d threads, seed %d", c.Workload, load, c.Conns, c.Pipeline, c.threads(), c.Seed)
}

func perSecond(n int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(n) / seconds
}

// durationText writes seconds with three digits.
func durationText(seconds float64) string {
	for _, unit := range []struct {
		name string
		size float64
	}{{"s", 1}, {"ms", 1e-3}} {
		if seconds >= unit.size {
			return digits(seconds/unit.size) + unit.name
		}
	}
	return digits(seconds*1e6) + "µs"
}

func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func bytesText(n float64) string { return webpage.Bytes(n) }

// Line is a live line, without a line end.
func (p Progress) Line() string {
	return fmt.Sprintf("%-8s %6s  %10.0f/s  p99 %s", p.Phase, p.Elapsed.Round(time.Second), p.Rate, durationText(p.P99.Seconds()))
}
