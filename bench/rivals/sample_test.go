package main

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseGenerated(t *testing.T) {
	text, err := os.ReadFile("testdata/bench.json")
	if err != nil {
		t.Fatal(err)
	}
	g, err := parseGenerated(text)
	if err != nil {
		t.Fatal(err)
	}
	started := time.Date(2026, 11, 22, 8, 46, 16, 169821388, time.UTC)
	if !g.Started.Equal(started) || g.Seconds != 20 || g.Answers != 1144378 || g.Failed != 0 || g.Misses != 0 || g.Latency.P50 != 0.000768511 {
		t.Errorf("parseGenerated = %+v", g)
	}
	for name, change := range map[string][2]string{
		"no answers":      {`"answers": 1144378`, `"answers": 0`},
		"no time":         {`"seconds": 20`, `"seconds": 0`},
		"many failures":   {`"failed": 0`, `"failed": 1145`},
		"many misses":     {`"misses": 0`, `"misses": 1145`},
		"no JSON":         {`{`, `[`},
		"no start":        {`"started"`, `"begun"`},
		"answers as text": {`"answers": 1144378`, `"answers": "1144378"`},
	} {
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if changed == string(text) {
			t.Fatalf("%s: the sample has no %s", name, change[0])
		}
		if g, err := parseGenerated([]byte(changed)); err == nil {
			t.Errorf("%s: parseGenerated = %+v, want an error", name, g)
		}
	}
	some := strings.Replace(string(text), `"failed": 0`, `"failed": 1144`, 1)
	if _, err := parseGenerated([]byte(some)); err != nil {
		t.Errorf("1,144 failures of 1,144,378: %v, want no error", err)
	}
}

// used makes readings every 100 ms of a proxy that uses 20 % user and 50 % system time from begin on, and nothing before.
func used(from, begin, to time.Time) readings {
	r := readings{resident: 5 << 20}
	for at := from; !at.After(to); at = at.Add(100 * time.Millisecond) {
		busy := max(at.Sub(begin), 0)
		r.all = append(r.all, reading{at, usage{user: busy / 5, system: busy / 2, resident: 4 << 20}})
	}
	return r
}

func TestNewSample(t *testing.T) {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g := generated{Started: started.Add(37 * time.Millisecond), Seconds: 2.5, Answers: 1_000_000, Failed: 3, Misses: 4}
	g.Latency.P50, g.Latency.P99 = 0.001, 0.002
	got, err := newSample(g, used(started, started, started.Add(4*time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-6*want {
			t.Errorf("%s = %v, want %v", what, got, want)
		}
	}
	near("user", got.user, 0.5) // 20 % of 2.5 s over a million requests, in µs
	near("system", got.system, 1.25)
	near("total", got.total(), 1.75)
	near("rate", got.rate, 400_000)
	near("p50", got.p50, 0.001)
	near("p99", got.p99, 0.002)
	near("resident", got.resident, 5<<20)
	near("peak", got.peak, 5<<20)
	near("lost", got.lost, 7)

	// What is used in the warm-up does not count.
	late := used(started, started.Add(3037*time.Millisecond), started.Add(4*time.Second))
	if got, err = newSample(g, late); err != nil {
		t.Fatal(err)
	}
	near("user of the last half second", got.user, 0.1)
	for name, r := range map[string]readings{
		"of no work": used(started, started.Add(3600*time.Millisecond), started.Add(4*time.Second)),
		"none":       {},
		"too late":   used(started.Add(2*time.Second), started, started.Add(4*time.Second)),
		"too short":  used(started, started, started.Add(2*time.Second)),
	} {
		if got, err := newSample(g, r); err == nil {
			t.Errorf("readings %s: newSample = %+v, want an error", name, got)
		}
	}
}

func TestWatch(t *testing.T) {
	for _, memoryAfter := range []time.Duration{0, time.Hour} {
		w, err := watch(os.Getpid(), memoryAfter)
		if err != nil {
			t.Fatal(err)
		}
		middle := time.Now()
		r, err := w.stop()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.at(middle); err != nil || r.resident < 1<<20 || r.peak() < r.resident {
			t.Errorf("readings %+v: %v", r, err)
		}
	}
	if w, err := watch(1<<30, time.Second); err == nil {
		t.Errorf("watch of no process = %+v, want an error", w)
	}
}
