package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mcproxy/bench/rig"
)

const (
	maxOnset   = 1.2 // seconds
	onsetsARun = 3
	onsetTime  = 4 * time.Second
)

// onset is the time from a key's first get to the first that a copy answers.
func (h *harness) onset(ctx context.Context, f *rig.Findings) error {
	s, err := h.stand(ctx, 8, 4, copying("safe", 0))
	if err != nil {
		return err
	}
	defer s.Close()
	uniform := []string{"--conns", "10", "--keys", "10000", "--value-size", "100", "--set-ratio", "0", "--rate", "500"}
	if err := s.fill(ctx, uniform); err != nil {
		return err
	}
	var delays []float64
	for i := range h.opts.Runs * onsetsARun {
		args := []string{
			"--conns", "10", "--keys", "1", "--value-size", "100", "--set-ratio", "0", "--rate", "1000", "--key-prefix", fmt.Sprintf("onset-%d:", i),
		}
		if err := s.fill(ctx, args); err != nil {
			return err
		}
		background := s.begin(ctx, s.proxies, onsetTime+2*time.Second, uniform)
		err := pause(ctx, 2*time.Second)
		var delay time.Duration
		if err == nil {
			delay, err = s.onset(ctx, args)
		}
		if err := errors.Join(err, background.wait()); err != nil {
			return err
		}
		h.Say("onset: copies were read after %v", delay.Round(time.Millisecond))
		delays = append(delays, delay.Seconds())
	}
	v := atMost("from the first get to the first that a copy answers", maxOnset, rig.Duration, delays)
	v.Each = true
	f.Verdicts = append(f.Verdicts, v)
	f.Note("1,000 gets a second of one key begin at 4 proxies, each time another key, while 500 a second of 10,000 keys go on at each. /metrics are asked all the time. "+
		"%d onsets; copies that are not read within %v count as if they were then.", h.opts.Runs*onsetsARun, onsetTime)
	return s.stale(ctx)
}

// onset makes a key hot and waits for copies of it to be read.
func (s *stand) onset(ctx context.Context, args []string) (time.Duration, error) {
	read := func() (sum float64, err error) {
		for _, p := range s.proxies {
			n, err := copiesRead(ctx, p)
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}
	before, err := read()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	l := s.begin(ctx, s.proxies, onsetTime, args)
	now := before
	for err == nil && now == before && time.Since(begun) < onsetTime {
		now, err = read()
	}
	found := time.Now()
	if err := errors.Join(err, l.wait()); err != nil {
		return 0, err
	}
	first := l.all[0].Started
	for _, g := range l.all {
		if g.Started.Before(first) {
			first = g.Started
		}
	}
	return found.Sub(first), nil
}
