//go:build !race

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
)

// A load is clients that ask one after another, each waiting for its answer. With rate they ask at fixed times, however long answers take:
// a request that is late for the answer before it has waited since its time. That rate is far below what the proxy can do, so that
// what is measured is the proxy's and not the machine's.
type load struct {
	findings
	ep      endpoint
	request func(rng *rand.Rand) (request, want string) // want "": any answer but none
	pause   time.Duration
	rate    int // requests a second of all clients together; 0: as they can

	longest time.Duration // from a request to its answer at most, less what the machine took; guarded by mu
}

// spell is how a load went in a window.
type spell struct {
	rate float64 // requests a second
	p99  time.Duration
}

// run runs so many clients for a window.
func (l *load) run(clients int, window time.Duration) spell {
	start := time.Now()
	waits := make([][]time.Duration, clients)
	var working sync.WaitGroup
	for i := range clients {
		working.Go(func() { // ends with the window
			conn, err := l.ep.connect()
			if err != nil {
				l.add("%v", err)
				return
			}
			defer conn.Close()
			rng := rand.New(rand.NewPCG(uint64(start.UnixNano()), uint64(i)))
			longest := time.Duration(0)
			defer func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.longest = max(l.longest, longest)
			}()
			for n := 0; time.Since(start) < window; n++ {
				began := l.turn(start, i+n*clients)
				if err := l.ask(conn, rng); err != nil {
					l.add("%v", err)
					return
				}
				took := time.Since(began)
				waits[i] = append(waits[i], took)
				longest = max(longest, took-lag.since(began))
				time.Sleep(l.pause)
			}
		})
	}
	working.Wait()
	took := time.Since(start)
	all := slices.Concat(waits...)
	if len(all) == 0 {
		return spell{}
	}
	slices.Sort(all)
	return spell{float64(len(all)) / took.Seconds(), all[len(all)*99/100]}
}

// turn waits for the time of the n-th request of all clients, and gives the time from which it waits for its answer.
func (l *load) turn(start time.Time, n int) time.Time {
	if l.rate == 0 {
		return time.Now()
	}
	due := start.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
	if early := time.Until(due); early > 0 {
		time.Sleep(early)
		return time.Now()
	}
	return due
}

// ask sends a request and takes its answer, which ends with the line END or is one line.
func (l *load) ask(conn *client, rng *rand.Rand) error {
	request, want := l.request(rng)
	if _, err := conn.Write([]byte(request)); err != nil {
		return err
	}
	var answer strings.Builder
	for {
		u, err := conn.unit(time.Now().Add(answerTimeout))
		if err != nil {
			return fmt.Errorf("%.60q: %w", request, err)
		}
		answer.Write(u)
		if !strings.HasPrefix(string(u), "VALUE ") {
			break
		}
	}
	if got := answer.String(); want != "" && got != want {
		return fmt.Errorf("%.60q: got %.100q, want %.100q", request, got, want)
	}
	return nil
}

// ratio is how much the second of pairs has of the first: the median.
func ratio(pairs [][2]float64) float64 {
	ratios := make([]float64, len(pairs))
	for i, p := range pairs {
		ratios[i] = p[1] / p[0]
	}
	slices.Sort(ratios)
	return (ratios[len(ratios)/2] + ratios[(len(ratios)-1)/2]) / 2
}

// compare runs a load with and without a fault in turns, and tells what the fault makes of its rate and its 99th percentile.
func (l *load) compare(t *testing.T, clients int, begin, end func()) {
	t.Helper()
	var rates, p99s [][2]float64
	l.run(clients, *windowFlag) // warm
	for range *pairsFlag {
		without := l.run(clients, *windowFlag)
		begin()
		with := l.run(clients, *windowFlag)
		end()
		rates = append(rates, [2]float64{without.rate, with.rate})
		p99s = append(p99s, [2]float64{float64(without.p99), float64(with.p99)})
		t.Logf("without: %.0f/s, p99 %v; with: %.0f/s, p99 %v", without.rate, without.p99, with.rate, with.p99)
	}
	t.Logf("median of %d pairs, with / without: rate %.3f, p99 %.3f", *pairsFlag, ratio(rates), ratio(p99s))
}

const isolationTimeout = time.Second // of a request; long, so that no hunger of the machine's is taken for a failure

// oneOfEight stops one of eight backends, again and again, and looks at the keys of the other seven: their clients are answered, and
// wait for no deadline, though the same proxy has clients who ask for the stopped one's keys. How fast they are is told and not judged here:
// a machine with other things to do changes that by more than the fault. proxy.TestStoppedBackendCostsOthersNothing counts turns.
func oneOfEight(t *testing.T, binary string) {
	var servers []*memcachedtest.Server
	var list []string
	for i := range 8 {
		servers = append(servers, memcachedtest.Start(t, "-m", "64"))
		name := fmt.Sprintf("b%d", i)
		list = append(list, fmt.Sprintf("{ name = %q, address = %q }", name, servers[i].Addr()))
	}
	r := startRunning(t, binary, fmt.Sprintf("[pools.main]\nbackends = [%s]\ntimeout = %q\n", strings.Join(list, ", "), isolationTimeout))
	var others, stopped []string
	conn, seventh := r.dial(t), endpointOf(servers[7]).dial(t)
	for i := range 800 {
		key := fmt.Sprintf("key-%d", i)
		conn.ask(t, fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(key), key), "STORED\r\n")
		if answer, _, err := seventh.exchange([]byte("mg " + key + "\r\n")); err != nil {
			t.Fatal(err)
		} else if string(answer) == "HD\r\n" {
			stopped = append(stopped, key)
		} else {
			others = append(others, key)
		}
	}
	if len(stopped) == 0 {
		t.Fatal("b7 has no keys")
	}
	well := &load{ep: r.endpoint, rate: *rateFlag, request: func(rng *rand.Rand) (string, string) {
		key := others[rng.IntN(len(others))]
		if rng.IntN(10) == 0 {
			return fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(key), key), "STORED\r\n"
		}
		return "get " + key + "\r\n", fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(key), key)
	}}
	unlucky := &load{ep: r.endpoint, pause: 2 * time.Millisecond, request: func(rng *rand.Rand) (string, string) {
		return "get " + stopped[rng.IntN(len(stopped))] + "\r\n", ""
	}}
	var beside sync.WaitGroup
	over := make(chan struct{})
	beside.Go(func() { // ends with over; waited for below
		for {
			select {
			case <-over:
				return
			default:
				unlucky.run(4, 100*time.Millisecond)
			}
		}
	})
	before, start := r.figures(), time.Now()
	well.compare(t, 16, servers[7].Pause, func() {
		servers[7].Resume()
		r.awaitUp(t, "b7")
	})
	close(over)
	beside.Wait()
	well.tell(t)
	unlucky.tell(t)
	if well.longest >= isolationTimeout {
		t.Errorf("a client of the other seven waited for %v: as long as if it had waited for the stopped one", well.longest)
	}
	after := r.figures()
	for i := range 8 {
		label := fmt.Sprintf(`backend="b%d"`, i)
		sum := func(name string) float64 { return r.sum(after, name, label) - r.sum(before, name, label) }
		failures := sum("mcproxy_backend_call_failures_total")
		switch {
		case i < 7 && failures+sum("mcproxy_backend_call_timeouts_total") > 0 && lag.longest(start) > isolationTimeout/2:
			t.Logf("%s: %v calls failed; this machine kept others waiting for %v at a time, too", label, failures, lag.longest(start))
		case i < 7 && failures+sum("mcproxy_backend_call_timeouts_total") > 0:
			t.Errorf("%s: %v calls failed", label, failures)
		case i == 7 && failures == 0:
			t.Error("no call to the stopped backend failed: the run says little")
		}
	}
}

// awaitUp waits until a backend is used again.
func (r *running) awaitUp(t *testing.T, name string) {
	t.Helper()
	for start := time.Now(); r.sum(r.figures(), "mcproxy_backend_state", fmt.Sprintf("backend=%q", name), `state="up"`) != 1; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > answerTimeout {
			t.Fatalf("%s is not used again", name)
		}
	}
}
