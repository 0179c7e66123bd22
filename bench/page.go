package bench

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"mcproxy/bench/workload"
	"mcproxy/internal/webpage"
)

// newPage begins a page of the tool.
func newPage(title string, lead ...string) webpage.Page {
	return webpage.Page{
		Maker: "mcproxy bench", Title: title, Lead: lead,
		Foot: "Latencies of an open loop count from when an operation was to be sent.",
	}
}

// WriteHTML writes one self-contained page: latency by percentile, throughput and latency over time, shares of the
// backends, and all figures.
func (r *Result) WriteHTML(out io.Writer) error {
	p := newPage(r.Endpoint,
		r.Options.describe(),
		fmt.Sprintf("%d answers in %.2f s: %.0f a second", r.Answers, r.Seconds, r.Rate),
		fmt.Sprintf("version %s; %s; ended by: %s", r.ServerVersion, r.Started.Format("2006-01-02 15:04:05 MST"), r.Ended),
	)
	r.alarm(&p)
	var curves []webpage.Series
	names := []string{"all"}
	for k := range workload.Kinds {
		names = append(names, k.String())
	}
	for _, name := range names {
		if points := r.curves[name]; len(points) > 0 && (name == "all" || len(r.curves) > 2) {
			curves = append(curves, webpage.Series{Name: name, Points: points})
		}
	}
	p.Add(latencyPlot(curves))
	p.Add(ratePlot([]webpage.Series{{Points: ratePoints(r.Timeline)}}))
	p.Add(timelinePlot(r.Timeline))
	if r.Backends != nil {
		addBars(&p, "Operations of each backend", r.Backends, func(b Backend) float64 { return float64(b.Operations) },
			func(v float64) string { return fmt.Sprintf("%.0f", v) })
		addBars(&p, "Bytes of each backend, both ways", r.Backends, func(b Backend) float64 { return float64(b.BytesRead + b.BytesWritten) }, bytesText)
	}
	p.Tables = append(p.Tables, latencyTable(r))
	p.Tables = append(p.Tables, r.figureTables()...)
	return p.Write(out)
}

func (r *Result) alarm(p *webpage.Page) {
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
func latencyPlot(curves []webpage.Series) webpage.Plot {
	least, most := webpage.Bounds(curves)
	p := webpage.Plot{Title: "Latency by percentile", Series: curves, Y: webpage.LogAxis(least, most, durationText)}
	p.X = webpage.Axis{Label: "percentile"}
	for _, s := range curves {
		for _, at := range s.Points {
			p.X.To = max(p.X.To, at.X)
		}
	}
	for _, percentile := range []float64{0, 50, 90, 99, 99.9, 99.99, 99.999} {
		if at := stretched(percentile); at <= p.X.To {
			p.X.Ticks = append(p.X.Ticks, webpage.Tick{At: at, Text: fmt.Sprintf("%g %%", percentile)})
		}
	}
	return p
}

// stretched is a percentile's place on the axis.
func stretched(percentile float64) float64 { return -math.Log10(1 - percentile/100) }

// ratePlot draws throughput over time.
func ratePlot(lines []webpage.Series) webpage.Plot {
	_, most := webpage.Bounds(lines)
	last := 1.0
	for _, s := range lines {
		if n := len(s.Points); n > 0 {
			last = max(last, s.Points[n-1].X)
		}
	}
	return webpage.Plot{
		Title: "Operations a second", Series: lines, X: timeAxis(last),
		Y: webpage.LinearAxis(most, func(v float64) string { return fmt.Sprintf("%.0f", v) }),
	}
}

func ratePoints(timeline []Second) []webpage.Point {
	var points []webpage.Point
	for _, s := range timeline {
		points = append(points, webpage.Point{X: float64(s.Second + 1), Y: s.Rate, Text: fmt.Sprintf("second %d: %.0f/s", s.Second+1, s.Rate)})
	}
	return points
}

// timelinePlot draws latencies over time.
func timelinePlot(timeline []Second) webpage.Plot {
	lines := []webpage.Series{{Name: "p50"}, {Name: "p99"}, {Name: "max"}}
	for _, s := range timeline {
		for i, v := range []float64{s.P50, s.P99, s.Max} {
			text := fmt.Sprintf("second %d: %s %s", s.Second+1, lines[i].Name, durationText(v))
			lines[i].Points = append(lines[i].Points, webpage.Point{X: float64(s.Second + 1), Y: v, Text: text})
		}
	}
	least, most := webpage.Bounds(lines)
	return webpage.Plot{Title: "Latency over time", Series: lines, X: timeAxis(float64(len(timeline))), Y: webpage.LogAxis(least, most, durationText)}
}

// addBars draws a figure of each backend.
func addBars(p *webpage.Page, title string, b *Backends, of func(Backend) float64, text func(float64) string) {
	var names []string
	var values []float64
	for _, one := range b.Each {
		names, values = append(names, one.Address), append(values, of(one))
	}
	p.AddBars(title, names, values, func(v, percent float64) string { return fmt.Sprintf("%s (%.1f %%)", text(v), percent) })
}

func latencyTable(results ...*Result) webpage.Table {
	t := webpage.Table{Title: "Latency", Head: []string{"", "count", "mean", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"}}
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
func (r *Result) figureTables() []webpage.Table {
	all := webpage.Table{Title: "Figures", Rows: [][]string{
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
	tables := []webpage.Table{all}
	if f := r.Keystone; f != nil {
		tables = append(tables, webpage.Table{Title: "Keystone's tokens", Rows: [][]string{
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
		t := webpage.Table{Title: "Verified values", Rows: [][]string{
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
		tables = append(tables, webpage.Table{Title: "Evenness of the backends", Head: []string{"", "busiest over the mean", "Jain's index"}, Rows: [][]string{
			{"operations", fmt.Sprintf("%.3f", b.OperationsMaxMean), fmt.Sprintf("%.3f", b.OperationsJain)},
			{"bytes", fmt.Sprintf("%.3f", b.BytesMaxMean), fmt.Sprintf("%.3f", b.BytesJain)},
		}})
	}
	return tables
}

// WriteHTML writes the comparison as a page, with the figures of both endpoints' runs together.
func (c *Comparison) WriteHTML(out io.Writer) error {
	p := newPage("A = "+c.A+", B = "+c.B,
		fmt.Sprintf("%d rounds of A B: %s", c.Rounds, c.RunsA[0].Options.describe()),
	)
	ratios := webpage.Table{Title: "A : B", Head: []string{"", "median", "from", "to"}}
	for _, figure := range compared {
		r := c.Ratios[figure.name]
		ratios.Rows = append(ratios.Rows, []string{figure.name, fmt.Sprintf("%.3f", r.Median), fmt.Sprintf("%.3f", r.Min), fmt.Sprintf("%.3f", r.Max)})
	}
	p.Tables = append(p.Tables, ratios)
	var curves, rates []webpage.Series
	for _, side := range []struct {
		name string
		runs []*Result
	}{{"A", c.RunsA}, {"B", c.RunsB}} {
		all := newHistogram()
		rate := webpage.Series{Name: side.name}
		for i, r := range side.runs {
			r.alarm(&p)
			all.Merge(r.all)
			rate.Points = append(rate.Points, webpage.Point{X: float64(i + 1), Y: r.Rate, Text: fmt.Sprintf("%s, round %d: %.0f/s", side.name, i+1, r.Rate)})
		}
		curves, rates = append(curves, webpage.Series{Name: side.name, Points: curveOf(side.name, all)}), append(rates, rate)
	}
	p.Add(latencyPlot(curves))
	byRound := ratePlot(rates)
	byRound.Title, byRound.X.Label = "Answers a second by round", "round"
	p.Add(byRound)
	p.Tables = append(p.Tables, latencyTable(slices.Concat(c.RunsA, c.RunsB)...))
	return p.Write(out)
}

// WriteHTML writes the search as a page.
func (s *Search) WriteHTML(out io.Writer) error {
	p := newPage(s.Endpoint,
		fmt.Sprintf("%s holds up to %.0f operations a second; a closed loop reaches %.0f", s.SLO, s.Rate, s.Closed), s.Options.describe(),
	)
	trials := webpage.Table{Title: "Trials", Head: []string{"rate", "p50", "p99", "max", "holds"}}
	lines := []webpage.Series{{Name: "p50"}, {Name: "p99"}, {Name: "max"}}
	for _, t := range slices.SortedFunc(slices.Values(s.Trials), func(a, b Trial) int { return cmp.Compare(a.Rate, b.Rate) }) {
		verdict := "yes"
		if !t.Holds {
			verdict = "no: " + t.Why
		}
		trials.Rows = append(trials.Rows, []string{fmt.Sprintf("%.0f/s", t.Rate), durationText(t.P50), durationText(t.P99), durationText(t.Max), verdict})
		for i, v := range []float64{t.P50, t.P99, t.Max} {
			text := fmt.Sprintf("%.0f/s: %s %s", t.Rate, lines[i].Name, durationText(v))
			lines[i].Points = append(lines[i].Points, webpage.Point{X: t.Rate, Y: v, Text: text})
		}
	}
	least, most := webpage.Bounds(lines)
	byRate := webpage.Plot{Title: "Latency by rate", Series: lines, Y: webpage.LogAxis(least, most, durationText)}
	byRate.X = webpage.LinearAxis(s.Closed, func(v float64) string { return fmt.Sprintf("%.0f", v) })
	byRate.X.Label = "operations a second"
	p.Add(byRate)
	p.Tables = append(p.Tables, trials)
	return p.Write(out)
}

// timeAxis covers whole seconds.
func timeAxis(seconds float64) webpage.Axis {
	a := webpage.LinearAxis(max(seconds, 1), func(v float64) string { return fmt.Sprintf("%g", v) })
	a.To, a.Label = max(seconds, 1), "seconds since the end of the warm-up"
	for len(a.Ticks) > 0 && a.Ticks[len(a.Ticks)-1].At > a.To {
		a.Ticks = a.Ticks[:len(a.Ticks)-1]
	}
	return a
}
