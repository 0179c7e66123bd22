package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mcproxy/bench/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func build(t *testing.T, name string, more ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	argv := append([]string{"build", "-buildvcs=false", "-o", path}, more...)
	if out, err := exec.Command("go", append(argv, "mcproxy/cmd/mcproxy")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// TestReal measures both loads for a second, on real memcacheds.
func TestReal(t *testing.T) {
	binary, uncounted := build(t, "mcproxy"), build(t, "uncounted", "-tags", "uncounted")
	page := filepath.Join(t.TempDir(), "page.md")
	var log bytes.Buffer
	if err := run(t.Context(), []string{"--mcproxy", binary, "--uncounted", uncounted, "--pairs", "1", "--seconds", "1", "--out", page}, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"# What counting costs, ", "## W1: 50 conns", "## W3: 50 conns", "| user + system, counted : uncounted ≤ 1.020 | ",
		"| requests/s, counted : uncounted ≥ 0.980 | ", "| counted | ", "| uncounted | ", "`mcproxy bench PROXY --conns 50 --pipeline 16 ",
	} {
		if !strings.Contains(string(written), part) {
			t.Errorf("the page lacks %q:\n%s\n%s", part, written, &log)
		}
	}
	if strings.Contains(string(written), "NaN") || strings.Contains(string(written), rig.Unmeasured) {
		t.Errorf("the page has figures that are none:\n%s", written)
	}

	// One that counts cannot stand in for one that does not.
	err = run(t.Context(), []string{"--mcproxy", binary, "--uncounted", binary, "--pairs", "1", "--seconds", "1", "--out", page}, &log)
	if want := "uncounted: requests are counted: true"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("twice the same program: %v, want %s", err, want)
	}
}
