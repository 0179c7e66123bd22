package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// A Comparison is one load against two endpoints in turn, A B A B and so on, so that what changes on the machine meanwhile
// falls on both.
type Comparison struct {
	Tool   string           `json:"tool"`
	A      string           `json:"a"`
	B      string           `json:"b"`
	Rounds int              `json:"rounds"` // whole ones
	Ratios map[string]Ratio `json:"ratios"` // of A's figure to B's: rate, p50, p99, p99_9
	RunsA  []*Result        `json:"runs_a"`
	RunsB  []*Result        `json:"runs_b"`
}

// A Ratio is that of the two runs of each round.
type Ratio struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// compared are the figures that a comparison looks at, in the order of the report.
var compared = []struct {
	name string
	of   func(*Result) float64
}{
	{"rate", func(r *Result) float64 { return r.Rate }},
	{"p50", func(r *Result) float64 { return r.Latency.P50 }},
	{"p99", func(r *Result) float64 { return r.Latency.P99 }},
	{"p99_9", func(r *Result) float64 { return r.Latency.P999 }},
}

// Compare runs cfg's load against its own endpoint (A) and against b, rounds times. When ctx is done it gives the whole
// rounds until then; it is an error when there is none.
func Compare(ctx context.Context, cfg Config, b string, rounds int, progress func(Progress)) (*Comparison, error) {
	if rounds < 1 || rounds > 1000 {
		return nil, fmt.Errorf("rounds %d: want 1 to 1000", rounds)
	}
	c := &Comparison{Tool: toolName, A: cfg.Endpoint, B: b, Ratios: map[string]Ratio{}}
	other := cfg
	other.Endpoint = b
	if err := other.Check(); err != nil {
		return nil, err
	}
	for range rounds {
		resultA, err := Run(ctx, cfg, progress)
		if err != nil {
			return c.orError(ctx, err)
		}
		resultB, err := Run(ctx, other, progress)
		if err != nil {
			return c.orError(ctx, err)
		}
		if ctx.Err() != nil {
			return c.orError(ctx, ctx.Err())
		}
		c.RunsA, c.RunsB = append(c.RunsA, resultA), append(c.RunsB, resultB)
		c.count()
	}
	return c, nil
}

// orError gives what there is after an interruption, else err.
func (c *Comparison) orError(ctx context.Context, err error) (*Comparison, error) {
	if ctx.Err() != nil && c.Rounds > 0 {
		return c, nil
	}
	return nil, err
}

func (c *Comparison) count() {
	c.Rounds = len(c.RunsA)
	for _, figure := range compared {
		var ratios []float64
		for i := range c.RunsA {
			if of := figure.of(c.RunsB[i]); of > 0 {
				ratios = append(ratios, figure.of(c.RunsA[i])/of)
			}
		}
		if len(ratios) > 0 {
			c.Ratios[figure.name] = Ratio{Median: median(ratios), Min: slices.Min(ratios), Max: slices.Max(ratios)}
		}
	}
}

func median(xs []float64) float64 {
	sorted := slices.Sorted(slices.Values(xs))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// WriteSummary writes the comparison for people.
func (c *Comparison) WriteSummary(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "A = %s\nB = %s\n%d rounds of A B: %s\n\n", c.A, c.B, c.Rounds, c.RunsA[0].Options.describe())
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tA (median)\tB (median)\tA : B\tfrom\tto\t")
	for _, figure := range compared {
		medianOf := func(runs []*Result) float64 {
			var xs []float64
			for _, r := range runs {
				xs = append(xs, figure.of(r))
			}
			return median(xs)
		}
		text := durationText
		if figure.name == "rate" {
			text = func(v float64) string { return fmt.Sprintf("%.0f/s", math.Round(v)) }
		}
		ratio := c.Ratios[figure.name]
		fmt.Fprintf(table, "%s\t%s\t%s\t%.3f\t%.3f\t%.3f\t\n", strings.ReplaceAll(figure.name, "_", "."),
			text(medianOf(c.RunsA)), text(medianOf(c.RunsB)), ratio.Median, ratio.Min, ratio.Max)
	}
	_ = table.Flush() // to memory
	for _, runs := range [][]*Result{c.RunsA, c.RunsB} {
		for i, r := range runs {
			if r.Failed > 0 || r.Late > 0 {
				fmt.Fprintf(&b, "%s, round %d: %d operations failed, %d were never sent\n", r.Endpoint, i+1, r.Failed, r.Late)
			}
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
