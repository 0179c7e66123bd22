package workload

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// script writes the first operations of a conn as text.
func script(m *mix, conn, n int) []string {
	s := m.stream(conn)
	var o Op
	lines := make([]string, n)
	for i := range lines {
		o.Reset()
		s.Next(&o, 0)
		lines[i] = fmt.Sprintf("%s %s %d %x", o.Kind.String(), o.Key, o.Exptime, o.Value)
	}
	return lines
}

func TestSeedGivesTheSameLoad(t *testing.T) {
	load := func(c *Options) {
		c.SetRatio, c.DeleteRatio, c.TouchRatio, c.IncrRatio = 0.3, 0.1, 0.1, 0.1
		c.ValueSize, c.KeySize, c.KeyDist, c.Viral = "etc", "etc", "zipf", 0.1
	}
	m := testMix(t, load)
	if a, b := script(m, 3, 2000), script(testMix(t, load), 3, 2000); !slices.Equal(a, b) {
		t.Error("the same seed and conn give another load the second time")
	}
	if a, b := script(m, 3, 2000), script(m, 4, 2000); slices.Equal(a, b) {
		t.Error("two conns have the same load")
	}
	other := testMix(t, func(c *Options) { load(c); c.Seed = 2 })
	if a, b := script(m, 3, 2000), script(other, 3, 2000); slices.Equal(a, b) {
		t.Error("two seeds give the same load")
	}
	// Other runs depend on it: a figure of last year is worth something only if the load is still the same.
	want := []string{
		"set mcb:000000010249 0 555a4e6f6c436545", "get mcb:000000028538 0 ", "get mcb:000000081239 0 ", "get mcb:000000055253 0 ",
	}
	if got := script(testMix(t, func(c *Options) { c.ValueSize, c.SetRatio = "1-9", 0.5 }), 0, 4); !slices.Equal(got, want) {
		t.Errorf("the load of conn 0 begins\n%q, want\n%q", got, want)
	}
}

func TestRatios(t *testing.T) {
	const draws = 400_000
	m := testMix(t, func(c *Options) {
		c.SetRatio, c.DeleteRatio, c.TouchRatio, c.IncrRatio, c.TTL = 0.3, 0.05, 0.1, 0.02, time.Minute
	})
	s := m.stream(0)
	var counts [Kinds]float64
	var o Op
	for range draws {
		o.Reset()
		if s.Next(&o, 0) != Ready {
			t.Fatal("the stream has ended")
		}
		counts[o.Kind]++
		if o.Kind == KindSet && len(o.Value) != 100 || (o.Kind == KindSet || o.Kind == KindTouch) != (o.Exptime == 60) {
			t.Fatalf("%s of %d bytes for %d s", o.Kind.String(), len(o.Value), o.Exptime)
		}
	}
	for k, p := range [Kinds]float64{0.53, 0.3, 0.05, 0.1, 0.02, 0} {
		if want, sigma := draws*p, math.Sqrt(draws*p); math.Abs(counts[k]-want) > 5*sigma {
			t.Errorf("%.0f of kind %s, want %.0f ± %.0f", counts[k], Kind(k), want, 5*sigma)
		}
	}
}

// TestPrefillSetsEachKeyOnce: whatever the number of conns.
func TestPrefillSetsEachKeyOnce(t *testing.T) {
	for _, incr := range []float64{0, 0.1} {
		m := testMix(t, func(c *Options) { c.Keys, c.IncrRatio = 101, incr })
		seen := map[string]int{}
		for conn := range 7 {
			p := m.prefill(conn, 7)
			for o := (Op{}); ; o.Reset() {
				if p.Next(&o, 0) == Ended {
					break
				}
				seen[string(o.Key)]++
			}
		}
		want := 101
		if incr > 0 {
			want *= 2
		}
		if len(seen) != want {
			t.Errorf("incr-ratio %v: %d keys are set, want %d", incr, len(seen), want)
		}
		for key, n := range seen {
			if n != 1 {
				t.Errorf("key %q is set %d times", key, n)
			}
		}
	}
}

func TestSuit(t *testing.T) {
	suited := func(workload string, given ...string) Options {
		c := Default()
		c.Workload = workload
		c.Suit(func(option string) bool { return slices.Contains(given, option) })
		return c
	}
	if c := suited("etc"); c.KeyDist != "zipf" || c.KeySize != "etc" || c.ValueSize != "etc" || c.SetRatio > 0.04 {
		t.Errorf("etc: %+v", c)
	}
	if c := suited("etc", "key-dist", "value-size"); c.KeyDist != "uniform" || c.ValueSize != "100" || c.KeySize != "etc" {
		t.Errorf("etc with a key-dist and a value-size by hand: %+v", c)
	}
	if c := suited("mixed", "zipf"); c.KeyDist != "zipf" {
		t.Errorf("a zipf by hand: key-dist %q, want zipf", c.KeyDist)
	}
	if c := suited("mixed"); c != Default() {
		t.Errorf("mixed: %+v, want the defaults", c)
	}
	for _, name := range Names() {
		c := suited(name)
		c.File = "x"
		if err := c.Check(); err != nil {
			t.Errorf("%s with its own defaults: %v", name, err)
		}
	}
}
