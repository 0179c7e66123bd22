//go:build !race

package proxy

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
	"mcproxy/pool"
	"mcproxy/proxy/porch"
)

// cannedKernel has one client and one backend conn that are always connected. What the client sends and the backend
// answers lies ready; nothing in it allocates, so what a turn of the loop allocates is the worker's.
type cannedKernel struct {
	client, backend struct {
		tag   uint64
		input []byte // what Read gives next
		wrote int    // bytes written to it
	}
	request, answer []byte
	now             int64
}

const (
	clientFD  = 100
	backendFD = 101
)

func (k *cannedKernel) Pause(time.Duration) {}
func (k *cannedKernel) Wait(events []epoll.Event, _ time.Duration) (int, error) {
	n := 0
	if len(k.client.input) > 0 {
		events[n] = epoll.Event{Tag: k.client.tag, Events: epoll.In}
		n++
	}
	if len(k.backend.input) > 0 {
		events[n] = epoll.Event{Tag: k.backend.tag, Events: epoll.In}
		n++
	}
	k.now += 1000
	return n, nil
}

func (k *cannedKernel) Add(fd int, tag uint64, _ epoll.Events) error {
	if fd == clientFD {
		k.client.tag = tag
	} else {
		k.backend.tag = tag
	}
	return nil
}

func (k *cannedKernel) Modify(int, uint64, epoll.Events) error { return nil }
func (k *cannedKernel) Remove(int) error                       { return nil }

func (k *cannedKernel) Read(fd int, p []byte) (int, unix.Errno) {
	from := &k.client.input
	if fd == backendFD {
		from = &k.backend.input
	}
	if len(*from) == 0 {
		return 0, unix.EAGAIN
	}
	n := copy(p, *from)
	*from = (*from)[n:]
	return n, 0
}

func (k *cannedKernel) Write(fd int, p []byte) (int, unix.Errno) {
	if fd == clientFD {
		k.client.wrote += len(p)
		return len(p), 0
	}
	k.backend.wrote += len(p)
	k.backend.input = k.answer
	return len(p), 0
}

func (k *cannedKernel) Connect(epoll.Address) (int, unix.Errno) { return backendFD, 0 }
func (k *cannedKernel) Connected(int) unix.Errno                { return 0 }
func (k *cannedKernel) Close(int)                               {}
func (k *cannedKernel) Now() int64                              { return k.now }
func (k *cannedKernel) Elapsed() int64                          { return k.Now() }
func (k *cannedKernel) Wake()                                   {}
func (k *cannedKernel) Release()                                {}

// cannedWorker is a worker with one client over k.
func cannedWorker(tb testing.TB, k *cannedKernel) *worker {
	return cannedWorkerOf(tb, k, pool.Config{Name: "main", Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:1"}}})
}

func cannedWorkerOf(tb testing.TB, k *cannedKernel, p pool.Config) *worker {
	cfg := Config{Listeners: []Listener{{Network: "tcp", Address: "127.0.0.1:0"}}, Workers: 1, StatsInterval: -1, Pools: []pool.Config{p}}
	srv, err := New(cfg, zap.NewNop())
	if err != nil {
		tb.Fatal(err)
	}
	t := srv.tables.Load()
	t.acceptors.CloseBut(nil)
	w := newWorkerOn(srv, k, t)
	w.adopt(porch.Guest{FD: clientFD, By: t.acceptors[0]})
	return w
}

// exchange is two turns: the request's and the answer's.
func (k *cannedKernel) exchange(tb testing.TB, w *worker) {
	k.client.input = k.request
	for range 2 {
		if err := w.loop.Turn(); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestFastPathAllocatesNothing sends requests through a worker: from the client's socket to the backend's and back.
func TestFastPathAllocatesNothing(t *testing.T) {
	for _, tc := range []struct{ name, request, answer string }{
		{"get, hit", "get key\r\n", "VALUE key 0 3\r\nabc\r\nEND\r\n"},
		{"get, miss", "get key\r\n", "END\r\n"},
		{"set", "set key 0 0 3\r\nabc\r\n", "STORED\r\n"},
		{"delete", "delete key\r\n", "DELETED\r\n"},
		{"mg", "mg key v\r\n", "VA 3\r\nabc\r\n"},
		{"pipelined", "get key\r\nset key 0 0 1\r\nx\r\ndelete key\r\n", "VALUE key 0 3\r\nabc\r\nEND\r\nSTORED\r\nDELETED\r\n"},
		{"get of several keys", "get a b c\r\n", "VALUE a 0 1\r\nx\r\nVALUE c 0 1\r\ny\r\nEND\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := &cannedKernel{answer: []byte("VERSION 1.6.18\r\n" + tc.answer), request: []byte(tc.request)}
			w := cannedWorker(t, k)
			k.exchange(t, w) // opens the conn
			k.answer = []byte(tc.answer)
			if n := testing.AllocsPerRun(1000, func() {
				before := k.client.wrote
				k.exchange(t, w)
				if got := k.client.wrote - before; got != len(tc.answer) {
					t.Fatalf("the client got %d bytes, want %d", got, len(tc.answer))
				}
			}); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		})
	}
}

func BenchmarkWorkerGet(b *testing.B) {
	k := &cannedKernel{answer: []byte("VERSION 1.6.18\r\nEND\r\n"), request: []byte("get key\r\n")}
	w := cannedWorker(b, k)
	k.exchange(b, w)
	k.answer = []byte("VALUE key 0 100\r\n" + string(make([]byte, 100)) + "\r\nEND\r\n")
	b.ReportAllocs()
	for b.Loop() {
		k.exchange(b, w)
	}
}
