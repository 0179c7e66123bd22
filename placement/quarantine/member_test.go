package quarantine_test

import (
	"flag"
	"strings"
	"testing"

	"mcproxy/placement/quarantine"
)

var (
	modelSeeds = flag.Uint64("model-seeds", 1000, "runs of TestModel")
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

// TestMutants breaks one rule after the other, and has the model find each.
func TestMutants(t *testing.T) {
	for name, mutant := range map[string]quarantine.Mutant{
		"an item that says Settled is trusted":         quarantine.TrustsItem,
		"the chain need not last":                      quarantine.SkipsWatch,
		"a backend is left when a poll fails":          quarantine.LeavesAtOnce,
		"answers are dated by when they came":          quarantine.DatesByAnswer,
		"polls of a proxy that was stopped count":      quarantine.BlamesBackend,
		"the quarantine is not noticed":                quarantine.SkipsNotice,
		"there is no handover":                         quarantine.SkipsHandover,
		"nobody waits for others to forget":            quarantine.SkipsWait,
		"holders leave with debts":                     quarantine.ForgetsDebts,
		"an item that was lost comes back as it was":   quarantine.IgnoresLoss,
		"who is away stays away until it hears better": quarantine.StaysAway,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= 10_000; seed++ {
				m := newModel(seed, mutant)
				m.run()
				if wrong := m.wrong(); wrong != "" {
					t.Logf("seed %d: %s", seed, wrong)
					return
				}
			}
			t.Error("not found")
		})
	}
}
