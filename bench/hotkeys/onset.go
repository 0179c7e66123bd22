package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	return err
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
		for i := range h.opts.runs * onsetsARun {
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
		pollInterval, h.opts.runs*onsetsARun, onsetTime)
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
	key, found, err := waitHotKey(ctx, s.proxy.Admin, prefix, onsetTime)
	load := <-done
	if err := errors.Join(err, load.err); err != nil {
		return 0, key, err
	}
	return found.Sub(load.g.Started), key, nil
}
