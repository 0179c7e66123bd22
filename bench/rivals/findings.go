package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A measure is one figure of a sample.
type measure struct {
	name string
	of   func(sample) float64
	text func(float64) string
}

// The measures that targets name.
const (
	userTime   = "user time"
	totalTime  = "user + system"
	medianTime = "p50"
	tailTime   = "p99"
)

func measures() []measure {
	return []measure{
		{userTime, func(s sample) float64 { return s.user }, decimals(2, " µs")},
		{"system time", func(s sample) float64 { return s.system }, decimals(2, " µs")},
		{totalTime, sample.total, decimals(2, " µs")},
		{"requests/s", func(s sample) float64 { return s.rate }, decimals(0, "")},
		{medianTime, func(s sample) float64 { return s.p50 }, duration},
		{tailTime, func(s sample) float64 { return s.p99 }, duration},
		{"resident", func(s sample) float64 { return s.resident }, mebibytes},
	}
}

func measureOf(name string) measure {
	for _, m := range measures() {
		if m.name == name {
			return m
		}
	}
	panic("no measure " + name)
}

// decimals writes a figure with n digits after the point, and a unit.
func decimals(n int, unit string) func(float64) string {
	return func(v float64) string { return strconv.FormatFloat(v, 'f', n, 64) + unit }
}

func mebibytes(bytes float64) string { return decimals(1, " MiB")(bytes / (1 << 20)) }

func duration(seconds float64) string {
	if seconds < 1e-3 {
		return decimals(0, " µs")(seconds * 1e6)
	}
	return decimals(2, " ms")(seconds * 1e3)
}

func ratio(v float64) string { return decimals(2, "")(v) }

// A target is a limit of the ratio mcproxy : rival, for every rival of a family.
type target struct {
	family  string
	measure string
	limit   float64
}

// A verdict is a target, and the figure that was measured for it.
type verdict struct {
	what   string // "user time : nutcracker"
	limit  float64
	below  bool // the figure must be below the limit; otherwise it may be the limit
	figure spread
	text   func(float64) string
}

// reached compares the median. A figure that was not measured reaches nothing.
func (v verdict) reached() bool {
	return v.figure.median < v.limit || !v.below && v.figure.median == v.limit
}

func (v verdict) target() string {
	if v.below {
		return v.what + " < " + v.text(v.limit)
	}
	return v.what + " ≤ " + v.text(v.limit)
}

// findings are what a load's measurement has found.
type findings struct {
	verdicts []verdict
	tables   []table
	notes    []string // sentences
}

func (f *findings) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// compared is what alternating pairs with one rival gave.
type compared struct {
	rival proxy
	pairs []pair
}

// judge holds the targets against the pairs. A target for a family that was not measured stays open.
func judge(t traffic, targets []target, all []compared) []verdict {
	var verdicts []verdict
	for _, target := range targets {
		found := false
		for _, c := range all {
			if c.rival.family != target.family {
				continue
			}
			found = true
			verdicts = append(verdicts, verdict{
				what:  prefixed(t.label, target.measure+" : "+c.rival.name),
				limit: target.limit, text: ratio,
				figure: ratios(c.pairs, measureOf(target.measure).of),
			})
		}
		if !found {
			verdicts = append(verdicts, verdict{
				what: prefixed(t.label, target.measure+" : "+target.family), limit: target.limit, text: ratio, figure: spreadOf(nil),
			})
		}
	}
	return verdicts
}

func prefixed(label, text string) string {
	if label == "" {
		return text
	}
	return label + ": " + text
}

// sampled is all that was measured of one proxy.
type sampled struct {
	name    string
	samples []sample
}

// A table is one of Markdown.
type table struct {
	title string
	head  []string
	rows  [][]string
}

// figuresTable has a row for each proxy.
func figuresTable(label string, all []sampled) table {
	t := table{title: prefixed(label, "a request, as measured: median (min..max)"), head: []string{"proxy"}}
	for _, m := range measures() {
		t.head = append(t.head, m.name)
	}
	t.head = append(t.head, "lost")
	for _, one := range all {
		row := []string{one.name}
		for _, m := range measures() {
			row = append(row, figures(one.samples, m.of).format(m.text))
		}
		lost := 0.0
		for _, s := range one.samples {
			lost += s.lost
		}
		t.rows = append(t.rows, append(row, decimals(0, "")(lost)))
	}
	return t
}

// ratiosTable has a row for each rival.
func ratiosTable(label string, all []compared) table {
	t := table{title: prefixed(label, "mcproxy : rival, of each pair: median (min..max)"), head: []string{"rival"}}
	for _, m := range measures() {
		t.head = append(t.head, m.name)
	}
	for _, c := range all {
		row := []string{c.rival.name}
		for _, m := range measures() {
			row = append(row, ratios(c.pairs, m.of).format(ratio))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// format is "median (low..high)"; the median alone if there is one value.
func (s spread) format(text func(float64) string) string {
	switch s.n {
	case 0:
		return unmeasured
	case 1:
		return text(s.median)
	}
	return fmt.Sprintf("%s (%s)", text(s.median), s.bounds(text))
}

// unmeasured stands where a rival was not there.
const unmeasured = "not measured"

func (s spread) middle(text func(float64) string) string {
	if s.n == 0 {
		return unmeasured
	}
	return text(s.median)
}

// bounds is "low..high".
func (s spread) bounds(text func(float64) string) string {
	if s.n == 0 {
		return unmeasured
	}
	low, high := text(s.low), text(s.high)
	if number, unit, found := strings.Cut(low, " "); found && strings.HasSuffix(high, " "+unit) {
		low = number
	}
	return low + ".." + high
}

// verdictTable has a row for each target.
func verdictTable(verdicts []verdict) table {
	t := table{head: []string{"target", "figure", "min..max", "reached"}}
	for _, v := range verdicts {
		t.rows = append(t.rows, []string{v.target(), v.figure.middle(v.text), v.figure.bounds(v.text), yes(v.reached())})
	}
	return t
}

func yes(reached bool) string {
	if reached {
		return "yes"
	}
	return "**no**"
}

// numeric reports whether a column has figures alone, which stand on the right.
func (t table) numeric(column int) bool {
	for _, row := range t.rows {
		if cell := row[column]; cell == "" || cell[0] < '0' || cell[0] > '9' {
			return false
		}
	}
	return true
}

// markdown writes the table, with an empty line after it.
func (t table) markdown(b *strings.Builder) {
	if t.title != "" {
		fmt.Fprintf(b, "%s\n\n", t.title)
	}
	line := func(cells []string) {
		b.WriteByte('|')
		for _, cell := range cells {
			fmt.Fprintf(b, " %s |", strings.ReplaceAll(cell, "|", `\|`))
		}
		b.WriteByte('\n')
	}
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---"
		if t.numeric(i) {
			rule[i] = "---:"
		}
	}
	line(rule)
	for _, row := range t.rows {
		line(row)
	}
	b.WriteByte('\n')
}
