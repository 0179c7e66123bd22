//go:build !race

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	visitors     = 8   // at once
	visitorHosts = 200 // addresses that they come from: one has ports for 28,000 conns a minute only
)

// manyVisits has clients come and go, politely and not, and wants the process to hold what it held before.
func manyVisits(t *testing.T, binary string) {
	seed := seed(t)
	r := startRunning(t, binary, fmt.Sprintf("[pools.main]\nbackends = [%q]\ntimeout = \"5s\"\nstall_timeout = \"5s\"\n", startMemcached(t).Addr()))
	r.dial(t).ask(t, "set k 0 0 3\r\nabc\r\n", "STORED\r\n")
	visit(t, r.endpoint, seed, max(2000, *visitsFlag/20))
	before := r.holds()
	accepted := r.sum(r.figures(), "mcproxy_client_conns_accepted_total")
	start := time.Now()
	visit(t, r.endpoint, seed+1, *visitsFlag)
	took := time.Since(start)
	r.flat(t, before)
	f := r.figures()
	if n := r.sum(f, "mcproxy_client_conns_accepted_total") - accepted; n < float64(*visitsFlag) {
		t.Errorf("%v clients were accepted, of %d", n, *visitsFlag)
	}
	if n := r.sum(f, "mcproxy_client_conns"); n != 1 {
		t.Errorf("%v clients are there, and one is", n)
	}
	t.Logf("%d clients came and went in %v", *visitsFlag, took.Round(time.Millisecond))
}

// visit has n clients come and go.
func visit(t *testing.T, ep endpoint, seed uint64, n int) {
	t.Helper()
	var found findings
	var visiting sync.WaitGroup
	var begun atomic.Int64
	for i := range visitors {
		visiting.Go(func() { // ends after n visits in all
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			for number := begun.Add(1); number <= int64(n); number = begun.Add(1) {
				if err := visitOnce(ep, rng, number); err != nil {
					found.add("visit %d: %v", number, err)
					return
				}
			}
		})
	}
	visiting.Wait()
	found.tell(t)
}

// visitOnce is one client: it is answered or not, and goes in one way or another, at times in the middle of what it says.
func visitOnce(ep endpoint, rng *rand.Rand, number int64) error {
	host := byte(1 + number%visitorHosts)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 77, 0, host)}, Timeout: answerTimeout}
	conn, err := dialer.Dial(ep.network, ep.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if rng.IntN(4) > 0 {
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // it resets
			return err
		}
	}
	say := [...]string{"", "get k\r\n", "quit\r\n", "get", "set k2 0 0 70000\r\nabc", "get k\r\nset k", "\x80\x00", "get k k k k"}[rng.IntN(8)]
	if _, err := conn.Write([]byte(say)); err != nil {
		return err
	}
	if say != "get k\r\n" {
		return nil
	}
	const want = "VALUE k 0 3\r\nabc\r\nEND\r\n"
	c := client{Conn: conn}
	for len(c.pending) < len(want) {
		if err := c.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
			return err
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
	if string(c.pending) != want {
		return fmt.Errorf("got %q", c.pending)
	}
	return nil
}
