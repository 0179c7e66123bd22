package main

import (
	"context"
	"fmt"

	"mcproxy/bench/rig"
)

// maxGrowth is the ratio of user times under which a range is said not to matter.
const maxGrowth = 1.15

// A setting is one point of a range.
type setting struct{ conns, backends, workers int }

// usualSetting is what a range changes one figure of.
func usualSetting() setting { return setting{conns: 50, backends: usualBackends, workers: 1} }

// A step is two points of a range, the smaller one first.
type step struct {
	family   string // mcproxy, which is judged, or nutcracker beside it
	name     string // "conns 10 → 100"
	from, to setting
}

// steps are all that W7 measures on that many cores.
func steps(cores int) []step {
	var all []step
	add := func(family, what string, from, to int, set func(*setting, int)) {
		s := step{family: family, name: fmt.Sprintf("%s %d → %d", what, from, to), from: usualSetting(), to: usualSetting()}
		set(&s.from, from)
		set(&s.to, to)
		all = append(all, s)
	}
	conns := func(s *setting, n int) { s.conns = n }
	backends := func(s *setting, n int) { s.backends = n }
	for _, n := range []int{100, 1000, 10_000} {
		add(ours, "conns", 10, n, conns)
	}
	add(nutcracker, "conns", 10, 10_000, conns)
	for _, n := range []int{4, 16, 64} {
		add(ours, "backends", 1, n, backends)
	}
	add(nutcracker, "backends", 1, 64, backends)
	for n := 2; n <= cores; n *= 2 {
		add(ours, "workers", 1, n, func(s *setting, n int) { s.workers = n })
	}
	return all
}

// growth measures how user time a request grows over ranges.
func growth(ctx context.Context, h *harness, f *rig.Findings) error {
	result := rig.Table{
		Title: "the second point : the first, of each pair: median (min..max)",
		Head:  []string{"proxy", "range"},
	}
	for _, m := range measures() {
		result.Head = append(result.Head, m.name)
	}
	for _, s := range steps(len(h.Cores)) {
		if s.family != ours && !h.starts(s.family) {
			continue
		}
		pairs, err := h.grow(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		row := []string{s.family, s.name}
		for _, m := range measures() {
			row = append(row, ratios(pairs, m.of).Format(rig.Ratio))
		}
		result.Rows = append(result.Rows, row)
		if s.family == ours {
			f.Verdicts = append(f.Verdicts, rig.Verdict{
				What: s.name + ", user time", Limit: maxGrowth, Below: true, Text: rig.Ratio,
				Figure: ratios(pairs, measureOf(userTime).of),
			})
		}
	}
	f.Tables = append(f.Tables, result)
	f.Note("Where all cores go to workers, the last one has the load on it as well.")
	return nil
}

// grow measures the two points of a step in turn. Its pairs hold the second point first, so that their ratios are growth.
func (h *harness) grow(ctx context.Context, s step) ([]pair, error) {
	if err := h.NeedDescriptors(max(s.from.conns, s.to.conns)); err != nil {
		return nil, err
	}
	from, closeFrom, err := h.settle(ctx, s.family, s.from)
	if err != nil {
		return nil, err
	}
	defer closeFrom()
	to, closeTo, err := h.settle(ctx, s.family, s.to)
	if err != nil {
		return nil, err
	}
	defer closeTo()
	from.traffic.label, to.traffic.label = s.name+", first point", s.name+", second point"
	pairs, err := h.alternate(ctx, from, to)
	for i, p := range pairs {
		pairs[i] = pair{p.b, p.a}
	}
	return pairs, err
}

// settle starts a proxy as the setting says, before filled memcacheds.
func (h *harness) settle(ctx context.Context, family string, s setting) (subject, func(), error) {
	fl, err := h.startFleet(ctx, s.backends, memcachedMemory/4)
	if err != nil {
		return subject{}, nil, err
	}
	var p rig.Proxy
	if family == ours {
		p, err = fl.startMcproxy(ctx, s.workers)
	} else {
		p, err = fl.StartNutcracker(ctx, nutcracker, 0)
	}
	t := smallValues(s.conns, 1)
	if err == nil {
		err = h.fill(ctx, t, []string{p.Address})
	}
	if err != nil {
		fl.Close()
		return subject{}, nil, err
	}
	return subject{p, t}, fl.Close, nil
}
