package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"mcproxy/proxy"
)

// splitFamilies tell what was done with large values.
func splitFamilies() []family {
	// each makes a family of one value a pool.
	each := func(name, help string, read func(s *proxy.SplitFigures) uint64) family {
		return family{name, prometheus.CounterValue, help, []string{"pool"}, func(f *figures, emit emit) {
			for i := range f.Pools {
				emit(float64(read(&f.Pools[i].Split)), f.Pools[i].Name)
			}
		}}
	}
	// large makes a family of one value of the budget.
	large := func(name string, kind prometheus.ValueType, help string, read func(b *proxy.BudgetFigures) float64) family {
		return family{name, kind, help, nil, func(f *figures, emit emit) { emit(read(&f.Large)) }}
	}
	return []family{
		large("mcproxy_assembly_bytes", prometheus.GaugeValue, "Bytes held for values that are split: received, in chunks on their way, put together, waiting for clients.",
			func(b *proxy.BudgetFigures) float64 { return float64(b.Bytes) }),
		large("mcproxy_assembly_peak_bytes", prometheus.GaugeValue, "The most of them at once since the start.",
			func(b *proxy.BudgetFigures) float64 { return float64(b.Peak) }),
		large("mcproxy_assembly_limit_bytes", prometheus.GaugeValue, "The budget for them: assembly of the configuration.",
			func(b *proxy.BudgetFigures) float64 { return float64(b.Limit) }),
		large("mcproxy_assembly_waiting", prometheus.GaugeValue, "Requests that wait for the budget now.",
			func(b *proxy.BudgetFigures) float64 { return float64(b.Waiting) }),
		large("mcproxy_assembly_waits_total", prometheus.CounterValue, "Requests that had to wait for the budget.",
			func(b *proxy.BudgetFigures) float64 { return float64(b.Waits) }),
		large("mcproxy_assembly_expired_total", prometheus.CounterValue, "Requests that waited for it in vain, and were refused.",
			func(b *proxy.BudgetFigures) float64 { return float64(b.Expired) }),
		{
			"mcproxy_split_values_total", prometheus.CounterValue,
			"Values that needed more than to be passed on, by what was done: stored (in chunks); wrapped (behind a head, because a client used " +
				"the reserved flags); read (put together); spread (rewritten with more copies, because of their heat); too-large (refused, because they are longer than max_value); crowded (refused, because the budget " +
				"had no bytes for them in time).",
			[]string{"pool", "action"},
			func(f *figures, emit emit) {
				for i := range f.Pools {
					name, s := f.Pools[i].Name, &f.Pools[i].Split
					emit(float64(s.Stored), name, "stored")
					emit(float64(s.Wrapped), name, "wrapped")
					emit(float64(s.Read), name, "read")
					emit(float64(s.Spread), name, "spread")
					emit(float64(s.TooLarge), name, "too-large")
					emit(float64(s.Crowded), name, "crowded")
				}
			},
		},
		each("mcproxy_split_chunks_written_total", "Chunks that were written, copies included.",
			func(s *proxy.SplitFigures) uint64 { return s.ChunksWritten }),
		each("mcproxy_split_chunks_read_total", "Chunks that backends were asked for.",
			func(s *proxy.SplitFigures) uint64 { return s.ChunksRead }),
		each("mcproxy_split_chunks_missing_total", "Reads of chunks that were not there, were another value's or were cut short.",
			func(s *proxy.SplitFigures) uint64 { return s.ChunksMissing }),
		{
			"mcproxy_split_ahead_total", prometheus.CounterValue,
			"Reads of a hot key's chunks that began together with that of its manifest, by outcome: kept (the manifest was the remembered one, and " +
				"the value was there after one round trip); dropped.",
			[]string{"pool", "outcome"},
			func(f *figures, emit emit) {
				for i := range f.Pools {
					name, s := f.Pools[i].Name, &f.Pools[i].Split
					emit(float64(s.AheadKept), name, "kept")
					emit(float64(s.AheadDropped), name, "dropped")
				}
			},
		},
		each("mcproxy_split_retries_total", "Manifests that were read again, because chunks were missing or did not fit.",
			func(s *proxy.SplitFigures) uint64 { return s.Retried }),
		each("mcproxy_split_chunks_cleaned_total", "Chunks of values replaced, deleted or not finished that were deleted.",
			func(s *proxy.SplitFigures) uint64 { return s.Cleaned }),
		each("mcproxy_split_dead_manifests_total", "Manifests that were deleted because their chunks are gone.",
			func(s *proxy.SplitFigures) uint64 { return s.Dead }),
		each("mcproxy_split_damaged_total", "Items with the reserved flags that are nothing of a proxy's, and values whose checksum was wrong.",
			func(s *proxy.SplitFigures) uint64 { return s.Damaged }),
		each("mcproxy_split_reserved_keys_total", "Requests refused because their key begins with the reserved prefix.",
			func(s *proxy.SplitFigures) uint64 { return s.Refused }),
	}
}
