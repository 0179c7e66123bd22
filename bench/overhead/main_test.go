package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mcproxy/bench/rigtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReal measures both loads for a second, on real memcacheds.
func TestReal(t *testing.T) {
	binary := rigtest.Build(t)
	args := []string{"--mcproxy", binary, "--pairs", "1", "--seconds", "1", "--uncounted"}
	rigtest.Page(t, run, append(args, rigtest.Build(t, "-tags", "uncounted")),
		"# What counting costs, ", "## W1: 50 conns", "## W3: 50 conns", "| user + system, counted : uncounted ≤ 1.020 | ",
		"| requests/s, counted : uncounted ≥ 0.980 | ", "| counted | ", "| uncounted | ", "`mcproxy bench PROXY --conns 50 --pipeline 16 ")

	// One that counts cannot stand in for one that does not.
	err := run(t.Context(), append(args, binary, "--out", filepath.Join(t.TempDir(), "page.md")), io.Discard)
	if want := "uncounted: requests are counted: true"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("twice the same program: %v, want %s", err, want)
	}
}
