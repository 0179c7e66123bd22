package backend_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"mcproxy/backend"
	"mcproxy/protocol"
)

// retire ends all use of the lab's backend, as a reload that takes it out does.
func (l *lab) retire(ledger *backend.Ledger) {
	for i, loop := range l.loops {
		loop.Post(func() {
			l.pipes[i].Close()
			if i == 0 {
				l.b.Unkeep()
			}
		})
	}
	l.net.Run(moment)
	ledger.Retire(l.b)
}

// use makes the lab's backend one that ledger gives, of the same server.
func (l *lab) use(ledger *backend.Ledger, name, addr string, o backend.Options) {
	l.t.Helper()
	var err error
	if l.b, err = ledger.New(name, "tcp", addr, o, nil); err != nil {
		l.t.Fatal(err)
	}
	for i, loop := range l.loops {
		loop.Post(func() { l.pipes[i] = backend.NewPipeline(l.b, loop) })
	}
	l.loops[0].Post(func() { l.b.Keep(l.loops[0]) })
	l.net.Run(time.Millisecond / 10)
}

// newLedgerLab is newLab with a backend of a ledger, which has the value "old" under "k".
func newLedgerLab(t *testing.T, o backend.Options) (l *lab, ledger *backend.Ledger, addr string) {
	l = newLab(t, o)
	ledger = new(backend.Ledger)
	addr = l.b.Address
	l.retire(ledger)
	l.use(ledger, "m1", addr, o)
	l.net.Run(moment)
	l.want(l.ask(0, "set k 0 0 3\r\nold\r\n", moment), "STORED")
	return l, ledger, addr
}

// TestJournalOutlivesItsBackend takes a server out of use that has missed a write, and puts it back under another name: the
// old value must not come back with it. Nor may it with another process, to which the ledger's records are given.
func TestJournalOutlivesItsBackend(t *testing.T) {
	for _, tc := range []struct {
		name   string
		pass   func(*backend.Ledger) *backend.Ledger
		paused bool // the server is still stopped when it is put back
	}{
		{"reload", func(l *backend.Ledger) *backend.Ledger { return l }, false},
		{"reload, server stopped", func(l *backend.Ledger) *backend.Ledger { return l }, true},
		{"restore", func(l *backend.Ledger) *backend.Ledger {
			next := new(backend.Ledger)
			next.Restore(l.Records())
			return next
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, ledger, addr := newLedgerLab(t, backend.Options{FailureLimit: 100})
			l.server.Pause()
			l.want(l.ask(0, "set k 0 0 3\r\nnew\r\n", 300*time.Millisecond), "m1: timed out")
			l.retire(ledger)
			if !tc.paused {
				l.server.Resume()
				l.net.Run(time.Second)
			}
			ledger = tc.pass(ledger)
			l.use(ledger, "other", addr, backend.Options{FailureLimit: 100})
			if keys, _ := l.b.Journal(); keys != 1 {
				t.Errorf("%d keys in the journal, want 1", keys)
			}
			l.want(l.send(0, "get k\r\n").String(), "")
			l.want(l.ask(1, "get k\r\n", moment), "other: earlier write unsettled")
			l.server.Resume()
			l.net.Run(3 * time.Second)
			l.want(l.ask(0, "get k\r\n", moment), "END")
			if keys, _ := l.b.Journal(); keys != 0 {
				t.Errorf("%d keys are left in the journal", keys)
			}
		})
	}
}

// TestTwoBackendsOfOneServer have one journal: what one pool's write has missed, another pool must not read.
func TestTwoBackendsOfOneServer(t *testing.T) {
	l, ledger, addr := newLedgerLab(t, backend.Options{FailureLimit: 100})
	l.server.Pause()
	l.want(l.ask(0, "set k 0 0 3\r\nnew\r\n", 300*time.Millisecond), "m1: timed out")
	first, pipes := l.b, slices.Clone(l.pipes)
	l.use(ledger, "second", addr, backend.Options{FailureLimit: 100})
	l.want(l.ask(0, "get k\r\n", moment), "second: earlier write unsettled")

	// The first leaves, and with it the conn behind whose write the delete was to follow.
	second, later := l.b, slices.Clone(l.pipes)
	l.b, l.pipes = first, pipes
	l.retire(ledger)
	l.b, l.pipes = second, later
	l.want(l.ask(1, "get k\r\n", moment), "second: earlier write unsettled")
	l.server.Resume()
	l.net.Run(3 * time.Second)
	l.want(l.ask(0, "get k\r\n", moment), "END")
}

// TestStateOutlivesItsBackend puts servers back that were held, or down.
func TestStateOutlivesItsBackend(t *testing.T) {
	l, ledger, addr := newLedgerLab(t, backend.Options{JournalLimit: 1})
	l.server.Kill()
	for i := range 5 {
		l.ask(0, fmt.Sprintf("set k%d 0 0 1\r\nx\r\n", i), moment)
	}
	l.want(l.b.State().String(), "held")
	l.retire(ledger)
	next := new(backend.Ledger)
	next.Restore(ledger.Records())
	l.use(next, "m1", addr, backend.Options{})
	l.want(l.b.State().String(), "held")
	l.b.Release()
	l.want(l.b.State().String(), "down")
	l.retire(next)
	l.use(next, "m1", addr, backend.Options{})
	l.want(l.b.State().String(), "down")
	l.server.Start()
	l.net.Run(time.Second)
	l.want(l.b.State().String(), "up")
	l.retire(next)
	if left := next.Records(); len(left) != 0 {
		t.Errorf("a server that is well is remembered: %+v", left)
	}
}

// TestLedgerIsBounded has more servers leave with debts than are remembered with their keys.
func TestLedgerIsBounded(t *testing.T) {
	const servers = 40
	ledger := new(backend.Ledger)
	var records []backend.Record
	for i := range servers {
		records = append(records, backend.Record{Server: fmt.Sprintf("tcp 127.0.0.1:%d", 1000+i), Keys: [][]byte{[]byte("k")}})
	}
	ledger.Restore(records)
	var used []*backend.Backend
	for i := range servers {
		b, err := ledger.New("m", "tcp", fmt.Sprintf("127.0.0.1:%d", 1000+i), backend.Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		used = append(used, b)
	}
	for _, b := range used {
		ledger.Retire(b)
	}
	held := 0
	for i, r := range ledger.Records() {
		switch {
		case r.Overflowed && len(r.Keys) == 0 && i < servers-32: // the first who left
			held++
		case r.State != backend.StateUp || len(r.Keys) != 1:
			t.Errorf("%+v", r)
		}
	}
	if held != servers-32 {
		t.Errorf("%d servers must be held, want %d", held, servers-32)
	}
}

// TestAdapt changes the number of conns while calls are on their way.
func TestAdapt(t *testing.T) {
	l := newLab(t, backend.Options{Connections: 4})
	send := func(affinity uint32) *result {
		r := &result{n: l.net}
		l.loops[0].Post(func() {
			if err := l.pipes[0].Send(&backend.Call{Owner: r}, &protocol.Request{Verb: protocol.Get, Key: []byte("k"), Keys: []byte("k"), NumKeys: 1, ValueLen: -1}, affinity); err != nil {
				r.Fail(nil, nil, err)
			}
		})
		return r
	}
	adapt := func(n int) {
		l.loops[0].Post(func() {
			l.b.SetOptions(backend.Options{Connections: n})
			l.pipes[0].Adapt()
		})
	}
	open := func(want int) {
		t.Helper()
		if conns, pending := l.pipes[0].Conns(); conns != want || pending != 0 {
			t.Errorf("%d conns, %d calls; want %d, 0", conns, pending, want)
		}
	}
	var results []*result
	for i := range uint32(4) {
		results = append(results, send(i))
	}
	l.net.Run(moment)
	open(4)
	for i := range uint32(4) {
		results = append(results, send(i))
	}
	adapt(1)
	for i := range uint32(4) {
		results = append(results, send(i))
	}
	l.net.Run(moment)
	open(1)
	adapt(3)
	for i := range uint32(4) {
		results = append(results, send(i))
	}
	l.net.Run(moment)
	open(3)
	for i, r := range results {
		if r.String() != "END" {
			t.Errorf("call %d: %q, want END", i, r)
		}
	}
}
