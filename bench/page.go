package bench

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"

	"mcproxy/bench/workload"
)

// pageText is the page's template: HTML with its style sheet, and nothing that a browser would have to fetch.
//
//go:embed page.html
var pageText string

// A page is what the template is filled with.
type page struct {
	Title    string
	Lead     []string // lines below the title
	Alarms   []string // lines that nobody must miss
	Tables   []pageTable
	Drawings []drawing
}

type pageTable struct {
	Title string
	Head  []string
	Rows  [][]string
}

// A drawing is a plot, or bars.
type drawing struct {
	Title  string
	SVG    template.HTML
	Legend []string
	Bars   []bar
}

// A bar is one backend's share.
type bar struct {
	Name    string
	Text    string
	Percent float64 // of the longest bar
}

func (p *page) add(pl plot) {
	p.Drawings = append(p.Drawings, drawing{Title: pl.title, SVG: pl.svg(), Legend: pl.names()})
}

// Numbers are those of the style sheet's colours.
func (p *page) Numbers() []int {
	var all []int
	for i := range maxSeries {
		all = append(all, i+1)
	}
	return all
}

func (p *page) write(out io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{"inc": func(i int) int { return i + 1 }}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("page.html: %w", err)
	}
	return t.Execute(out, p)
}

// WriteHTML writes one self-contained page: latency by percentile, throughput and latency over time, shares of the
// backends, and all figures.
func (r *Result) WriteHTML(out io.Writer) error {
	p := page{Title: r.Endpoint, Lead: []string{
		r.Options.describe(),
		fmt.Sprintf("%d answers in %.2f s: %.0f a second", r.Answers, r.Seconds, r.Rate),
		fmt.Sprintf("version %s; %s; ended by: %s", r.ServerVersion, r.Started.Format("2006-01-02 15:04:05 MST"), r.Ended),
	}}
	r.alarm(&p)
	var curves []series
	names := []string{"all"}
	for k := range workload.Kinds {
		names = append(names, k.String())
	}
	for _, name := range names {
		if points := r.curves[name]; len(points) > 0 && (name == "all" || len(r.curves) > 2) {
			curves = append(curves, series{name, points})
		}
	}
	p.add(latencyPlot(curves))
	p.add(ratePlot([]series{{"", ratePoints(r.Timeline)}}))
	p.add(timelinePlot(r.Timeline))
	if r.Backends != nil {
		p.Drawings = append(p.Drawings,
			bars("Operations of each backend", r.Backends, func(b Backend) float64 { return float64(b.Operations) },
				func(v float64) string { return fmt.Sprintf("%.0f", v) }),
			bars("Bytes of each backend, both ways", r.Backends, func(b Backend) float64 { return float64(b.BytesRead + b.BytesWritten) }, bytesText))
	}
	p.Tables = append(p.Tables, latencyTable(r))
	p.Tables = append(p.Tables, r.figureTables()...)
	return p.write(out)
}

func (r *Result) alarm(p *page) {
	if r.Failed > 0 {
		p.Alarms = append(p.Alarms, fmt.Sprintf("%d operations of %s failed", r.Failed, r.Endpoint))
	}
	if r.Late > 0 {
		p.Alarms = append(p.Alarms, fmt.Sprintf("%d operations of the asked rate were never sent to %s", r.Late, r.Endpoint))
	}
	if v := r.Verify; v != nil && v.Offences() > 0 {
		p.Alarms = append(p.Alarms, fmt.Sprintf("of %d values read from %s, %d were stale, %d torn, %d crossed", v.Checked, r.Endpoint, v.Stale, v.Torn, v.Crossed))
	}
}

// latencyPlot draws latency over the percentile, the tail stretched: each step of 90, 99, 99.9 is as wide as the other.
func latencyPlot(curves []series) plot {
	least, most := bounds(curves)
	p := plot{title: "Latency by percentile", series: curves, y: logAxis(least, most, durationText)}
	p.x = axis{label: "percentile"}
	for _, s := range curves {
		for _, at := range s.points {
			p.x.to = max(p.x.to, at.x)
		}
	}
	for _, percentile := range []float64{0, 50, 90, 99, 99.9, 99.99, 99.999} {
		if at := stretched(percentile); at <= p.x.to {
			p.x.ticks = append(p.x.ticks, tick{at, fmt.Sprintf("%g %%", percentile)})
		}
	}
	return p
}

// stretched is a percentile's place on the axis.
func stretched(percentile float64) float64 { return -math.Log10(1 - percentile/100) }

// ratePlot draws throughput over time.
func ratePlot(lines []series) plot {
	_, most := bounds(lines)
	last := 1.0
	for _, s := range lines {
		if n := len(s.points); n > 0 {
			last = max(last, s.points[n-1].x)
		}
	}
	return plot{
		title: "Operations a second", series: lines, x: timeAxis(last),
		y: linearAxis(most, func(v float64) string { return fmt.Sprintf("%.0f", v) }),
	}
}

func ratePoints(timeline []Second) []point {
	var points []point
	for _, s := range timeline {
		points = append(points, point{float64(s.Second + 1), s.Rate, fmt.Sprintf("second %d: %.0f/s", s.Second+1, s.Rate)})
	}
	return points
}

// timelinePlot draws latencies over time.
func timelinePlot(timeline []Second) plot {
	lines := []series{{name: "p50"}, {name: "p99"}, {name: "max"}}
	for _, s := range timeline {
		for i, v := range []float64{s.P50, s.P99, s.Max} {
			text := fmt.Sprintf("second %d: %s %s", s.Second+1, lines[i].name, durationText(v))
			lines[i].points = append(lines[i].points, point{float64(s.Second + 1), v, text})
		}
	}
	least, most := bounds(lines)
	return plot{title: "Latency over time", series: lines, x: timeAxis(float64(len(timeline))), y: logAxis(least, most, durationText)}
}

func bars(title string, b *Backends, of func(Backend) float64, text func(float64) string) drawing {
	d := drawing{Title: title}
	most, sum := 0.0, 0.0
	for _, one := range b.Each {
		most, sum = max(most, of(one)), sum+of(one)
	}
	for _, one := range b.Each {
		v := of(one)
		d.Bars = append(d.Bars, bar{
			Name: one.Address, Text: fmt.Sprintf("%s (%.1f %%)", text(v), 100*v/max(sum, 1)), Percent: 100 * v / max(most, 1),
		})
	}
	return d
}

func latencyTable(results ...*Result) pageTable {
	t := pageTable{Title: "Latency", Head: []string{"", "count", "mean", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"}}
	row := func(name string, l Latency) {
		t.Rows = append(t.Rows, []string{
			name, fmt.Sprint(l.Count), durationText(l.Mean), durationText(l.P50), durationText(l.P90), durationText(l.P95),
			durationText(l.P99), durationText(l.P999), durationText(l.P9999), durationText(l.Max),
		})
	}
	for _, r := range results {
		name := ""
		if len(results) > 1 {
			name = r.Endpoint + " "
		}
		row(name+"all", r.Latency)
		for k := range workload.Kinds {
			if l, ok := r.ByKind[k.String()]; ok && len(r.ByKind) > 1 {
				row(name+k.String(), l)
			}
		}
	}
	return t
}

// figureTables has what is no latency.
func (r *Result) figureTables() []pageTable {
	all := pageTable{Title: "Figures", Rows: [][]string{
		{"answers", fmt.Sprint(r.Answers)},
		{"failed", fmt.Sprint(r.Failed)},
		{"never sent", fmt.Sprint(r.Late)},
		{"keys found", fmt.Sprint(r.Hits)},
		{"keys not found", fmt.Sprint(r.Misses)},
		{"bytes sent", bytesText(float64(r.BytesSent))},
		{"bytes received", bytesText(float64(r.BytesReceived))},
		{"timeouts", fmt.Sprint(r.Timeouts)},
		{"conns opened anew", fmt.Sprint(r.Redials)},
		{"the tool's own CPU", fmt.Sprintf("%.2f s user, %.2f s system: %.0f answers a CPU second", r.CPU.User, r.CPU.System, r.CPU.AnswersPerCPUSecond)},
	}}
	for _, text := range slices.Sorted(maps.Keys(r.Failures)) {
		all.Rows = append(all.Rows, []string{text, fmt.Sprint(r.Failures[text])})
	}
	tables := []pageTable{all}
	if f := r.Keystone; f != nil {
		tables = append(tables, pageTable{Title: "Keystone's tokens", Rows: [][]string{
			{"issued", fmt.Sprint(f.Issued)},
			{"refused", fmt.Sprint(f.Refused)},
			{"validations", fmt.Sprint(f.Validations)},
			{"of them missed", fmt.Sprint(f.Invalid)},
			{"updates of lists", fmt.Sprint(f.ListUpdates)},
			{"of them refused", fmt.Sprint(f.ListsRefused)},
			{"locks never free", fmt.Sprint(f.LockFailures)},
			{"tokens lost from their list", fmt.Sprint(f.LostUpdates)},
			{"largest list", bytesText(float64(f.LargestList))},
		}})
	}
	if v := r.Verify; v != nil {
		t := pageTable{Title: "Verified values", Rows: [][]string{
			{"looked at", fmt.Sprint(v.Checked)},
			{"stale", fmt.Sprint(v.Stale)},
			{"torn", fmt.Sprint(v.Torn)},
			{"crossed", fmt.Sprint(v.Crossed)},
			{"foreign", fmt.Sprint(v.Foreign)},
			{"unconfirmed", fmt.Sprint(v.Unconfirmed)},
		}}
		for _, o := range v.Offenders {
			t.Rows = append(t.Rows, []string{o.Kind + ": " + o.Key, fmt.Sprintf("conn %d found %s, want %s", o.Conn, o.Found, o.Want)})
		}
		tables = append(tables, t)
	}
	if b := r.Backends; b != nil {
		tables = append(tables, pageTable{Title: "Evenness of the backends", Head: []string{"", "busiest over the mean", "Jain's index"}, Rows: [][]string{
			{"operations", fmt.Sprintf("%.3f", b.OperationsMaxMean), fmt.Sprintf("%.3f", b.OperationsJain)},
			{"bytes", fmt.Sprintf("%.3f", b.BytesMaxMean), fmt.Sprintf("%.3f", b.BytesJain)},
		}})
	}
	return tables
}

// WriteHTML writes the comparison as a page, with the figures of both endpoints' runs together.
func (c *Comparison) WriteHTML(out io.Writer) error {
	p := page{Title: "A = " + c.A + ", B = " + c.B, Lead: []string{
		fmt.Sprintf("%d rounds of A B: %s", c.Rounds, c.RunsA[0].Options.describe()),
	}}
	ratios := pageTable{Title: "A : B", Head: []string{"", "median", "from", "to"}}
	for _, figure := range compared {
		r := c.Ratios[figure.name]
		ratios.Rows = append(ratios.Rows, []string{figure.name, fmt.Sprintf("%.3f", r.Median), fmt.Sprintf("%.3f", r.Min), fmt.Sprintf("%.3f", r.Max)})
	}
	p.Tables = append(p.Tables, ratios)
	var curves, rates []series
	for _, side := range []struct {
		name string
		runs []*Result
	}{{"A", c.RunsA}, {"B", c.RunsB}} {
		all := newHistogram()
		rate := series{name: side.name}
		for i, r := range side.runs {
			r.alarm(&p)
			all.Merge(r.all)
			rate.points = append(rate.points, point{float64(i + 1), r.Rate, fmt.Sprintf("%s, round %d: %.0f/s", side.name, i+1, r.Rate)})
		}
		curves, rates = append(curves, series{side.name, curveOf(side.name, all)}), append(rates, rate)
	}
	p.add(latencyPlot(curves))
	byRound := ratePlot(rates)
	byRound.title, byRound.x.label = "Answers a second by round", "round"
	p.add(byRound)
	p.Tables = append(p.Tables, latencyTable(slices.Concat(c.RunsA, c.RunsB)...))
	return p.write(out)
}

// WriteHTML writes the search as a page.
func (s *Search) WriteHTML(out io.Writer) error {
	p := page{Title: s.Endpoint, Lead: []string{
		fmt.Sprintf("%s holds up to %.0f operations a second; a closed loop reaches %.0f", s.SLO, s.Rate, s.Closed), s.Options.describe(),
	}}
	trials := pageTable{Title: "Trials", Head: []string{"rate", "p50", "p99", "max", "holds"}}
	lines := []series{{name: "p50"}, {name: "p99"}, {name: "max"}}
	for _, t := range slices.SortedFunc(slices.Values(s.Trials), func(a, b Trial) int { return cmp.Compare(a.Rate, b.Rate) }) {
		verdict := "yes"
		if !t.Holds {
			verdict = "no: " + t.Why
		}
		trials.Rows = append(trials.Rows, []string{fmt.Sprintf("%.0f/s", t.Rate), durationText(t.P50), durationText(t.P99), durationText(t.Max), verdict})
		for i, v := range []float64{t.P50, t.P99, t.Max} {
			text := fmt.Sprintf("%.0f/s: %s %s", t.Rate, lines[i].name, durationText(v))
			lines[i].points = append(lines[i].points, point{t.Rate, v, text})
		}
	}
	least, most := bounds(lines)
	byRate := plot{title: "Latency by rate", series: lines, y: logAxis(least, most, durationText)}
	byRate.x = linearAxis(s.Closed, func(v float64) string { return fmt.Sprintf("%.0f", v) })
	byRate.x.label = "operations a second"
	p.add(byRate)
	p.Tables = append(p.Tables, trials)
	return p.write(out)
}
