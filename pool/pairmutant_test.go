package pool_test

import (
	"testing"

	"mcproxy/pool"
)

// TestMutants breaks one promise after the other, and has the simulation find each.
func TestMutants(t *testing.T) {
	for name, m := range map[string]struct {
		mutant pool.Mutant
		within uint64 // seeds
	}{
		"a get joins a fetch that was sent":    {pool.JoinsSent, 2000},
		"the manifest is sent with its chunks": {pool.ManifestFirst, 200},
		"no checksum is looked at":             {pool.SkipsChecksum, 1000},
		"no manifest is compared":              {pool.TrustsMemory, 2000},
		"the old generation is deleted first":  {pool.CleansFirst, 200},
	} {
		t.Run(name, func(t *testing.T) {
			seed, _, wrong := runPairs(1, m.within, m.mutant, nil)
			if wrong == "" {
				t.Fatalf("not found in %d runs", m.within)
			}
			t.Logf("found by seed %d: %s", seed, wrong)
		})
	}
}
