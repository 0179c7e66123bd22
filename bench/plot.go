package bench

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// A plot is a drawing of lines. It is written as SVG, whose colours the page's style sheet sets.
type plot struct {
	title  string
	x, y   axis
	series []series
}

// A series is one line; its points go from left to right.
type series struct {
	name   string
	points []point
}

type point struct {
	x, y float64
	text string // shown where the pointer rests
}

// An axis maps its range to the drawing, and names the places of its ticks.
type axis struct {
	from, to float64
	log      bool
	label    string
	ticks    []tick
}

type tick struct {
	at   float64
	text string
}

// The drawing, in its own units.
const (
	plotWidth, plotHeight   = 760.0, 300.0
	plotLeft, plotRight     = 74.0, 14.0
	plotTop, plotBottom     = 12.0, 44.0
	maxMarkers              = 80 // points that get a marker to rest the pointer on
	maxSeries               = 6  // that the style sheet has colours for
	innerWidth, innerHeight = plotWidth - plotLeft - plotRight, plotHeight - plotTop - plotBottom
)

// place gives where v lies on the axis, 0 to 1.
func (a axis) place(v float64) float64 {
	from, to := a.from, a.to
	if a.log {
		from, to, v = math.Log(from), math.Log(to), math.Log(max(v, a.from))
	}
	if to <= from {
		return 0.5
	}
	return min(max((v-from)/(to-from), 0), 1)
}

func (p plot) xy(at point) (x, y float64) {
	return plotLeft + p.x.place(at.x)*innerWidth, plotTop + (1-p.y.place(at.y))*innerHeight
}

// svg draws it.
func (p plot) svg() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, plotWidth, plotHeight, template.HTMLEscapeString(p.title))
	for _, t := range p.y.ticks {
		_, y := p.xy(point{p.x.from, t.at, ""})
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/>`, plotLeft, plotWidth-plotRight, y, y)
		fmt.Fprintf(&b, `<text class="y" x="%g" y="%.1f">%s</text>`, plotLeft-8, y+4, template.HTMLEscapeString(t.text))
	}
	for _, t := range p.x.ticks {
		x, _ := p.xy(point{t.at, p.y.from, ""})
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>`, x, x, plotTop, plotTop+innerHeight)
		fmt.Fprintf(&b, `<text class="x" x="%.1f" y="%g">%s</text>`, x, plotHeight-24, template.HTMLEscapeString(t.text))
	}
	fmt.Fprintf(&b, `<text class="x label" x="%g" y="%g">%s</text>`, plotLeft+innerWidth/2, plotHeight-6, template.HTMLEscapeString(p.x.label))
	for i, s := range p.series {
		p.line(&b, i%maxSeries+1, s)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // every text in it is escaped
}

func (p plot) line(b *strings.Builder, class int, s series) {
	if len(s.points) == 0 {
		return
	}
	fmt.Fprintf(b, `<polyline class="s%d" points="`, class)
	for _, at := range s.points {
		x, y := p.xy(at)
		fmt.Fprintf(b, "%.1f,%.1f ", x, y)
	}
	b.WriteString(`"/>`)
	for i, at := range s.points {
		if len(s.points) > maxMarkers && i%(len(s.points)/maxMarkers+1) != 0 {
			continue
		}
		x, y := p.xy(at)
		fmt.Fprintf(b, `<circle class="s%d" cx="%.1f" cy="%.1f" r="3"><title>%s</title></circle>`, class, x, y, template.HTMLEscapeString(at.text))
	}
}

// names gives the legend; a plot of one line needs none.
func (p plot) names() []string {
	if len(p.series) < 2 {
		return nil
	}
	var names []string
	for _, s := range p.series {
		names = append(names, s.name)
	}
	return names
}

// bounds gives the least and the greatest y of all points.
func bounds(all []series) (least, most float64) {
	least = math.Inf(1)
	for _, s := range all {
		for _, at := range s.points {
			least, most = min(least, at.y), max(most, at.y)
		}
	}
	return min(least, most), most
}

// linearAxis goes from 0 to a round number not below most.
func linearAxis(most float64, text func(float64) string) axis {
	step := roundUp(most / 5)
	a := axis{to: step * math.Ceil(most/step-1e-9)}
	for v := 0.0; v <= a.to*1.0001; v += step {
		a.ticks = append(a.ticks, tick{v, text(v)})
	}
	return a
}

// roundUp gives the next number of 1, 2 or 5 times a power of ten.
func roundUp(v float64) float64 {
	if !(v > 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logAxis covers least to most in steps of 1, 2 and 5, or of 10 where that would be many.
func logAxis(least, most float64, text func(float64) string) axis {
	if !(least > 0) {
		least = 1e-9
	}
	most = max(most, least)
	a := axis{log: true, from: roundUp(least), to: roundUp(most)}
	if a.from > least*(1+1e-9) {
		a.from = roundUp(least / 2.6)
	}
	if a.to <= a.from {
		a.to = roundUp(a.from * 1.5)
	}
	wide := a.to/a.from > 2000
	for v := a.from; v <= a.to*1.0001; v = roundUp(v * 1.01) {
		if power := math.Log10(v); !wide || math.Abs(power-math.Round(power)) < 1e-6 {
			a.ticks = append(a.ticks, tick{v, text(v)})
		}
	}
	return a
}

// timeAxis covers whole seconds.
func timeAxis(seconds float64) axis {
	a := linearAxis(max(seconds, 1), func(v float64) string { return fmt.Sprintf("%g", v) })
	a.to, a.label = max(seconds, 1), "seconds since the end of the warm-up"
	for len(a.ticks) > 0 && a.ticks[len(a.ticks)-1].at > a.to {
		a.ticks = a.ticks[:len(a.ticks)-1]
	}
	return a
}
