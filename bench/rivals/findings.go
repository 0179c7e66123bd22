package main

import "mcproxy/bench/rig"

// A measure is one figure of a sample.
type measure struct {
	name string
	of   func(rig.Sample) float64
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
		{userTime, func(s rig.Sample) float64 { return s.User }, rig.Decimals(2, " µs")},
		{"system time", func(s rig.Sample) float64 { return s.System }, rig.Decimals(2, " µs")},
		{totalTime, rig.Sample.Total, rig.Decimals(2, " µs")},
		{"requests/s", func(s rig.Sample) float64 { return s.Rate }, rig.Decimals(0, "")},
		{medianTime, func(s rig.Sample) float64 { return s.P50 }, rig.Duration},
		{tailTime, func(s rig.Sample) float64 { return s.P99 }, rig.Duration},
		{"resident", func(s rig.Sample) float64 { return s.Resident }, rig.Mebibytes},
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

// A target is a limit of the ratio mcproxy : rival, for every rival of a family.
type target struct {
	family  string
	measure string
	limit   float64
}

// compared is what alternating pairs with one rival gave.
type compared struct {
	rival rig.Proxy
	pairs []pair
}

// judge holds the targets against the pairs. A target for a family that was not measured stays open.
func judge(t traffic, targets []target, all []compared) []rig.Verdict {
	var verdicts []rig.Verdict
	for _, target := range targets {
		found := false
		for _, c := range all {
			if c.rival.Family != target.family {
				continue
			}
			found = true
			verdicts = append(verdicts, rig.Verdict{
				What:  prefixed(t.label, target.measure+" : "+c.rival.Name),
				Limit: target.limit, Text: rig.Ratio,
				Figure: ratios(c.pairs, measureOf(target.measure).of),
			})
		}
		if !found {
			verdicts = append(verdicts, rig.Verdict{
				What: prefixed(t.label, target.measure+" : "+target.family), Limit: target.limit, Text: rig.Ratio, Figure: rig.SpreadOf(nil),
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
	samples []rig.Sample
}

// figuresTable has a row for each proxy.
func figuresTable(label string, all []sampled) rig.Table {
	t := rig.Table{Title: prefixed(label, "a request, as measured: median (min..max)"), Head: []string{"proxy"}}
	for _, m := range measures() {
		t.Head = append(t.Head, m.name)
	}
	t.Head = append(t.Head, "lost")
	for _, one := range all {
		row := []string{one.name}
		for _, m := range measures() {
			row = append(row, figures(one.samples, m.of).Format(m.text))
		}
		lost := 0.0
		for _, s := range one.samples {
			lost += s.Lost
		}
		t.Rows = append(t.Rows, append(row, rig.Decimals(0, "")(lost)))
	}
	return t
}

// ratiosTable has a row for each rival.
func ratiosTable(label string, all []compared) rig.Table {
	t := rig.Table{Title: prefixed(label, "mcproxy : rival, of each pair: median (min..max)"), Head: []string{"rival"}}
	for _, m := range measures() {
		t.Head = append(t.Head, m.name)
	}
	for _, c := range all {
		row := []string{c.rival.Name}
		for _, m := range measures() {
			row = append(row, ratios(c.pairs, m.of).Format(rig.Ratio))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
