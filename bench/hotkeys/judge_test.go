package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcproxy/bench/rig"
)

func TestShareOf(t *testing.T) {
	b := rig.Backends{Each: []rig.Backend{
		{Address: "a", Operations: 10, BytesRead: 100, BytesWritten: 50}, {Address: "b", Operations: 50, BytesWritten: 450}, {Address: "c"},
	}}
	for _, test := range []struct {
		address string
		figure  func(rig.Backend) int64
		want    share
		ratio   float64
	}{
		{"a", operations, share{10, 20}, 0.5}, {"b", operations, share{50, 20}, 2.5}, {"a", allBytes, share{150, 200}, 0.75}, {"c", allBytes, share{0, 200}, 0},
	} {
		got, err := shareOf(b, test.address, test.figure)
		if err != nil || got != test.want || got.overMean() != test.ratio {
			t.Errorf("shareOf %s = %+v (%v), %v, want %+v (%v)", test.address, got, got.overMean(), err, test.want, test.ratio)
		}
	}
	if got, err := shareOf(b, "d", operations); err == nil {
		t.Errorf("shareOf a server that is not there = %+v, want an error", got)
	}
	if got, err := shareOf(rig.Backends{Each: []rig.Backend{{Address: "a"}}}, "a", operations); err == nil {
		t.Errorf("shareOf servers that did nothing = %+v, want an error", got)
	}
}

func TestParseHotKeys(t *testing.T) {
	text, err := os.ReadFile("../../docs/hot-keys.md") // whose example is held true by admin's tests
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```json\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/hot-keys.md has no example of the endpoint")
	}
	got, err := parseHotKeys([]byte(example))
	want := []hotKey{{Key: "usertokens-nova", Kind: "byte-hot", Hot: true, Backend: "a", Action: "coalesced"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("parseHotKeys: %v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"", "[]", `{"pools": []}`, strings.Replace(example, `"watched": true`, `"watched": false`, 1)} {
		if got, err := parseHotKeys([]byte(bad)); err == nil {
			t.Errorf("parseHotKeys(%.60q) = %+v, want an error", bad, got)
		}
	}
}

func TestBenchmarkFigures(t *testing.T) {
	const text = `goos: linux
BenchmarkWatching/get-2         	     126	  10942349 ns/op	       239.5 unwatched-ns	       264.4 watched-ns	        26.37 watching-ns
BenchmarkWatching/get-2         	     243	   4499796 ns/op	       133.4 unwatched-ns	       147.4 watched-ns	        13.17 watching-ns
BenchmarkWatching/gets-2        	     243	   4499796 ns/op	       1 unwatched-ns	       2 watched-ns	        3 watching-ns
BenchmarkWatching/set           	     313	   3829266 ns/op	       124.8 unwatched-ns	       140.7 watched-ns	        14.50 watching-ns
PASS
`
	for _, test := range []struct {
		name, unit string
		want       []float64
	}{
		{"BenchmarkWatching/get", "watching-ns", []float64{26.37, 13.17}},
		{"BenchmarkWatching/get", "watched-ns", []float64{264.4, 147.4}},
		{"BenchmarkWatching/set", "unwatched-ns", []float64{124.8}},
	} {
		got, err := benchmarkFigures(text, test.name, test.unit)
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s of %s: %v (-want +got):\n%s", test.unit, test.name, err, diff)
		}
	}
	for name, bad := range map[string]string{
		"none": "PASS\n", "no unit": "BenchmarkWatching/get-2 126 1 ns/op\n", "no number": "BenchmarkWatching/get-2 126 many watching-ns\n",
	} {
		if got, err := benchmarkFigures(bad, "BenchmarkWatching/get", "watching-ns"); err == nil {
			t.Errorf("%s: benchmarkFigures = %v, want an error", name, got)
		}
	}
}

func TestParseFound(t *testing.T) {
	const text = "=== RUN   TestZipfTop\n    zipf_test.go:124: all: top 100 that are tracked 1.00-1.00\n" +
		"    zipf_test.go:124: four workers, merged: recall 0.94-0.96\n--- PASS: TestZipfTop (7.50s)\nPASS\n"
	want := []foundPart{
		{"all: top 100 that are tracked", rig.SpreadOf([]float64{1, 1})}, {"four workers, merged: recall", rig.SpreadOf([]float64{0.94, 0.96})},
	}
	got, err := parseFound(text)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(foundPart{})); err != nil || diff != "" {
		t.Errorf("parseFound: %v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"PASS\n", "zipf_test.go:1: all: recall many\n"} {
		if got, err := parseFound(bad); err == nil {
			t.Errorf("parseFound(%q) = %+v, want an error", bad, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	documented, others := refusals(map[string]int64{
		"SERVER_ERROR overloaded": 3, "no answer 2s after the end": 5, "no answer in 60s": 2, refusedForMemory: 7,
	})
	if documented != 7 || others != 5 {
		t.Errorf("refusals = %d, %d, want 7, 5", documented, others)
	}
	if text, err := os.ReadFile("../../docs/hot-keys.md"); err != nil || !strings.Contains(string(text), refusedForMemory) {
		t.Errorf("docs/hot-keys.md does not have %q (%v)", refusedForMemory, err)
	}
}

func TestParseMetric(t *testing.T) {
	const text = "# HELP a_bytes Some.\n# TYPE a_bytes gauge\na_bytes{pool=\"x\"} 1\na_bytes_more 2\na_bytes 2.68435456e+08\n"
	if got, err := parseMetric([]byte(text), "a_bytes"); err != nil || got != 256<<20 {
		t.Errorf("parseMetric = %v, %v, want %d", got, err, 256<<20)
	}
	for _, name := range []string{"b", "a_byte"} {
		if got, err := parseMetric([]byte(text), name); err == nil {
			t.Errorf("parseMetric of %s = %v, want an error", name, got)
		}
	}
}

func TestCommandText(t *testing.T) {
	got := commandText([]string{"--conns", "8", "--backends", "127.0.0.1:1,127.0.0.1:2"})
	if want := "mcproxy bench PROXY --conns 8 --backends MEMCACHED,…"; got != want {
		t.Errorf("commandText = %q, want %q", got, want)
	}
}

func TestOptions(t *testing.T) {
	var out bytes.Buffer
	full := options{rig.Options{Runs: 3, Pairs: 10, Duration: 5 * time.Second, Binary: "bin/mcproxy"}, "go"}
	few := options{rig.Options{Runs: 2, Pairs: 4, Duration: 2 * time.Second, Chosen: []string{"a", "h"}, Out: "x.md", Binary: "m"}, "g"}
	for args, want := range map[string]options{
		"": full, "--runs 2 --pairs 4 --seconds 2 --lines a,h --out x.md --mcproxy m --go g": few,
	} {
		got, err := parseOptions(strings.Fields(args), &out)
		if err != nil {
			t.Errorf("%q: %v", args, err)
			continue
		}
		if diff := cmp.Diff(want, *got, cmp.AllowUnexported(options{})); diff != "" || got.full() != (args == "") {
			t.Errorf("%q (full %v) (-want +got):\n%s", args, got.full(), diff)
		}
		var names []string
		for _, l := range (&harness{opts: got}).lines() {
			names = append(names, l.Name)
		}
		if want.Chosen == nil {
			want.Chosen = strings.Split(lineNames, "")
		}
		if diff := cmp.Diff(want.Chosen, names); diff != "" {
			t.Errorf("%q: lines (-want +got):\n%s", args, diff)
		}
	}
	for args, want := range map[string]string{
		"--runs 0": "--runs 0", "--pairs 0": "--pairs 0", "--seconds 0": "--seconds 0", "--lines z": `"z"`, "--lines ab": `"ab"`, "what": `"what"`,
	} {
		if got, err := parseOptions(strings.Fields(args), &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q = %+v, %v, want an error with %q", args, got, err, want)
		}
	}
}
