package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"mcproxy/bench/rig"
)

const (
	writeEvery = 25 * time.Millisecond // of a pair: one write of each key
	hotWait    = 15 * time.Second      // for copies
)

// write is what a write of a key with copies takes: with one, on a server that has nothing else to do meanwhile, and with as many as there
// can be, which here share a core.
func (h *harness) write(ctx context.Context, f *rig.Findings) error {
	for _, one := range []writing{{"safe", 1, 2}, {"strict", 1, 3}, {"safe", 7, 2}, {"strict", 7, 3}} {
		if err := h.writeIn(ctx, f, one); err != nil {
			return fmt.Errorf("%s, %d copies: %w", one.mode, one.copies, err)
		}
	}
	f.Note("1,000 gets a second of the hot key come through each of 2 proxies. One client writes it through the first, and after each write another key, which has no copies, and gets a key each "+
		"of the servers with copies, at once. A round trip is what the second takes (p99 of the same run), so what the load does to one it does to both. A turn of all copies' servers is what the third "+
		"takes: as they share a core here, it takes longer than a round trip, and on machines of their own it does not. A turn of all three each %v.", writeEvery)
	return nil
}

// A writing is a key with copies and what a write of it is to take.
type writing struct {
	mode   string
	copies int
	trips  float64
}

func (w *writing) String() string { return fmt.Sprintf("%s, copies: %d", w.mode, w.copies) }

// writeTimes are the seconds that each request took, sorted.
type writeTimes struct {
	hot  []float64 // a write of a key with copies,
	cold []float64 // and of one without
	turn []float64 // a get of a key of each copy's server
}

func (h *harness) writeIn(ctx context.Context, f *rig.Findings, w writing) error {
	s, err := h.stand(ctx, 8, 2, copying(w.mode, w.copies))
	if err != nil {
		return err
	}
	defer s.Close()
	args := []string{"--conns", "5", "--keys", "1", "--value-size", "100", "--set-ratio", "0", "--key-prefix", "hot:", "--rate", "1000"}
	if err := s.fill(ctx, args); err != nil {
		return err
	}
	var over, overTurns []float64
	var p99, p50 [3][]float64
	for range h.opts.Runs {
		reads := s.begin(ctx, s.proxies, hotWait+h.opts.Duration, args)
		t, err := s.writes(ctx, h.opts.Duration, w.copies)
		if err := errors.Join(err, reads.wait()); err != nil {
			return err
		}
		for i, times := range [][]float64{t.hot, t.cold, t.turn} {
			p99[i], p50[i] = append(p99[i], at(times, 0.99)), append(p50[i], at(times, 0.5))
		}
		last := len(over)
		h.Say("write: %s: p99 %s, %s without copies, %s a turn; p50 %s, %s, %s", &w, rig.Duration(p99[0][last]), rig.Duration(p99[1][last]), rig.Duration(p99[2][last]),
			rig.Duration(p50[0][last]), rig.Duration(p50[1][last]), rig.Duration(p50[2][last]))
		over = append(over, p99[0][last]-w.trips*p99[1][last])
		overTurns = append(overTurns, p99[0][last]-p99[1][last]-(w.trips-1)*p99[2][last])
	}
	f.Verdicts = append(f.Verdicts, atMost(fmt.Sprintf("%s: p99 - %.0f round trips", &w, w.trips), 100e-6, rig.Duration, over))
	what := &w
	f.Tables = append(f.Tables, beside(
		tells(fmt.Sprintf("%s: p99 - one round trip and %.0f turns of all copies' servers", what, w.trips-1), rig.Duration, overTurns),
		tells(what.String()+": p99 of a write", rig.Duration, p99[0]), tells("of one without copies", rig.Duration, p99[1]), tells("of a turn", rig.Duration, p99[2]),
		tells(what.String()+": p50 of a write", rig.Duration, p50[0]), tells("of one without copies", rig.Duration, p50[1]), tells("of a turn", rig.Duration, p50[2])))
	return s.stale(ctx)
}

// writes waits until the hot key has copies that are read, and then writes it and another key, and asks a key of each copy's server, in turn.
func (s *stand) writes(ctx context.Context, length time.Duration, copies int) (t writeTimes, err error) {
	if err := s.copied(ctx); err != nil {
		return t, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.proxies[0].Address)
	if err != nil {
		return t, err
	}
	defer conn.Close()
	key, err := s.hottest(ctx)
	if err != nil {
		return t, err
	}
	others, err := s.others(ctx, key.Backend, copies)
	if err != nil {
		return t, err
	}
	settled := func() (float64, error) {
		return s.proxies[0].Metric(ctx, "mcproxy_replica_writes_total", `outcome="settled"`)
	}
	first, err := settled()
	if err != nil {
		return t, err
	}
	in := bufio.NewReader(conn)
	for end := time.Now().Add(length); time.Now().Before(end); {
		for _, one := range []struct {
			request, answer string
			times           *[]float64
		}{
			{fmt.Sprintf("set %s 0 0 100\r\n%0100d\r\n", key.Key, 1), "STORED\r\n", &t.hot},
			{fmt.Sprintf("set cold 0 0 100\r\n%0100d\r\n", 1), "STORED\r\n", &t.cold},
			{"get " + strings.Join(others, " ") + "\r\n", "END\r\n", &t.turn},
		} {
			begun := time.Now()
			if err := ask(conn, in, one.request, one.answer); err != nil {
				return t, err
			}
			*one.times = append(*one.times, time.Since(begun).Seconds())
		}
		if err := pause(ctx, writeEvery); err != nil {
			return t, err
		}
	}
	last, err := settled()
	if err == nil && last-first < float64(len(t.hot))*0.9 {
		err = fmt.Errorf("the key had copies at %.0f of %d writes", last-first, len(t.hot))
	}
	slices.Sort(t.hot)
	slices.Sort(t.cold)
	slices.Sort(t.turn)
	return t, err
}

// copied waits until copies are read.
func (s *stand) copied(ctx context.Context) error {
	before, err := copiesRead(ctx, s.proxies[0])
	for until := time.Now().Add(hotWait); err == nil; err = pause(ctx, 50*time.Millisecond) {
		now, err := copiesRead(ctx, s.proxies[0])
		if err != nil || now > before {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("no copy was read within %v", hotWait)
		}
	}
	return err
}

// others gives keys that nobody has stored, one on each of so many memcacheds, but not on that one.
func (s *stand) others(ctx context.Context, but string, n int) (keys []string, err error) {
	for _, address := range s.Memcacheds {
		if address == but || len(keys) == n {
			continue
		}
		key, err := s.at(ctx, address)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// ask sends a request and waits for its one line.
func ask(conn net.Conn, in *bufio.Reader, request, want string) error {
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(request)); err != nil {
		return err
	}
	line, err := in.ReadString('\n')
	if err == nil && line != want {
		err = fmt.Errorf("%.40q: %q", request, line)
	}
	return err
}

// at is a quantile of what is sorted.
func at(sorted []float64, q float64) float64 {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
