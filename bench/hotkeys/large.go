package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mcproxy/bench/rig"
)

// largeGets is line g.
func (h *harness) largeGets(ctx context.Context, f *rig.Findings) error {
	fl, err := h.StartFleet(ctx, 4, usualMemory, "-I", "4m")
	if err != nil {
		return err
	}
	defer fl.Close()
	split, err := fl.StartMcproxy(ctx, "split", rig.McproxyConfig{Workers: 1, Ring: "ring = \"cmemcache\"\n", Pool: splitting})
	if err != nil {
		return err
	}
	unsplit, err := fl.StartMcproxy(ctx, "unsplit", rig.McproxyConfig{Workers: 1, Ring: "ring = \"cmemcache\"\n"})
	if err != nil {
		return err
	}
	args := func(prefix string) []string {
		return []string{"--conns", "8", "--keys", "50", "--value-size", "1MiB", "--set-ratio", "0", "--threads", "1", "--key-prefix", prefix}
	}
	sides := []subject{{split, args("split:"), nil}, {unsplit, args("unsplit:"), nil}}
	for _, side := range sides {
		if err := (&stand{fl, h, side.proxy}).fill(ctx, side.args); err != nil {
			return err
		}
		f.Note("`%s`", commandText(side.args))
	}
	for range h.opts.runs {
		for i := range sides {
			side := &sides[i]
			err := h.Persist(ctx, func() error {
				one, err := h.Sample(ctx, side.proxy, h.opts.duration, append([]string{side.proxy.Address}, side.args...)...)
				if err == nil {
					side.samples = append(side.samples, one)
				}
				return err
			})
			if err != nil {
				return err
			}
			last := side.samples[len(side.samples)-1]
			h.Say("g: %s: p50 %s, p99 %s, %.0f a second", side.proxy.Name, rig.Duration(last.P50), rig.Duration(last.P99), last.Rate)
		}
	}
	var ratios []float64
	for i := range h.opts.runs {
		ratios = append(ratios, sides[0].samples[i].P99/sides[1].samples[i].P99)
	}
	f.Verdicts = append(f.Verdicts, atMost("p99, split : unsplit", 1, rig.Ratio, ratios))
	table := rig.Table{
		Title: "1 MiB gets: median (min..max)", Head: []string{"values", "p50", "p99", "gets a second", "the proxy's µs a get"},
	}
	for _, side := range sides {
		figure := func(of func(rig.Sample) float64, text func(float64) string) string {
			var all []float64
			for _, one := range side.samples {
				all = append(all, of(one))
			}
			return rig.SpreadOf(all).Format(text)
		}
		table.Rows = append(table.Rows, []string{
			side.proxy.Name, figure(func(s rig.Sample) float64 { return s.P50 }, rig.Duration), figure(func(s rig.Sample) float64 { return s.P99 }, rig.Duration),
			figure(func(s rig.Sample) float64 { return s.Rate }, whole), figure(rig.Sample.Total, whole),
		})
	}
	f.Tables = append(f.Tables, table)
	f.Note("The memcacheds are the same, with -I 4m; the keys are not. Both proxies have the same configuration but for `enabled` of [pools.main.split].")
	return nil
}

// A subject is one side of a comparison.
type subject struct {
	proxy   rig.Proxy
	args    []string
	samples []rig.Sample
}

// Line h: values of so many bytes, and requests of all clients together.
const (
	hugeSize     = 8_000_000
	hugeConns    = 100
	hugeRequests = 600
)

// memoryBudget is what mcproxy may have resident, in bytes.
const memoryBudget = 256 << 20

// memory is line h.
func (h *harness) memory(ctx context.Context, f *rig.Findings) error {
	var peaks, refused, rates []float64
	for range h.opts.runs {
		peak, g, err := h.hugeValues(ctx, f)
		if err != nil {
			return err
		}
		no := refusals(g.Failures)
		h.Say("h: %s at most, %d of %d refused %v, %d misses", rig.Mebibytes(peak), no, g.Answers, g.Failures, g.Misses)
		peaks, refused, rates = append(peaks, peak), append(refused, float64(no)), append(rates, g.Rate())
		for _, why := range slices.Sorted(maps.Keys(g.Failures)) {
			f.Note("In one run: %d x %q", g.Failures[why], why)
		}
	}
	f.Verdicts = append(f.Verdicts,
		each(atMost(fmt.Sprintf("the most resident memory with %d clients", hugeConns), memoryBudget, rig.Mebibytes, peaks)),
		each(atMost("requests refused", 0, whole, refused)))
	f.Tables = append(f.Tables, beside(tells("requests a second", rig.Decimals(1, ""), rates)))
	return nil
}

// hugeValues is a run of line h: the most memory that the proxy had, and what the clients saw.
func (h *harness) hugeValues(ctx context.Context, f *rig.Findings) (float64, rig.Generated, error) {
	s, err := h.standWith(ctx, 4, largeMemory, splitting)
	if err != nil {
		return 0, rig.Generated{}, err
	}
	defer s.Close()
	g, err := h.load(ctx, f, s.proxy.Address, "--conns", count(hugeConns), "--keys", count(hugeConns), "--value-size", count(hugeSize),
		"--set-ratio", "0.5", "--requests", count(hugeRequests), "--timeout", "60s")
	if err != nil {
		return 0, g, err
	}
	peak, err := rig.ReadPeak(s.proxy.PID)
	return float64(peak), g, err
}

// refusals are failures but for those requests that were under way when the run ended.
func refusals(failures map[string]int64) int64 {
	var n int64
	for why, times := range failures {
		if !strings.Contains(why, "after the end") {
			n += times
		}
	}
	return n
}
