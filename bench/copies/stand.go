package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"mcproxy/bench/rig"
)

// memory is that of a memcached, in MiB.
const memory = 128

// copying is the pool's table that has hot keys get copies, so many at most; 0: as many as there are other servers.
func copying(mode string, most int) string {
	table := "[pools.main.replicas]\nmode = " + strconv.Quote(mode) + "\n"
	if most > 0 {
		table += "max = " + strconv.Itoa(most) + "\n"
	}
	return table
}

// A stand is memcacheds and the proxies before them.
type stand struct {
	*rig.Fleet
	h       *harness
	pool    string // the table of copies
	proxies []rig.Proxy
}

// stand starts memcacheds and proxies with that table of copies.
func (h *harness) stand(ctx context.Context, memcacheds, proxies int, pool string) (*stand, error) {
	fl, err := h.StartFleet(ctx, memcacheds, memory)
	if err != nil {
		return nil, err
	}
	s := &stand{Fleet: fl, h: h, pool: pool}
	for range proxies {
		if err := s.join(ctx); err != nil {
			fl.Close()
			return nil, err
		}
	}
	return s, nil
}

// join starts one more proxy. The others are told nothing.
func (s *stand) join(ctx context.Context) error {
	p, err := s.StartMcproxy(ctx, fmt.Sprintf("mcproxy%d", len(s.proxies)+1), rig.McproxyConfig{Workers: 1, Pool: s.pool})
	if err == nil {
		s.proxies = append(s.proxies, p)
	}
	return err
}

// fill sets every key that args speak of.
func (s *stand) fill(ctx context.Context, args []string) error {
	g, err := s.h.Generate(ctx, append([]string{s.proxies[0].Address, "--threads", "1", "--requests", "1"}, args...)...)
	if err == nil && g.Failed > 0 {
		err = fmt.Errorf("filling: %d failed: %v", g.Failed, g.Failures)
	}
	return err
}

// A load goes through several proxies until its time is over.
type load struct {
	done chan error
	all  []rig.Generated
}

// begin has a load generator for each proxy send what args say.
func (s *stand) begin(ctx context.Context, proxies []rig.Proxy, length time.Duration, args []string) *load {
	l := &load{done: make(chan error, len(proxies)), all: make([]rig.Generated, len(proxies))}
	for i, p := range proxies {
		go func() { // until length is over
			own := []string{p.Address, "--threads", "1", "--prefill=false", "--warmup", "0s", "--duration", length.String(), "--seed", strconv.Itoa(i + 1)}
			g, err := s.h.Generate(ctx, append(own, args...)...)
			if err == nil && g.Failed > 0 {
				err = fmt.Errorf("%d of %d operations failed: %v", g.Failed, g.Answers, g.Failures)
			}
			l.all[i] = g
			l.done <- err
		}()
	}
	return l
}

// wait waits for its end.
func (l *load) wait() error {
	var errs []error
	for range l.all {
		errs = append(errs, <-l.done)
	}
	return errors.Join(errs...)
}

// rate is in requests a second.
func (l *load) rate() (r float64) {
	for _, g := range l.all {
		r += g.Rate()
	}
	return r
}

// pause lets time pass.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// at gives a key that belongs on a memcached, by its address, and no other line uses.
func (s *stand) at(ctx context.Context, address string) (string, error) {
	for i := range 1000 {
		key := "cold-" + strconv.Itoa(i)
		text, err := s.proxies[0].Ask(ctx, "/api/lookup?key="+key)
		if err != nil {
			return "", err
		}
		var found struct {
			Address string `json:"address"`
		}
		if err := json.Unmarshal(text, &found); err != nil {
			return "", fmt.Errorf("/api/lookup: %w", err)
		}
		if found.Address == address {
			return key, nil
		}
	}
	return "", errors.New("/api/lookup: none of 1,000 keys belongs on " + address)
}

// A hotKey is an entry of /api/hotkeys, as far as it matters here.
type hotKey struct {
	Key     string `json:"key"`
	Hot     bool   `json:"hot"`
	Backend string `json:"backend"`
}

// hottest is the first hot key that a proxy lists.
func (s *stand) hottest(ctx context.Context) (hotKey, error) {
	text, err := s.proxies[0].Ask(ctx, "/api/hotkeys")
	if err != nil {
		return hotKey{}, err
	}
	var answer struct {
		Pools []struct {
			Keys []hotKey `json:"keys"`
		} `json:"pools"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return hotKey{}, fmt.Errorf("/api/hotkeys: %w", err)
	}
	for _, p := range answer.Pools {
		if i := slices.IndexFunc(p.Keys, func(k hotKey) bool { return k.Hot }); i >= 0 {
			return p.Keys[i], nil
		}
	}
	return hotKey{}, errors.New("/api/hotkeys: no key is hot")
}

// copiesRead is how many reads a proxy's copies have answered.
func copiesRead(ctx context.Context, p rig.Proxy) (float64, error) {
	return p.Metric(ctx, "mcproxy_replica_reads_total", `outcome="copy"`)
}

// stale is an error if a proxy's canary has found a copy that is older than it may be.
func (s *stand) stale(ctx context.Context) error {
	for _, p := range s.proxies {
		n, err := p.Metric(ctx, "mcproxy_stale_detected_total")
		if err == nil && n > 0 {
			err = fmt.Errorf("%s: %.0f copies were older than they may be", p.Name, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
