package quarantine_test

import (
	"flag"
	"strings"
	"testing"

	"mcproxy/placement/quarantine"
)

var (
	modelSeeds = flag.Uint64("model-seeds", 400, "runs of TestModel")
	modelSeed  = flag.Uint64("model-seed", 0, "run this seed of TestModel only, and tell its story")
)

// TestModel lets proxies and a backend live among faults, and looks for a value that is older than it may be.
func TestModel(t *testing.T) {
	from, to := uint64(1), *modelSeeds
	if *modelSeed != 0 {
		from, to = *modelSeed, *modelSeed
	}
	homes, aways := 0, 0
	for seed := from; seed <= to; seed++ {
		m := newModel(seed, quarantine.NoMutant)
		m.run()
		if wrong := m.wrong(); wrong != "" || *modelSeed != 0 {
			t.Log(strings.Join(m.story, "\n"))
			if wrong != "" {
				t.Fatalf("seed %d: %s", seed, wrong)
			}
		}
		homes, aways = homes+m.homes, aways+m.aways
	}
	t.Logf("%d runs: %d values read at home, %d elsewhere", to-from+1, homes, aways)
	if *modelSeed == 0 && (homes < int(50*to) || aways < int(10*to)) {
		t.Error("that is too few to show anything")
	}
}

// TestMutants breaks one rule after the other, and has the model find each, in the kind of runs where it shows.
func TestMutants(t *testing.T) {
	for name, m := range map[string]struct {
		mutant quarantine.Mutant
		kind   int
		from   uint64 // the first seed: the one that finds it is not far
	}{
		"an item that says Settled is trusted":         {quarantine.TrustsItem, 1, 1},
		"the chain need not last":                      {quarantine.SkipsWatch, 1, 1},
		"a backend is left when a poll fails":          {quarantine.LeavesAtOnce, 3, 1},
		"answers are dated by when they came":          {quarantine.DatesByAnswer, 3, 2500},
		"polls of a proxy that was stopped count":      {quarantine.BlamesBackend, 0, 1},
		"the quarantine is not noticed":                {quarantine.SkipsNotice, 1, 1},
		"there is no handover":                         {quarantine.SkipsHandover, 3, 1},
		"nobody waits for others to forget":            {quarantine.SkipsWait, 3, 1},
		"holders leave with debts":                     {quarantine.ForgetsDebts, 1, 950},
		"an item that was lost comes back as it was":   {quarantine.IgnoresLoss, 1, 7600},
		"who is away stays away until it hears better": {quarantine.StaysAway, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := m.from; seed <= m.from+10_000; seed++ {
				run := newModel(seed, m.mutant)
				run.kind = m.kind
				run.run()
				if wrong := run.wrong(); wrong != "" {
					t.Logf("seed %d: %s", seed, wrong)
					return
				}
			}
			t.Error("not found")
		})
	}
}
