package bench_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"mcproxy/bench"
	"mcproxy/internal/memcachedtest"
	"mcproxy/protocol"
)

// TestBackends reads the counters of two servers, one of which has nothing to do.
func TestBackends(t *testing.T) {
	busy, idle := memcachedtest.Start(t), memcachedtest.Start(t)
	cfg := config(busy.Addr())
	cfg.Backends = busy.Addr() + "," + idle.Addr()
	cfg.SetRatio, cfg.DeleteRatio, cfg.TouchRatio, cfg.IncrRatio, cfg.TTL = 0.2, 0.2, 0.2, 0.2, time.Minute
	r := run(t, cfg)
	b := r.Backends
	if got := b.Each[0]; got.Operations != cfg.Requests || got.Gets != r.ByKind["get"].Count || got.Sets != r.ByKind["set"].Count || got.Restarted {
		t.Errorf("the busy backend: %+v, want %d operations, %d gets, %d sets", got, cfg.Requests, r.ByKind["get"].Count, r.ByKind["set"].Count)
	}
	// Each reading of the counters is a command of its own, of few bytes, whose answer is counted too.
	if got := b.Each[0]; got.BytesRead < r.BytesSent || got.BytesRead > r.BytesSent+100 || got.BytesWritten < r.BytesReceived || got.BytesWritten > r.BytesReceived+10_000 {
		t.Errorf("the busy backend: %+v, the tool sent %d and received %d bytes", got, r.BytesSent, r.BytesReceived)
	}
	if got := b.Each[1]; got.Operations != 0 || got.BytesRead > 100 {
		t.Errorf("the idle backend: %+v, want nothing", got)
	}
	if b.OperationsMaxMean != 2 || b.OperationsJain != 0.5 || b.BytesMaxMean < 1.9 || b.BytesJain > 0.55 {
		t.Errorf("max/mean, Jain = %v, %v of operations, %v, %v of bytes, want 2, 0.5 and near it", b.OperationsMaxMean, b.OperationsJain, b.BytesMaxMean, b.BytesJain)
	}

	cfg.Backends = busy.Addr() + ",127.0.0.1:1"
	if _, err := bench.Run(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("Run with a backend that is not there: %v", err)
	}
	cfg.Backends = "nonsense"
	if _, err := bench.Run(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("Run with a backend that is none: %v", err)
	}
}

// slow delays every answer of one conn at a time.
func slow(t *testing.T, address string, delay time.Duration) string {
	return relay(t, address, func(_ *protocol.Request, answer []byte) []byte {
		time.Sleep(delay)
		return answer
	})
}

func TestCompare(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := config(mc.Addr())
	cfg.Conns, cfg.Requests, cfg.Keys = 1, 500, 50
	other := slow(t, mc.Addr(), 2*time.Millisecond)
	c, err := bench.Compare(t.Context(), cfg, other, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Rounds != 3 || len(c.RunsA) != 3 || len(c.RunsB) != 3 || c.RunsA[1].Endpoint != mc.Addr() || c.RunsB[1].Endpoint != other {
		t.Fatalf("Rounds, RunsA, RunsB = %d, %d, %d", c.Rounds, len(c.RunsA), len(c.RunsB))
	}
	for name, of := range map[string]func(*bench.Result) float64{
		"rate": func(r *bench.Result) float64 { return r.Rate },
		"p50":  func(r *bench.Result) float64 { return r.Latency.P50 },
	} {
		var ratios []float64
		for i := range c.RunsA {
			ratios = append(ratios, of(c.RunsA[i])/of(c.RunsB[i]))
		}
		got := c.Ratios[name]
		if lo, hi := min(ratios[0], ratios[1], ratios[2]), max(ratios[0], ratios[1], ratios[2]); got.Min != lo || got.Max != hi || got.Median < lo || got.Median > hi {
			t.Errorf("%s: %+v of %v", name, got, ratios)
		}
	}
	if c.Ratios["rate"].Min < 2 || c.Ratios["p50"].Max > 0.5 {
		t.Errorf("ratios %+v to an endpoint that waits 2 ms", c.Ratios)
	}
	started := []time.Time{c.RunsA[0].Started, c.RunsB[0].Started, c.RunsA[1].Started, c.RunsB[1].Started}
	for i := range 3 {
		if !started[i].Before(started[i+1]) {
			t.Errorf("the runs are not in turn: %v", started)
		}
	}
	var text strings.Builder
	if err := c.WriteSummary(&text); err != nil || !strings.Contains(text.String(), "p99.9") {
		t.Errorf("the summary (%v):\n%s", err, &text)
	}
}

func TestParseSLO(t *testing.T) {
	slo, err := bench.ParseSLO("p99=1ms,p99.9=5ms")
	if err != nil || slo.String() != "p99=1ms,p99.9=5ms" {
		t.Errorf("ParseSLO = %v, %v", slo, err)
	}
	for _, text := range []string{"", "p99", "99=1ms", "p=1ms", "p0=1ms", "p101=1ms", "p99=1", "p99=-1ms", "p99=0s", "p99=1ms,", "pNaN=1ms"} {
		if slo, err := bench.ParseSLO(text); err == nil {
			t.Errorf("ParseSLO(%q) = %v, want an error", text, slo)
		}
	}
}

// TestSearch: an endpoint that serves one operation at a time, each in at least 2 ms, has a rate of at most 500/s, and queues
// grow as it is neared; the search finds a rate below, at which the SLO holds.
func TestSearch(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := config(slow(t, mc.Addr(), 2*time.Millisecond))
	cfg.Conns, cfg.Requests, cfg.Duration, cfg.Keys, cfg.Arrivals = 4, 0, 400*time.Millisecond, 10, "even"
	slo, err := bench.ParseSLO("p90=100ms")
	if err != nil {
		t.Fatal(err)
	}
	s, err := slo.Search(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Closed > 510 || s.Rate < s.Closed/10 || s.Rate > s.Closed || s.Best == nil || s.Best.Latency.P90 > 0.100 {
		t.Errorf("found %.0f/s of a closed loop's %.0f/s; trials %+v", s.Rate, s.Closed, s.Trials)
	}
	last := s.Trials[len(s.Trials)-1]
	if !last.Holds || last.Rate != s.Rate {
		t.Errorf("the last trial is %+v, want one at %.0f/s that holds", last, s.Rate)
	}

	slo, _ = bench.ParseSLO("p50=10us")
	if s, err = slo.Search(t.Context(), cfg, nil); err != nil || s.Rate != 0 || s.Best != nil {
		t.Errorf("a bound that cannot hold: %+v, %v", s, err)
	}
	for _, trial := range s.Trials {
		if trial.Holds || math.IsNaN(trial.Rate) || !strings.Contains(trial.Why, "p50 is") && !strings.Contains(trial.Why, "never sent") {
			t.Errorf("trial %+v, want it to say why", trial)
		}
	}
}
