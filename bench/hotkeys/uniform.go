package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mcproxy/bench/rig"
)

// uniformLoad is line f.
func (h *harness) uniformLoad(ctx context.Context, f *rig.Findings) error {
	fl, err := h.StartFleet(ctx, 4, usualMemory)
	if err != nil {
		return err
	}
	defer fl.Close()
	watched, err := fl.StartMcproxy(ctx, "watched", rig.McproxyConfig{Workers: 1, Ring: "ring = \"cmemcache\"\n"})
	if err != nil {
		return err
	}
	unwatched, err := fl.StartMcproxy(ctx, "unwatched", rig.McproxyConfig{
		Workers: 1, Ring: "ring = \"cmemcache\"\n", Pool: "[pools.main.hotkeys]\nenabled = false\n",
	})
	if err != nil {
		return err
	}
	table := rig.Table{
		Title: "watched, and beside it the same program with `enabled = false`: median (min..max)",
		Head:  []string{"load", "requests/s", "unwatched", "user + system, µs", "unwatched", "difference of the pairs"},
	}
	for _, pipeline := range []int{1, 16} {
		args := []string{"--conns", "50", "--pipeline", count(pipeline), "--keys", "100000", "--value-size", "100", "--set-ratio", "0.1", "--threads", "1"}
		if err := (&stand{fl, h, watched}).fill(ctx, args); err != nil {
			return err
		}
		var rates, on, off, times, without, differences []float64
		for i := range h.opts.Pairs {
			a, b, err := h.pair(ctx, watched, unwatched, args)
			if err != nil {
				return err
			}
			rates = append(rates, a.Rate/b.Rate)
			on, off = append(on, a.Rate), append(off, b.Rate)
			times, without, differences = append(times, a.Total()), append(without, b.Total()), append(differences, 1000*(a.Total()-b.Total()))
			h.Say("f: pipeline %d, pair %d of %d: %.0f : %.0f requests/s, %.2f : %.2f µs", pipeline, i+1, h.opts.Pairs, a.Rate, b.Rate, a.Total(), b.Total())
		}
		name := fmt.Sprintf("pipeline %d", pipeline)
		throughput := atMost(name+": throughput, watched : unwatched", 0.99, thousandths, rates)
		throughput.Floor = true
		f.Verdicts = append(f.Verdicts, throughput)
		micro := rig.Decimals(2, "")
		table.Rows = append(table.Rows, []string{
			name, rig.SpreadOf(on).Format(whole), rig.SpreadOf(off).Format(whole), rig.SpreadOf(times).Format(micro), rig.SpreadOf(without).Format(micro),
			rig.SpreadOf(differences).Format(rig.Decimals(0, " ns")),
		})
		f.Note("`%s`", commandText(args))
	}
	f.Tables = append(f.Tables, table)
	f.Note("The processes' times are too rough for single nanoseconds: what a request costs is judged by the worker's own path, measured in one process.")
	return h.watchingCost(ctx, f)
}

// pair measures a and b, one right after the other.
func (h *harness) pair(ctx context.Context, a, b rig.Proxy, args []string) (first, second rig.Sample, err error) {
	err = h.Persist(ctx, func() (err error) {
		if first, err = h.Sample(ctx, a, h.opts.Duration, append([]string{a.Address}, args...)...); err != nil {
			return err
		}
		second, err = h.Sample(ctx, b, h.opts.Duration, append([]string{b.Address}, args...)...)
		return err
	})
	return first, second, err
}

// watchingCost runs the benchmark of the worker's path, which tells the CPU time of its own thread.
func (h *harness) watchingCost(ctx context.Context, f *rig.Findings) error {
	argv := []string{
		h.Program(h.opts.goCommand), "test", "-run", "^$", "-bench", "^BenchmarkWatching$", "-count", count(max(2*h.opts.Runs, 5)), "./proxy",
	}
	text, err := rig.Output(ctx, argv...)
	if err != nil {
		return err
	}
	ns := rig.Decimals(1, " ns")
	table := rig.Table{
		Title: "CPU time of a request in the worker, all but the system calls: median (min..max)", Head: []string{"request", "watched", "unwatched", "watching"},
	}
	for _, request := range []string{"get", "set"} {
		row := []string{request}
		for _, unit := range []string{"watched-ns", "unwatched-ns", "watching-ns"} {
			times, err := benchmarkFigures(text, "BenchmarkWatching/"+request, unit)
			if err != nil {
				return err
			}
			row = append(row, rig.SpreadOf(times).Format(ns))
			if unit == "watching-ns" {
				f.Verdicts = append(f.Verdicts, atMost(request+": a request in the worker, watched - unwatched", 10, ns, times))
			}
		}
		table.Rows = append(table.Rows, row)
	}
	f.Tables = append(f.Tables, table)
	f.Note("`go %s`", strings.Join(argv[1:], " "))
	return nil
}

// benchmarkFigures reads what "go test -bench" writes: the figures of a benchmark with that unit, a line each.
func benchmarkFigures(text, name, unit string) ([]float64, error) {
	var figures []float64
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != name && !strings.HasPrefix(fields[0], name+"-") { // "-2" is the number of processors
			continue
		}
		i := slices.Index(fields, unit)
		if i < 2 {
			return nil, fmt.Errorf("go test -bench: no %s in %q", unit, line)
		}
		v, err := strconv.ParseFloat(fields[i-1], 64)
		if err != nil {
			return nil, fmt.Errorf("go test -bench: %q: %w", line, err)
		}
		figures = append(figures, v)
	}
	if len(figures) == 0 {
		return nil, fmt.Errorf("go test -bench: nothing of %s in\n%s", name, text)
	}
	return figures, nil
}
