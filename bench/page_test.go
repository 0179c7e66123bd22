package bench_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"mcproxy/bench"
	"mcproxy/internal/memcachedtest"
)

// page writes a page, checks what must hold for each, and gives it.
func page(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var out bytes.Buffer
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if found := regexp.MustCompile(`(?i)https?://|src=|href=|url\(|@import|<script`).FindString(text); found != "" {
		t.Errorf("the page has %q, and must stand alone", found)
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") || strings.Contains(text, "ZgotmplZ") {
		t.Errorf("the page has NaN, Inf or what the template refused:\n%s", text)
	}
	for _, drawing := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		decoder := xml.NewDecoder(strings.NewReader(drawing))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("a drawing is no XML: %v\n%s", err, drawing)
			}
		}
	}
	return text
}

func TestPage(t *testing.T) {
	mc, other := memcachedtest.Start(t), memcachedtest.Start(t)
	cfg := config(mc.Addr())
	cfg.Verify, cfg.Backends, cfg.Requests, cfg.Duration = true, mc.Addr()+","+other.Addr(), 0, 2*time.Second
	r := run(t, cfg)
	r.Failures["<script>alert(1)</script>"] = 1
	r.Backends.Each[1].Address = "<b>&"
	text := page(t, r.WriteHTML)
	if got := strings.Count(text, "<svg"); got != 3 {
		t.Errorf("%d plots, want latency by percentile, rate over time, latency over time", got)
	}
	// all, get, set; the rate; p50, p99, max
	if got := strings.Count(text, "<polyline"); got != 7 {
		t.Errorf("%d lines, want 7", got)
	}
	for _, want := range []string{
		"<!doctype html>", mc.Addr(), "&lt;b&gt;&amp;", "&lt;script&gt;alert(1)", "99.99 %", "Operations of each backend", "Jain", "Verified values", "p99.99",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	// A run of nothing is a page too.
	empty := &bench.Result{Options: &cfg}
	page(t, empty.WriteHTML)
}

func TestPagesOfComparisonAndSearch(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := config(mc.Addr())
	c, err := bench.Compare(t.Context(), cfg, mc.Addr(), 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := page(t, c.WriteHTML); strings.Count(text, "<polyline") != 4 || !strings.Contains(text, "A : B") {
		t.Errorf("the comparison's page:\n%s", text)
	}
	slo, err := bench.ParseSLO("p99=1s")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Requests, cfg.Duration = 0, 100*time.Millisecond
	s, err := slo.Search(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := page(t, s.WriteHTML); strings.Count(text, "<polyline") != 3 || !strings.Contains(text, "p99=1s") {
		t.Errorf("the search's page:\n%s", text)
	}
}
