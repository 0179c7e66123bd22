package webpage_test

import (
	"strings"
	"testing"

	"mcproxy/internal/webpage"
)

// TestEscapes: whatever the texts are, they are text on the page.
func TestEscapes(t *testing.T) {
	const evil = `<script>alert("x")</script>`
	p := webpage.Page{
		Maker: evil, Title: evil, Lead: []string{evil}, Alarms: []string{evil}, Foot: evil,
		Tables: []webpage.Table{{Title: evil, Head: []string{evil}, Rows: [][]string{{evil}}}},
	}
	p.AddBars(evil, []string{evil, "none"}, []float64{5, 0}, func(float64, float64) string { return evil })
	pl := webpage.Plot{Title: evil, Series: []webpage.Series{{Name: evil, Points: []webpage.Point{{X: 1, Y: 1, Text: evil}}}, {Name: evil}}}
	pl.X = webpage.LinearAxis(1, func(float64) string { return evil })
	pl.X.Label = evil
	pl.Y = webpage.LogAxis(1, 10, func(float64) string { return evil })
	p.Add(pl)
	var b strings.Builder
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); strings.Contains(text, "<script") || strings.Count(text, "&lt;script&gt;") < 20 || strings.Contains(text, "NaN") {
		t.Errorf("the page:\n%s", text)
	}
}

func TestBytes(t *testing.T) {
	for _, tt := range []struct {
		n    float64
		want string
	}{{0, "0 B"}, {1023, "1023 B"}, {1024, "1.00 KiB"}, {10_240, "10.0 KiB"}, {1_048_473, "1024 KiB"}, {3 << 30, "3.00 GiB"}} {
		if got := webpage.Bytes(tt.n); got != tt.want {
			t.Errorf("Bytes(%v) = %q, want %q", tt.n, got, tt.want)
		}
	}
}
