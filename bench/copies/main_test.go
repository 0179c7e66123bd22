package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mcproxy/bench/rigtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReal measures one line for two seconds, on real memcacheds and proxies: the key gets copies, and they are read.
func TestReal(t *testing.T) {
	const none = "| reads of copies by the first proxy, so far | 0 |"
	page := rigtest.Page(t, run, []string{"--mcproxy", rigtest.Build(t), "--runs", "1", "--seconds", "2", "--lines", "viral"},
		"# Copies of hot keys, ", "| home server's operations : mean ≤ 1.150 | ", strings.TrimSuffix(none, "0 |"))
	if strings.Contains(page, none) {
		t.Errorf("no copies were read:\n%s", page)
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
