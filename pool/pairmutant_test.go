package pool_test

import (
	"testing"
	"time"

	"mcproxy/backend"
	"mcproxy/pool"
)

// TestMutants breaks one promise after the other, and has the simulation find each.
//
// One that is not here because it breaks nothing: a backend that counts as up before its journal is replayed. The journal's keys
// are neither read nor written until their deletes are confirmed, whatever the backend's state.
func TestMutants(t *testing.T) {
	for name, m := range map[string]struct {
		broken breakage
		within uint64 // seeds
	}{
		"a get joins a fetch that was sent":        {breakage{pool: pool.JoinsSent}, 1000},
		"the manifest is sent with its chunks":     {breakage{pool: pool.ManifestFirst}, 8000},
		"no checksum is looked at":                 {breakage{pool: pool.SkipsChecksum}, 1000},
		"no manifest is compared":                  {breakage{pool: pool.TrustsMemory}, 1000},
		"the old generation is deleted first":      {breakage{pool: pool.CleansFirst}, 1000},
		"a broken conn's writes settle at once":    {breakage{backend: backend.Options{Settle: 1}, rough: 500 * time.Millisecond}, 1000},
		"one delete after a broken conn":           {breakage{backend: backend.Options{Mutant: backend.DeletesOnce}, rough: 5 * time.Millisecond}, 1000},
		"one delete after a delete without answer": {breakage{backend: backend.Options{Mutant: backend.ForgetsConn}, rough: 500 * time.Millisecond}, 8000},
	} {
		t.Run(name, func(t *testing.T) {
			seed, _, wrong := runPairs(1, m.within, m.broken, nil)
			if wrong == "" {
				t.Fatalf("not found in %d runs", m.within)
			}
			t.Logf("found by seed %d: %s", seed, wrong)
		})
	}
}
