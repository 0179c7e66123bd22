//go:build !race

package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
)

// warmTime is for how long servers go away before the process is looked at first, so that all is in use that will be.
const warmTime = time.Second

// failingServers kills, stops and restarts three backends at random, while clients go away in the middle of values. Nobody waits past the deadline
// and its margin, no answer is another's or old, and the process holds in the end what it held before.
func failingServers(t *testing.T, binary string) {
	seed := seed(t)
	var servers []*memcachedtest.Server
	var list []string
	for range 3 {
		servers = append(servers, memcachedtest.Start(t))
		list = append(list, fmt.Sprintf("%q", servers[len(servers)-1].Addr()))
	}
	r := startRunning(t, binary, fmt.Sprintf("[pools.main]\nbackends = [%s]\ntimeout = %q\n", strings.Join(list, ", "), failingTimeout))
	r.tormented(t, servers, seed, warmTime)
	before := r.holds()
	c := r.tormented(t, servers, seed+1, *faultTimeFlag)
	reportChaos(t, c)
	r.flat(t, before)
}

// tormented torments servers for so long, under traffic that is checked.
func (r *running) tormented(t *testing.T, servers []*memcachedtest.Server, seed uint64, length time.Duration) *chaos {
	t.Helper()
	c := newChaos(r.endpoint, failingTimeout+*marginFlag, false)
	c.start(seed, 16)
	var found findings
	var leaving sync.WaitGroup
	stop := make(chan struct{})
	left := 0
	leaving.Go(func() { // ends with stop; waited for below
		rng := rand.New(rand.NewPCG(seed, 500))
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond): // how long is all the same to what is judged
			}
			if err := leaveInValue(r.endpoint, rng); err != nil {
				found.add("a client that goes away: %v", err)
				return
			}
			left++
		}
	})
	torment(servers, rand.New(rand.NewPCG(seed, 99)), length)
	chaosRecovers(t, c, r.endpoint)
	close(stop)
	leaving.Wait()
	c.finish()
	found.tell(t)
	t.Logf("%d clients went away in the middle of a value", left)
	return c
}

// leaveInValue is a client that resets its conn in the middle of a value: one that it sends, or one that it is sent.
func leaveInValue(ep endpoint, rng *rand.Rand) error {
	conn, err := ep.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	const length = 200_000
	key := fmt.Sprintf("left-%d", rng.IntN(8))
	head := fmt.Sprintf("set %s 0 0 %d\r\n", key, length)
	if rng.IntN(2) == 0 {
		_, err := conn.Write([]byte(head + strings.Repeat("z", rng.IntN(length))))
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(head + strings.Repeat("z", length) + "\r\nget " + key + "\r\n")); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 12)) // of the shortest two answers, and no more
	return err
}
