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

// TestReal measures one line for two seconds, on real memcacheds and proxies: the key gets copies, and they are read.
func TestReal(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "mcproxy")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "mcproxy/cmd/mcproxy").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	page := filepath.Join(t.TempDir(), "page.md")
	var log bytes.Buffer
	if err := run(t.Context(), []string{"--mcproxy", binary, "--runs", "1", "--seconds", "2", "--lines", "viral", "--out", page}, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"# Copies of hot keys, ", "| home server's operations : mean ≤ 1.150 | ", "| reads of copies by the first proxy, so far | "} {
		if !strings.Contains(string(written), part) {
			t.Errorf("the page lacks %q:\n%s\n%s", part, written, &log)
		}
	}
	for _, part := range []string{"NaN", rig.Unmeasured, "| reads of copies by the first proxy, so far | 0 |"} {
		if strings.Contains(string(written), part) {
			t.Errorf("the page says %q:\n%s", part, written)
		}
	}
}

func TestOptions(t *testing.T) {
	for args, full := range map[string]bool{"": true, "--lines cold,write": false, "--runs 1": false, "--seconds 2": false} {
		o, err := parseOptions(strings.Fields(args), &bytes.Buffer{})
		if err != nil || o.full() != full {
			t.Errorf("%q: %v; full %v, want %v", args, err, o.full(), full)
		}
	}
	for args, want := range map[string]string{"--seconds 1": "want 2 to 3600", "--lines x": `--lines "x"`, "--runs 0": "--runs 0"} {
		if _, err := parseOptions(strings.Fields(args), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", args, err, want)
		}
	}
}
