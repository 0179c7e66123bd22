package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"mcproxy/bench/rig"
)

// calls are numbers of system calls by name.
type calls map[string]float64

func (c calls) total() float64 {
	sum := 0.0
	for _, n := range c {
		sum += n
	}
	return sum
}

// carrying are the calls that move a request: all but those with which a runtime's threads sleep, wake and interrupt each
// other by the clock. strace stretches time, so it counts too many of these for each request.
func (c calls) carrying() calls {
	rest := maps.Clone(c)
	for _, name := range []string{"nanosleep", "clock_nanosleep", "futex", "sched_yield", "getpid", "tgkill", "rt_sigreturn"} {
		delete(rest, name)
	}
	return rest
}

// String names the calls, the most frequent first; those of under one in a hundred requests are left out.
func (c calls) String() string {
	names := slices.SortedFunc(maps.Keys(c), func(a, b string) int {
		if c[a] != c[b] {
			return int(1e6 * (c[b] - c[a]))
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names {
		if c[name] >= 0.01 {
			parts = append(parts, fmt.Sprintf("%s %.2f", name, c[name]))
		}
	}
	return strings.Join(parts, ", ")
}

// parseStrace reads the table that "strace -c" writes.
func parseStrace(text string) (calls, error) {
	counted := calls{}
	var sum float64
	ruled := 0 // the lines of dashes that have passed: the table stands after the first, its sum after the second
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "------") {
			ruled++
			continue
		}
		if ruled == 0 || len(fields) == 0 {
			continue
		}
		// % time, seconds, usecs/call, calls, errors (may be empty), syscall
		if len(fields) < 5 {
			return nil, fmt.Errorf("strace: line %q: want at least 5 fields", line)
		}
		n, err := strconv.ParseFloat(fields[3], 64)
		if err != nil {
			return nil, fmt.Errorf("strace: line %q: %w", line, err)
		}
		if ruled == 1 {
			counted[fields[len(fields)-1]] += n
		} else {
			sum = n
		}
	}
	if ruled != 2 || counted.total() != sum {
		return nil, fmt.Errorf("strace: the calls add up to %v, and not to what it says itself, %v:\n%s", counted.total(), sum, text)
	}
	return counted, nil
}

// countCalls runs strace on a process, all its threads, while load runs.
func (h *harness) countCalls(ctx context.Context, pid int, load func() error) (calls, error) {
	dir, err := os.MkdirTemp("", "bench-rivals-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "strace")
	c, err := rig.Start("strace", nil, h.Program("strace"), "-f", "-c", "-o", file, "-p", strconv.Itoa(pid))
	if err != nil {
		return nil, err
	}
	err = c.WaitSaid(ctx, "attached")
	if err == nil {
		err = load()
	}
	c.End(syscall.SIGINT) // it lets the process go, and writes
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w; strace said %s", err, c.Said())
	}
	return parseStrace(string(text))
}

// callsPerRequest counts over n requests and over 2n, and divides the difference by n: so what a conn costs when it comes and
// goes is in neither.
func (h *harness) callsPerRequest(ctx context.Context, s subject, n int) (calls, error) {
	var counted [2]calls
	for i := range counted {
		var err error
		counted[i], err = h.countCalls(ctx, s.proxy.PID, func() error {
			args := append(s.traffic.args(s.proxy.Address), "--prefill=false", "--warmup", "0s", "--duration", "2m",
				"--requests", strconv.Itoa((i+1)*n))
			g, err := h.Generate(ctx, args...)
			if err == nil && g.Answers != int64((i+1)*n) {
				err = fmt.Errorf("%d answers to %d requests", g.Answers, (i+1)*n)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.proxy.Name, err)
		}
	}
	each := calls{}
	for name, more := range counted[1] {
		if d := (more - counted[0][name]) / float64(n); d > 0 {
			each[name] = d
		}
	}
	return each, nil
}

// A lone get may cost so many system calls, from the moment it arrives until the proxy waits again.
const maxLoneGetCalls = 6

// How many requests the calls are counted over.
const (
	loneRequests = 1000
	busyRequests = 5000
)

// systemCalls counts those of a lone get, and of W1's own traffic.
func systemCalls(ctx context.Context, h *harness, f *rig.Findings) error {
	fl, err := h.startFleet(ctx, usualBackends, memcachedMemory)
	if err != nil {
		return err
	}
	defer fl.Close()
	mcproxy, rivals, err := fl.startAll(ctx)
	if err != nil {
		return err
	}
	busy := smallValues(50, 1)
	lone := busy
	lone.conns, lone.setRatio = 1, 0
	if err := h.fill(ctx, lone, slices.Concat(fl.Memcacheds, addresses(h.opts.rivals))); err != nil {
		return err
	}
	result := rig.Table{
		Title: fmt.Sprintf("system calls a request, strace -f -c, over %d gets on 1 conn and %d requests on 50", loneRequests, busyRequests),
		Head:  []string{"proxy", "1 conn, gets", "of all", "which", "50 conns, 10 % sets", "of all", "which"},
	}
	for _, p := range append([]rig.Proxy{mcproxy}, rivals...) {
		one, err := h.callsPerRequest(ctx, subject{p, lone}, loneRequests)
		if err != nil {
			return err
		}
		many, err := h.callsPerRequest(ctx, subject{p, busy}, busyRequests)
		if err != nil {
			return err
		}
		h.Say("%s: %.2f system calls for a lone get, %.2f a request with 50 conns", p.Name, one.carrying().total(), many.carrying().total())
		result.Rows = append(result.Rows, []string{
			p.Name, rig.Ratio(one.carrying().total()), rig.Ratio(one.total()), one.String(),
			rig.Ratio(many.carrying().total()), rig.Ratio(many.total()), many.String(),
		})
		if p.Family == ours {
			f.Verdicts = append(f.Verdicts, rig.Verdict{
				What: "system calls of a lone get", Limit: maxLoneGetCalls, Text: rig.Decimals(0, ""),
				// To the whole: a wait more by the clock, now and then, is not the request's.
				Figure: rig.SpreadOf([]float64{math.Round(one.carrying().total())}),
			})
		}
	}
	f.Tables = append(f.Tables, result)
	f.Note("\"Of all\" includes the calls with which the threads of a runtime sleep, wake and interrupt each other by the clock " +
		"(nanosleep, futex, tgkill …): strace stretches time, so they are too many for each request, and the target leaves them out, and looks at whole numbers.")
	f.Note("strace slows each call down, so that more requests wait for a turn of the loop: with 50 conns every proxy batches more than it does alone.")
	return nil
}
