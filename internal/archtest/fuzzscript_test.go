package archtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFuzzScript has scripts/fuzz run a go command that fails as the real one does when only the time is over (golang/go#75804), and as it does
// when a target fails.
func TestFuzzScript(t *testing.T) {
	for _, tt := range []struct {
		name, output string
		fails        bool
	}{
		{"time is over", "fuzz: elapsed: 10s\n--- FAIL: FuzzA (10.1s)\n    context deadline exceeded\nFAIL\nexit status 1\nFAIL\tx\t10.1s\n", false},
		{"found", "--- FAIL: FuzzA (0.1s)\n    --- FAIL: FuzzA (0.0s)\n        a_test.go:1: wrong\n    Failing input written to testdata/x\nFAIL\nexit status 1\n", true},
		{"does not build", "FAIL\tx [build failed]\nFAIL\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			fake := filepath.Join(dir, "go")
			program := "#!/bin/sh\ncase \"$*\" in *-list*) printf 'FuzzA\\nok \\tx\\t0.1s\\n' ;; *) cat " + dir + "/output; exit 1 ;; esac\n"
			for file, text := range map[string]string{fake: program, filepath.Join(dir, "output"): tt.output} {
				if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("../../scripts/fuzz", "x")
			cmd.Env = append(os.Environ(), "GO="+fake)
			out, err := cmd.CombinedOutput()
			if (err != nil) != tt.fails || strings.Contains(string(out), "FAIL") != tt.fails {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
