package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mcproxy/bench/rigtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReal measures two lines for a pair of seconds, on real memcacheds and a real proxy.
func TestReal(t *testing.T) {
	rigtest.Page(t, run, []string{"--mcproxy", rigtest.Build(t), "--pairs", "1", "--seconds", "1", "--rate", "500", "--clients", "20", "--lines", "stopped-asked,slow"},
		"# What the misfortune of some costs others, ", "## stopped-asked: ", "| p99, with : without ≤ 1.050 | ", "--key-file ",
		"## slow: ", "| p99, with : without ≤ 1.100 | ", "| memory that slow clients add at most ≤ 65.2 MiB | ", "| with : without | ")
}

func TestOptions(t *testing.T) {
	for args, full := range map[string]bool{"": true, "--lines slow,stopped": false, "--pairs 5": false, "--clients 10": false, "--rate 100": true} {
		o, err := parseOptions(strings.Fields(args), &bytes.Buffer{})
		if err != nil || o.full() != full {
			t.Errorf("%q: %v; full %v, want %v", args, err, o.full(), full)
		}
	}
	for args, want := range map[string]string{"--lines x": `--lines "x"`, "--rate 0": "--rate 0", "--clients 0": "--clients 0", "--pairs 0": "--pairs 0"} {
		if _, err := parseOptions(strings.Fields(args), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", args, err, want)
		}
	}
}
