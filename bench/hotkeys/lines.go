package main

import "mcproxy/bench/rig"

// lineNames are all lines.
const lineNames = "abcdefgh"

// lines are those that the options choose.
func (h *harness) lines() []rig.Load {
	all := []rig.Load{
		{
			Name: "a", Title: "2 memcached, keystone-tokens, the lists of three heavy users on one server", Measure: h.tokenSkew,
			ToReach: "busiest server's bytes : mean ≤ 1.05 with mcproxy; about 2.0 with nutcracker",
		},
		{
			Name: "b", Title: "token lists past 1 MB", Measure: h.longLists,
			ToReach: "stored and read back, 0 refused, 0 lost, in every run; memcached refuses them",
		},
		{
			Name: "c", Title: "one viral 1 KiB key, 50 % of 200 conns' gets, 4 servers", Measure: h.viralKey,
			ToReach: "home server's operations ≤ 1.15 x the mean; throughput ≥ 95 % of uniform",
		},
		{
			Name: "d", Title: "one 100 KB key read by all, 4 servers", Measure: h.wideKey, Either: true,
			ToReach: "home server's bytes ≤ 2 % of what clients receive, or ≤ 1.05 x the mean",
		},
		{
			Name: "e", Title: "detection", Measure: h.detection,
			ToReach: "≤ 500 ms from onset, for operations and for bytes, each time; the top 100 of Zipf(0.99) found",
		},
		{
			Name: "f", Title: "uniform load, watched and not", Measure: h.uniformLoad,
			ToReach: "≤ 1 % of throughput and ≤ 10 ns a request",
		},
		{
			Name: "g", Title: "1 MiB gets, 4 servers, 8 clients, split and not", Measure: h.largeGets,
			ToReach: "p99 ≤ the unsplit value's through the same proxy",
		},
		{
			Name: "h", Title: "100 clients that set and get 8 MB values", Measure: h.memory,
			ToReach: "values held ≤ the budget, resident memory ≤ twice; nothing refused but as documented",
		},
	}
	return h.opts.Select(all)
}
