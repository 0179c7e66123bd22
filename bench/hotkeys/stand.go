package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mcproxy/bench/rig"
)

// The memory of a memcached, in MiB.
const (
	usualMemory = 256
	largeMemory = 1024
)

// splitting is the pool's table that has large values split.
const splitting = "[pools.main.split]\nenabled = true\n"

// A stand is memcacheds and the proxy before them that is measured.
type stand struct {
	*rig.Fleet
	h     *harness
	proxy rig.Proxy
}

// standWith starts memcacheds and mcproxy with these tables of its pool.
func (h *harness) standWith(ctx context.Context, memcacheds, memory int, tables string) (*stand, error) {
	return h.stand(ctx, memcacheds, memory, func(fl *rig.Fleet) (rig.Proxy, error) {
		return fl.StartMcproxy(ctx, rig.Mcproxy, rig.McproxyConfig{Workers: 1, Ring: "ring = \"cmemcache\"\n", Pool: tables})
	})
}

// stand starts memcacheds, which take items of up to 4 MiB if their memory is large, and a proxy.
func (h *harness) stand(ctx context.Context, memcacheds, memory int, start func(*rig.Fleet) (rig.Proxy, error)) (*stand, error) {
	fl, err := h.StartFleet(ctx, memcacheds, memory)
	if err != nil {
		return nil, err
	}
	p, err := start(fl)
	if err != nil {
		fl.Close()
		return nil, err
	}
	return &stand{fl, h, p}, nil
}

// load runs the load generator against an endpoint, and notes its command once.
func (h *harness) load(ctx context.Context, f *rig.Findings, endpoint string, args ...string) (rig.Generated, error) {
	f.NoteOnce("`%s`", commandText(args))
	return h.Generate(ctx, append([]string{endpoint, "--threads", "1"}, args...)...)
}

// commandText is a command line of the load generator without the addresses of this run.
func commandText(args []string) string {
	words := append([]string{"mcproxy bench PROXY"}, args...)
	if i := slices.Index(words, "--backends"); i >= 0 && i+1 < len(words) {
		words[i+1] = "MEMCACHED,…"
	}
	return strings.Join(words, " ")
}

// drive loads the stand's proxy, and reads the memcacheds' own counters before and after.
func (s *stand) drive(ctx context.Context, f *rig.Findings, args ...string) (rig.Generated, error) {
	g, err := s.h.load(ctx, f, s.proxy.Address, append(args, "--backends", strings.Join(s.Memcacheds, ","))...)
	if err == nil && g.Failed > 0 {
		err = fmt.Errorf("%d of %d operations failed: %v", g.Failed, g.Answers, g.Failures)
	}
	if err == nil && len(g.Backends.Each) != len(s.Memcacheds) {
		err = errNoCounters
	}
	return g, err
}

// seconds is the option of the load generator for the duration of a run.
func (h *harness) seconds() []string { return []string{"--duration", h.opts.Duration.String()} }

func count(n int) string { return strconv.Itoa(n) }
