//go:build !race

package bench_test

import (
	"runtime"
	"testing"

	"mcproxy/bench"
	"mcproxy/internal/memcachedtest"
)

// TestOperationsDoNotAllocate compares the allocations of a short run and a long one: what a run costs is the same, and what
// an operation costs is nothing.
func TestOperationsDoNotAllocate(t *testing.T) {
	mc := memcachedtest.Start(t)
	for _, change := range []func(*bench.Config){
		func(*bench.Config) {},
		func(c *bench.Config) { c.Pipeline, c.Zipf, c.KeyDist, c.ValueSize = 16, 1.1, "zipf", "etc" },
		func(c *bench.Config) { c.KeySize = "etc" },
		func(c *bench.Config) { c.Multiget = 20 },
		func(c *bench.Config) { c.Meta, c.DeleteRatio, c.TouchRatio, c.IncrRatio = true, 0.1, 0.1, 0.1 },
	} {
		allocations := func(requests int64) int64 {
			cfg := config(mc.Addr())
			cfg.Requests = requests
			change(&cfg)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			run(t, cfg)
			runtime.ReadMemStats(&after)
			return int64(after.Mallocs - before.Mallocs)
		}
		allocations(10_000) // what is made once
		short, long := allocations(10_000), allocations(110_000)
		if each := float64(long-short) / 100_000; each > 0.01 {
			t.Errorf("%d allocations for 10,000 operations and %d for 110,000: %.3f an operation, want 0", short, long, each)
		}
	}
}
