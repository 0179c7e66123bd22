package pool_test

import (
	"fmt"
	"testing"
	"time"

	"mcproxy/hotkey"
	"mcproxy/internal/epoll"
	"mcproxy/internal/simnet"
	"mcproxy/pool"
	"mcproxy/protocol"
)

// A table is one worker's pool over one simulated backend.
type table struct {
	t      *testing.T
	net    *simnet.Net
	server *simnet.Server
	shared *pool.Shared
	loop   *epoll.Loop
	pool   *pool.Pool
}

func newTable(t *testing.T, mode pool.Coalesce) *table {
	b := &table{t: t, net: simnet.New(1)}
	var addr string
	b.server, addr = b.net.NewServer()
	var err error
	b.shared, err = pool.NewShared(pool.Config{Name: "main", Coalesce: mode, Backends: []pool.BackendConfig{{Network: "tcp", Address: addr}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.loop = b.net.NewLoop()
	b.pool = pool.New(b.shared, b.loop, 1)
	b.ask("set k 0 0 3\r\nold\r\n")
	b.net.Run(10 * time.Millisecond)
	return b
}

// reply is where an answer comes.
type reply struct {
	text  string
	done  bool
	waits bool
}

func (r *reply) Finish(_ *pool.Exchange, answer []byte) { r.text, r.done = string(answer), true }

// ask posts a request; alone is Exchange.Alone.
func (b *table) ask(request string, alone ...bool) *reply {
	r := &reply{}
	b.loop.Post(func() {
		var req protocol.Request
		n, err := protocol.ParseRequest([]byte(request), &req)
		if err != nil || n == 0 {
			b.t.Errorf("%q does not parse", request)
			return
		}
		if req.ValueLen >= 0 {
			req.TakeValue([]byte(request)[n:])
		}
		x := &pool.Exchange{To: r, Alone: len(alone) > 0}
		b.pool.Do(x, &req, 1)
		r.waits = x.Waits
	})
	return r
}

const hit = "VALUE k 0 3\r\n%s\r\nEND\r\n"

func (b *table) wantAll(replies []*reply, value string) {
	b.t.Helper()
	for i, r := range replies {
		if want := fmt.Sprintf(hit, value); r.text != want {
			b.t.Errorf("get %d got %q, want %q", i, r.text, want)
		}
	}
}

// TestGetsOfOneTurnShareAFetch asks many times before anything is sent.
func TestGetsOfOneTurnShareAFetch(t *testing.T) {
	b := newTable(t, pool.CoalesceAll)
	var replies []*reply
	for range 100 {
		replies = append(replies, b.ask("get k\r\n"))
	}
	b.net.Run(10 * time.Millisecond)
	b.wantAll(replies, "old")
	if f := b.pool.Figures; f.Fetches != 1 || f.Joined != 99 || f.Hits() != 100 {
		t.Errorf("%d fetches, %d joined, %d hits; want 1, 99, 100", f.Fetches, f.Joined, f.Hits())
	}
}

// TestOneFetchOnTheWireAndOneWaiting asks all the time while the backend is slow.
func TestOneFetchOnTheWireAndOneWaiting(t *testing.T) {
	b := newTable(t, pool.CoalesceAll)
	b.net.Latency = 20 * time.Millisecond
	var replies []*reply
	for range 200 {
		replies = append(replies, b.ask("get k\r\n"))
		b.net.Run(time.Millisecond)
	}
	b.net.Run(100 * time.Millisecond)
	b.wantAll(replies, "old")
	if f := b.pool.Figures.Fetches; f < 3 || f > 40 {
		t.Errorf("200 gets in 200 ms, a round trip of up to 40 ms: %d fetches", f)
	}
	waited := 0
	for _, r := range replies {
		if r.waits {
			waited++
		}
	}
	if waited < 100 {
		t.Errorf("%d gets waited for a fetch that was not sent; their clients must not be parsed further", waited)
	}
}

// TestGetNeverJoinsAFetchThatWasSent lets another client's write be acknowledged while a fetch is on its way: a get that comes
// then must not get the fetch's answer.
func TestGetNeverJoinsAFetchThatWasSent(t *testing.T) {
	b := newTable(t, pool.CoalesceAll)
	first := b.ask("get k\r\n")
	b.net.Run(0) // it is handed to the kernel
	b.net.After(0, func() { b.server.Memory.Serve([]byte("set k 0 0 3\r\nnew\r\n")) })
	b.net.Run(time.Microsecond)
	second := b.ask("get k\r\n")
	b.net.Run(10 * time.Millisecond)
	if !first.done {
		t.Fatal("the first get has no answer")
	}
	b.wantAll([]*reply{second}, "new")
	if b.pool.Figures.Fetches != 2 {
		t.Errorf("%d fetches, want 2", b.pool.Figures.Fetches)
	}
}

// TestClientWithAWriteUnderWayReadsAlone pipelines a get, another client's fetch being unsent, behind its own set.
func TestClientWithAWriteUnderWayReadsAlone(t *testing.T) {
	b := newTable(t, pool.CoalesceAll)
	other := b.ask("get k\r\n")
	set := b.ask("set k 0 0 3\r\nnew\r\n")
	own := b.ask("get k\r\n", true)
	b.net.Run(10 * time.Millisecond)
	b.wantAll([]*reply{other}, "old")
	b.wantAll([]*reply{own}, "new")
	if set.text != protocol.Stored {
		t.Errorf("set: %q", set.text)
	}
}

// TestSharedFetchFailsInTime stops the backend: who joined the waiting fetch is answered within the timeout of the first who
// did, not within that of its sending.
func TestSharedFetchFailsInTime(t *testing.T) {
	b := newTable(t, pool.CoalesceAll)
	b.server.Pause()
	first := b.ask("get k\r\n")
	b.net.Run(100 * time.Millisecond)
	second := b.ask("get k\r\n")
	b.net.Run(152 * time.Millisecond)
	if first.text != protocol.End {
		t.Errorf("after 252 ms the first get has %q", first.text)
	}
	b.net.Run(100 * time.Millisecond)
	if second.text != protocol.End {
		t.Errorf("252 ms after it came the second get has %q", second.text)
	}
	b.server.Resume()
	b.net.Run(time.Second)
	third := b.ask("get k\r\n")
	b.net.Run(10 * time.Millisecond)
	b.wantAll([]*reply{third}, "old")
}

// TestGetNeverJoinsPastAFailedWrite: a fetch waits for its conn, a write of its key fails, and a get that comes then would be
// let through by joining it.
func TestGetNeverJoinsPastAFailedWrite(t *testing.T) {
	b := newTable(t, pool.CoalesceAll)
	b.server.Pause()
	write := b.ask("set k 0 0 3\r\nnew\r\n")
	b.net.Run(249 * time.Millisecond)
	b.net.Latency = 200 * time.Millisecond
	b.loop = b.net.NewLoop()
	b.pool = pool.New(b.shared, b.loop, 2)
	first := b.ask("get k\r\n")
	b.net.Run(2 * time.Millisecond)
	if !write.done || first.done {
		t.Fatalf("the write is over: %t, the get that waits for a conn: %t", write.done, first.done)
	}
	second := b.ask("get k\r\n")
	b.net.Run(time.Millisecond)
	if second.text != protocol.End {
		t.Errorf("a get after a failed write got %q, want %q", second.text, protocol.End)
	}
}

func TestOnlyHotKeysAreShared(t *testing.T) {
	b := newTable(t, pool.CoalesceHot)
	gets := func() {
		for range 10 {
			b.ask("get k\r\n")
			b.ask("gets k\r\n")
		}
		b.net.Run(10 * time.Millisecond)
	}
	gets()
	if f := b.pool.Figures.Fetches; f != 0 {
		t.Errorf("%d shared fetches of a key that is not hot", f)
	}
	b.shared.SetHot(pool.NewHotSet([]pool.HotKey{{Hash: hotkey.Hash([]byte("k"))}}))
	gets()
	if f := b.pool.Figures; f.Fetches != 2 || f.Joined != 18 { // get and gets have answers of their own
		t.Errorf("%d fetches and %d joined of a hot key, want 2 and 18", f.Fetches, f.Joined)
	}
	b.shared.SetHot(pool.NewHotSet(nil))
	gets()
	if f := b.pool.Figures.Fetches; f != 2 {
		t.Errorf("%d shared fetches, want no more than 2: the key is hot no more", f)
	}
}
