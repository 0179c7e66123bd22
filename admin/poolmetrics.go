package admin

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"mcproxy/proxy"
)

// poolFamilies tell what clients asked of each pool, and were told.
func poolFamilies() []family {
	return []family{
		{
			name: "mcproxy_pool_requests_total", kind: prometheus.CounterValue, help: "Requests to the pool, by the word on the wire (get, set, mg, …).",
			labels: []string{"pool", "verb"},
			read: func(f *figures, emit emit) {
				for _, p := range f.Pools {
					for _, verb := range slices.Sorted(maps.Keys(p.Requests)) {
						emit(float64(p.Requests[verb]), p.Name, verb)
					}
				}
			},
		},
		{
			name: "mcproxy_pool_keys_total", kind: prometheus.CounterValue,
			help: "What clients were told of keys, by the word on the wire and by status (hit, miss, stored, not_stored, exists, not_found, deleted, touched, number, ok, " +
				"error, client_error, server_error, or failed: no backend answered, whatever the client was told).",
			labels: []string{"pool", "verb", "status"},
			read: func(f *figures, emit emit) {
				for _, p := range f.Pools {
					for _, k := range p.Keys {
						emit(float64(k.Count), p.Name, k.Verb, k.Status)
					}
				}
			},
		},
		byPool("mcproxy_pool_hits_total", prometheus.CounterValue, "Keys that were read and found.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Hits) }),
		byPool("mcproxy_pool_misses_total", prometheus.CounterValue, "Keys that were read and not found, those of backends that did not answer included.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Misses) }),
		byPool("mcproxy_pool_moves_total", prometheus.CounterValue, "Changes of which backends' keys are looked for elsewhere (on_down).",
			func(p *proxy.PoolFigures) float64 { return float64(p.Moves) }),
		byPool("mcproxy_pool_divided_total", prometheus.CounterValue, "How often other proxies took a backend for away while this one used it: values may have been hidden.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Divided) }),
		byPool("mcproxy_pool_failures_total", prometheus.CounterValue, "Requests, or parts of multi-key requests, whose backend did not answer.",
			func(p *proxy.PoolFigures) float64 { return float64(p.Failures) }),
	}
}

// ringFamilies tell of each pool's ring.
func ringFamilies() []family {
	return []family{
		{
			name: "mcproxy_ring_info", kind: prometheus.GaugeValue, help: "The pool's ring, and a hash of all that decides where keys belong: proxies with the same one place " +
				"keys alike. Always 1.",
			labels: []string{"pool", "ring", "hash"},
			read: func(f *figures, emit emit) {
				for _, p := range f.Pools {
					emit(1, p.Name, p.Ring.Kind, p.Ring.Hash)
				}
			},
		},
		{
			name: "mcproxy_ring_changes_total", kind: prometheus.CounterValue, help: "Changes of where keys belong, by reason: reload.",
			labels: []string{"pool", "reason"},
			read: func(f *figures, emit emit) {
				for _, p := range f.Pools {
					for _, reason := range slices.Sorted(maps.Keys(p.Ring.Changes)) {
						emit(float64(p.Ring.Changes[reason]), p.Name, reason)
					}
				}
			},
		},
		byPool("mcproxy_ring_members", prometheus.GaugeValue, "Backends of the ring.",
			func(p *proxy.PoolFigures) float64 { return float64(len(p.Backends)) }),
		byBackend("mcproxy_ring_share", prometheus.GaugeValue, "The part of all keys that the ring places on the backend, 0 to 1.", nil,
			func(b *proxy.BackendFigures, emit emit) { emit(b.Share) }),
	}
}

// valueFamilies tell of values and of the lifetimes that clients give them.
func valueFamilies() []family {
	return []family{
		{
			name: "mcproxy_pool_oversized_requests_total", kind: prometheus.CounterValue,
			help:   "Requests with values longer than the pool's split threshold, by what becomes of those: passed (on, whole), split, refused (too large).",
			labels: []string{"pool", "action"},
			read: func(f *figures, emit emit) {
				for _, p := range f.Pools {
					for _, action := range slices.Sorted(maps.Keys(p.OversizedValues)) {
						emit(float64(p.OversizedValues[action]), p.Name, action)
					}
				}
			},
		},
		{
			name: "mcproxy_oversized_value_bytes", kind: prometheus.GaugeValue,
			help: "The length of the last value seen, for each of the keys with the longest that were seen within a minute, at most 20 of a pool, with " +
				"what becomes of it: passed, split, refused.",
			labels: []string{"pool", "backend", "key", "action"},
			read: func(f *figures, emit emit) {
				for _, p := range f.Pools {
					for i := range p.Oversized {
						k := &p.Oversized[i]
						emit(float64(k.ValueBytes), p.Name, k.Backend, k.Name(), k.Fate)
					}
				}
			},
		},
		{
			name: "mcproxy_pool_lifetimes_total", kind: prometheus.CounterValue,
			help: "Values that clients stored, by the class of their time to live: none (it stays until it is evicted); negative (gone at once); relative (up to 30 days); " +
				"absolute (a date within a year); past (a date that is over, as is any number of seconds over 30 days: gone at once); far (a date more than a year ahead).",
			labels: []string{"pool", "class"},
			read: func(f *figures, emit emit) {
				for _, p := range f.Pools {
					for _, class := range slices.Sorted(maps.Keys(p.Lifetimes.Classes)) {
						emit(float64(p.Lifetimes.Classes[class]), p.Name, class)
					}
				}
			},
		},
	}
}
