package backend_test

import (
	"errors"
	"testing"
	"time"

	"mcproxy/backend"
)

// TestWithoutLeaseCallsFail ends a lease before a call, and while one is under way: what is answered then does not count, and a write is
// deleted.
func TestWithoutLeaseCallsFail(t *testing.T) {
	l := newLab(t, backend.Options{})
	l.want(l.ask(0, "set k 0 0 3\r\none\r\n", moment), "STORED")
	l.b.SetLease(l.net.Now() + int64(time.Second))
	l.want(l.ask(0, "get k\r\n", moment), "VALUE k 0 3\r\none\r\nEND")
	write, read := l.send(0, "set k 0 0 3\r\ntwo\r\n"), l.send(1, "get k\r\n")
	l.loops[0].Post(func() { l.b.SetLease(backend.LeaseEnded) }) // when they have been sent
	l.net.Run(moment)
	for _, r := range []*result{write, read} {
		if r.err == nil || !errors.Is(r.err, backend.ErrAway) {
			t.Errorf("a call under way: %v", r)
		}
	}
	if r := l.send(0, "get other\r\n"); l.ask(0, "set other 0 0 1\r\nx\r\n", moment) != "m1: "+backend.ErrAway.Error() || r.err == nil {
		t.Errorf("a call without a lease: %v", r)
	}
	if n, _ := l.b.Journal(); n != 0 { // the conn stands, so they were deleted at once
		t.Errorf("%d keys are in the journal", n)
	}
	l.b.SetLease(backend.NoLease)
	l.want(l.ask(1, "get k\r\n", moment), "END")
	l.want(l.b.State().String(), "up")
}

// TestLeaseEndsByItself lets a lease end while a call is under way.
func TestLeaseEndsByItself(t *testing.T) {
	l := newLab(t, backend.Options{Timeout: time.Second})
	l.b.SetLease(l.net.Now() + int64(50*time.Millisecond))
	l.server.Pause()
	r := l.send(0, "get k\r\n")
	l.net.Run(100 * time.Millisecond)
	l.server.Resume()
	l.net.Run(moment)
	if r.err == nil || !errors.Is(r.err, backend.ErrAway) {
		t.Errorf("an answer after the end of the lease: %v", r)
	}
}

// TestQueryGoesThrough asks a backend that is not used, on the conn that is wanted or not at all.
func TestQueryGoesThrough(t *testing.T) {
	l := newLab(t, backend.Options{FailureLimit: 1})
	l.b.SetLease(backend.LeaseEnded)
	q := backend.NewQuery(l.b, l.loops[0])
	ask := func(on uint64) (r *result, refused bool) {
		r = &result{n: l.net}
		l.loops[0].Post(func() { refused = q.Query(r, parse(t, "mg k v\r\n"), on, int64(50*time.Millisecond)) != nil })
		l.net.Run(100 * time.Millisecond)
		return r, refused
	}
	r, _ := ask(0)
	l.want(r.String(), "EN")
	if _, refused := ask(1 << 40); !refused {
		t.Error("it went on another conn than was wanted")
	}
	l.server.Pause()
	if r, _ = ask(0); r.err == nil || !errors.Is(r.err, backend.ErrTimeout) {
		t.Errorf("a query to a server that is stopped: %v", r)
	}
	l.want(l.b.State().String(), "up") // a query's end says nothing of it
	l.loops[0].Post(q.HangUp)
	l.server.Resume()
	r, _ = ask(0)
	l.want(r.String(), "EN")
}
