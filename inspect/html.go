package inspect

import (
	"fmt"
	"io"
	"math"

	"mcproxy/internal/webpage"
)

// WriteHTML writes the report as one self-contained page: the servers' shares, lifetimes, sizes, and what the largest keys hold.
func (r *Report) WriteHTML(out io.Writer) error {
	p := webpage.Page{
		Maker: "mcproxy inspect", Title: fmt.Sprintf("%d servers, %d keys, %s", len(r.Servers), r.Keys, bytesText(r.Bytes)),
		Lead: append([]string{r.At.Format("2006-01-02 15:04:05 MST")}, r.notes()...), Alarms: r.alarms(), Foot: "Bytes are those of items with their headers.",
	}
	var names []string
	var bytes, keys []float64
	for i := range r.Servers {
		s := &r.Servers[i]
		names, bytes, keys = append(names, s.Server), append(bytes, float64(s.Bytes)), append(keys, float64(s.Keys))
	}
	asBytes := func(v, percent float64) string { return fmt.Sprintf("%s (%.1f %%)", webpage.Bytes(v), percent) }
	asCount := func(v, percent float64) string { return fmt.Sprintf("%.0f (%.1f %%)", v, percent) }
	p.AddBars("Bytes of each server", names, bytes, asBytes)
	p.AddBars("Keys of each server", names, keys, asCount)
	if len(r.Largest) > 0 {
		p.Add(r.largestPlot())
	}
	if len(r.Sizes) > 0 {
		p.Add(r.sizePlot())
	}
	names, bytes = nil, nil
	for i, c := range r.Lifetimes.all() {
		names, bytes = append(names, lifetimeNames()[i]), append(bytes, float64(c.Bytes))
	}
	p.AddBars("Bytes by when they expire", names, bytes, asBytes)
	p.Tables = r.tables()
	return p.Write(out)
}

// largestPlot draws what part of all bytes the largest keys hold together.
func (r *Report) largestPlot() webpage.Plot {
	s := webpage.Series{Points: []webpage.Point{{Text: "no key"}}}
	sum := int64(0)
	for i := range r.Largest {
		sum += r.Largest[i].Bytes
		percent := 100 * float64(sum) / float64(max(r.Bytes, 1))
		s.Points = append(s.Points, webpage.Point{X: float64(i + 1), Y: percent, Text: fmt.Sprintf("%d keys: %.2f %%; %s", i+1, percent, r.Largest[i].Key)})
	}
	lines := []webpage.Series{s}
	_, most := webpage.Bounds(lines)
	pl := webpage.Plot{Title: "Share of all bytes that the largest keys hold", Series: lines}
	pl.X = webpage.LinearAxis(float64(len(r.Largest)), func(v float64) string { return fmt.Sprintf("%g", v) })
	pl.X.Label = "largest keys"
	pl.Y = webpage.LinearAxis(most, func(v float64) string { return fmt.Sprintf("%g %%", math.Round(v*1000)/1000) })
	return pl
}

// sizePlot draws what part of the keys and of the bytes is in items up to a size.
func (r *Report) sizePlot() webpage.Plot {
	keys, bytes := webpage.Series{Name: "keys"}, webpage.Series{Name: "bytes"}
	var sum Count
	for _, size := range r.Sizes {
		sum.merge(size.Count)
		for s, percent := range map[*webpage.Series]float64{
			&keys: 100 * float64(sum.Keys) / float64(max(r.Keys, 1)), &bytes: 100 * float64(sum.Bytes) / float64(max(r.Bytes, 1)),
		} {
			text := fmt.Sprintf("%.1f %% of the %s in items up to %s", percent, s.Name, bytesText(size.UpTo))
			s.Points = append(s.Points, webpage.Point{X: float64(size.UpTo), Y: percent, Text: text})
		}
	}
	pl := webpage.Plot{Title: "Keys and bytes by the size of items", Series: []webpage.Series{keys, bytes}}
	first, last := float64(r.Sizes[0].UpTo), float64(r.Sizes[len(r.Sizes)-1].UpTo)
	pl.X = webpage.LogAxis(max(first, 1), max(last, 2), webpage.Bytes)
	pl.X.Label = "bytes of an item"
	pl.Y = webpage.LinearAxis(100, func(v float64) string { return fmt.Sprintf("%g %%", v) })
	return pl
}
