package main

import (
	"context"
	"errors"
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
	f.Note("The memcacheds are the same, with -I 4m; the keys are not. Both proxies have the same configuration but for `enabled` of [pools.main.split].")
	if err := h.largeGetsOf(ctx, f, fl, "p99, split : unsplit"); err != nil {
		return err
	}
	links, err := h.StartFleetOnLinks(ctx, 4, usualMemory, linkRate, "-I", "4m")
	if errors.Is(err, rig.ErrLinks) {
		f.Note("Over links of %s it was not measured: %v.", linkRate, err)
		return nil
	}
	if err != nil {
		return err
	}
	defer links.Close()
	return h.largeGetsOf(ctx, f, links, "each server behind a link of "+linkRate+": p99, split : unsplit")
}

// linkRate is what a server's network card often sends at most, as tc spells it.
const linkRate = "1gbit"

// largeGetsOf measures line g before one fleet.
func (h *harness) largeGetsOf(ctx context.Context, f *rig.Findings, fl *rig.Fleet, what string) error {
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
		f.NoteOnce("`%s`", commandText(side.args))
	}
	for range h.opts.Runs {
		for i := range sides {
			side := &sides[i]
			err := h.Persist(ctx, func() error {
				one, err := h.Sample(ctx, side.proxy, h.opts.Duration, append([]string{side.proxy.Address}, side.args...)...)
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
	for i := range h.opts.Runs {
		ratios = append(ratios, sides[0].samples[i].P99/sides[1].samples[i].P99)
	}
	f.Verdicts = append(f.Verdicts, atMost(what, 1, rig.Ratio, ratios))
	table := rig.Table{
		Title: strings.TrimSuffix(what, "p99, split : unsplit") + "1 MiB gets: median (min..max)", Head: []string{"values", "p50", "p99", "gets a second", "the proxy's µs a get"},
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

// A held is what a proxy had of memory in one run of line h, in bytes, and what its clients saw.
type held struct {
	values, budget float64 // of large values, at most, and what the configuration allows
	resident       float64 // of the process, at most
	clients        rig.Generated
}

// memory is line h.
func (h *harness) memory(ctx context.Context, f *rig.Findings) error {
	var parts, residents, ofBudget, documented, others, rates []float64
	for range h.opts.Runs {
		one, err := h.hugeValues(ctx, f)
		if err != nil {
			return err
		}
		said, other := refusals(one.clients.Failures)
		h.Say("h: %s of values and %s resident at most, of %d requests %d refused as documented and %d otherwise, %v", rig.Mebibytes(one.values),
			rig.Mebibytes(one.resident), one.clients.Answers, said, other, one.clients.Failures)
		parts, residents, ofBudget = append(parts, one.values/one.budget), append(residents, one.resident), append(ofBudget, one.resident/one.budget)
		documented, others, rates = append(documented, float64(said)), append(others, float64(other)), append(rates, one.clients.Rate())
	}
	f.Verdicts = append(f.Verdicts,
		each(atMost("the most of values held : the budget", 1, thousandths, parts)),
		each(atMost("the most resident memory : the budget", maxResident, thousandths, ofBudget)),
		each(atMost("requests refused in other words than documented", 0, whole, others)))
	f.Tables = append(f.Tables, beside(
		tells("the most resident memory", rig.Mebibytes, residents),
		tells("requests refused for want of memory, of "+count(hugeRequests), whole, documented), tells("requests a second", rig.Decimals(1, ""), rates)))
	f.Note("The budget is `assembly`, 256 MiB by default; the values held are mcproxy_assembly_peak_bytes, and the resident memory is VmHWM of /proc/PID/status. "+
		"Documented is %q, after `assembly_wait`, and that the process may take twice its budget.", refusedForMemory)
	return nil
}

const (
	maxResident      = 2 // of the budget
	refusedForMemory = "SERVER_ERROR out of memory for large values"
)

// hugeValues is a run of line h.
func (h *harness) hugeValues(ctx context.Context, f *rig.Findings) (held, error) {
	s, err := h.standWith(ctx, 4, largeMemory, splitting)
	if err != nil {
		return held{}, err
	}
	defer s.Close()
	var one held
	if one.clients, err = h.load(ctx, f, s.proxy.Address, "--conns", count(hugeConns), "--keys", count(hugeConns), "--value-size", count(hugeSize),
		"--set-ratio", "0.5", "--requests", count(hugeRequests), "--timeout", "60s"); err != nil {
		return one, err
	}
	metrics, err := s.proxy.Ask(ctx, "/metrics")
	if err != nil {
		return one, err
	}
	if one.values, err = parseMetric(metrics, "mcproxy_assembly_peak_bytes"); err != nil {
		return one, err
	}
	if one.budget, err = parseMetric(metrics, "mcproxy_assembly_limit_bytes"); err != nil {
		return one, err
	}
	if one.values == 0 || one.budget == 0 {
		return one, errors.New("the proxy held no large value")
	}
	peak, err := rig.ReadPeak(s.proxy.PID)
	one.resident = float64(peak)
	return one, err
}

// refusals are failures in the documented words, and in others; but for those requests that were under way when the run ended.
func refusals(failures map[string]int64) (documented, others int64) {
	for why, times := range failures {
		switch {
		case why == refusedForMemory:
			documented += times
		case !strings.Contains(why, "after the end"):
			others += times
		}
	}
	return documented, others
}
