package rig

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
	g, err := ParseGenerated(text)
	if err != nil {
		t.Fatal(err)
	}
	started := time.Date(2026, 11, 22, 8, 46, 16, 169821388, time.UTC)
	if !g.Started.Equal(started) || g.Seconds != 20 || g.Answers != 1144378 || g.Failed != 0 || g.Misses != 0 || g.Latency.P50 != 0.000768511 {
		t.Errorf("ParseGenerated = %+v", g)
	}
	if err := g.Comparable(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string][2]string{
		"no answers":      {`"answers": 1144378`, `"answers": 0`},
		"no time":         {`"seconds": 20`, `"seconds": 0`},
		"no JSON":         {`{`, `[`},
		"no start":        {`"started"`, `"begun"`},
		"answers as text": {`"answers": 1144378`, `"answers": "1144378"`},
	} {
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if changed == string(text) {
			t.Fatalf("%s: the sample has no %s", name, change[0])
		}
		if g, err := ParseGenerated([]byte(changed)); err == nil {
			t.Errorf("%s: ParseGenerated = %+v, want an error", name, g)
		}
	}
	for _, lost := range []struct {
		failed, misses int64
		comparable     bool
	}{{1144, 0, true}, {1145, 0, false}, {0, 1145, false}, {600, 544, true}} {
		g.Failed, g.Misses = lost.failed, lost.misses
		if err := g.Comparable(); (err == nil) != lost.comparable {
			t.Errorf("%+v of 1,144,378: %v", lost, err)
		}
	}
}

// used makes readings every 100 ms of a proxy that uses 20 % user and 50 % system time from begin on, and nothing before.
func used(from, begin, to time.Time) Readings {
	r := Readings{Resident: 5 << 20}
	for at := from; !at.After(to); at = at.Add(100 * time.Millisecond) {
		busy := max(at.Sub(begin), 0)
		r.All = append(r.All, Reading{at, Usage{User: busy / 5, System: busy / 2, Resident: 4 << 20}})
	}
	return r
}

func TestNewSample(t *testing.T) {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g := Generated{Started: started.Add(37 * time.Millisecond), Seconds: 2.5, Answers: 1_000_000, Failed: 3, Misses: 4}
	g.Latency.P50, g.Latency.P99 = 0.001, 0.002
	got, err := NewSample(g, used(started, started, started.Add(4*time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-6*want {
			t.Errorf("%s = %v, want %v", what, got, want)
		}
	}
	near("user", got.User, 0.5) // 20 % of 2.5 s over a million requests, in µs
	near("system", got.System, 1.25)
	near("total", got.Total(), 1.75)
	near("rate", got.Rate, 400_000)
	near("p50", got.P50, 0.001)
	near("p99", got.P99, 0.002)
	near("resident", got.Resident, 5<<20)
	near("peak", got.Peak, 5<<20)
	near("lost", got.Lost, 7)

	// What is used in the warm-up does not count.
	late := used(started, started.Add(3037*time.Millisecond), started.Add(4*time.Second))
	if got, err = NewSample(g, late); err != nil {
		t.Fatal(err)
	}
	near("user of the last half second", got.User, 0.1)
	for name, r := range map[string]Readings{
		"of no work": used(started, started.Add(3600*time.Millisecond), started.Add(4*time.Second)),
		"none":       {},
		"too late":   used(started.Add(2*time.Second), started, started.Add(4*time.Second)),
		"too short":  used(started, started, started.Add(2*time.Second)),
	} {
		if got, err := NewSample(g, r); err == nil {
			t.Errorf("readings %s: NewSample = %+v, want an error", name, got)
		}
	}
}

func TestWatch(t *testing.T) {
	for _, memoryAfter := range []time.Duration{0, time.Hour} {
		w, err := Watch(os.Getpid(), memoryAfter)
		if err != nil {
			t.Fatal(err)
		}
		middle := time.Now()
		r, err := w.Stop()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.At(middle); err != nil || r.Resident < 1<<20 || r.Peak() < r.Resident {
			t.Errorf("readings %+v: %v", r, err)
		}
	}
	if w, err := Watch(1<<30, time.Second); err == nil {
		t.Errorf("watch of no process = %+v, want an error", w)
	}
}
