package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// An SLO is what latencies must hold: each percentile at most its bound.
type SLO []Objective

// An Objective is one bound, such as p99=1ms.
type Objective struct {
	Percentile float64 // over 0, up to 100
	Bound      time.Duration
}

// ParseSLO reads "p99=1ms,p99.9=5ms".
func ParseSLO(text string) (SLO, error) {
	var slo SLO
	for part := range strings.SplitSeq(text, ",") {
		name, boundText, ok := strings.Cut(part, "=")
		percentileText, isPercentile := strings.CutPrefix(name, "p")
		percentile, err := strconv.ParseFloat(percentileText, 64)
		if !ok || !isPercentile || err != nil || !(percentile > 0 && percentile <= 100) {
			return nil, fmt.Errorf("slo %q: want pN=DURATION, such as p99=1ms, N over 0 up to 100", part)
		}
		bound, err := time.ParseDuration(boundText)
		if err != nil || bound <= 0 {
			return nil, fmt.Errorf("slo %q: %q is no duration over 0, such as 1ms", part, boundText)
		}
		slo = append(slo, Objective{percentile, bound})
	}
	return slo, nil
}

// String writes it as ParseSLO reads it.
func (s SLO) String() string {
	var parts []string
	for _, o := range s {
		parts = append(parts, fmt.Sprintf("p%g=%v", o.Percentile, o.Bound))
	}
	return strings.Join(parts, ",")
}

// A Search is the way to the highest rate of an open loop that holds an SLO.
type Search struct {
	Tool     string  `json:"tool"`
	Endpoint string  `json:"endpoint"`
	SLO      string  `json:"slo"`
	Rate     float64 `json:"rate"`    // the highest that held, twice; 0: none did
	Closed   float64 `json:"closed"`  // what the closed loop reaches, where the search begins
	Trials   []Trial `json:"trials"`  // in order
	Best     *Result `json:"best"`    // of the last trial at Rate; null without one
	Options  *Config `json:"options"` // of each trial, its rate aside
}

// A Trial is one run at a rate.
type Trial struct {
	Rate  float64 `json:"rate"`
	Holds bool    `json:"holds"`
	Why   string  `json:"why"` // it does not
	P50   float64 `json:"p50"` // seconds
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

const (
	sloSteps    = 8    // bisections: the rate is found to within 1/256 of the closed loop's
	sloRetries  = 5    // steps down from a rate that does not hold again
	sloStepDown = 0.95 // of the rate
	sloLate     = 0.01 // of the arrivals may be late: more, and the rate was not kept
)

// Search looks for the highest rate at which cfg's load holds an SLO: a closed loop tells how far to look, bisection finds the
// rate, and it must hold a second time. Each trial is a whole run, with its warm-up. When ctx is done it gives the trials
// until then.
func (s SLO) Search(ctx context.Context, cfg Config, progress func(Progress)) (*Search, error) {
	if len(s) == 0 {
		return nil, errors.New("slo: no objective")
	}
	found := &Search{Tool: toolName, Endpoint: cfg.Endpoint, SLO: s.String(), Options: &cfg}
	cfg.Rate = 0
	closed, err := Run(ctx, cfg, progress)
	if err != nil {
		return nil, err
	}
	cfg.Prefill = false
	found.Closed = closed.Rate
	try := func(rate float64) (holds bool, err error) {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		cfg.Rate = rate
		r, err := Run(ctx, cfg, progress)
		if err != nil || ctx.Err() != nil {
			return false, errors.Join(err, ctx.Err())
		}
		why := s.violated(r)
		found.Trials = append(found.Trials, Trial{rate, why == "", why, r.Latency.P50, r.Latency.P99, r.Latency.Max})
		if why == "" {
			found.Best = r
		}
		return why == "", nil
	}
	low, high := 0.0, closed.Rate
	for range sloSteps {
		middle := (low + high) / 2
		holds, err := try(middle)
		if err != nil {
			return found.until(ctx, err)
		}
		if holds {
			low = middle
		} else {
			high = middle
		}
	}
	for range sloRetries {
		if low == 0 {
			break
		}
		holds, err := try(low)
		if err != nil {
			return found.until(ctx, err)
		}
		if holds {
			found.Rate = low
			return found, nil
		}
		low *= sloStepDown
	}
	found.Best = nil
	return found, nil
}

// until gives what there is after an interruption, else err.
func (s *Search) until(ctx context.Context, err error) (*Search, error) {
	if ctx.Err() != nil {
		return s, nil
	}
	return nil, err
}

// violated says why a run does not hold the SLO; "" when it does.
func (s SLO) violated(r *Result) string {
	if r.Failed > 0 {
		return fmt.Sprintf("%d operations failed", r.Failed)
	}
	if due := r.Answers + r.Late; float64(r.Late) > sloLate*float64(due) || due == 0 {
		return fmt.Sprintf("%d of %d operations were never sent", r.Late, due)
	}
	for _, o := range s {
		if got := time.Duration(r.all.ValueAtPercentile(o.Percentile)); got > o.Bound {
			return fmt.Sprintf("p%g is %s", o.Percentile, durationText(got.Seconds()))
		}
	}
	return ""
}

// WriteSummary writes the search for people.
func (s *Search) WriteSummary(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: a closed loop reaches %.0f/s\n\n", s.Endpoint, s.Closed)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "rate\tp50\tp99\tmax\tholds\t")
	for _, t := range s.Trials {
		verdict := "yes"
		if !t.Holds {
			verdict = "no: " + t.Why
		}
		fmt.Fprintf(table, "%.0f/s\t%s\t%s\t%s\t%s\t\n", t.Rate, durationText(t.P50), durationText(t.P99), durationText(t.Max), verdict)
	}
	_ = table.Flush() // to memory
	if s.Rate > 0 {
		fmt.Fprintf(&b, "\n%s holds up to %.0f/s\n", s.SLO, s.Rate)
	} else {
		fmt.Fprintf(&b, "\n%s has held at no rate\n", s.SLO)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
