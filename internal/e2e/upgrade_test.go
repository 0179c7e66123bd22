package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcproxy/bench"
	"mcproxy/internal/loopback"
	"mcproxy/internal/tlstest"
)

var (
	upgradesFlag = flag.Int("upgrades", 3, "of TestUpgrades: how often a new process takes over; with more than 3 those that fail after a time are tested too")
	pauseFlag    = flag.Duration("upgrade-pause", 200*time.Millisecond, "of TestUpgrades: between two of them")
)

// Clients of TestUpgrades: of the load, and beside it.
const (
	loadConns = 40

	halfway  = 60 // that are in the midst of a request
	steadies = 2  // on each other kind of listener, that check every answer
)

// TestUpgrades has one process after the other take over under a steady load on listeners of every kind. No request fails, no conn is
// closed, and no answer is wrong.
func TestUpgrades(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	ca := tlstest.NewAuthority(t)
	pair := ca.Issue("127.0.0.1")
	secret := loopback.Address(t)
	l := startLineage(t, buildProgram(t), fmt.Sprintf(`
[[listeners]]
address = %q
cert = %q
key = %q

[proxy]
journal = "disk"
journal_dir = %q

[pools.main]
backends = [%q, %q]
timeout = "10s"
stall_timeout = "10s"
split.enabled = true
split.threshold = "64KiB"
replicas.mode = "safe"
`, secret, pair.Cert, pair.Key, t.TempDir(), startMemcached(t).Addr(), startMemcached(t).Addr()))

	waitListening(t, secret)
	var found findings
	var stop atomic.Bool
	var clients sync.WaitGroup
	steady := func(number int, c *client) {
		clients.Go(func() { // ends when stop is set
			defer c.Close()
			rng := rand.New(rand.NewPCG(1, uint64(number)))
			for turn := 0; !stop.Load(); turn++ {
				if wrong := c.round(rng, fmt.Sprintf("steady-%d", number)); wrong != "" {
					found.add("client %d, turn %d: %s", number, turn, wrong)
					return
				}
			}
		})
	}
	encrypted := func() *client {
		conn, err := tls.Dial("tcp", secret, ca.Client("127.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return &client{Conn: conn}
	}
	for i := range steadies {
		steady(2*i, endpoint{"unix", l.socket}.dial(t))
		steady(2*i+1, encrypted())
	}
	var waiting []*client
	for i := range halfway {
		c := l.dial(t)
		say(t, c, fmt.Sprintf("set half-%d 0 0 10\r\n01234", i))
		waiting = append(waiting, c)
	}
	endLoad := startLoad(t, l.address)

	first, former := l.pid, l.pid
	var waits []time.Duration
	newcomers := []*client{}
	copies := 0.0
	for i := range *upgradesFlag {
		copies = max(copies, l.sum(l.figures(), "mcproxy_replica_keys"))
		waits = append(waits, l.upgrade())
		if former != first {
			l.ends(former)
		}
		former = l.pid
		if n := l.sum(l.figures(), "mcproxy_upgrade_adopted_conns"); n < halfway+2*steadies+loadConns {
			t.Errorf("upgrade %d: %v conns were taken over", i, n)
		}
		c := l.dial(t)
		c.ask(t, "mn\r\n", "MN\r\n")
		if i%2 == 1 {
			continue // with the next one at once
		}
		newcomers = append(newcomers, c)
		time.Sleep(*pauseFlag)
	}
	if !l.alive(first) {
		t.Error("the first process has ended, which had TLS with clients")
	}
	stop.Store(true)
	result := endLoad()
	clients.Wait()
	found.tell(t)
	if v := result.Verify; result.Failed+result.Redials+result.Timeouts+v.Offences() != 0 || result.Answers == 0 {
		t.Errorf("of %d requests %d failed, %d conns were opened anew, %d reads were wrong: %v %v", result.Answers, result.Failed, result.Redials, v.Offences(), result.Failures, v.Offenders)
	}
	for i, c := range waiting {
		c.ask(t, "56789\r\n", "STORED\r\n")
		c.ask(t, fmt.Sprintf("get half-%d\r\n", i), fmt.Sprintf("VALUE half-%d 0 10\r\n0123456789\r\nEND\r\n", i))
	}
	for _, c := range newcomers {
		c.ask(t, "mn\r\n", "MN\r\n")
	}
	l.ends(first) // its last client with TLS has gone
	slices.Sort(waits)
	t.Logf("%d upgrades during %d requests (%d reads checked), none failed; clients waited for %v at the median, and %v at most. Keys with copies: up to %v",
		len(waits), result.Answers, result.Verify.Checked, waits[len(waits)/2], waits[len(waits)-1], copies)
	l.finish()
}

// TestUpgradeWhereKeysMove has a process take over where the proxies agree about each backend: clients wait until the new one knows of that, and
// no request fails.
func TestUpgradeWhereKeysMove(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	l := startLineage(t, buildProgram(t), fmt.Sprintf(`
[pools.main]
backends = [%q, %q]
on_down = "eject"
on_error = "error"
`, startMemcached(t).Addr(), startMemcached(t).Addr()))
	l.agreed(2)
	endLoad := startLoad(t, l.address)
	for range 2 {
		former := l.pid
		wait := l.upgrade()
		l.ends(former)
		t.Logf("clients waited for %v", wait)
		time.Sleep(*pauseFlag)
	}
	if result := endLoad(); result.Failed+result.Redials+result.Timeouts+result.Verify.Offences() != 0 || result.Answers == 0 {
		t.Errorf("of %d requests %d failed, %d conns were opened anew, %d reads were wrong: %v", result.Answers, result.Failed, result.Redials, result.Verify.Offences(), result.Failures)
	}
	l.finish()
}

// startLoad has the load generator ask and check the answers until end is called.
func startLoad(t *testing.T, address string) (end func() *bench.Result) {
	t.Helper()
	cfg := bench.Default()
	cfg.Endpoint, cfg.Duration, cfg.Warmup, cfg.Timeout = address, time.Hour, 0, answerTimeout
	cfg.Conns, cfg.Keys, cfg.SetRatio, cfg.Verify, cfg.ValueSize = loadConns, 500, 0.05, true, "100:9,4KiB:1"
	cfg.Viral = 0.3 // a key that gets copies
	ctx, cancel := context.WithCancel(context.Background())
	begun := make(chan struct{})
	var once sync.Once
	var result *bench.Result
	measured := make(chan error, 1)
	go func() { // ends with ctx
		var err error
		result, err = bench.Run(ctx, cfg, func(p bench.Progress) {
			if p.Phase == "run" {
				once.Do(func() { close(begun) })
			}
		})
		measured <- err
		once.Do(func() { close(begun) })
	}()
	<-begun
	t.Cleanup(cancel)
	return func() *bench.Result {
		t.Helper()
		cancel()
		if err := <-measured; err != nil {
			t.Fatal(err)
		}
		return result
	}
}

// say sends a part of a request.
func say(t *testing.T, c *client, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// round stores and reads a few values, which nobody else knows, and says what was wrong.
func (c *client) round(rng *rand.Rand, key string) string {
	value := bytes.Repeat([]byte{'a' + byte(rng.IntN(26))}, rng.IntN(200)+1)
	if rng.IntN(10) == 0 {
		value = bytes.Repeat(value, 1000)
	}
	whole := fmt.Sprintf("VALUE %s 7 %d\r\n%s\r\nEND\r\n", key, len(value), value)
	for _, step := range [][2]string{
		{fmt.Sprintf("set %s 7 0 %d\r\n%s\r\n", key, len(value), value), "STORED\r\n"},
		{strings.Repeat("get "+key+"\r\n", 3), strings.Repeat(whole, 3)},
		{fmt.Sprintf("set %s 0 0 1 noreply\r\n5\r\nincr %s 2\r\n", key, key), "7\r\n"},
		{fmt.Sprintf("delete %s\r\nmg %s v\r\n", key, key), "DELETED\r\nEN\r\n"},
	} {
		answer, closed, err := c.exchange([]byte(step[0]))
		if err != nil || closed || string(answer) != step[1] {
			return fmt.Sprintf("%s is answered with %s, closed %v, %v", quote([]byte(step[0])), quote(answer), closed, err)
		}
	}
	return ""
}

// agreed waits until keys of so many backends are looked for there, as all proxies have agreed.
func (r *running) agreed(backends float64) {
	r.t.Helper()
	until(r.t, "the backends are agreed upon", func() bool { return r.sum(r.figures(), "mcproxy_backend_standing", `standing="home"`) == backends })
}

// TestUpgradeEjected has new processes take over while a backend is away, whose keys are on another: what it has that is old does not come back.
func TestUpgradeEjected(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	well, away := startMemcached(t), startMemcached(t)
	l := startLineage(t, buildProgram(t), fmt.Sprintf("[pools.main]\nbackends = [%q, %q]\non_down = \"eject\"\nfailure_limit = 1\ndamping = \"10ms\"\n", well.Addr(), away.Addr()))
	l.agreed(2)
	const keys = 20
	c := l.dial(t)
	for i := range keys {
		c.ask(t, fmt.Sprintf("set k%d 0 0 3\r\nold\r\n", i), "STORED\r\n")
	}
	away.Pause()
	defer away.Resume()
	for i := range keys {
		until(t, "a key is stored on the other backend", func() bool {
			answer, err := c.unitOf(fmt.Sprintf("set k%d 0 0 3\r\nnew\r\n", i))
			return err == nil && answer == "STORED\r\n"
		})
	}
	// read says how many keys are there, with what they have to have.
	read := func(when string) (hits int) {
		t.Helper()
		for i := range keys {
			answer, _, err := askWithNoop(c, fmt.Sprintf("get k%d\r\n", i))
			switch want := fmt.Sprintf("VALUE k%d 0 3\r\nnew\r\n", i); {
			case err != nil:
				t.Fatal(err)
			case strings.HasPrefix(answer, want):
				hits++
			case strings.Contains(answer, "old"):
				t.Errorf("%s: k%d is answered with %q", when, i, answer)
			}
		}
		return hits
	}
	if hits := read("before"); hits != keys {
		t.Errorf("%d of %d keys are there while one backend is away", hits, keys)
	}
	l.upgrade()
	read("in the second process")
	l.upgrade()
	away.Resume()
	until(t, "both backends are used", func() bool {
		read("while it comes back")
		return l.sum(l.figures(), "mcproxy_backend_standing", `standing="home"`) == 2
	})
	hits := read("when it is back")
	l.upgrade()
	read("in the last process")
	if hits == 0 {
		t.Error("no key is there, of those on the backend that was never away too")
	}
	until(t, "everything is settled", func() bool { return l.sum(l.figures(), "mcproxy_backend_journal_keys") == 0 })
	l.agreed(2)
	c.ask(t, "set k0 0 0 3\r\nend\r\nget k0\r\n", "STORED\r\nVALUE k0 0 3\r\nend\r\nEND\r\n")
	l.finish()
}
