package pool_test

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"mcproxy/pool"
	"mcproxy/pool/copies"
)

var (
	pairSeeds = flag.Uint64("pair-seeds", 1000, "simulated runs of TestTwoProxies")
	pairFrom  = flag.Uint64("pair-from", 1, "the first of them")
	pairSeed  = flag.Uint64("pair-seed", 0, "run this seed only (0: -pair-seeds of them), and tell its story")
)

// runPair simulates a seed and says what was wrong.
func runPair(seed uint64, broken breakage) (w *pair, wrong string) {
	w, err := newPair(seed, broken)
	if err != nil {
		return nil, err.Error()
	}
	if wrong = w.run(); wrong == "" {
		wrong = w.check()
	}
	for _, p := range w.procs {
		w.kill(p)
	}
	return w, wrong
}

// runPairs simulates seeds on all cores until one fails, and gives the least that did (0: none did).
func runPairs(from, count uint64, broken breakage, each func(w *pair)) (failed uint64, w *pair, wrong string) {
	var (
		next atomic.Uint64
		mu   sync.Mutex
		wg   sync.WaitGroup
	)
	defer debug.SetGCPercent(debug.SetGCPercent(1000)) // runs are small, and their litter is not worth so many looks
	next.Store(from)
	stop := from + count
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := next.Add(1) - 1
				mu.Lock()
				over := seed >= stop || failed != 0 && seed > failed
				mu.Unlock()
				if over {
					return
				}
				ran, why := runPair(seed, broken)
				mu.Lock()
				if why != "" && (failed == 0 || seed < failed) {
					failed, w, wrong = seed, ran, why
				}
				if each != nil && ran != nil {
					each(ran)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return failed, w, wrong
}

// TestTwoProxiesFound runs the seeds again that have shown something wrong in code that is mended since, and are rarer than what every run
// of TestTwoProxies meets.
func TestTwoProxiesFound(t *testing.T) {
	for seed, what := range map[uint64]string{
		40655:  "a comparison that could not be looked into was refused for good",
		109690: "a comparison with an item that was gone said EXISTS",
	} {
		if w, wrong := runPair(seed, breakage{}); wrong != "" {
			t.Errorf("seed %d (%s): %s\n%s", seed, what, wrong, w.story())
		}
	}
}

// TestTwoProxies simulates two processes over the same servers, with crashes of either, evictions, damaged chunks, lost conns, and servers that
// stop, die and are flushed, and checks that every answer makes sense: see checker.
func TestTwoProxies(t *testing.T) {
	if *pairSeed != 0 {
		w, wrong := runPair(*pairSeed, breakage{})
		t.Logf("seed %d\n%s", *pairSeed, w.story())
		if wrong != "" {
			t.Fatal(wrong)
		}
		return
	}
	others := goleak.IgnoreCurrent() // worlds of other tests may end with requests under way
	var sum pairSum
	seed, w, wrong := runPairs(*pairFrom, *pairSeeds, breakage{}, sum.add)
	if wrong != "" {
		t.Fatalf("seed %d: %s\n%s\nagain: go test ./pool -run '^TestTwoProxies$' -v -pair-seed=%d", seed, wrong, w.story(), seed)
	}
	t.Log(sum.String())
	goleak.VerifyNone(t, others) // a request of several steps that never ends is a coroutine that is left
}

// A pairSum counts what runs did, to show that they reach what they are for.
type pairSum struct {
	runs, faultless, ops, hits, misses, failed, unanswered int
	split                                                  pool.SplitFigures
	joined                                                 uint64
	copies                                                 pool.CopyFigures
	strict, gentle                                         int
}

func (s *pairSum) add(w *pair) {
	s.runs++
	if w.plan.faults == 0 {
		s.faultless++
	}
	s.ops += len(w.history)
	if c := w.plan.copy; c != nil && c.mode == copies.Strict {
		s.strict++
		if c.gentle {
			s.gentle++
		}
	}
	for _, o := range w.history {
		switch {
		case o.outcome == wasThere:
			s.hits++
		case o.outcome == wasGone:
			s.misses++
		case o.failed:
			s.failed++
		case o.end == 0:
			s.unanswered++
		}
	}
	for _, p := range w.procs {
		for _, wk := range p.workers {
			f := wk.pool.Figures
			s.joined += f.Joined
			s.split.Add(&f.Split)
			s.copies.Add(&f.Copies)
		}
	}
}

func (s *pairSum) String() string {
	return fmt.Sprintf("%d runs (%d without faults), %d requests: %d values and %d misses, %d failed, %d were never answered; %d gets joined others; split: %+v",
		s.runs, s.faultless, s.ops, s.hits, s.misses, s.failed, s.unanswered, s.joined, s.split)
}
