package rig

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{3}, Spread{3, 3, 3, 1}},
		{[]float64{5, 1, 3}, Spread{3, 1, 5, 3}},
		{[]float64{8, 2, 4, 1}, Spread{3, 1, 8, 4}},
	} {
		before := append([]float64(nil), test.values...)
		if got := SpreadOf(test.values); got != test.want {
			t.Errorf("SpreadOf(%v) = %+v, want %+v", test.values, got, test.want)
		}
		if !cmp.Equal(before, test.values) {
			t.Errorf("SpreadOf changed %v to %v", before, test.values)
		}
	}
	if got := SpreadOf(nil); !math.IsNaN(got.Median) || got.N != 0 {
		t.Errorf("SpreadOf nothing = %+v, want NaN", got)
	}
}

func TestVerdict(t *testing.T) {
	at := func(v float64) Verdict {
		return Verdict{What: "it", Limit: 1.15, Text: Ratio, Figure: SpreadOf([]float64{v})}
	}
	below, floor := at(1.15), at(1.15)
	below.Below, floor.Floor = true, true
	low := at(1.14)
	low.Floor = true
	for _, test := range []struct {
		verdict Verdict
		target  string
		reached bool
	}{
		{at(1.15), "it ≤ 1.15", true},
		{at(1.16), "it ≤ 1.15", false},
		{below, "it < 1.15", false},
		{floor, "it ≥ 1.15", true},
		{low, "it ≥ 1.15", false},
		{Verdict{What: "it", Limit: 1.15, Text: Ratio, Figure: SpreadOf([]float64{1, 1, 1.2})}, "it ≤ 1.15", true},
		{Verdict{What: "it", Limit: 1.15, Text: Ratio, Figure: SpreadOf([]float64{1, 1, 1.2}), Each: true}, "it ≤ 1.15, each run", false},
		{Verdict{What: "it", Limit: 1.15, Text: Ratio, Figure: SpreadOf([]float64{1, 2, 2}), Floor: true, Each: true}, "it ≥ 1.15, each run", false},
		{Verdict{What: "it", Limit: 1.15, Text: Ratio, Figure: SpreadOf([]float64{2, 2}), Floor: true, Each: true}, "it ≥ 1.15, each run", true},
		{Verdict{What: "it", Limit: 1.15, Text: Ratio, Figure: SpreadOf(nil)}, "it ≤ 1.15", false},
		{Verdict{What: "it", Limit: 1.15, Text: Ratio, Figure: SpreadOf(nil), Floor: true}, "it ≥ 1.15", false},
	} {
		if got := test.verdict.Reached(); got != test.reached || test.verdict.Target() != test.target {
			t.Errorf("%q with %v: reached %v, want %q, %v", test.verdict.Target(), test.verdict.Figure, got, test.target, test.reached)
		}
	}
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	Table{Title: "times", Head: []string{"proxy", "µs"}, Rows: [][]string{{"a|b", "1.5 µs"}, {"c", "10 µs"}}}.Markdown(&b)
	want := "times\n\n| proxy | µs |\n| --- | ---: |\n| a\\|b | 1.5 µs |\n| c | 10 µs |\n\n"
	if got := b.String(); got != want {
		t.Errorf("markdown:\n%s\nwant\n%s", got, want)
	}
}

func TestUnits(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{SpreadOf([]float64{2e-4, 1.5e-3, 9e-4}).Format(Duration), "900 µs (200 µs..1.50 ms)"},
		{SpreadOf([]float64{2e-4, 3e-4, 9e-4}).Format(Duration), "300 µs (200..900 µs)"},
		{SpreadOf([]float64{3 << 20}).Format(Mebibytes), "3.0 MiB"},
		{SpreadOf([]float64{0.5, 1.25}).Format(Ratio), "0.88 (0.50..1.25)"},
		{SpreadOf(nil).Format(Ratio), Unmeasured},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
