package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mcproxy/bench/rig"
)

// primeTime is how long a load runs before it is measured: so that what is hot is known to be.
const primeTime = 2 * time.Second

// prime runs the load for a while. Its keys are there already.
func (s *stand) prime(ctx context.Context, args []string) error {
	_, err := s.h.Generate(ctx, append([]string{
		s.proxy.Address, "--threads", "1", "--prefill=false", "--warmup", "0s",
		"--duration", primeTime.String(),
	}, args...)...)
	return err
}

// hottest is the only hot key of the stand's proxy.
func (s *stand) hottest(ctx context.Context) (hotKey, error) {
	keys, err := hotKeys(ctx, s.proxy)
	if err != nil {
		return hotKey{}, err
	}
	if len(keys) == 0 {
		return hotKey{}, errNoneHot
	}
	if len(keys) > 1 {
		return hotKey{}, fmt.Errorf("%d keys are hot: %+v", len(keys), keys)
	}
	return keys[0], nil
}

// fill sets every key that args speak of, through the proxy.
func (s *stand) fill(ctx context.Context, args []string) error {
	g, err := s.h.Generate(ctx, append([]string{s.proxy.Address, "--requests", "1"}, args...)...)
	if err == nil && g.Failed > 0 {
		err = fmt.Errorf("filling: %d failed: %v", g.Failed, g.Failures)
	}
	return err
}

// measured is one run of a load that was primed: what is hot is hot from its start.
func (s *stand) measured(ctx context.Context, f *rig.Findings, args []string) (rig.Generated, error) {
	if err := s.prime(ctx, args); err != nil {
		return rig.Generated{}, err
	}
	g, err := s.drive(ctx, f, append(append(args, "--prefill=false", "--warmup", "0s"), s.h.seconds()...)...)
	if err == nil {
		err = g.Comparable()
	}
	return g, err
}

// viralKey is line c.
func (h *harness) viralKey(ctx context.Context, f *rig.Findings) error {
	s, err := h.standWith(ctx, 4, usualMemory, splitting)
	if err != nil {
		return err
	}
	defer s.Close()
	uniform := []string{"--conns", "200", "--keys", "10000", "--value-size", "1KiB", "--set-ratio", "0"}
	viral := append(uniform[:len(uniform):len(uniform)], "--viral", "0.5")
	if err := s.fill(ctx, uniform); err != nil {
		return err
	}
	var home, ratio, busiest, rates, plain []float64
	for range h.opts.Runs {
		even, err := s.measured(ctx, f, uniform)
		if err != nil {
			return err
		}
		hot, err := s.measured(ctx, f, viral)
		if err != nil {
			return err
		}
		key, err := s.hottest(ctx)
		if err != nil {
			return err
		}
		part, err := shareOf(hot.Backends, key.Backend, operations)
		if err != nil {
			return err
		}
		h.Say("c: %s is %s and %s: its home's operations %.3f x the mean; %.0f a second, and %.0f of uniform load",
			key.Key, key.Kind, key.Action, part.overMean(), hot.Rate(), even.Rate())
		home, ratio = append(home, part.overMean()), append(ratio, hot.Rate()/even.Rate())
		busiest = append(busiest, hot.Backends.OperationsMaxMean)
		rates, plain = append(rates, hot.Rate()), append(plain, even.Rate())
	}
	throughput := atMost("throughput : that of uniform load", 0.95, rig.Ratio, ratio)
	throughput.Floor = true
	f.Verdicts = append(f.Verdicts, atMost("home server's operations : mean", 1.15, rig.Ratio, home), throughput)
	f.Tables = append(f.Tables, beside(
		tells("busiest server's operations : mean", rig.Ratio, busiest),
		tells("gets a second", whole, rates), tells("gets a second, uniform", whole, plain),
	))
	f.Note("Each run follows %v of the same load, so that the key is hot already. The home server is the one that /api/hotkeys names for the key.", primeTime)
	return nil
}

// wideSize is the value of line d, in bytes.
const wideSize = 100_000

// wideKey is line d.
func (h *harness) wideKey(ctx context.Context, f *rig.Findings) error {
	s, err := h.standWith(ctx, 4, usualMemory, splitting)
	if err != nil {
		return err
	}
	defer s.Close()
	args := []string{"--conns", "50", "--keys", "1", "--value-size", count(wideSize), "--set-ratio", "0"}
	if err := s.fill(ctx, args); err != nil {
		return err
	}
	var ofClients, overMean, busiest, rates []float64
	for range h.opts.Runs {
		g, err := s.measured(ctx, f, args)
		if err != nil {
			return err
		}
		key, err := s.hottest(ctx)
		if err != nil {
			return err
		}
		part, err := shareOf(g.Backends, key.Backend, allBytes)
		if err != nil {
			return err
		}
		if g.Received < g.Answers*wideSize {
			return errors.New("the clients received less than their values")
		}
		h.Say("d: %s is %s and %s: its home's bytes %.4f of the clients', %.3f x the mean; %.0f a second",
			key.Key, key.Kind, key.Action, part.own/float64(g.Received), part.overMean(), g.Rate())
		ofClients, overMean = append(ofClients, part.own/float64(g.Received)), append(overMean, part.overMean())
		busiest, rates = append(busiest, g.Backends.BytesMaxMean), append(rates, g.Rate())
	}
	f.Verdicts = append(f.Verdicts,
		atMost("home server's bytes : what clients receive", 0.02, percent, ofClients), atMost("home server's bytes : mean", 1.05, thousandths, overMean))
	f.Tables = append(f.Tables, beside(
		tells("busiest server's bytes : mean", thousandths, busiest), tells("gets a second", whole, rates),
	))
	f.Note("One of the two targets is enough. Each run follows %v of the same load.", primeTime)
	return nil
}
