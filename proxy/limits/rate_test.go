package limits_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcproxy/protocol"
	"mcproxy/proxy/limits"
)

// request parses a line.
func request(t *testing.T, line string) *protocol.Request {
	t.Helper()
	var req protocol.Request
	if n, err := protocol.ParseRequest([]byte(line+"\r\n"), &req); err != nil || n == 0 {
		t.Fatalf("%q: %v", line, err)
	}
	return &req
}

// asker is a client that asks at certain times.
type asker struct {
	limits.Visitor
	address string
}

// asks gives how many of n requests at the time now are let through.
func (a *asker) asks(t *testing.T, r *limits.Rates, line string, n int, now time.Duration) (passed int) {
	t.Helper()
	req := request(t, line)
	for range n {
		if _, refused := r.Refuses(&a.Visitor, a.address, req, int64(now)); !refused {
			passed++
		}
	}
	return passed
}

// TestAddressRate lets each address have its burst, and then its rate, however many conns it has.
func TestAddressRate(t *testing.T) {
	var b limits.Buckets
	r := limits.NewRates(&limits.Config{Each: limits.Rate{PerSecond: 100, Burst: 20}}, &b)
	one, again, other := &asker{address: "10.0.0.1"}, &asker{address: "10.0.0.1"}, &asker{address: "10.0.0.2"}
	const begin = time.Hour
	if got := one.asks(t, r, "get a", 50, begin); got != 20 {
		t.Errorf("%d requests at once, want the burst of 20", got)
	}
	if got := again.asks(t, r, "get a", 5, begin); got != 0 {
		t.Errorf("%d requests on another conn of the same address, want none", got)
	}
	if got := other.asks(t, r, "get a", 50, begin); got != 20 {
		t.Errorf("%d requests of another address, want 20", got)
	}
	passed := 0
	for ms := range time.Duration(2000) {
		passed += one.asks(t, r, "get a", 3, begin+(ms+1)*time.Millisecond)
	}
	if passed < 199 || passed > 201 {
		t.Errorf("%d requests in two seconds at 100/s", passed)
	}
	for _, a := range []*asker{one, again} {
		a.Leave(a.address, int64(begin+2*time.Second))
	}
	back := &asker{address: "10.0.0.1"}
	if got := back.asks(t, r, "get a", 50, begin+2*time.Second); got != 0 {
		t.Errorf("%d requests of an address that has come back at once, want none", got)
	}
	if got := back.asks(t, r, "get a", 50, begin+time.Minute); got != 20 {
		t.Errorf("%d requests after a minute, want 20", got)
	}
	if got := back.asks(t, r, "version", 50, begin+time.Minute); got != 50 {
		t.Errorf("%d requests without a key, want all 50", got)
	}
	if got := other.asks(t, r, "get a b c d", 50, begin+time.Minute); got != 5 {
		t.Errorf("%d requests of four keys, want 5", got)
	}
	if got := other.asks(t, r, "get 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5", 2, begin+2*time.Minute); got != 1 {
		t.Errorf("%d requests of more keys than the burst, want 1: it is not refused for ever", got)
	}
}

// TestPrefixRates has the longest prefix win, all clients together, and keys without one go free.
func TestPrefixRates(t *testing.T) {
	var b limits.Buckets
	cfg := limits.Config{Prefixes: []limits.PrefixRate{{"a", limits.Rate{PerSecond: 10}}, {"a/b", limits.Rate{PerSecond: 10, Burst: 3}}}}
	r := limits.NewRates(&cfg, &b)
	one, other := &asker{address: "10.0.0.1"}, &asker{address: "10.0.0.2"}
	const now = time.Hour
	for _, tc := range []struct {
		a    *asker
		line string
		want int
	}{
		{one, "get a/b/c", 3},
		{other, "set a/b/d 0 0 1", 0},
		{other, "get a/c", 10},
		{one, "delete a", 0},
		{one, "get b", 100},
		{one, "get b a c", 0},
	} {
		if got := tc.a.asks(t, r, tc.line, 100, now); got != tc.want {
			t.Errorf("%q of %s: %d of 100 are let through, want %d", tc.line, tc.a.address, got, tc.want)
		}
	}
	cfg.Prefixes[0].PerSecond = 1000
	faster := limits.NewRates(&cfg, &b)
	if got := one.asks(t, faster, "get a", 2000, now+5*time.Millisecond); got != 5 {
		t.Errorf("%d requests at once by another rate, want 5: the bucket was empty, and a token comes each millisecond", got)
	}
	if got := one.asks(t, faster, "get a", 2000, now+3*time.Second); got != 1000 {
		t.Errorf("%d requests at once after some seconds, want 1000", got)
	}
	if limits.NewRates(&limits.Config{}, &b) != nil {
		t.Error("rates without any")
	}
}

// TestBucketsAreBounded has more addresses come than there are buckets. Those without one share one.
func TestBucketsAreBounded(t *testing.T) {
	var b limits.Buckets
	r := limits.NewRates(&limits.Config{Each: limits.Rate{PerSecond: 1, Burst: 2}}, &b)
	const now, room = time.Hour, 65_536
	var all []*asker
	for i := range room + 100 {
		a := &asker{address: fmt.Sprint(i)}
		all = append(all, a)
		got, want := a.asks(t, r, "get a", 1, now), 1
		if i >= room+2 {
			want = 0
		}
		if got != want {
			t.Fatalf("address %d: %d requests, want %d", i, got, want)
		}
	}
	for _, a := range all {
		a.Leave(a.address, int64(now))
	}
	late := &asker{address: "late"}
	if got := late.asks(t, r, "get a", 9, now+time.Minute); got != 2 {
		t.Errorf("%d requests when all others have gone, want 2", got)
	}
}

// TestBucketOfManyWorkers takes from one bucket on several goroutines: together they get what there is.
func TestBucketOfManyWorkers(t *testing.T) {
	var b limits.Buckets
	r := limits.NewRates(&limits.Config{Each: limits.Rate{PerSecond: 1000, Burst: 5000}}, &b)
	req := request(t, "get a")
	var passed atomic.Int64
	var working sync.WaitGroup
	for range 4 {
		working.Go(func() { // ends by itself
			var v limits.Visitor
			for range 5000 {
				if _, refused := r.Refuses(&v, "10.0.0.1", req, int64(time.Hour)); !refused {
					passed.Add(1)
				}
			}
			v.Leave("10.0.0.1", int64(time.Hour))
		})
	}
	working.Wait()
	if passed.Load() != 5000 {
		t.Errorf("%d requests of 20000 were let through, want 5000", passed.Load())
	}
}

// TestRatesAllocateNothing is about requests that are judged.
func TestRatesAllocateNothing(t *testing.T) {
	var b limits.Buckets
	r := limits.NewRates(&limits.Config{
		Each: limits.Rate{PerSecond: 1000}, Prefixes: []limits.PrefixRate{{"a", limits.Rate{PerSecond: 10}}, {"b", limits.Rate{PerSecond: 10}}},
	}, &b)
	req := request(t, "get b")
	var v limits.Visitor
	now := int64(time.Hour)
	if n := testing.AllocsPerRun(1000, func() {
		now += 1000
		r.Refuses(&v, "10.0.0.1", req, now)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
