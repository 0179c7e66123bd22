package webpage

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

// pageText is the page's template: HTML with its style sheet, and nothing that a browser would have to fetch.
//
//go:embed page.html
var pageText string

// A Page is what the template is filled with. Its texts may hold anything: they are escaped.
type Page struct {
	Maker    string // the command, such as "mcproxy bench"
	Title    string
	Lead     []string // lines below the title
	Alarms   []string // lines that nobody must miss
	Tables   []Table
	Drawings []Drawing
	Foot     string // a sentence at the end; may be ""
}

// A Table is rows of texts. It has a head or none.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

// A Drawing is a plot, or bars.
type Drawing struct {
	Title  string
	SVG    template.HTML
	Legend []string
	Bars   []Bar
}

// A Bar is one of several to compare.
type Bar struct {
	Name    string
	Text    string
	Percent float64 // of the longest bar
}

// Add draws a plot on the page.
func (p *Page) Add(pl Plot) {
	p.Drawings = append(p.Drawings, Drawing{Title: pl.Title, SVG: pl.svg(), Legend: pl.names()})
}

// AddBars draws a bar for each value, as long as its share of the largest. text is called with each value and its percent
// of the sum.
func (p *Page) AddBars(title string, names []string, values []float64, text func(value, percent float64) string) {
	d := Drawing{Title: title}
	most, sum := 0.0, 0.0
	for _, v := range values {
		most, sum = max(most, v), sum+v
	}
	for i, v := range values {
		d.Bars = append(d.Bars, Bar{Name: names[i], Text: text(v, 100*v/max(sum, 1)), Percent: 100 * v / max(most, 1)})
	}
	p.Drawings = append(p.Drawings, d)
}

// Numbers are those of the style sheet's colours.
func (p *Page) Numbers() []int {
	var all []int
	for i := range maxSeries {
		all = append(all, i+1)
	}
	return all
}

// Write writes the page.
func (p *Page) Write(out io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{"inc": func(i int) int { return i + 1 }}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("page.html: %w", err)
	}
	return t.Execute(out, p)
}
