package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3, 1}},
		{[]float64{5, 1, 3}, spread{3, 1, 5, 3}},
		{[]float64{8, 2, 4, 1}, spread{3, 1, 8, 4}},
	} {
		before := append([]float64(nil), test.values...)
		if got := spreadOf(test.values); got != test.want {
			t.Errorf("spreadOf(%v) = %+v, want %+v", test.values, got, test.want)
		}
		if !cmp.Equal(before, test.values) {
			t.Errorf("spreadOf changed %v to %v", before, test.values)
		}
	}
	if got := spreadOf(nil); !math.IsNaN(got.median) || got.n != 0 {
		t.Errorf("spreadOf nothing = %+v, want NaN", got)
	}
}

// The median of ratios is not the ratio of medians.
func TestRatios(t *testing.T) {
	pairs := []pair{{sample{user: 1}, sample{user: 1}}, {sample{user: 2}, sample{user: 8}}, {sample{user: 6}, sample{user: 3}}}
	want := spread{1, 0.25, 2, 3}
	if got := ratios(pairs, measureOf(userTime).of); got != want {
		t.Errorf("ratios = %+v, want %+v", got, want)
	}
	total := []pair{{sample{user: 1, system: 2}, sample{user: 2, system: 4}}}
	if got := ratios(total, measureOf(totalTime).of); got.median != 0.5 {
		t.Errorf("ratios of user + system = %+v, want 0.5", got)
	}
}

func TestJudge(t *testing.T) {
	pairsOf := func(user float64) []pair { return []pair{{sample{user: user}, sample{user: 1}}} }
	all := []compared{
		{proxy{name: nutcracker, family: nutcracker}, pairsOf(0.5)},
		{proxy{name: nutcrackerBig, family: nutcracker}, pairsOf(0.51)},
		{proxy{name: "mine"}, pairsOf(0.1)},
	}
	targets := []target{{nutcracker, userTime, 0.5}, {haproxy, userTime, 0.75}}
	verdicts := judge(traffic{label: "big"}, targets, all)
	want := [][]string{
		{"big: user time : nutcracker ≤ 0.50", "0.50", "0.50..0.50", "yes"},
		{"big: user time : nutcracker-64k ≤ 0.50", "0.51", "0.51..0.51", "**no**"},
		{"big: user time : haproxy ≤ 0.75", unmeasured, unmeasured, "**no**"},
	}
	if diff := cmp.Diff(want, verdictTable(verdicts).rows); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	strict := verdict{limit: 1.15, below: true, figure: spreadOf([]float64{1.15}), text: ratio}
	if strict.reached() || strict.target() != " < 1.15" {
		t.Errorf("%q: 1.15 is below 1.15", strict.target())
	}
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	table{title: "times", head: []string{"proxy", "µs"}, rows: [][]string{{"a|b", "1.5 µs"}, {"c", "10 µs"}}}.markdown(&b)
	want := "times\n\n| proxy | µs |\n| --- | ---: |\n| a\\|b | 1.5 µs |\n| c | 10 µs |\n\n"
	if got := b.String(); got != want {
		t.Errorf("markdown:\n%s\nwant\n%s", got, want)
	}
}

func TestUnits(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{spreadOf([]float64{2e-4, 1.5e-3, 9e-4}).format(duration), "900 µs (200 µs..1.50 ms)"},
		{spreadOf([]float64{2e-4, 3e-4, 9e-4}).format(duration), "300 µs (200..900 µs)"},
		{spreadOf([]float64{3 << 20}).format(mebibytes), "3.0 MiB"},
		{spreadOf([]float64{0.5, 1.25}).format(ratio), "0.88 (0.50..1.25)"},
		{spreadOf(nil).format(ratio), unmeasured},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

// TestPage computes the page of a load with known figures, and of one that failed.
func TestPage(t *testing.T) {
	pairs := []pair{
		{sample{user: 1, system: 9, rate: 1000}, sample{user: 4, system: 8, rate: 500}},
		{sample{user: 1, system: 7, rate: 1000}, sample{user: 2, system: 8, rate: 500, lost: 3}},
	}
	all := []compared{{proxy{name: nutcracker, family: nutcracker}, pairs}}
	l := loads()[0]
	good := &findings{verdicts: judge(l.traffic[0], l.targets, all), tables: []table{ratiosTable("", all)}, notes: []string{"A note."}}
	r := &report{
		h:     &harness{opts: &options{pairs: 2, duration: time.Second}, cores: []int{0, 1}},
		begun: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		outcomes: []outcome{
			{load: l, findings: good},
			{load: loads()[1], findings: &findings{}, err: errNoFigures{}},
		},
	}
	want := [][]string{
		{"W1", l.title, l.toReach, "user time : nutcracker 0.38 (0.25..0.50); user + system : nutcracker 0.82 (0.80..0.83)", "yes"},
		{"W2", loads()[1].title, loads()[1].toReach, "not measured to the end", "**no**"},
	}
	if diff := cmp.Diff(want, r.summary().rows); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	page := r.markdown()
	for _, part := range []string{
		"# mcproxy and its rivals, 2026-01-02 03:04 UTC", "2 pairs of runs of 1s", "## W1: ", "A note.",
		"| user time : nutcracker ≤ 0.50 | 0.38 | 0.25..0.50 | yes |",
		"| nutcracker | 0.38 (0.25..0.50) | 1.00 (0.88..1.12) | 0.82 (0.80..0.83) | 2.00 (2.00..2.00) |",
		"**Not measured to the end: no figures**",
	} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q:\n%s", part, page)
		}
	}
	if got := r.defaultFile(); got != "bench/results/2026-01-02-quick.md" {
		t.Errorf("defaultFile of a quick run = %s", got)
	}
	r.h.opts = &options{pairs: fullPairs, duration: fullSeconds * time.Second, against: startable()}
	if got := r.defaultFile(); got != "bench/results/2026-01-02.md" {
		t.Errorf("defaultFile of a full run = %s", got)
	}
	r.interrupted = true
	if got := r.defaultFile(); got != "bench/results/2026-01-02-quick.md" {
		t.Errorf("defaultFile of an interrupted run = %s", got)
	}
}

type errNoFigures struct{}

func (errNoFigures) Error() string { return "no figures" }

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
