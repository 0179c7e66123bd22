package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/proxy"
)

// startCrowded starts a proxy over two memcached with a budget of 4 MiB for large values, and a short wait for it.
func startCrowded(t *testing.T) *service {
	t.Helper()
	servers := []*memcachedtest.Server{startMemcached(t), startMemcached(t)}
	p := poolOf(servers...)
	p.Name = "main"
	p.Split = pool.SplitConfig{Enabled: true}
	s := startProxyOf(t, proxy.Config{Pools: []pool.Config{p}, Assembly: 4 << 20, AssemblyWait: 200 * time.Millisecond, AssemblyStall: 3 * time.Second})
	s.servers = servers
	return s
}

func (s *service) snapshot(t *testing.T) proxy.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	snap, err := s.proxy.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// awaitSnapshot waits until the figures are as ok says.
func (s *service) awaitSnapshot(t *testing.T, what string, ok func(proxy.Snapshot) bool) {
	t.Helper()
	for deadline := time.Now().Add(answerTimeout); ; time.Sleep(5 * time.Millisecond) {
		snap := s.snapshot(t)
		if ok(snap) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: still %+v, %+v", what, snap.Large, snap.Pools[0].Split)
		}
	}
}

// TestBudgetHeldByAClient has a client announce a value as large as the budget and send nothing of it. Others wait for their
// turn as long as they may, and are refused clearly, and what a refused set was to replace is gone; small values pass. In the end the
// conn of the idle client is closed, and all goes on.
func TestBudgetHeldByAClient(t *testing.T) {
	s := startCrowded(t)
	c := s.dial(t)
	large := strings.Repeat("x", 100_000)
	c.ask(t, "set large 0 0 100000\r\n"+large+"\r\nset other 0 0 100000\r\n"+large+"\r\n", "STORED\r\nSTORED\r\n")
	before := s.snapshot(t).Large
	if before.Bytes != 0 || before.Peak == 0 {
		t.Errorf("after two sets: %+v", before)
	}
	idle := s.dial(t)
	if _, err := fmt.Fprintf(idle, "set held 0 0 %d\r\n", 4<<20); err != nil {
		t.Fatal(err)
	}
	s.awaitSnapshot(t, "a value that was announced", func(snap proxy.Snapshot) bool { return snap.Large.Bytes == 4<<20 })

	const refused = pool.OutOfMemory
	c.ask(t, "get large\r\n", refused)
	c.ask(t, "get small large\r\n", refused)
	c.ask(t, "mg large v\r\n", refused)
	c.ask(t, "append large 0 0 1\r\ny\r\n", refused)
	c.ask(t, "set other 0 0 100000\r\n"+large+"\r\n", refused)
	c.ask(t, "add other 0 0 100000 noreply\r\n"+large+"\r\nset small 0 0 1\r\n1\r\nget small other\r\n", "STORED\r\nVALUE small 0 1\r\n1\r\nEND\r\n")
	after := s.snapshot(t)
	if f := after.Large; f.Expired < 6 || f.Waits < 6 || f.Peak > 4<<20 || after.Pools[0].Split.Crowded < 5 {
		t.Errorf("after six requests that waited in vain: %+v, %d crowded", f, after.Pools[0].Split.Crowded)
	}

	for answer := refused; answer == refused; { // until the guardian comes
		got, closed, err := c.exchange([]byte("append large 0 0 1\r\ny\r\n"))
		if err != nil || closed || string(got) != refused && string(got) != "STORED\r\n" {
			t.Fatalf("append: %q, closed %v, %v", got, closed, err)
		}
		answer = string(got)
	}
	if rest, err := idle.rest(time.Now().Add(answerTimeout)); err != nil || len(rest) > 0 {
		t.Errorf("the idle client: %q, %v", rest, err)
	}
	c.ask(t, "get large\r\n", "VALUE large 0 100001\r\n"+large+"y\r\nEND\r\n")
	s.awaitSnapshot(t, "at the end", func(snap proxy.Snapshot) bool {
		return snap.Large.Bytes == 0 && snap.Large.Waiting == 0 && snap.Clients.Stalled == 1
	})
}

// TestBudgetHeldBySlowReaders has clients ask for large values and not read them, while another wants one. It gets it when they read
// on; what was kept for them is right.
func TestBudgetHeldBySlowReaders(t *testing.T) {
	s := startCrowded(t)
	c := s.dial(t)
	large := strings.Repeat("0123456789abcdef", 3<<20/16)
	c.ask(t, fmt.Sprintf("set large 0 0 %d\r\n%s\r\n", len(large), large), "STORED\r\n")
	whole := fmt.Sprintf("VALUE large 0 %d\r\n%s\r\nEND\r\n", len(large), large)
	var slow []*client
	for range 8 { // what the sockets take is not held any more
		r := s.dial(t)
		slow = append(slow, r)
		if _, err := fmt.Fprint(r, "get large\r\nget large\r\nget large\r\nget large\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitSnapshot(t, "slow readers", func(snap proxy.Snapshot) bool { return snap.Large.Expired > 0 })
	if f := s.snapshot(t).Large; f.Peak > 4<<20 {
		t.Errorf("more was held than the budget has: %+v", f)
	}
	for i, r := range slow {
		for n := range 4 {
			u, err := r.unit(time.Now().Add(answerTimeout))
			if err != nil {
				t.Fatalf("reader %d, answer %d: %v", i, n, err)
			}
			if string(u) == pool.OutOfMemory {
				continue
			}
			end, err := r.unit(time.Now().Add(answerTimeout))
			if err != nil || string(u)+string(end) != whole {
				t.Fatalf("reader %d, answer %d: %s%s, %v", i, n, quote(u), quote(end), err)
			}
		}
	}
	c.ask(t, "get large\r\n", whole)
	s.awaitSnapshot(t, "at the end", func(snap proxy.Snapshot) bool { return snap.Large.Bytes == 0 && snap.Large.Waiting == 0 })
}
