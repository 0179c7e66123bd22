package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"mcproxy/bench/rig"
)

// A harness runs loads. Everything that it measures is a child, or one of a user's rivals.
type harness struct {
	*rig.Machine
	opts *options
}

// newHarness finds the programs, and moves the user's rivals to the core of the proxies.
func newHarness(ctx context.Context, opts *options, out io.Writer) (*harness, error) {
	programs := []string{"strace"}
	for _, rival := range opts.against {
		programs = append(programs, programOf(rival))
	}
	machine, err := rig.NewMachine(ctx, "bench-rivals", out, opts.Binary, programs...)
	if err != nil {
		return nil, err
	}
	h := &harness{machine, opts}
	for _, rival := range opts.rivals {
		err := rig.AskVersion(ctx, rival.Address)
		if err == nil {
			err = h.Pin(ctx, rival.PID, h.ProxyCores(1))
		}
		if err != nil {
			h.Close()
			return nil, fmt.Errorf("rival %s: %w", rival.Name, err)
		}
	}
	return h, nil
}

// measure runs one load.
func (h *harness) measure(ctx context.Context, l load, f *rig.Findings) error {
	for _, t := range l.traffic {
		if err := h.compare(ctx, t, l.targets, f); err != nil {
			return err
		}
	}
	if l.also != nil {
		return l.also(ctx, h, f)
	}
	return nil
}

// compare measures mcproxy and each rival in alternating pairs.
func (h *harness) compare(ctx context.Context, t traffic, targets []target, f *rig.Findings) error {
	fl, err := h.startFleet(ctx, usualBackends, memcachedMemory)
	if err != nil {
		return err
	}
	defer fl.Close()
	mcproxy, rivals, err := fl.startAll(ctx)
	if err != nil {
		return err
	}
	if err := h.fill(ctx, t, slices.Concat(fl.Memcacheds, addresses(h.opts.rivals))); err != nil {
		return err
	}
	var all []sampled
	var ratios []compared
	mine := sampled{name: ours}
	for _, rival := range rivals {
		pairs, err := h.alternate(ctx, subject{mcproxy, t}, subject{rival, t})
		if err != nil {
			return err
		}
		theirs := sampled{name: rival.Name}
		for _, p := range pairs {
			mine.samples = append(mine.samples, p.a)
			theirs.samples = append(theirs.samples, p.b)
		}
		all = append(all, theirs)
		ratios = append(ratios, compared{rival: rival, pairs: pairs})
	}
	f.Verdicts = append(f.Verdicts, judge(t, targets, ratios)...)
	f.Tables = append(f.Tables, figuresTable(t.label, append([]sampled{mine}, all...)), ratiosTable(t.label, ratios))
	return nil
}

// A subject is one side of a pair.
type subject struct {
	proxy   rig.Proxy
	traffic traffic
}

func (s subject) String() string { return prefixed(s.traffic.label, s.proxy.Name) }

// alternate measures a, b, a, b …
func (h *harness) alternate(ctx context.Context, a, b subject) ([]pair, error) {
	var pairs []pair
	for i := range h.opts.Pairs {
		var first, second rig.Sample
		err := h.Persist(ctx, func() (err error) {
			if first, err = h.sample(ctx, a); err != nil {
				return err
			}
			second, err = h.sample(ctx, b)
			return err
		})
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{first, second})
		h.Say("%s, %s, pair %d of %d: user %.2f : %.2f µs, total %.2f : %.2f µs, %.0f : %.0f requests/s", a, b, i+1, h.opts.Pairs,
			first.User, second.User, first.Total(), second.Total(), first.Rate, second.Rate)
	}
	return pairs, nil
}

func addresses(proxies []rig.Proxy) []string {
	var all []string
	for _, p := range proxies {
		all = append(all, p.Address)
	}
	return all
}

// starts reports whether the rival is started here.
func (h *harness) starts(rival string) bool { return slices.Contains(h.opts.against, rival) }
