package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/memcachedtest"
	"mcproxy/placement"
	"mcproxy/pool"
	"mcproxy/protocol"
	"mcproxy/proxy"
)

// figuresOf gives a backend's figures in the first pool.
func figuresOf(t *testing.T, s *service, i int) proxy.BackendFigures {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	snap, err := s.proxy.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return snap.Pools[0].Backends[i]
}

// waitOut waits until a backend's keys are looked for elsewhere, or there again.
func waitOut(t *testing.T, s *service, i int, want bool) {
	t.Helper()
	conn := s.dial(t)
	defer conn.Close()
	for deadline := time.Now().Add(answerTimeout); !stands(figuresOf(t, s, i), want); time.Sleep(10 * time.Millisecond) {
		for j := range 20 { // whoever is asked for nothing is not missed
			if _, _, err := askWithNoop(conn, fmt.Sprintf("get any%d\r\n", j)); err != nil {
				t.Fatal(err)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("backend %d: out is %v, want %v: %+v", i, !want, want, figuresOf(t, s, i))
		}
	}
}

// stands says whether a backend's keys are looked for elsewhere (away), or there.
func stands(b proxy.BackendFigures, away bool) bool {
	if away {
		return b.Out
	}
	return b.Standing == "home" && !b.Out
}

// keyAt gives a key that stands on one server.
func keyAt(t *testing.T, s *service, servers []*memcachedtest.Server, i int) string {
	t.Helper()
	conn := s.dial(t)
	for n := range 1000 {
		key := fmt.Sprintf("key%d", n)
		conn.ask(t, "set "+key+" 0 0 1\r\nx\r\n", "STORED\r\n")
		if servers[i].Command("get "+key) != protocol.End {
			return key
		}
	}
	t.Fatal("no key stands there")
	return ""
}

// TestBackendIsPassedOver stops a server twice, writes its keys elsewhere, and wants nothing old on either side.
func TestBackendIsPassedOver(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	for _, onDown := range []placement.OnDown{placement.OnDownEject, placement.OnDownGutter} {
		t.Run(onDown.String(), func(t *testing.T) {
			t.Parallel()
			servers := []*memcachedtest.Server{memcachedtest.Start(t), memcachedtest.Start(t), memcachedtest.Start(t)}
			limits := backend.Options{Timeout: failingTimeout, FailureLimit: 1}
			main := pool.Config{Name: "main", Backends: backends(servers), OnDown: onDown, Gutter: "spare", Backend: limits}
			spare := pool.Config{Name: "spare", Backends: backends([]*memcachedtest.Server{memcachedtest.Start(t)})}
			spare.Backend.Timeout = 10 * time.Second // a busy machine must not make it seem down
			s := startProxyOf(t, proxy.Config{Pools: []pool.Config{main, spare}, DefaultPool: "main"})
			for i := range servers {
				waitOut(t, s, i, false)
			}
			key := keyAt(t, s, servers, 0)
			conn, other := s.dial(t), s.dial(t)
			set := func(value string) { conn.ask(t, fmt.Sprintf("set %s 0 0 3\r\n%s\r\n", key, value), "STORED\r\n") }
			get := func(want string) {
				t.Helper()
				for _, c := range []*client{conn, other} { // probably of two workers
					c.ask(t, fmt.Sprintf("get %s\r\n", key), want)
				}
			}
			value := func(v string) string { return fmt.Sprintf("VALUE %s 0 3\r\n%s\r\nEND\r\n", key, v) }
			set("one")
			servers[0].Pause()
			waitOut(t, s, 0, true)
			get("END\r\n")
			set("two")
			get(value("two"))
			servers[0].Resume()
			waitOut(t, s, 0, false)
			get("END\r\n") // "one" was deleted before it was used again
			set("six")
			get(value("six"))
			servers[0].Pause()
			waitOut(t, s, 0, true)
			get("END\r\n") // and so was "two", where it had been written
			conn.ask(t, fmt.Sprintf("delete %s\r\n", key), "NOT_FOUND\r\n")
			servers[0].Resume()
			waitOut(t, s, 0, false)
			get("END\r\n")
		})
	}
}

// TestLocksFailOver has locks in a pool of their own, over the same servers, that looks for them elsewhere as soon as one does not
// answer: who wants a lock asks again and again until it has it.
func TestLocksFailOver(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	servers := []*memcachedtest.Server{memcachedtest.Start(t), memcachedtest.Start(t)}
	main := pool.Config{Name: "main", Backends: backends(servers), Backend: backend.Options{Timeout: failingTimeout}}
	locks := pool.Config{
		Name: "locks", Backends: backends(servers), OnDown: placement.OnDownEject,
		Backend: backend.Options{Timeout: 100 * time.Millisecond, FailureLimit: 1},
	}
	s := startProxyOf(t, proxy.Config{
		Pools: []pool.Config{locks, main}, Routes: []proxy.Route{{Prefix: "_lock", Pool: "locks"}}, DefaultPool: "main",
	})
	for i := range servers {
		waitOut(t, s, i, false)
	}
	servers[0].Pause()
	waitOut(t, s, 0, true)
	conn, rival := s.dial(t), s.dial(t)
	for i := range 8 { // about half of them belong on the server that hangs
		add := fmt.Sprintf("add _lock%d 2 60 1\r\n1\r\n", i)
		for tried := time.Now(); ; time.Sleep(10 * time.Millisecond) { // as clients do
			answer, _, err := askWithNoop(conn, add)
			if err != nil {
				t.Fatal(err)
			}
			if answer == "STORED\r\n" {
				break
			}
			if answer != "NOT_STORED\r\n" || time.Since(tried) > answerTimeout {
				t.Fatalf("after %v: %q", time.Since(tried), answer)
			}
		}
		rival.ask(t, add, "NOT_STORED\r\n")
		conn.ask(t, fmt.Sprintf("delete _lock%d\r\n", i), "DELETED\r\n")
		rival.ask(t, add, "STORED\r\n")
	}
	servers[0].Resume()
}
