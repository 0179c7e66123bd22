package main

import (
	"context"
	"fmt"
	"strings"

	"mcproxy/bench/rig"
)

// The proxies that are started here. The first three are families too: a target is for every proxy of its family.
const (
	ours          = rig.Mcproxy
	nutcracker    = rig.Nutcracker
	haproxy       = "haproxy"
	nutcrackerBig = "nutcracker-64k"
)

// bigBuffers is nutcrackerBig's size of buffers, in bytes: with larger values it serves twemproxy better than 16,384, its default.
const bigBuffers = 65536

// A fleet is one that rivals can be started in.
type fleet struct {
	*rig.Fleet
	h *harness
}

// startFleet starts memcacheds with that many MiB of memory each.
func (h *harness) startFleet(ctx context.Context, memcacheds, memory int) (*fleet, error) {
	f, err := h.StartFleet(ctx, memcacheds, memory)
	if err != nil {
		return nil, err
	}
	return &fleet{f, h}, nil
}

// startMcproxy starts mcproxy with that many workers, each on a core of its own as far as there are cores.
func (f *fleet) startMcproxy(ctx context.Context, workers int) (rig.Proxy, error) {
	return f.StartMcproxy(ctx, ours, rig.McproxyConfig{Workers: workers, Ring: "ring = \"ketama\"\nhash = \"fnv1a_64\"\n"})
}

// startHaproxy starts haproxy as a relay that copies bytes: each client conn goes to one of the memcacheds, in turn.
func (f *fleet) startHaproxy(ctx context.Context) (rig.Proxy, error) {
	address, _, err := rig.FreeAddress()
	if err != nil {
		return rig.Proxy{}, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"+
		"frontend relay\n  bind %s\n  default_backend memcached\nbackend memcached\n  balance roundrobin\n", address)
	for i, m := range f.Memcacheds {
		fmt.Fprintf(&b, "  server m%d %s\n", i+1, m)
	}
	file, err := f.File("haproxy.cfg", b.String())
	if err != nil {
		return rig.Proxy{}, err
	}
	argv := []string{f.h.Program(haproxy), "-db", "-f", file}
	return f.StartProxy(ctx, rig.Proxy{Name: haproxy, Family: haproxy, Address: address}, f.h.ProxyCores(1), argv)
}

// startAll starts mcproxy, and then every rival that was asked for.
func (f *fleet) startAll(ctx context.Context) (rig.Proxy, []rig.Proxy, error) {
	mcproxy, err := f.startMcproxy(ctx, 1)
	if err != nil {
		return rig.Proxy{}, nil, err
	}
	rivals, err := f.startRivals(ctx)
	return mcproxy, rivals, err
}

func (f *fleet) startRivals(ctx context.Context) ([]rig.Proxy, error) {
	var rivals []rig.Proxy
	for _, name := range f.h.opts.against {
		var p rig.Proxy
		var err error
		switch name {
		case nutcracker:
			p, err = f.StartNutcracker(ctx, name, 0)
		case nutcrackerBig:
			p, err = f.StartNutcracker(ctx, name, bigBuffers)
		case haproxy:
			p, err = f.startHaproxy(ctx)
		}
		if err != nil {
			return nil, err
		}
		rivals = append(rivals, p)
	}
	return append(rivals, f.h.opts.rivals...), nil
}

// programOf is the program of a proxy.
func programOf(proxy string) string {
	if proxy == nutcrackerBig {
		return nutcracker
	}
	return proxy
}
