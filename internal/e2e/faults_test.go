//go:build !race

package e2e

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var (
	faultTimeFlag  = flag.Duration("fault-time", 3*time.Second, "of TestFaults: how long the link to a backend is broken in one way after another, and how long servers are")
	marginFlag     = flag.Duration("fault-margin", failingMargin, "of TestFaults: how long after its deadline an answer may come; a tenth of a second where nothing else runs")
	pairsFlag      = flag.Int("fault-pairs", 1, "of TestFaults: how often loads with and without a fault are compared")
	windowFlag     = flag.Duration("fault-window", 1500*time.Millisecond, "of TestFaults: how long each of those loads lasts")
	rateFlag       = flag.Int("fault-rate", 1000, "of TestFaults: requests a second of each of those loads")
	slowSecondFlag = flag.Int("slow-seconds", 1, "of TestFaults: how long 1,000 clients read a byte a second")
	visitsFlag     = flag.Int("visits", 20_000, "of TestFaults: clients that come and go")
	streamsFlag    = flag.Int("streams", 20_000, "of TestFaults: random streams, half of them from clients and half from backends")
)

// TestFaults breaks what is around the real program, in the ways of the subtests, and looks at what its clients get, how long they
// wait, and what the process holds on to. Short by default; the flags are for `make soak-faults`. It is not for the race detector, which
// weighs on memory and time; badbackend_test.go and package chaos have that.
func TestFaults(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	binary := buildProgram(t)
	lag.watch(t)
	for _, proof := range []struct {
		name string
		run  func(*testing.T, string)
	}{
		{"link", faultyLink},
		{"servers", failingServers},
		{"streams", randomStreams},
		{"visits", manyVisits},
		{"isolation", oneOfEight},
		{"slow", slowClients},
		{"namespaces", partitions},
	} {
		t.Run(proof.name, func(t *testing.T) {
			start := time.Now()
			proof.run(t, binary)
			t.Logf("took %v", time.Since(start).Round(time.Millisecond))
		})
	}
}

// holdings are what a process holds on to.
type holdings struct {
	memory                  int64 // resident bytes
	descriptors, goroutines int
	stacks                  []byte // of the goroutines
}

func (h holdings) String() string {
	return fmt.Sprintf("%d KiB resident, %d descriptors, %d goroutines", h.memory>>10, h.descriptors, h.goroutines)
}

// counts gives what the process has now. Its goroutines are those of a profile: while /metrics is gathered several of its own run, more or
// fewer.
func (r *running) counts() (h holdings) {
	r.t.Helper()
	r.figures() // who is often asked for that page has memory of its own
	h.stacks = r.get("/debug/pprof/goroutine?debug=1")
	if _, err := fmt.Sscanf(string(h.stacks), "goroutine profile: total %d", &h.goroutines); err != nil {
		r.t.Fatalf("%.100q: %v", h.stacks, err)
	}
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.pid))
	if err != nil {
		r.t.Fatal(err)
	}
	h.descriptors = len(list)
	return h
}

// holds is what the process holds on to when it has come to rest: when descriptors, goroutines and memory do not fall any more.
func (r *running) holds() holdings {
	r.t.Helper()
	h := r.counts()
	for since := time.Now(); time.Since(since) < 1500*time.Millisecond; time.Sleep(50 * time.Millisecond) {
		now := r.counts()
		if now.descriptors < h.descriptors {
			h.descriptors, since = now.descriptors, time.Now()
		}
		if now.goroutines < h.goroutines {
			h.goroutines, h.stacks, since = now.goroutines, now.stacks, time.Now()
		}
	}
	h.memory = settledRSS(r.t, r.pid, 0)
	return h
}

// flatMemory is by how much a process may grow in a run, in bytes: the garbage that its collector leaves for later differs by so much.
const flatMemory = 12 << 20

// spareConns is how many conns to backends a process may have more than before: which are open differs.
const spareConns = 4

// flat checks that the process holds no more than before.
func (r *running) flat(t *testing.T, before holdings) {
	t.Helper()
	after := r.holds()
	t.Logf("before: %v; after: %v", before, after)
	if after.descriptors > before.descriptors+spareConns || after.goroutines > before.goroutines || after.memory > before.memory+flatMemory {
		t.Errorf("the process holds %v; before it held %v; its goroutines:\n%s", after, before, after.stacks)
	}
}
