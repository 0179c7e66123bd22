package rig

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ratioVerdict(what string, limit float64, figures ...float64) Verdict {
	return Verdict{What: what, Limit: limit, Text: Ratio, Figure: SpreadOf(figures)}
}

// TestRun measures loads with known figures, and one that fails.
func TestRun(t *testing.T) {
	finds := func(verdicts ...Verdict) func(context.Context, *Findings) error {
		return func(_ context.Context, f *Findings) error {
			f.Verdicts = verdicts
			f.Note("A note.")
			return nil
		}
	}
	half, twice := ratioVerdict("this", 1, 0.25, 0.75), ratioVerdict("that", 1, 2)
	loads := []Load{
		{Name: "A", Title: "good", ToReach: "≤ 1", Measure: finds(half)},
		{Name: "B", Title: "one of two", ToReach: "≤ 1", Measure: finds(half, twice)},
		{Name: "C", Title: "either", ToReach: "≤ 1", Either: true, Measure: finds(half, twice)},
		{Name: "D", Title: "neither", ToReach: "≤ 1", Either: true, Measure: finds(twice)},
		{Name: "E", Title: "broken", Measure: func(context.Context, *Findings) error { return errors.New("no figures") }},
	}
	page := &Page{
		Title: "A test", Target: "test", Method: "By hand.", Begun: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		Head: []string{"", "load", "to reach", "figures", "reached"},
	}
	var out bytes.Buffer
	m := &Machine{Name: "tester", out: &out}
	file := filepath.Join(t.TempDir(), "sub", "page.md")
	if err := m.Run(t.Context(), page, loads, file); err == nil || err.Error() != "E: no figures" {
		t.Errorf("Run = %v, want the load that failed", err)
	}
	want := [][]string{
		{"A", "good", "≤ 1", "this 0.50 (0.25..0.75)", "yes"},
		{"B", "one of two", "≤ 1", "this 0.50 (0.25..0.75); **that 2.00**", "**no**"},
		{"C", "either", "≤ 1", "this 0.50 (0.25..0.75); **that 2.00**", "yes"},
		{"D", "neither", "≤ 1", "**that 2.00**", "**no**"},
		{"E", "broken", "", "not measured to the end", "**no**"},
	}
	if diff := cmp.Diff(want, page.Summary().Rows); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"# A test, 2026-01-02 03:04 UTC", "Written by `make test`", "By hand.", "## A: good", "A note.",
		"| this ≤ 1.00 | 0.50 | 0.25..0.75 | yes |", "**Not measured to the end: E: no figures**",
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the page lacks %q:\n%s", part, text)
		}
	}
	if !strings.Contains(out.String(), "tester: C: either\n") {
		t.Errorf("said %q", out.String())
	}
}

func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "page.md")
	m, page := &Machine{out: &bytes.Buffer{}}, &Page{Full: true}
	stop := []Load{{Name: "A", Measure: func(context.Context, *Findings) error { cancel(); return ctx.Err() }}}
	if err := m.Run(ctx, page, stop, file); err == nil || err.Error() != "interrupted" {
		t.Errorf("Run = %v, want interrupted", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a page was written of no load: %v", err)
	}
	good := Load{Name: "A", Measure: func(context.Context, *Findings) error { return nil }}
	m, page = &Machine{out: &bytes.Buffer{}}, &Page{}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	if err := m.Run(ctx, page, append([]Load{good}, stop...), file); err == nil || len(page.Sections) != 1 {
		t.Errorf("Run = %v with %d sections, want the first one kept", err, len(page.Sections))
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "**The run was interrupted") {
		t.Errorf("the page: %q, %v", text, err)
	}
}

func TestFile(t *testing.T) {
	begun := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	for _, test := range []struct {
		page Page
		want string
	}{
		{Page{Begun: begun}, "bench/results/2026-01-02-quick.md"},
		{Page{Begun: begun, Full: true}, "bench/results/2026-01-02.md"},
		{Page{Begun: begun, Full: true, Kind: "-kind"}, "bench/results/2026-01-02-kind.md"},
		{Page{Begun: begun, Full: true, Interrupted: true}, "bench/results/2026-01-02-quick.md"},
	} {
		if got := test.page.File(); got != test.want {
			t.Errorf("%+v: File = %s, want %s", test.page, got, test.want)
		}
	}
}
