package e2e

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
)

const (
	failingTimeout = 250 * time.Millisecond // the pools' timeout in these tests: the default
	failingMargin  = 250 * time.Millisecond // at most 500 ms in all, and what the machine adds: see lag
	failingLimit   = failingTimeout + failingMargin
	failFast       = 100 * time.Millisecond // for an answer while the backend is known to be down
	backWithin     = time.Second            // from the backend's return to its use
)

func failingPool(onError pool.OnError, servers ...*memcachedtest.Server) pool.Config {
	p := poolOf(servers...)
	p.OnError = onError
	p.Backend = backend.Options{Timeout: failingTimeout}
	return p
}

// failedAnswers is what each command is told when its backend does not answer, in pools with on_error = "miss".
var failedAnswers = []struct{ send, miss string }{
	{"get k\r\n", "END\r\n"},
	{"gets k\r\n", "END\r\n"},
	{"get k k2 k3 k\r\n", "END\r\n"},
	{"gat 100 k\r\n", "END\r\n"},
	{"gats 100 k k2\r\n", "END\r\n"},
	{"set k 0 0 1\r\na\r\n", "NOT_STORED\r\n"},
	{"add k 0 0 1\r\na\r\n", "NOT_STORED\r\n"},
	{"replace k 0 0 1\r\na\r\n", "NOT_STORED\r\n"},
	{"append k 0 0 1\r\na\r\n", "NOT_STORED\r\n"},
	{"prepend k 0 0 1\r\na\r\n", "NOT_STORED\r\n"},
	{"cas k 0 0 1 5\r\na\r\n", "NOT_FOUND\r\n"},
	{"incr k 1\r\n", "NOT_FOUND\r\n"},
	{"decr k 1\r\n", "NOT_FOUND\r\n"},
	{"touch k 100\r\n", "NOT_FOUND\r\n"},
	{"delete k\r\n", "NOT_FOUND\r\n"},
	{"set k 0 0 1 noreply\r\na\r\n", ""},
	{"cas k 0 0 1 5 noreply\r\na\r\n", ""},
	{"incr k 1 noreply\r\n", ""},
	{"touch k 100 noreply\r\n", ""},
	{"delete k noreply\r\n", ""},
	{"mg k v\r\n", "EN\r\n"},
	{"mg k\r\n", "EN\r\n"},
	{"mg k k O7 v\r\n", "EN kk O7\r\n"},
	{"mg k v q\r\n", ""},
	{"mg aw== b k\r\n", "EN kaw== b\r\n"},
	{"ms k 1\r\na\r\n", "NS\r\n"},
	{"ms k 1 O7 k\r\na\r\n", "NS O7 kk\r\n"},
	{"ms k 1 q\r\na\r\n", "NS\r\n"},
	{"md k\r\n", "NF\r\n"},
	{"md k q O7\r\n", "NF O7\r\n"},
	{"ma k\r\n", "NF\r\n"},
	{"ma k N0 q v\r\n", "NF\r\n"},
	{"me k\r\n", "EN\r\n"},
}

// quietErrors are the requests above to which even an error is not told: classic noreply. Meta commands show it, q or not.
var quietErrors = regexp.MustCompile(` noreply\r\n`)

var serverError = regexp.MustCompile(`^SERVER_ERROR [^\r\n]+\r\n$`)

// TestFailingBackendAnswers takes a backend away in several ways, and checks what every command is told, how soon, and
// that the conn stays open and in step.
func TestFailingBackendAnswers(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	ways := map[string]func(mc *memcachedtest.Server){
		"hangs": (*memcachedtest.Server).Pause,
		"died":  (*memcachedtest.Server).Kill,
	}
	for way, take := range ways {
		for _, onError := range []pool.OnError{pool.OnErrorMiss, pool.OnErrorError} {
			for _, start := range []func(testing.TB, ...string) *memcachedtest.Server{memcachedtest.Start, memcachedtest.StartUnix} {
				mc := start(t)
				t.Run(fmt.Sprintf("%s %s %s", way, onError, endpointOf(mc).network), func(t *testing.T) {
					s := startProxy(t, failingPool(onError, mc))
					conn := s.dial(t)
					conn.ask(t, "set k 0 0 3\r\nold\r\nget k\r\n", "STORED\r\nVALUE k 0 3\r\nold\r\nEND\r\n")
					take(mc)
					// The first round meets a backend that counts as up, the second one that is known to be down.
					slowest := failedRound(t, conn, onError, failingLimit)
					fast := failedRound(t, conn, onError, failFast)
					t.Logf("slowest answer %v, then %v", slowest, fast)
					comeBack(t, mc, way, conn)
				})
			}
		}
	}
}

// failedRound sends every command and gives the time of the slowest answer.
func failedRound(t *testing.T, conn *client, onError pool.OnError, limit time.Duration) (slowest time.Duration) {
	t.Helper()
	for _, f := range failedAnswers {
		start := time.Now()
		answer, closed, err := askWithNoop(conn, f.send)
		took := time.Since(start)
		slowest = max(slowest, took)
		if err != nil || closed {
			t.Fatalf("%q: closed %v, %v", f.send, closed, err)
		}
		ok := answer == f.miss
		if onError == pool.OnErrorError && !quietErrors.MatchString(f.send) {
			ok = serverError.MatchString(answer)
		}
		if !ok {
			t.Errorf("%q: got %q; want %q, or with on_error = %q one SERVER_ERROR line", f.send, answer, f.miss, onError)
		}
		if took > limit+lag.since(start) {
			t.Errorf("%q: answered after %v, want %v", f.send, took, limit)
		}
	}
	return slowest
}

// askWithNoop sends a request and mn, which the proxy answers itself, and gives what came before MN.
func askWithNoop(conn *client, request string) (answer string, closed bool, err error) {
	deadline := time.Now().Add(answerTimeout)
	if err := conn.SetWriteDeadline(deadline); err != nil {
		return "", false, err
	}
	if _, err := conn.Write([]byte(request + "mn\r\n")); err != nil {
		return "", true, err
	}
	for {
		u, err := conn.unit(deadline)
		if err != nil || string(u) == "MN\r\n" {
			return answer, false, err
		}
		answer += string(u)
	}
}

// comeBack brings the backend back and waits until it is used: then the key is as the failed writes left it, never old.
func comeBack(t *testing.T, mc *memcachedtest.Server, way string, conn *client) {
	t.Helper()
	if way == "hangs" {
		mc.Resume()
	} else {
		mc.Restart()
	}
	start := time.Now()
	for {
		answer, closed, err := askWithNoop(conn, "get k\r\nset back 0 0 1\r\na\r\n")
		if err != nil || closed {
			t.Fatalf("after the return: closed %v, %v", closed, err)
		}
		if strings.Contains(answer, "old") {
			t.Fatalf("the old value came back after %v: %q", time.Since(start), answer)
		}
		if strings.HasSuffix(answer, "\r\nSTORED\r\n") {
			break
		}
		if time.Since(start) > answerTimeout {
			t.Fatalf("still not used: %q", answer)
		}
	}
	took := time.Since(start)
	if took > backWithin+lag.since(start) {
		t.Errorf("used again after %v, want %v", took, backWithin)
	}
	t.Logf("used again after %v", took)
}

// TestFailingBackendOneOfTwo checks a retrieval whose keys lie on a backend that answers and on one that does not.
func TestFailingBackendOneOfTwo(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	for _, onError := range []pool.OnError{pool.OnErrorMiss, pool.OnErrorError} {
		servers := []*memcachedtest.Server{memcachedtest.Start(t), memcachedtest.Start(t)}
		s := startProxy(t, failingPool(onError, servers...))
		conn := s.dial(t)
		var request strings.Builder
		request.WriteString("get")
		for i := range 40 {
			key := fmt.Sprintf("k%d", i)
			request.WriteString(" " + key)
			conn.ask(t, fmt.Sprintf("set %s 0 0 1\r\na\r\n", key), "STORED\r\n")
		}
		var want strings.Builder
		for i := range 40 {
			if answer := servers[0].Command(fmt.Sprintf("get k%d", i)); answer != "END\r\n" {
				want.WriteString(strings.TrimSuffix(answer, "END\r\n"))
			}
		}
		if n := strings.Count(want.String(), "VALUE"); n == 0 || n == 40 {
			t.Fatalf("%d of 40 keys on the first backend", n)
		}
		servers[1].Pause()
		for range 5 { // while it counts as up, and while it is down
			answer, closed, err := askWithNoop(conn, request.String()+"\r\n")
			if err != nil || closed || onError == pool.OnErrorMiss && answer != want.String()+"END\r\n" || onError == pool.OnErrorError && !serverError.MatchString(answer) {
				t.Errorf("on_error = %q: got %q (closed %v, %v), want the first backend's items or one error", onError, answer, closed, err)
			}
		}
	}
}

// TestFailingBackendOldValue sets each key, stops the server, sets it again in vain, and wakes the server up: the key is
// absent or new, on every conn, at once and later.
func TestFailingBackendOldValue(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	for _, start := range []func(testing.TB, ...string) *memcachedtest.Server{memcachedtest.Start, memcachedtest.StartUnix} {
		mc := start(t)
		s := startProxy(t, failingPool(pool.OnErrorMiss, mc))
		var conns []*client
		for range 8 {
			conns = append(conns, s.dial(t))
		}
		for round := range 3 {
			oldValueRound(t, mc, conns, round)
		}
	}
}

func oldValueRound(t *testing.T, mc *memcachedtest.Server, conns []*client, round int) {
	const keys = 200
	key := func(i int) string { return fmt.Sprintf("old-%d-%d", round, i) }
	set := func(value string) (request string) {
		for i := range keys {
			request += fmt.Sprintf("set %s 0 0 3\r\n%s\r\n", key(i), value)
		}
		return request
	}
	conns[0].ask(t, set("old"), strings.Repeat("STORED\r\n", keys))
	mc.Pause()
	// Half of the rounds the writes meet a backend that is already known to be down.
	if round%2 == 1 {
		for range 5 {
			if _, _, err := askWithNoop(conns[1], "get x\r\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	answer, closed, err := askWithNoop(conns[0], set("new"))
	if err != nil || closed || answer != strings.Repeat("NOT_STORED\r\n", keys) {
		t.Fatalf("set on a stopped server: %.100q, closed %v, %v", answer, closed, err)
	}
	mc.Resume()
	absent, renewed := 0, 0
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); { // past the journal's second deletes
		for n, conn := range conns {
			i := rand.IntN(keys)
			answer, _, err := askWithNoop(conn, "get "+key(i)+"\r\n")
			switch {
			case err != nil:
				t.Fatal(err)
			case strings.Contains(answer, "old"):
				t.Fatalf("round %d, conn %d: %q after its set was answered NOT_STORED", round, n, answer)
			case strings.Contains(answer, "new"):
				renewed++
			default:
				absent++
			}
		}
	}
	t.Logf("round %d: %d reads found nothing, %d the new value", round, absent, renewed)
	conns[2].ask(t, set("now"), strings.Repeat("STORED\r\n", keys))
	for i := range keys {
		conns[i%len(conns)].ask(t, "get "+key(i)+"\r\n", "VALUE "+key(i)+" 0 3\r\nnow\r\nEND\r\n")
	}
}

// TestFailingBackendChaos stops, wakes, kills and restarts three backends at random under checked traffic.
func TestFailingBackendChaos(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	for _, onError := range []pool.OnError{pool.OnErrorMiss, pool.OnErrorError} {
		t.Run(onError.String(), func(t *testing.T) {
			s := seed(t)
			servers := []*memcachedtest.Server{memcachedtest.Start(t), memcachedtest.Start(t), memcachedtest.StartUnix(t)}
			p := startProxy(t, failingPool(onError, servers...))
			c := newChaos(p.endpoint, failingLimit, onError == pool.OnErrorError)
			c.start(s, 16)
			torment(servers, rand.New(rand.NewPCG(s, 99)), 6*time.Second)
			chaosRecovers(t, c, p.endpoint)
			c.finish()
			reportChaos(t, c)
		})
	}
}

// torment takes servers away for a while, one at a time, for so long in all. All run when it returns.
func torment(servers []*memcachedtest.Server, rng *rand.Rand, length time.Duration) {
	for end := time.Now().Add(length); time.Now().Before(end); {
		mc := servers[rng.IntN(len(servers))]
		away := time.Duration(20+rng.IntN(880)) * time.Millisecond
		if rng.IntN(12) == 0 {
			away = 2500 * time.Millisecond // longer than a stalled conn is kept
		}
		if rng.IntN(3) == 0 {
			mc.Kill()
			time.Sleep(away)
			mc.Restart()
		} else {
			mc.Pause()
			time.Sleep(away)
			mc.Resume()
		}
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
	}
}

// chaosRecovers checks that every backend is used again within a second of its return.
func chaosRecovers(t *testing.T, c *chaos, ep endpoint) {
	t.Helper()
	conn := ep.dial(t)
	start := time.Now()
	for i := 0; i < 100; {
		answer, closed, err := askWithNoop(conn, fmt.Sprintf("set recover-%d 0 0 1\r\na\r\n", i))
		if err != nil || closed {
			t.Fatalf("closed %v, %v", closed, err)
		}
		if answer == "STORED\r\n" {
			i++
		} else if time.Since(start) > answerTimeout {
			t.Fatalf("still %q", answer)
		}
	}
	if took := time.Since(start); took > backWithin+lag.since(start) {
		t.Errorf("all backends used again after %v, want %v", took, backWithin)
	}
}

func reportChaos(t *testing.T, c *chaos) {
	t.Helper()
	t.Logf("answers %v, the slowest after %v", c.tally, c.slowest)
	for _, p := range c.problems {
		t.Error(p)
	}
	if c.count > len(c.problems) {
		t.Errorf("and %d more", c.count-len(c.problems))
	}
	if c.tally["STORED"] < 100 || c.tally["VALUE"] < 100 || c.tally["NOT_STORED"]+c.tally["SERVER_ERROR"] < 10 {
		t.Errorf("answers %v: too few of some kind to prove anything", c.tally)
	}
}
