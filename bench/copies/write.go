package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"mcproxy/bench/rig"
)

const (
	writeEvery = 25 * time.Millisecond // of a pair: one write of each key
	hotWait    = 15 * time.Second      // for copies
)

// write is what a write of a key with copies takes.
func (h *harness) write(ctx context.Context, f *rig.Findings) error {
	for _, mode := range []struct {
		name  string
		trips float64
	}{{"safe", 2}, {"strict", 3}} {
		if err := h.writeIn(ctx, f, mode.name, mode.trips); err != nil {
			return fmt.Errorf("%s: %w", mode.name, err)
		}
	}
	f.Note("1,000 gets a second of the hot key come through each of 2 proxies. One client writes it through the first, and after each write another key, which has no copies: "+
		"a round trip is what a write of that takes (p99 of the same run), so what the load does to one it does to both. A pair of writes each %v.", writeEvery)
	return nil
}

func (h *harness) writeIn(ctx context.Context, f *rig.Findings, mode string, trips float64) error {
	s, err := h.stand(ctx, 8, 2, mode)
	if err != nil {
		return err
	}
	defer s.Close()
	args := []string{"--conns", "5", "--keys", "1", "--value-size", "100", "--set-ratio", "0", "--key-prefix", "hot:", "--rate", "1000"}
	if err := s.fill(ctx, args); err != nil {
		return err
	}
	var over, hotP99, coldP99, hotP50, coldP50 []float64
	for range h.opts.Runs {
		reads := s.begin(ctx, s.proxies, hotWait+h.opts.Duration, args)
		hot, cold, err := s.writes(ctx, h.opts.Duration)
		if err := errors.Join(err, reads.wait()); err != nil {
			return err
		}
		h.Say("write: %s: p99 %s with copies, %s without; p50 %s and %s", mode, rig.Duration(at(hot, 0.99)), rig.Duration(at(cold, 0.99)), rig.Duration(at(hot, 0.5)), rig.Duration(at(cold, 0.5)))
		over = append(over, at(hot, 0.99)-trips*at(cold, 0.99))
		hotP99, coldP99 = append(hotP99, at(hot, 0.99)), append(coldP99, at(cold, 0.99))
		hotP50, coldP50 = append(hotP50, at(hot, 0.5)), append(coldP50, at(cold, 0.5))
	}
	f.Verdicts = append(f.Verdicts, atMost(fmt.Sprintf("%s: p99 - %.0f round trips", mode, trips), 100e-6, rig.Duration, over))
	f.Tables = append(f.Tables, beside(
		tells(mode+": p99 of a write with copies", rig.Duration, hotP99), tells(mode+": p99 of one without", rig.Duration, coldP99),
		tells(mode+": p50 of a write with copies", rig.Duration, hotP50), tells(mode+": p50 of one without", rig.Duration, coldP50)))
	return s.stale(ctx)
}

// writes waits until the hot key has copies that are read, and writes it and another key in turn; it gives the seconds that each write took, sorted.
func (s *stand) writes(ctx context.Context, length time.Duration) (hot, cold []float64, err error) {
	settled := func() (float64, error) {
		return s.proxies[0].Metric(ctx, "mcproxy_replica_writes_total", `outcome="settled"`)
	}
	before, err := copiesRead(ctx, s.proxies[0])
	if err != nil {
		return nil, nil, err
	}
	for until := time.Now().Add(hotWait); ; {
		now, err := copiesRead(ctx, s.proxies[0])
		if err != nil {
			return nil, nil, err
		}
		if now > before {
			break
		}
		if time.Now().After(until) {
			return nil, nil, fmt.Errorf("no copy was read within %v", hotWait)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil, nil, err
		}
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.proxies[0].Address)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	key, err := s.hottest(ctx)
	if err != nil {
		return nil, nil, err
	}
	first, err := settled()
	if err != nil {
		return nil, nil, err
	}
	in := bufio.NewReader(conn)
	for end := time.Now().Add(length); time.Now().Before(end); {
		for _, one := range []struct {
			key   string
			times *[]float64
		}{{key.Key, &hot}, {"cold", &cold}} {
			begun := time.Now()
			if err := set(conn, in, one.key); err != nil {
				return nil, nil, err
			}
			*one.times = append(*one.times, time.Since(begun).Seconds())
		}
		if err := pause(ctx, writeEvery); err != nil {
			return nil, nil, err
		}
	}
	last, err := settled()
	if err == nil && last-first < float64(len(hot))*0.9 {
		err = fmt.Errorf("the key had copies at %.0f of %d writes", last-first, len(hot))
	}
	slices.Sort(hot)
	slices.Sort(cold)
	return hot, cold, err
}

// set stores 100 bytes and waits.
func set(conn net.Conn, in *bufio.Reader, key string) error {
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "set %s 0 0 100\r\n%0100d\r\n", key, 1); err != nil {
		return err
	}
	line, err := in.ReadString('\n')
	if err == nil && line != "STORED\r\n" {
		err = fmt.Errorf("set %s: %q", key, line)
	}
	return err
}

// at is a quantile of what is sorted.
func at(sorted []float64, q float64) float64 {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
