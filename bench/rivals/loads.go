package main

import (
	"context"

	"mcproxy/bench/rig"
)

// A load is what is measured, and what it is to reach.
type load struct {
	name    string
	title   string
	toReach string // the targets in words
	// traffic is measured in alternating pairs with each rival, and targets are held against it.
	traffic []traffic
	targets []target
	// also measures what pairs do not show; may be nil.
	also func(context.Context, *harness, *rig.Findings) error
}

// The memcacheds behind the proxies, where a load does not say otherwise.
const (
	usualBackends   = 4
	memcachedMemory = 256 // MiB each
)

// smallValues is the usual traffic: values of 100 bytes, one set in ten requests.
func smallValues(conns, pipeline int) traffic {
	return traffic{conns: conns, pipeline: pipeline, keys: 100_000, multiget: 1, valueSize: 100, setRatio: 0.1}
}

// values of other sizes, of as many keys as the memcacheds hold many times over.
func values(label string, conns, size, keys int) traffic {
	t := smallValues(conns, 1)
	t.label, t.valueSize, t.keys = label, size, keys
	return t
}

// multigets are gets alone, of that many keys each.
func multigets(label string, conns, width int) traffic {
	t := smallValues(conns, 1)
	t.label, t.multiget, t.setRatio = label, width, 0
	return t
}

// bigValue is near memcached's limit, 1 MiB with the key and what memcached adds.
const bigValue = 1_000_000

func loads() []load {
	return []load{
		{
			name: "W1", title: "50 conns, no pipelining, 100 B, 10 % sets",
			toReach: "user time ≤ 0.50 nutcracker; user + system ≤ 1.0; a lone get ≤ 6 system calls",
			traffic: []traffic{smallValues(50, 1)},
			targets: []target{{nutcracker, userTime, 0.50}, {nutcracker, totalTime, 1.0}},
			also:    systemCalls,
		},
		{
			name: "W2", title: "200 conns, no pipelining",
			toReach: "user ≤ 0.50, total ≤ 0.95 nutcracker; total ≤ 0.75 haproxy",
			traffic: []traffic{smallValues(200, 1)},
			targets: []target{{nutcracker, userTime, 0.50}, {nutcracker, totalTime, 0.95}, {haproxy, totalTime, 0.75}},
		},
		{
			name: "W3", title: "50 conns, pipeline 16",
			toReach: "user ≤ 0.40, total ≤ 0.60 nutcracker; total ≤ 0.80 haproxy",
			traffic: []traffic{smallValues(50, 16)},
			targets: []target{{nutcracker, userTime, 0.40}, {nutcracker, totalTime, 0.60}, {haproxy, totalTime, 0.80}},
		},
		{
			name: "W4", title: "50 conns, 4 KiB values",
			toReach: "user ≤ 0.50, total ≤ 0.95 nutcracker",
			traffic: []traffic{values("", 50, 4<<10, 10_000)},
			targets: []target{{nutcracker, userTime, 0.50}, {nutcracker, totalTime, 0.95}},
		},
		{
			name: "W5", title: "multi-get of 100 keys; of 33,000 keys",
			toReach: "≤ nutcracker in time; memory afterwards back within 20 % of before",
			traffic: []traffic{multigets("100 keys", 10, 100), multigets("33,000 keys", 1, 33_000)},
			targets: []target{{nutcracker, medianTime, 1.0}},
			also:    memoryAfterwards,
		},
		{
			name: "W6", title: "64 KiB-1 MB values",
			toReach: "≤ nutcracker in CPU and in p99",
			traffic: []traffic{values("64 KiB", 10, 64<<10, 1000), values("1 MB", 10, bigValue, 50)},
			targets: []target{{nutcracker, totalTime, 1.0}, {nutcracker, tailTime, 1.0}},
		},
		{
			name: "W7", title: "10 → 10,000 connections, 1 → 64 backends, 1 → N workers",
			toReach: "user time/request grows by < 15 % over each range (workers: as far as the cores go)",
			also:    growth,
		},
		{
			name: "W8", title: "10,000 idle clients",
			toReach: "≤ 10 MiB resident above an idle proxy; nutcracker's figure beside it",
			also:    idleClients,
		},
	}
}
