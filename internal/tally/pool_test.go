package tally_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mcproxy/internal/tally"
	"mcproxy/protocol"
)

func TestPoolSum(t *testing.T) {
	var a, b tally.Pool
	a.Requests[protocol.Get] = 3
	a.Told(protocol.Get, protocol.StatusHit, 2)
	a.Told(protocol.Get, protocol.StatusMiss, 1)
	a.Told(protocol.MetaGet, protocol.StatusOK, 1)
	a.Told(protocol.Set, protocol.StatusStored, 1)
	b.Requests[protocol.Get], b.Requests[protocol.Delete] = 10, 1
	b.Told(protocol.Get, tally.Failed, 10)
	b.Told(protocol.Delete, protocol.StatusNotFound, 1)
	b.Told(protocol.Set, tally.Failed, 1)
	a.Durations[tally.OpGet].Observe(1e6)
	b.Durations[tally.OpGet].Observe(1e6)
	a.Read.Observe(100)
	b.Written.Observe(1000)
	b.Lifetimes.Observe(0, 1)
	var s tally.PoolSum
	s.Add(&a)
	s.Add(&b)
	if diff := cmp.Diff(map[string]uint64{"get": 13, "delete": 1}, s.Requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	want := []tally.KeyCount{
		{"get", "failed", 10},
		{"get", "hit", 2},
		{"get", "miss", 1},
		{"set", "failed", 1},
		{"set", "stored", 1},
		{"delete", "not_found", 1},
		{"mg", "ok", 1},
	}
	if diff := cmp.Diff(want, s.Keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if s.Hits != 3 || s.Misses != 11 {
		t.Errorf("%d hits and %d misses, want 3 and 11", s.Hits, s.Misses)
	}
	if len(s.Durations) != tally.Ops || s.Durations[0].Op != "get" || s.Durations[0].Count() != 2 || s.Durations[1].Count() != 0 {
		t.Errorf("durations: %+v", s.Durations)
	}
	if s.Read.Sum != 100 || s.Written.Sum != 1000 || s.Lifetimes.Classes["none"] != 1 {
		t.Errorf("read %v, written %v, lifetimes %v", s.Read, s.Written, s.Lifetimes)
	}
}

func TestLifetimeClasses(t *testing.T) {
	const now = 1_800_000_000
	for _, tt := range []struct {
		exptime int64
		class   string
	}{
		{0, "none"},
		{-1, "negative"},
		{1, "relative"},
		{30 * 86400, "relative"},
		{30*86400 + 1, "past"},
		{now, "past"},
		{now + 1, "absolute"},
		{now + 366*86400, "absolute"},
		{now + 366*86400 + 1, "far"},
		{1<<31 - 1, "far"},
	} {
		var l tally.Lifetimes
		var s tally.LifetimeSum
		l.Observe(tt.exptime, now)
		l.AddTo(&s)
		for class, n := range s.Classes {
			if (n == 1) != (class == tt.class) {
				t.Errorf("%d: %d of class %s, want one of class %s", tt.exptime, n, class, tt.class)
			}
		}
	}
}

func TestMetaLifetime(t *testing.T) {
	for _, tt := range []struct {
		line string
		want int64
		ok   bool
	}{
		{"ms k 0", 0, true},
		{"ms k 0 T60", 60, true},
		{"ms k 0 F1 T-1 c", -1, true},
		{"ms k 0 T4294967297", 1, true},
		{"ms k 0 MA T60", 0, false},
		{"ms k 0 MS T60", 60, true},
		{"ms k 0 Tx", 0, false},
	} {
		var req protocol.Request
		if n, err := protocol.ParseRequest([]byte(tt.line+"\r\n"), &req); n == 0 || err != nil {
			t.Fatalf("%q: %d, %v", tt.line, n, err)
		}
		if got, ok := tally.MetaLifetime(&req); got != tt.want || ok != tt.ok {
			t.Errorf("%q: %d, %v, want %d, %v", tt.line, got, ok, tt.want, tt.ok)
		}
	}
}
