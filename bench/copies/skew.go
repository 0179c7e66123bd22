package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mcproxy/bench/rig"
)

// primeTime is how long a load runs before it is measured: hot keys are found, get their copies, and readers spread.
const primeTime = 6 * time.Second

func zipfLoad() []string {
	return []string{"--conns", "25", "--keys", "100000", "--zipf", "1.2", "--value-size", "100", "--set-ratio", "0"}
}

// atMost judges the median.
func atMost(what string, limit float64, text func(float64) string, figures []float64) rig.Verdict {
	return rig.Verdict{What: what, Limit: limit, Text: text, Figure: rig.SpreadOf(figures)}
}

func thousandths(v float64) string { return rig.Decimals(3, "")(v) }

func whole(v float64) string { return rig.Decimals(0, "")(v) }

// tells is a row of figures that are not judged.
func tells(what string, text func(float64) string, figures []float64) []string {
	return []string{what, rig.SpreadOf(figures).Format(text)}
}

func beside(rows ...[]string) rig.Table {
	return rig.Table{Title: "beside: median (min..max)", Head: []string{"figure", "measured"}, Rows: rows}
}

// skewed is a load through some proxies, watched when it has been running for a while.
type skewed struct {
	operations, bytes []float64 // max over mean, by second
	rate              float64
}

func (h *harness) skewed(ctx context.Context, s *stand, args []string) (skewed, error) {
	l := s.begin(ctx, s.proxies, primeTime+h.opts.Duration+time.Second, args)
	var k skewed
	err := pause(ctx, primeTime)
	if err == nil {
		k.operations, k.bytes, err = windows(ctx, s.Memcacheds, h.opts.Duration)
	}
	err = errors.Join(err, l.wait())
	k.rate = l.rate()
	return k, err
}

// zipf is Zipf's law through 4 proxies, with copies and without.
func (h *harness) zipf(ctx context.Context, f *rig.Findings) error { return h.zipfWith(ctx, f, 4) }

// joins is the same with a proxy that comes when the others have made copies.
func (h *harness) joins(ctx context.Context, f *rig.Findings) error { return h.zipfWith(ctx, f, 3) }

// zipfWith measures the windows of Zipf's law through 4 proxies, of which the last comes under the load if only 3 are there first.
func (h *harness) zipfWith(ctx context.Context, f *rig.Findings, first int) error {
	s, err := h.stand(ctx, 8, first, copying("safe", 0))
	if err != nil {
		return err
	}
	defer s.Close()
	plain, err := h.stand(ctx, 8, 4, copying("off", 0))
	if err != nil {
		return err
	}
	defer plain.Close()
	for _, one := range []*stand{s, plain} {
		if err := one.fill(ctx, zipfLoad()); err != nil {
			return err
		}
	}
	if first < 4 {
		l := s.begin(ctx, s.proxies, primeTime, zipfLoad())
		err := pause(ctx, primeTime/2)
		if err == nil {
			err = s.join(ctx)
		}
		if err := errors.Join(err, l.wait()); err != nil {
			return err
		}
	}
	var operations, bytes, without, withoutBytes, rates, rateWithout []float64
	for range h.opts.Runs {
		k, err := h.skewed(ctx, s, zipfLoad())
		if err != nil {
			return err
		}
		p, err := h.skewed(ctx, plain, zipfLoad())
		if err != nil {
			return err
		}
		operations, bytes = append(operations, k.operations...), append(bytes, k.bytes...)
		without, withoutBytes = append(without, p.operations...), append(withoutBytes, p.bytes...)
		rates, rateWithout = append(rates, k.rate), append(rateWithout, p.rate)
		h.Say("zipf: busiest : mean %s, without copies %s; %.0f and %.0f gets a second",
			rig.SpreadOf(k.operations).Format(thousandths), rig.SpreadOf(p.operations).Format(thousandths), k.rate, p.rate)
	}
	last, err := copiesRead(ctx, s.proxies[len(s.proxies)-1])
	if err != nil {
		return err
	}
	f.Verdicts = append(f.Verdicts,
		rig.Verdict{What: "gets that copies answered through the last proxy", Limit: 1, Floor: true, Text: whole, Figure: rig.SpreadOf([]float64{last})},
		atMost("busiest server's operations : mean, windows of 1 s", 1.10, thousandths, operations),
		atMost("busiest server's bytes : mean, windows of 1 s", 1.10, thousandths, bytes))
	f.Tables = append(f.Tables, beside(
		tells("the same, operations, `mode = \"off\"`", thousandths, without), tells("the same, bytes, `mode = \"off\"`", thousandths, withoutBytes),
		tells("gets a second", whole, rates), tells("gets a second, `mode = \"off\"`", whole, rateWithout)))
	f.Note("Each run begins with %v that are not counted. 25 conns a proxy, 100,000 keys of 100 bytes; the median is over all windows of all runs, and the least and the "+
		"greatest are single seconds. Fetches are shared in both.", primeTime)
	return s.stale(ctx)
}

// viral is one key that each of 4 proxies asks a little.
func (h *harness) viral(ctx context.Context, f *rig.Findings) error {
	s, err := h.stand(ctx, 8, 4, copying("safe", 0))
	if err != nil {
		return err
	}
	defer s.Close()
	args := []string{"--conns", "10", "--keys", "10000", "--value-size", "100", "--set-ratio", "0", "--rate", "1000", "--viral", "0.5"}
	if err := s.fill(ctx, args); err != nil {
		return err
	}
	var home, read []float64
	for range h.opts.Runs {
		l := s.begin(ctx, s.proxies, primeTime+h.opts.Duration+time.Second, args)
		err := pause(ctx, primeTime)
		var before, after counters
		if err == nil {
			before, err = readCounters(ctx, s.Memcacheds)
		}
		if err == nil {
			err = pause(ctx, h.opts.Duration)
		}
		if err == nil {
			after, err = readCounters(ctx, s.Memcacheds)
		}
		var key hotKey
		if err == nil {
			key, err = s.hottest(ctx)
		}
		if err := errors.Join(err, l.wait()); err != nil {
			return err
		}
		done := after.since(before).operations
		of := slices.Index(s.Memcacheds, key.Backend)
		if of < 0 {
			return fmt.Errorf("%s is at home on %q, which is none of the memcacheds", key.Key, key.Backend)
		}
		mean := sum(done) / float64(len(done))
		home = append(home, done[of]/mean)
		n, err := copiesRead(ctx, s.proxies[0])
		if err != nil {
			return err
		}
		read = append(read, n)
		h.Say("viral: its home did %.3f x the mean, the busiest %.3f", done[of]/mean, slices.Max(done)/mean)
	}
	f.Verdicts = append(f.Verdicts, atMost("home server's operations : mean", 1.15, thousandths, home))
	f.Tables = append(f.Tables, beside(tells("reads of copies by the first proxy, so far", whole, read)))
	f.Note("1,000 gets a second through each proxy, half of them for one key. The home server is the one that /api/hotkeys names for the hot key. Each run begins with %v that are not counted.", primeTime)
	return s.stale(ctx)
}
