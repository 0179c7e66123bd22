package proxy

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
	"mcproxy/internal/simnet"
	"mcproxy/pool"
	"mcproxy/proxy/limits"
	"mcproxy/proxy/porch"
)

// A crowd is many clients of one worker, whose turns a test takes one by one, over backends that all have the same items. Nothing
// depends on clocks: what a client must wait for is counted in turns, requests and bytes.
type crowd struct {
	tb      testing.TB
	srv     *Server
	w       *worker
	memory  *simnet.Memory
	fds     map[int]*crowdConn
	order   []int // the descriptors, in the order of the next events
	next    int
	now     int64
	clients []*crowdConn

	stopped int        // the port of a backend that reads nothing; 0: none
	perTurn int        // bytes that a conn to a backend brings in a turn; 0: all
	lazy    *rand.Rand // backends look at their conns at random; nil: they answer at once
	asked   io.Writer  // gets what backends are asked; nil: nobody does
}

// A crowdConn is one end of a conn, as the kernel has it: a client's or a backend's.
type crowdConn struct {
	fd    int
	tag   uint64
	want  epoll.Events
	input []byte // to be read by the worker
	got   []byte // what the worker wrote to it
	// discards: it is not kept, but for how much it was, written.
	discards bool
	written  int
	room     int    // bytes that it takes
	gone     bool   // closed by the worker
	server   bool   // it is a backend's,
	port     int    // of that one
	taken    int    // bytes read from it in this turn
	asked    []byte // the begin of a request
}

// newCrowd makes a worker with clients.
func newCrowd(tb testing.TB, cfg Config, clients int) *crowd {
	tb.Helper()
	c := &crowd{tb: tb, memory: simnet.NewMemory(), fds: make(map[int]*crowdConn), next: 100, now: int64(time.Second)}
	cfg.Listeners, cfg.Workers, cfg.StatsInterval = []Listener{{Network: "tcp", Address: "127.0.0.1:0"}}, 1, -1
	if cfg.Pools == nil {
		cfg.Pools = []pool.Config{{Name: "main", Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:1"}}}}
	}
	var err error
	if c.srv, err = New(cfg, zap.NewNop()); err != nil {
		tb.Fatal(err)
	}
	t := c.srv.tables.Load()
	t.acceptors.CloseBut(nil)
	c.w = newWorkerOn(c.srv, c, t)
	for range clients {
		c.join()
	}
	return c
}

// join adds a client, which takes all that it gets.
func (c *crowd) join() *crowdConn {
	e := c.open(false)
	c.w.adopt(porch.Guest{FD: e.fd, By: c.srv.tables.Load().acceptors[0]})
	c.clients = append(c.clients, e)
	return e
}

func (c *crowd) open(server bool) *crowdConn {
	e := &crowdConn{fd: c.next, room: 1 << 40, server: server}
	c.next++
	c.fds[e.fd] = e
	c.order = append(c.order, e.fd)
	return e
}

// turns takes so many turns.
func (c *crowd) turns(n int) {
	c.tb.Helper()
	for range n {
		if err := c.w.loop.Turn(); err != nil {
			c.tb.Fatal(err)
		}
	}
}

// until takes turns until done, and gives how many it took.
func (c *crowd) until(most int, done func() bool) (turns int) {
	c.tb.Helper()
	for ; !done(); turns++ {
		if turns == most {
			c.tb.Fatalf("not done after %d turns", turns)
		}
		c.turns(1)
	}
	return turns
}

// held is what the worker's sessions hold, by their own books.
func (c *crowd) held() int {
	n := 0
	for _, s := range c.w.sessions {
		n += cap(s.in) + cap(s.out) + s.held + s.coming
	}
	return n
}

// metered is what the meter knows of the worker, to the byte.
func (c *crowd) metered() int {
	low, high := 0, 1<<40
	limit := int(c.srv.budget.Whole.Figures().Limit)
	for low < high {
		if mid := (low + high + 1) / 2; c.w.dial.Over(limit + 1 - mid) {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low
}

// hangUp has all clients go away.
func (c *crowd) hangUp() {
	for len(c.w.sessions) > 0 {
		c.w.sessions[0].close()
	}
}

// Wait gives a worker what is ready. As in the kernel, who is told of comes last the next time.
func (c *crowd) Wait(events []epoll.Event, _ time.Duration) (int, error) {
	c.now += int64(time.Millisecond) / 10
	n := 0
	var told []int
	for _, fd := range c.order {
		e := c.fds[fd]
		e.taken = 0
		if c.lazy != nil && e.server && c.lazy.IntN(3) == 0 {
			e.serve(c.memory, nil, 1+c.lazy.IntN(3))
		}
		var ev epoll.Events
		if len(e.input) > 0 {
			ev |= epoll.In
		}
		if e.room > 0 {
			ev |= epoll.Out
		}
		if ev &= e.want; ev != 0 && n < len(events) {
			events[n] = epoll.Event{Tag: e.tag, Events: ev}
			n++
			told = append(told, fd)
		}
	}
	if n > 0 {
		last := make(map[int]bool, n)
		for _, fd := range told {
			last[fd] = true
		}
		c.order = append(slices.DeleteFunc(c.order, func(fd int) bool { return last[fd] }), told...)
	}
	return n, nil
}

func (c *crowd) Add(fd int, tag uint64, want epoll.Events) error {
	c.fds[fd].tag, c.fds[fd].want = tag, want
	return nil
}
func (c *crowd) Modify(fd int, tag uint64, want epoll.Events) error { return c.Add(fd, tag, want) }
func (c *crowd) Remove(int) error                                   { return nil }
func (c *crowd) Pause(time.Duration)                                {}
func (c *crowd) Connected(int) unix.Errno                           { return 0 }
func (c *crowd) Now() int64                                         { return c.now }
func (c *crowd) Elapsed() int64                                     { return c.now }
func (c *crowd) Wake()                                              {}
func (c *crowd) Release()                                           {}

func (c *crowd) Connect(addr epoll.Address) (int, unix.Errno) {
	e := c.open(true)
	e.port = addr.Sockaddr.(*unix.SockaddrInet4).Port
	return e.fd, 0
}

func (c *crowd) Close(fd int) {
	c.fds[fd].gone = true
	delete(c.fds, fd)
	c.order = slices.DeleteFunc(c.order, func(o int) bool { return o == fd })
}

func (c *crowd) Read(fd int, p []byte) (int, unix.Errno) {
	e := c.fds[fd]
	n := len(e.input)
	if e.server && c.perTurn > 0 {
		n = min(n, c.perTurn-e.taken)
	}
	if n == 0 {
		return 0, unix.EAGAIN
	}
	n = copy(p, e.input[:n])
	e.input = e.input[n:]
	e.taken += n
	return n, 0
}

func (c *crowd) Write(fd int, p []byte) (int, unix.Errno) {
	e := c.fds[fd]
	if e.server {
		if c.asked != nil {
			_, _ = c.asked.Write(p)
		}
		if c.lazy != nil || c.stopped > 0 && e.port == c.stopped {
			e.asked = append(e.asked, p...)
		} else {
			e.serve(c.memory, p, 1<<30)
		}
		return len(p), 0
	}
	n := min(len(p), e.room)
	if n == 0 {
		return 0, unix.EAGAIN
	}
	if e.written += n; !e.discards {
		e.got = append(e.got, p[:n]...)
	}
	e.room -= n
	return n, 0
}

// serve is a memcached that answers at once, so many requests at most.
func (e *crowdConn) serve(m *simnet.Memory, p []byte, most int) {
	e.asked = append(e.asked, p...)
	for range most {
		used, answer, ok := m.Serve(e.asked)
		if !ok {
			panic(fmt.Sprintf("a backend was sent %.100q", e.asked))
		}
		if used == 0 {
			return
		}
		e.asked = e.asked[used:]
		e.input = append(e.input, answer...)
	}
}

// sends has a client send something.
func (e *crowdConn) sends(text string) { e.input = append(e.input, text...) }

// store puts an item into the backends, and gives the answer to a get of it.
func (c *crowd) store(key string, size int) (answer string) {
	value := bytes.Repeat([]byte("v"), size)
	if _, a, ok := c.memory.Serve(fmt.Appendf(nil, "set %s 0 0 %d\r\n%s\r\n", key, size, value)); !ok || string(a) != "STORED\r\n" {
		c.tb.Fatalf("set %s: %q", key, a)
	}
	return fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, size, value)
}

// only limits makes a configuration that has nothing but them.
func only(l limits.Config) Config { return Config{Limits: l} }
