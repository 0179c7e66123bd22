package rig

import (
	"fmt"
	"slices"
)

// A Verdict is a target, and the figure that was measured for it.
type Verdict struct {
	What   string // "user time : nutcracker"
	Limit  float64
	Below  bool // the figure must be below the limit; otherwise it may be the limit
	Floor  bool // the limit is the least that the figure may be
	Each   bool // the worst run must reach it; otherwise the median
	Figure Spread
	Text   func(float64) string // writes the figure and the limit
}

// Reached compares the median, or the worst run. A figure that was not measured reaches nothing.
func (v Verdict) Reached() bool {
	figure := v.Figure.Median
	switch {
	case v.Each && v.Floor:
		figure = v.Figure.Low
	case v.Each:
		figure = v.Figure.High
	}
	if v.Floor {
		return figure >= v.Limit
	}
	return figure < v.Limit || !v.Below && figure == v.Limit
}

// Target is what is to be reached, in words.
func (v Verdict) Target() string {
	relation := " ≤ "
	switch {
	case v.Floor:
		relation = " ≥ "
	case v.Below:
		relation = " < "
	}
	text := v.What + relation + v.Text(v.Limit)
	if v.Each {
		text += ", each run"
	}
	return text
}

// Findings are what a measurement has found.
type Findings struct {
	Verdicts []Verdict
	Tables   []Table
	Notes    []string // sentences
}

// Note adds a sentence.
func (f *Findings) Note(format string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, args...))
}

// NoteOnce is Note for what may have been noted already.
func (f *Findings) NoteOnce(format string, args ...any) {
	if !slices.Contains(f.Notes, fmt.Sprintf(format, args...)) {
		f.Note(format, args...)
	}
}

// VerdictTable has a row for each target.
func VerdictTable(verdicts []Verdict) Table {
	t := Table{Head: []string{"target", "figure", "min..max", "reached"}}
	for _, v := range verdicts {
		t.Rows = append(t.Rows, []string{v.Target(), v.Figure.Middle(v.Text), v.Figure.Bounds(v.Text), Yes(v.Reached())})
	}
	return t
}

// Yes is how a page says whether a target was reached.
func Yes(reached bool) string {
	if reached {
		return "yes"
	}
	return "**no**"
}
