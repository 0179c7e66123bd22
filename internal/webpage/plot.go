package webpage

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// A Plot is a drawing of lines. It is written as SVG, whose colours the page's style sheet sets.
type Plot struct {
	Title  string
	X, Y   Axis
	Series []Series // up to six have a colour of their own
}

// A Series is one line; its points go from left to right.
type Series struct {
	Name   string
	Points []Point
}

// A Point is one place of a line, in the axes' units.
type Point struct {
	X, Y float64
	Text string // shown where the pointer rests
}

// An Axis maps its range to the drawing, and names the places of its ticks.
type Axis struct {
	From, To float64
	Log      bool
	Label    string
	Ticks    []Tick
}

// A Tick is a named place of an axis.
type Tick struct {
	At   float64
	Text string
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
func (a Axis) place(v float64) float64 {
	from, to := a.From, a.To
	if a.Log {
		from, to, v = math.Log(from), math.Log(to), math.Log(max(v, a.From))
	}
	if to <= from {
		return 0.5
	}
	return min(max((v-from)/(to-from), 0), 1)
}

func (p Plot) xy(at Point) (x, y float64) {
	return plotLeft + p.X.place(at.X)*innerWidth, plotTop + (1-p.Y.place(at.Y))*innerHeight
}

// svg draws it.
func (p Plot) svg() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, plotWidth, plotHeight, template.HTMLEscapeString(p.Title))
	for _, t := range p.Y.Ticks {
		_, y := p.xy(Point{p.X.From, t.At, ""})
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/>`, plotLeft, plotWidth-plotRight, y, y)
		fmt.Fprintf(&b, `<text class="y" x="%g" y="%.1f">%s</text>`, plotLeft-8, y+4, template.HTMLEscapeString(t.Text))
	}
	for _, t := range p.X.Ticks {
		x, _ := p.xy(Point{t.At, p.Y.From, ""})
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>`, x, x, plotTop, plotTop+innerHeight)
		fmt.Fprintf(&b, `<text class="x" x="%.1f" y="%g">%s</text>`, x, plotHeight-24, template.HTMLEscapeString(t.Text))
	}
	fmt.Fprintf(&b, `<text class="x label" x="%g" y="%g">%s</text>`, plotLeft+innerWidth/2, plotHeight-6, template.HTMLEscapeString(p.X.Label))
	for i, s := range p.Series {
		p.line(&b, i%maxSeries+1, s)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // every text in it is escaped
}

func (p Plot) line(b *strings.Builder, class int, s Series) {
	if len(s.Points) == 0 {
		return
	}
	fmt.Fprintf(b, `<polyline class="s%d" points="`, class)
	for _, at := range s.Points {
		x, y := p.xy(at)
		fmt.Fprintf(b, "%.1f,%.1f ", x, y)
	}
	b.WriteString(`"/>`)
	for i, at := range s.Points {
		if len(s.Points) > maxMarkers && i%(len(s.Points)/maxMarkers+1) != 0 {
			continue
		}
		x, y := p.xy(at)
		fmt.Fprintf(b, `<circle class="s%d" cx="%.1f" cy="%.1f" r="3"><title>%s</title></circle>`, class, x, y, template.HTMLEscapeString(at.Text))
	}
}

// names gives the legend; a plot of one line needs none.
func (p Plot) names() []string {
	if len(p.Series) < 2 {
		return nil
	}
	var names []string
	for _, s := range p.Series {
		names = append(names, s.Name)
	}
	return names
}

// Bounds gives the least and the greatest y of all points.
func Bounds(all []Series) (least, most float64) {
	least = math.Inf(1)
	for _, s := range all {
		for _, at := range s.Points {
			least, most = min(least, at.Y), max(most, at.Y)
		}
	}
	return min(least, most), most
}

// LinearAxis goes from 0 to a round number not below most.
func LinearAxis(most float64, text func(float64) string) Axis {
	step := roundUp(most / 5)
	a := Axis{To: step * math.Ceil(most/step-1e-9)}
	for v := 0.0; v <= a.To*1.0001; v += step {
		a.Ticks = append(a.Ticks, Tick{v, text(v)})
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

// LogAxis covers least to most in steps of 1, 2 and 5, or of 10 where that would be many.
func LogAxis(least, most float64, text func(float64) string) Axis {
	if !(least > 0) {
		least = 1e-9
	}
	most = max(most, least)
	a := Axis{Log: true, From: roundUp(least), To: roundUp(most)}
	if a.From > least*(1+1e-9) {
		a.From = roundUp(least / 2.6)
	}
	if a.To <= a.From {
		a.To = roundUp(a.From * 1.5)
	}
	wide := a.To/a.From > 2000
	for v := a.From; v <= a.To*1.0001; v = roundUp(v * 1.01) {
		if power := math.Log10(v); !wide || math.Abs(power-math.Round(power)) < 1e-6 {
			a.Ticks = append(a.Ticks, Tick{v, text(v)})
		}
	}
	return a
}
