package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mcproxy/bench/workload"
	"mcproxy/internal/memcachedtest"
)

// arrivalsOf gives the times, in order, at which the conns of an open loop are to send, up to until. It makes the worker as a
// run does.
func arrivalsOf(t *testing.T, cfg Config, until time.Duration) []time.Duration {
	t.Helper()
	l, err := workload.New(&cfg.Options)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRun(&cfg, l.Stream)
	if err != nil {
		t.Fatal(err)
	}
	var times []time.Duration
	for _, d := range r.drivers {
		w := d.(*worker)
		for _, c := range w.conns {
			for ; c.due < until; c.due += w.pace.gap(c.arrivals) {
				times = append(times, c.due)
			}
		}
		w.leave()
	}
	slices.Sort(times)
	return times
}

// TestArrivals holds the gaps between all conns' arrivals against the law that was asked for.
func TestArrivals(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := Default()
	cfg.Endpoint, cfg.Conns, cfg.Threads, cfg.Rate = mc.Addr(), 20, 2, 10_000
	const until = 20 * time.Second
	n := cfg.Rate * until.Seconds()
	gaps := func(arrivals string) []float64 {
		cfg.Arrivals = arrivals
		times := arrivalsOf(t, cfg, until)
		if math.Abs(float64(len(times))-n) > 5*math.Sqrt(n) {
			t.Errorf("%s: %d arrivals in %v, want %.0f", arrivals, len(times), until, n)
		}
		var gaps []float64
		for i := 1; i < len(times); i++ {
			gaps = append(gaps, (times[i]-times[i-1]).Seconds()*cfg.Rate)
		}
		slices.Sort(gaps)
		return gaps
	}
	even := gaps("even")
	if first, last := even[0], even[len(even)-1]; first < 0.99 || last > 1.01 {
		t.Errorf("even: gaps from %.3f to %.3f of the mean, want 1", first, last)
	}
	poisson := gaps("poisson")
	for _, q := range []float64{0.01, 0.1, 0.5, 0.9, 0.99, 0.999} {
		want := -math.Log(1 - q) // the exponential law's quantile
		if got := poisson[int(q*float64(len(poisson)))]; math.Abs(got-want) > 0.02*want+0.002 {
			t.Errorf("poisson: quantile %v of the gaps is %.4f of the mean, want %.4f", q, got, want)
		}
	}
	again := arrivalsOf(t, cfg, time.Second)
	if !slices.Equal(again, arrivalsOf(t, cfg, time.Second)) {
		t.Error("the same seed gives other arrivals the second time")
	}
}

func TestDueHeapGivesTheEarliestFirst(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	var h dueHeap
	var want []time.Duration
	for i := range 1000 {
		at := time.Duration(r.IntN(500))
		h.push(due{at, int32(i)})
		want = append(want, at)
	}
	slices.Sort(want)
	for i := range want {
		if got := h.pop().at; got != want[i] {
			t.Fatalf("pop %d = %d, want %d", i, got, want[i])
		}
	}
}

func TestOpenLoopHoldsItsRate(t *testing.T) {
	mc := memcachedtest.Start(t)
	for _, arrivals := range []string{"poisson", "even"} {
		cfg := Default()
		cfg.Endpoint, cfg.Arrivals, cfg.Rate = mc.Addr(), arrivals, 5000
		cfg.Keys, cfg.Conns, cfg.Warmup, cfg.Duration = 1000, 10, 300*time.Millisecond, 2*time.Second
		result, err := Run(t.Context(), cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := cfg.Rate * cfg.Duration.Seconds()
		if sent := float64(result.Answers + result.Late); math.Abs(sent-want) > 5*math.Sqrt(want) {
			t.Errorf("%s: %d answers and %d late, want %.0f", arrivals, result.Answers, result.Late, want)
		}
		if result.Ended != "duration" || math.Abs(result.Seconds-2) > 0.1 || result.Failed != 0 {
			t.Errorf("%s: Ended %q after %v s, %d failed", arrivals, result.Ended, result.Seconds, result.Failed)
		}
		if len(result.Timeline) != 2 {
			t.Errorf("%s: Timeline = %+v, want two seconds", arrivals, result.Timeline)
		}
	}
}

// TestStallIsNotOmitted: a server that stops for half a second delays all that arrive meanwhile in an open loop, and the
// figures say so; a closed loop sends nothing meanwhile, and its figures hide it. What the machine's other work delays comes on top of both.
func TestStallIsNotOmitted(t *testing.T) {
	const stall = 500 * time.Millisecond
	// 25 % of two seconds' arrivals fall into the stall, and wait from 0 to 0.5 s: the 90th percentile waits about 0.3 s.
	open, closed := stalledLatency(t, 2000, stall), stalledLatency(t, 0, stall)
	if open.P90 < 0.2 || closed.P90 > open.P90/2 || min(open.Max, closed.Max) < stall.Seconds()*0.8 {
		t.Errorf("a stall of %v: open %+v, closed %+v", stall, open, closed)
	}
}

// stalledLatency is what a load of two seconds finds whose server stops for so long. rate 0 is a closed loop.
func stalledLatency(t *testing.T, rate float64, stall time.Duration) Latency {
	t.Helper()
	mc := memcachedtest.Start(t)
	cfg := Default()
	cfg.Endpoint, cfg.Rate, cfg.Keys, cfg.Conns = mc.Addr(), rate, 1000, 10
	cfg.Warmup, cfg.Duration = 0, 2*time.Second
	stalled := make(chan struct{})
	begun := false
	result, err := Run(t.Context(), cfg, func(p Progress) {
		if p.Phase != "run" || begun {
			return
		}
		begun = true
		go func() { // ends with the stall
			defer close(stalled)
			mc.Pause()
			time.Sleep(stall)
			mc.Resume()
		}()
	})
	if err != nil {
		t.Fatal(err)
	}
	<-stalled
	return result.Latency
}

// TestBehindIsCounted: arrivals that a slow endpoint leaves no room for are told, not forgotten.
func TestBehindIsCounted(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := Default()
	cfg.Endpoint, cfg.Rate, cfg.Keys, cfg.Conns = mc.Addr(), 3_000_000, 1000, 2
	cfg.Warmup, cfg.Duration, cfg.Arrivals = 0, 500*time.Millisecond, "even"
	result, err := Run(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := 1_500_000.0; math.Abs(float64(result.Answers+result.Late)-want) > 0.02*want || result.Late == 0 {
		t.Errorf("Answers, Late = %d, %d, want %.0f in all", result.Answers, result.Late, want)
	}
}
