package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mcproxy/bench/rig"
)

const (
	maxDelay   = 0.5 // seconds from onset until the key is in the list
	onsetsARun = 5   // of each kind
	onsetTime  = 1500 * time.Millisecond
)

// detection is line e.
func (h *harness) detection(ctx context.Context, f *rig.Findings) error {
	s, err := h.standWith(ctx, 4, usualMemory, splitting)
	if err != nil {
		return err
	}
	defer s.Close()
	uniform := []string{"--conns", "20", "--keys", "10000", "--value-size", "1KiB", "--set-ratio", "0.1"}
	if err := s.fill(ctx, uniform); err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { // until stop
		_, err := h.load(background, f, s.proxy.Address, append(uniform, "--rate", "5000", "--prefill=false", "--duration", "1h")...)
		ended <- err
	}()
	err = h.onsets(ctx, s, f)
	stop()
	if why := <-ended; background.Err() == nil || ctx.Err() == nil && why != nil && why != context.Canceled {
		return fmt.Errorf("the background load ended: %w", why)
	}
	if err != nil {
		return err
	}
	return h.recall(ctx, f)
}

// recall runs the detector's own test on a known load, which tells how many of the heaviest keys it finds.
func (h *harness) recall(ctx context.Context, f *rig.Findings) error {
	argv := []string{h.Program(h.opts.goCommand), "test", "-run", "^TestZipfTop$", "-v", "-count", "1", "./hotkey"}
	text, err := rig.Output(ctx, argv...)
	if err != nil {
		return err
	}
	found, err := parseFound(text)
	if err != nil {
		return err
	}
	table := rig.Table{
		Title: "the top 100 of Zipf(0.99) over a million keys, 1.5 million requests: median (min..max)", Head: []string{"figure", "measured"},
	}
	for _, one := range found {
		table.Rows = append(table.Rows, []string{one.what, one.figure.Format(rig.Ratio)})
		if strings.HasSuffix(one.what, ": top 100 that are tracked") || one.what == "every request recorded: recall of all that may be top 100" {
			f.Verdicts = append(f.Verdicts, rig.Verdict{What: one.what, Limit: 1, Floor: true, Each: true, Text: rig.Ratio, Figure: one.figure})
		}
	}
	f.Tables = append(f.Tables, table)
	f.Note("`go %s`", strings.Join(argv[1:], " "))
	return nil
}

// A foundPart is a part of the heaviest keys that the detector's test found, over its seeds.
type foundPart struct {
	what   string
	figure rig.Spread
}

// parseFound reads the log of that test: "file:line: how: what least-most".
func parseFound(text string) ([]foundPart, error) {
	var all []foundPart
	for line := range strings.Lines(text) {
		_, rest, found := strings.Cut(line, "zipf_test.go:")
		_, rest, numbered := strings.Cut(strings.TrimSpace(rest), ": ")
		at := strings.LastIndexByte(rest, ' ')
		if !found || !numbered || at < 0 {
			continue
		}
		var low, high float64
		if _, err := fmt.Sscanf(rest[at+1:], "%g-%g", &low, &high); err != nil {
			return nil, fmt.Errorf("go test: %q: %w", line, err)
		}
		all = append(all, foundPart{rest[:at], rig.SpreadOf([]float64{low, high})})
	}
	if len(all) == 0 {
		return nil, errors.New("go test: no figures in\n" + text)
	}
	return all, nil
}

// An onsetKind is a way in which a key becomes hot.
type onsetKind struct {
	name   string
	prefix string // of its keys, another for each kind
	args   []string
}

func onsetKinds() []onsetKind {
	load := func(conns, size string) []string {
		return []string{"--conns", conns, "--keys", "1", "--value-size", size, "--set-ratio", "0"}
	}
	return []onsetKind{
		{"operations, 100 B", "viral", load("10", "100")},
		{"bytes, 50 KB", "wide", load("4", "50000")},
		{"bytes, 100 KB, split", "split", load("4", "100000")},
	}
}

// onsets makes keys hot, one after the other.
func (h *harness) onsets(ctx context.Context, s *stand, f *rig.Findings) error {
	called := rig.Table{Title: "what the keys were called at first", Head: []string{"onset", "kind", "times"}}
	for _, kind := range onsetKinds() {
		var delays []float64
		kinds := map[string]int{}
		for i := range h.opts.Runs * onsetsARun {
			prefix := fmt.Sprintf("%s-%d:", kind.prefix, i)
			args := append(kind.args[:len(kind.args):len(kind.args)], "--key-prefix", prefix)
			if err := s.fill(ctx, args); err != nil {
				return err
			}
			delay, key, err := h.onset(ctx, s, prefix, args)
			if err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
			kinds[key.Kind]++
			delays = append(delays, delay.Seconds())
			h.Say("e: %s: found after %v, %s", kind.name, delay.Round(time.Millisecond), key.Kind)
		}
		f.Verdicts = append(f.Verdicts, each(atMost("from onset to the list, "+kind.name, maxDelay, rig.Duration, delays)))
		f.Note("%s: `%s`", kind.name, commandText(kind.args))
		for _, name := range slices.Sorted(maps.Keys(kinds)) {
			called.Rows = append(called.Rows, []string{kind.name, name, count(kinds[name])})
		}
	}
	f.Tables = append(f.Tables, called)
	f.Note("A uniform load of 5,000 requests a second goes on meanwhile. The onset is the start of a second load, for one key alone, that key new each time; "+
		"/api/hotkeys is asked every %v. %d onsets of each kind; a key that is not found within %v counts as if it were found then.",
		pollInterval, h.opts.Runs*onsetsARun, onsetTime)
	return nil
}

// onset makes the key with the prefix hot, and gives the time from the first request for it to the first list that has it.
func (h *harness) onset(ctx context.Context, s *stand, prefix string, args []string) (time.Duration, hotKey, error) {
	type result struct {
		g   rig.Generated
		err error
	}
	done := make(chan result, 1)
	go func() { // until its duration is over
		g, err := h.Generate(ctx, append([]string{
			s.proxy.Address, "--threads", "1", "--prefill=false", "--warmup", "0s", "--duration", onsetTime.String(),
		}, args...)...)
		done <- result{g, err}
	}()
	key, found, err := waitHotKey(ctx, s.proxy, prefix, onsetTime)
	load := <-done
	if err := errors.Join(err, load.err); err != nil {
		return 0, key, err
	}
	return found.Sub(load.g.Started), key, nil
}
