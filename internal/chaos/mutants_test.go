package chaos

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	mutantsFlag = flag.Bool("mutants", false, "run TestChaosFindsMutants with all of them, not just the one that is found soonest")
	mutantTime  = flag.Duration("mutant-time", 2*time.Minute, "after which a mutant counts as not found")
)

// mutants are rules of package replica's that are broken on purpose, and the variant that is to find it. Those that are missing here were
// not found in minutes: they take moments that are rare in real processes, and package pool's TestCopyMutants finds them.
var mutants = []struct{ name, variant string }{
	{"SkipsPrep", "copies"},
	{"UpdatesCopies", "copies"},
	{"SkipsDrain", "copies"},
	{"SkipsWait", "copies"},
	{"SkipsClean", "copies"},
	{"SkipsRecov", "copies"},
	{"FillsBlindly", "copies"},
}

// buildMutant builds a proxy that breaks a rule. No switch of the product's does so: the one line is in the build's own copy of a file.
func buildMutant(t testing.TB, mutant string) (binary string) {
	t.Helper()
	const at = "func (r Rules) WithDefaults() Rules {\n"
	path, err := filepath.Abs("../../replica/rules.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(source), at)
	if !found {
		t.Fatalf("%s has no %q", path, at)
	}
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{broken: before + at + "\tr.Mutant = " + mutant + "\n" + after, filepath.Join(dir, "overlay.json"): string(overlay)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if binary, err = build(dir, "-overlay", filepath.Join(dir, "overlay.json")); err != nil {
		t.Fatal(err)
	}
	return binary
}

// TestChaosFindsMutants breaks one rule of the copies after the other in the proxies themselves, and has the run find each.
func TestChaosFindsMutants(t *testing.T) {
	seed := *seedFlag
	for seed == 0 {
		seed = rand.Uint64()
	}
	for i, m := range mutants {
		if i > 0 && !*mutantsFlag {
			break
		}
		t.Run(m.name, func(t *testing.T) {
			var v variant
			for _, v = range variants {
				if v.name == m.variant {
					break
				}
			}
			r := newRun(t, buildMutant(t, m.name), v, same)
			r.enough, r.length = 1, 5*time.Second
			r.play(seed, *mutantTime, 0)
			f, found := r.report.present()
			t.Logf("seed %d: %d violations after %v and %d reads, %d of copies: %v", seed, found, time.Since(r.started).Round(time.Millisecond), f.hits,
				f.copied.reads, r.report.found)
			if found == 0 {
				t.Error("nothing was found")
			}
		})
	}
}
