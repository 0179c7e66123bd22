//go:build !race

package replica_test

import (
	"flag"
	"math"
	"testing"
	"time"

	"mcproxy/replica"
)

var (
	modelStates = flag.Int("model.states", 100_000, "states of each variant that is not explored whole")
	modelLong   = flag.Bool("model.long", false, "explore the variants that take long too")
)

// TestModel explores every order of what proxies and servers can do, of one key with one copy, and finds no read that gives
// a value older than a write that was acknowledged before the read began (A) or, where the variant says so, than what another
// read gave (B). Of variants that are marked whole all worlds are visited, the others as far as -model.states allows.
func TestModel(t *testing.T) {
	all := faults{guard: 1, home: 1, host: 1, late: 1, evicted: 1}
	twice := faults{guard: 2, home: 2, host: 2, late: 2, evicted: 2}
	strict := replica.Strict
	one, every := [2]string{"kr", "w"}, [2]string{"krw", "krw"}
	for _, v := range []struct {
		variant
		whole, long bool
	}{
		{variant: variant{name: "safe, one proxy", roles: [2]string{"krw", ""}, writes: 2}, whole: true},
		{variant: variant{name: "safe, reader and writer", roles: one, writes: 2}, whole: true},
		{variant: variant{name: "safe, two keepers", roles: [2]string{"kr", "kw"}, writes: 2}, whole: true},
		{variant: variant{name: "safe, guard lost", roles: one, writes: 1, faults: faults{guard: 1}, budget: 1}, whole: true},
		{variant: variant{name: "safe, home restarted", roles: one, writes: 1, faults: faults{home: 1}, budget: 1}, whole: true},
		{variant: variant{name: "safe, host restarted", roles: one, writes: 1, faults: faults{host: 1}, budget: 1}, whole: true},
		{variant: variant{name: "safe, late write", roles: one, writes: 1, faults: faults{late: 1}, budget: 1}, whole: true},
		{variant: variant{name: "safe, copy evicted", roles: one, writes: 1, faults: faults{evicted: 1}, budget: 1}, whole: true},
		{variant: variant{name: "safe, all roles", roles: every, writes: 2, active: true}},
		{variant: variant{name: "strict, reader and writer", mode: strict, checkB: true, roles: one, writes: 1}, whole: true},
		{
			variant: variant{name: "strict, two writers", mode: strict, checkB: true, roles: [2]string{"rw", "w"}, writes: 2, active: true},
			whole:   true,
		},
		{variant: variant{
			name: "strict, faults", mode: strict, checkB: true, roles: one, writes: 1,
			faults: faults{guard: 1, home: 1, late: 1}, budget: 1, active: true,
		}},
		{variant: variant{
			name: "strict, locks lost", mode: strict, roles: one, writes: 1, faults: all, budget: 1, active: true,
		}},
		{variant: variant{name: "strict, all roles", mode: strict, checkB: true, roles: every, writes: 2, active: true}},
		{variant: variant{name: "safe, two readers", roles: [2]string{"kr", "rw"}, writes: 1}, whole: true, long: true},
		{variant: variant{name: "safe, two late writes", roles: one, writes: 2, faults: faults{late: 2}, budget: 2}, whole: true, long: true},
		{
			variant: variant{name: "safe, delete", roles: one, writes: 2, deletes: true, faults: faults{home: 1}, budget: 1},
			whole:   true, long: true,
		},
		{variant: variant{name: "safe, everything", roles: every, writes: 2, faults: twice, budget: 2, active: true}, long: true},
		{variant: variant{name: "strict, everything", mode: strict, roles: every, writes: 2, faults: twice, budget: 2, active: true}, long: true},
	} {
		if v.long && !*modelLong {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			start := time.Now()
			v.most = *modelStates
			if v.whole {
				v.most = math.MaxInt
			}
			e := explore(&v.variant)
			t.Logf("%v, %v", &e, time.Since(start).Round(time.Millisecond))
			switch {
			case e.wrong != "":
				t.Error("the promise is broken: see the trace")
			case v.whole && !e.whole:
				t.Errorf("%d states are not all", e.states)
			case e.copies == 0:
				t.Error("no copy was ever made: the model shows nothing")
			}
		})
	}
}

// TestModelMutants breaks one rule after the other, and has the model find each.
func TestModelMutants(t *testing.T) {
	strict := replica.Strict
	var locked []string
	for _, who := range []string{"0", "1"} {
		goesOn := who + " goes on with its write" // three commands
		locked = append(locked, who+" begins a write", goesOn, goesOn, goesOn)
	}
	one, pair := [2]string{"kr", "w"}, [2]string{"krw", "w"}
	for _, v := range []variant{
		{name: "no check at the acknowledgement", mutant: replica.TrustsStart, roles: one, writes: 1},
		{name: "no prep", mutant: replica.SkipsPrep, roles: one, writes: 1},
		{name: "no drain", mutant: replica.SkipsDrain, roles: [2]string{"kw", "r"}, writes: 1},
		{name: "no wait", mutant: replica.SkipsWait, roles: one, writes: 1},
		{
			name: "no recov after a lost guard", mutant: replica.SkipsRecov, roles: [2]string{"r", "kw"}, writes: 1,
			faults: faults{guard: 1}, budget: 1,
		},
		{
			name: "a lost guard is not feared", mutant: replica.IgnoresLoss, roles: one, writes: 1, faults: faults{guard: 1},
			budget: 1, active: true,
		},
		{name: "no clean before active", mutant: replica.SkipsClean, roles: one, writes: 1},
		{name: "clean before the wait", mutant: replica.CleansEarly, roles: one, writes: 1},
		{name: "fill without cas", mutant: replica.FillsBlindly, roles: one, writes: 1},
		{
			name: "lease used on another conn", mutant: replica.FillsAnywhere, roles: [2]string{"r", "rw"}, writes: 1,
			faults: faults{host: 1}, budget: 1, raw: true, active: true,
		},
		{name: "copies updated", mutant: replica.UpdatesCopies, roles: pair, writes: 2, active: true},
		{
			name: "what was seen holds from the answer", mutant: replica.DatesByAnswer, roles: [2]string{"kw", "r"}, writes: 1,
			polls: true, active: true,
		},
		{
			name: "nothing cleared after a delete that found nothing", mutant: replica.TrustsNotFound, roles: one, writes: 1,
			deletes: true, faults: faults{home: 1}, budget: 1, active: true,
		},
		{
			name: "strict: no clear after the lock", mutant: replica.LeavesLocks, mode: strict, roles: one, writes: 1,
			faults: faults{evicted: 1}, budget: 1, active: true,
		},
		{
			name: "strict: one owner", mutant: replica.LocksAlone, mode: strict, checkB: true, roles: [2]string{"r", ""},
			writes: 2, active: true, begun: locked,
		},
		{
			name: "strict: others' locks go too", mutant: replica.ClearsLocks, mode: strict, checkB: true, roles: [2]string{"r", ""},
			writes: 2, active: true, begun: locked,
		},
		{name: "strict: no look at the lock", mutant: replica.TrustsLock, mode: strict, checkB: true, roles: one, writes: 1, active: true},
		{name: "strict: locked copies read", mutant: replica.ReadsLocked, mode: strict, checkB: true, roles: one, writes: 1, active: true},
		{name: "safe mode where strict is needed", checkB: true, roles: one, writes: 1, active: true},
	} {
		t.Run(v.name, func(t *testing.T) {
			v.most = 200_000
			e := explore(&v)
			t.Log(&e)
			if e.wrong == "" || e.trouble {
				t.Error("not found")
			}
		})
	}
}
