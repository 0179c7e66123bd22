//go:build !race

package e2e

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

const (
	owners  = 8                               // at once
	silence = ownLimit + 200*time.Millisecond // for which a link says nothing
)

// faultyLink breaks the link to one of two backends in one way after another, and each time wants the backend used again within a second
// of when the link is whole.
func faultyLink(t *testing.T, binary string) {
	seed := seed(t)
	link := startFaultyRelay(t, startMemcached(t).Addr(), seed)
	r := startRunning(t, binary, fmt.Sprintf(`
[[routes]]
prefix = "bad"
pool = "bad"
[pools.default]
backends = [%q]
timeout = "5s"
stall_timeout = "5s"
[pools.bad]
backends = [%q]
timeout = "250ms"
stall_timeout = "700ms"
`, startMemcached(t).Addr(), link.listener.Addr().String()))
	run := newOwners(t, r.endpoint, seed, false)
	run.start()
	rng := rand.New(rand.NewPCG(seed, 8))
	for _, way := range breakages { // once, so that all is in use that will be
		breakLink(t, r, link, way, 100*time.Millisecond)
	}
	run.end(t)
	before := r.holds()

	run.start()
	slowest := map[breakage]time.Duration{}
	rounds := 0
	for start := time.Now(); rounds == 0 || time.Since(start) < *faultTimeFlag; rounds++ {
		for _, way := range breakages {
			length := min(*faultTimeFlag/time.Duration(len(breakages)), time.Duration(rng.Int64N(int64(2*time.Second))))
			if way == mute || way == deaf {
				length = silence
			}
			slowest[way] = max(slowest[way], breakLink(t, r, link, way, length))
		}
	}
	run.end(t)
	f := r.figures()
	t.Logf("%d rounds, %v; the slowest returns: %v", rounds, run, slowest)
	t.Logf("at the broken backend: %v timeouts, %v connects, %v retries, %v journalled writes", r.sum(f, "mcproxy_backend_call_timeouts_total", `pool="bad"`),
		r.sum(f, "mcproxy_backend_connects_total", `pool="bad"`), r.sum(f, "mcproxy_backend_call_retries_total", `pool="bad"`),
		r.sum(f, "mcproxy_backend_journalled_writes_total", `pool="bad"`))
	if n := r.sum(f, "mcproxy_pool_failures_total", `pool="default"`); n > 0 {
		t.Errorf("%v failures at the backend that was well", n)
	}
	for start := time.Now(); r.sum(r.figures(), "mcproxy_backend_journal_keys") > 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > answerTimeout {
			t.Errorf("%v keys in the journal, and all has been well for %v", r.sum(r.figures(), "mcproxy_backend_journal_keys"), answerTimeout)
			break
		}
	}
	r.flat(t, before)
}

// breakLink breaks the link for so long, and gives the time from its return to the backend's.
func breakLink(t *testing.T, r *running, link *faultyRelay, way breakage, length time.Duration) time.Duration {
	t.Helper()
	link.fail(way)
	time.Sleep(length) // how long is all the same to what is judged
	link.fail(whole)
	start := time.Now()
	conn, err := r.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for n := 0; ; n++ {
		key := fmt.Sprintf("bad-return-%d", n) // a new one, whose last write did not fail
		answer, closed, err := askWithNoop(conn, fmt.Sprintf("set %s 0 1 2\r\nok\r\nget %s\r\n", key, key))
		if err != nil || closed {
			t.Fatalf("%v: closed %v, %v", way, closed, err)
		}
		took := time.Since(start)
		if answer == fmt.Sprintf("STORED\r\nVALUE %s 0 2\r\nok\r\nEND\r\n", key) {
			if took > backWithin+lag.since(start) {
				t.Errorf("%v: used again %v after the link was whole", way, took)
			}
			return took
		}
		if took > answerTimeout {
			t.Fatalf("%v: still %q %v after the link was whole", way, answer, took)
		}
		time.Sleep(time.Millisecond)
	}
}

// ownersRun is several owners at work.
type ownersRun struct {
	findings
	list    []*owner
	working sync.WaitGroup
	stop    chan struct{}
	ep      endpoint
}

func newOwners(t *testing.T, ep endpoint, seed uint64, tell bool) *ownersRun {
	t.Helper()
	run := &ownersRun{ep: ep}
	for i := range owners {
		run.list = append(run.list, &owner{
			findings: &run.findings, ep: ep, name: fmt.Sprintf("o%d", i), rng: rand.New(rand.NewPCG(seed, 100+uint64(i))),
			last: map[string]string{}, sure: map[string]bool{}, tell: tell, patience: answerTimeout,
		})
	}
	t.Cleanup(func() {
		if run.stop != nil {
			close(run.stop)
			run.working.Wait()
		}
	})
	return run
}

func (run *ownersRun) start() {
	run.stop = make(chan struct{})
	for _, o := range run.list {
		conn, err := run.ep.connect()
		if err != nil {
			run.add("%v", err)
			continue
		}
		o.conn = conn
		run.working.Go(func() { o.work(run.stop) }) // ends with stop; waited for in end
	}
}

// end ends the work, and has each owner see what became of its keys.
func (run *ownersRun) end(t *testing.T) {
	t.Helper()
	close(run.stop)
	run.working.Wait()
	run.stop = nil
	for _, o := range run.list {
		o.settle()
	}
	run.tell(t)
}

func (run *ownersRun) String() string {
	var asked, failed, batches, over int
	var longest time.Duration
	for _, o := range run.list {
		asked, failed, batches, over, longest = asked+o.asked, failed+o.failed, batches+o.batches, over+o.over, max(longest, o.longest)
	}
	return fmt.Sprintf("%d requests, of which %d failed or missed; of %d batches %d took more than %v, the longest %v", asked, failed, batches, over,
		ownWithin, longest.Round(time.Millisecond))
}
