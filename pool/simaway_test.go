package pool_test

import (
	"flag"
	"testing"

	"mcproxy/placement"
	"mcproxy/pool"
)

var awaySeeds = flag.Uint64("away-seeds", seedsOf(100), "simulated runs of TestMovedKeysAreNeverOld")

// away has the keys of backends that are down looked for elsewhere, in one way or another.
func away(seed uint64) simKind {
	k := simKind{more: int(seed / 20 % 3), cut: seed%2 > 0, slowly: 4}
	k.change = func(cfg *pool.Config) {
		cfg.OnDown = placement.OnDownEject
		if seed%4 == 0 {
			cfg.OnDown, cfg.Gutter = placement.OnDownGutter, "spare"
		}
		cfg.Ring.Kind = []string{"consistent", "cmemcache", "ketama", "rendezvous", "libmemcached"}[seed/4%5]
		cfg.MaxDown = len(cfg.Backends)
	}
	return k
}

// TestMovedKeysAreNeverOld simulates backends that fail while their keys are looked for elsewhere, again and again, and looks at every
// value read: none is older than a write that was over before, wherever the one was written and the other read.
func TestMovedKeysAreNeverOld(t *testing.T) {
	from, to := uint64(1), *awaySeeds
	if *simSeed != 0 {
		from, to = *simSeed, *simSeed
	}
	reads, failed, moves := 0, 0, uint64(0)
	for seed := from; seed <= to; seed++ {
		w, wrong := run(seed, away(seed))
		if wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
		reads += w.reads
		failed += w.failed
		m, _, _ := w.shared.Table.Figures()
		moves += m
	}
	t.Logf("%d runs: %d reads checked, %d writes failed, keys moved %d times", to-from+1, reads, failed, moves)
	if *simSeed == 0 && moves < 3*to {
		t.Errorf("keys moved only %d times in %d runs", moves, to)
	}
}
