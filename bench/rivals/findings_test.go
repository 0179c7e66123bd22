package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mcproxy/bench/rig"
)

// The median of ratios is not the ratio of medians.
func TestRatios(t *testing.T) {
	pairs := []pair{{rig.Sample{User: 1}, rig.Sample{User: 1}}, {rig.Sample{User: 2}, rig.Sample{User: 8}}, {rig.Sample{User: 6}, rig.Sample{User: 3}}}
	want := rig.Spread{Median: 1, Low: 0.25, High: 2, N: 3}
	if got := ratios(pairs, measureOf(userTime).of); got != want {
		t.Errorf("ratios = %+v, want %+v", got, want)
	}
	total := []pair{{rig.Sample{User: 1, System: 2}, rig.Sample{User: 2, System: 4}}}
	if got := ratios(total, measureOf(totalTime).of); got.Median != 0.5 {
		t.Errorf("ratios of user + system = %+v, want 0.5", got)
	}
}

func TestJudge(t *testing.T) {
	pairsOf := func(user float64) []pair { return []pair{{rig.Sample{User: user}, rig.Sample{User: 1}}} }
	all := []compared{
		{rig.Proxy{Name: nutcracker, Family: nutcracker}, pairsOf(0.5)},
		{rig.Proxy{Name: nutcrackerBig, Family: nutcracker}, pairsOf(0.51)},
		{rig.Proxy{Name: "mine"}, pairsOf(0.1)},
	}
	targets := []target{{nutcracker, userTime, 0.5}, {haproxy, userTime, 0.75}}
	verdicts := judge(traffic{label: "big"}, targets, all)
	want := [][]string{
		{"big: user time : nutcracker ≤ 0.50", "0.50", "0.50..0.50", "yes"},
		{"big: user time : nutcracker-64k ≤ 0.50", "0.51", "0.51..0.51", "**no**"},
		{"big: user time : haproxy ≤ 0.75", rig.Unmeasured, rig.Unmeasured, "**no**"},
	}
	if diff := cmp.Diff(want, rig.VerdictTable(verdicts).Rows); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	strict := rig.Verdict{Limit: 1.15, Below: true, Figure: rig.SpreadOf([]float64{1.15}), Text: rig.Ratio}
	if strict.Reached() || strict.Target() != " < 1.15" {
		t.Errorf("%q: 1.15 is below 1.15", strict.Target())
	}
}

// TestPage computes the page of a load with known figures.
func TestPage(t *testing.T) {
	pairs := []pair{
		{rig.Sample{User: 1, System: 9, Rate: 1000}, rig.Sample{User: 4, System: 8, Rate: 500}},
		{rig.Sample{User: 1, System: 7, Rate: 1000}, rig.Sample{User: 2, System: 8, Rate: 500, Lost: 3}},
	}
	all := []compared{{rig.Proxy{Name: nutcracker, Family: nutcracker}, pairs}}
	l := loads()[0]
	h := &harness{&rig.Machine{Cores: []int{0, 1}}, &options{Options: rig.Options{Pairs: 2, Duration: time.Second}}}
	page := &rig.Page{
		Method: h.method(),
		Sections: []rig.Section{{Load: h.loads()[0], Findings: &rig.Findings{
			Verdicts: judge(l.traffic[0], l.targets, all), Tables: []rig.Table{ratiosTable("", all)},
		}}},
	}
	want := [][]string{
		{"W1", l.title, l.toReach, "user time : nutcracker 0.38 (0.25..0.50); user + system : nutcracker 0.82 (0.80..0.83)", "yes"},
	}
	if diff := cmp.Diff(want, page.Summary().Rows); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	text := page.Markdown()
	for _, part := range []string{
		"2 pairs of runs of 1s", "## W1: ", "| user time : nutcracker ≤ 0.50 | 0.38 | 0.25..0.50 | yes |",
		"| nutcracker | 0.38 (0.25..0.50) | 1.00 (0.88..1.12) | 0.82 (0.80..0.83) | 2.00 (2.00..2.00) |",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the page lacks %q:\n%s", part, text)
		}
	}
}

// TestLoads holds the table together: every target names a measure, and has traffic to be judged by.
func TestLoads(t *testing.T) {
	for i, l := range loads() {
		if want := "W" + string(rune('1'+i)); l.name != want {
			t.Errorf("load %d is %s, want %s", i, l.name, want)
		}
		if len(l.traffic) == 0 && l.also == nil || len(l.targets) > 0 && len(l.traffic) == 0 {
			t.Errorf("%s measures nothing", l.name)
		}
		for _, target := range l.targets {
			measureOf(target.measure) // panics without
		}
	}
	if got := steps(2); got[len(got)-1].name != "workers 1 → 2" {
		t.Errorf("steps on 2 cores end with %+v", got[len(got)-1])
	}
	if got := steps(7); got[len(got)-1].to.workers != 4 {
		t.Errorf("steps on 7 cores end with %+v", got[len(got)-1])
	}
}
