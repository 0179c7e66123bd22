// Package simnet simulates the kernels of event loops, the network between them and memcached servers, and time.
//
// Everything runs in the goroutine of Net.Run, in an order that the seed decides: latencies, short writes, which socket a
// server reads first. So a run is repeated exactly by its seed, takes no real time, and reaches orders that real
// machines show once a month: a server that was stopped wakes up and reads what a closed conn had sent after it has
// read newer conns.
//
//	epoll.Loop ─► Kernel ─► Net (virtual time, streams with latency) ─► Server (runs, is paused, is killed) ─► Memory
package simnet

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
)

// A Net is a simulated network with its clock. It is not safe for concurrent use.
type Net struct {
	Rand *rand.Rand
	// Latency bounds how long bytes travel, each way.
	Latency time.Duration
	// ShortWrites lets writes take only a part of what they are given.
	ShortWrites bool

	now     int64
	seq     uint64
	events  schedule
	servers map[int]*Server
	kernels []*Kernel
	nextFD  int
}

// New makes an empty network. Its clock starts at one second.
func New(seed uint64) *Net {
	return &Net{
		Rand: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)), Latency: 200 * time.Microsecond,
		now: int64(time.Second), servers: make(map[int]*Server), nextFD: 3,
	}
}

// Now is the virtual time in nanoseconds.
func (n *Net) Now() int64 { return n.now }

// After has fn run when d has passed.
func (n *Net) After(d time.Duration, fn func()) {
	n.seq++
	heap.Push(&n.events, event{n.now + int64(d), n.seq, fn})
}

func (n *Net) latency() time.Duration {
	return time.Duration(n.Rand.Int64N(int64(n.Latency) + 1))
}

// Run lets d pass.
func (n *Net) Run(d time.Duration) {
	until := n.now + int64(d)
	for {
		for n.turnAll() {
		}
		next := until
		if len(n.events) > 0 {
			next = min(next, n.events[0].at)
		}
		for _, k := range n.kernels {
			if k.wakeAt >= 0 {
				next = min(next, k.wakeAt)
			}
		}
		n.now = max(n.now, next)
		for len(n.events) > 0 && n.events[0].at <= n.now {
			heap.Pop(&n.events).(event).fn()
		}
		if n.now >= until {
			return
		}
	}
}

// turnAll gives each loop that has something to do a turn, and says whether there was one.
func (n *Net) turnAll() bool {
	worked := false
	for _, i := range n.Rand.Perm(len(n.kernels)) {
		k := n.kernels[i]
		if k.asleep() {
			continue
		}
		worked = true
		if err := k.Loop.Turn(); err != nil {
			panic(err)
		}
	}
	return worked
}

type event struct {
	at  int64
	seq uint64
	fn  func()
}

type schedule []event

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	return s[i].at < s[j].at || s[i].at == s[j].at && s[i].seq < s[j].seq
}
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)   { *s = append(*s, x.(event)) }
func (s *schedule) Pop() any {
	old := *s
	e := old[len(old)-1]
	*s = old[:len(old)-1]
	return e
}

// A Kernel is one loop's simulated kernel.
type Kernel struct {
	Loop *epoll.Loop

	net    *Net
	socks  map[int]*sock
	woken  bool
	wakeAt int64 // -1: only an event wakes it
	turned int64 // when it last waited
	waited bool  // the last Wait found nothing, and nothing was left to do from this moment's turn before
}

// sock is a descriptor of a Kernel.
type sock struct {
	fd         int
	conn       *stream
	registered bool
	tag        uint64
	want       epoll.Events
	connecting bool
	failed     unix.Errno
	in         []byte // arrived, not read
	ended      bool   // the server closed; after in is read, that is the end
	unsent     int    // bytes written and not arrived yet
}

// sendBuffer is how many bytes may be on their way before a write would block.
const sendBuffer = 256 << 10

// NewLoop makes a loop over a simulated kernel of its own.
func (n *Net) NewLoop() *epoll.Loop {
	k := &Kernel{net: n, socks: make(map[int]*sock)}
	k.Loop = epoll.New(k)
	n.kernels = append(n.kernels, k)
	return k.Loop
}

func (k *Kernel) asleep() bool {
	return k.waited && !k.woken && (k.wakeAt < 0 || k.wakeAt > k.net.now) && !k.anyReady()
}

func (k *Kernel) anyReady() bool {
	for _, s := range k.socks {
		if s.ready() != 0 {
			return true
		}
	}
	return false
}

func (s *sock) ready() epoll.Events {
	if !s.registered {
		return 0
	}
	var ev epoll.Events
	if s.connecting {
		return 0
	}
	if s.failed != 0 {
		ev |= epoll.Err | epoll.Hup | epoll.In | epoll.Out
		return ev & (s.want | epoll.Err | epoll.Hup)
	}
	if len(s.in) > 0 || s.ended {
		ev |= epoll.In
	}
	if s.unsent < sendBuffer {
		ev |= epoll.Out
	}
	return ev & s.want
}

// Wait never blocks: Net.Run lets the loop turn again when something happens.
func (k *Kernel) Wait(events []epoll.Event, timeout time.Duration) (int, error) {
	idle := !k.woken && k.turned == k.net.now
	k.woken, k.turned = false, k.net.now
	k.wakeAt = -1
	if timeout >= 0 {
		k.wakeAt = k.net.now + int64(timeout)
	}
	n := 0
	for fd := range k.fds() {
		if ev := k.socks[fd].ready(); ev != 0 && n < len(events) {
			events[n] = epoll.Event{Tag: k.socks[fd].tag, Events: ev}
			n++
		}
	}
	k.net.Rand.Shuffle(n, func(i, j int) { events[i], events[j] = events[j], events[i] })
	k.waited = n == 0 && idle
	return n, nil
}

// fds gives the descriptors in order: a map's own order would make runs differ.
func (k *Kernel) fds() func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for fd := 3; fd < k.net.nextFD; fd++ {
			if k.socks[fd] != nil && !yield(fd) {
				return
			}
		}
	}
}

// Add registers a descriptor.
func (k *Kernel) Add(fd int, tag uint64, want epoll.Events) error {
	s := k.socks[fd]
	if s == nil {
		return unix.EBADF
	}
	s.registered, s.tag, s.want = true, tag, want
	return nil
}

// Modify changes what a descriptor waits for.
func (k *Kernel) Modify(fd int, tag uint64, want epoll.Events) error { return k.Add(fd, tag, want) }

// Remove ends a registration.
func (k *Kernel) Remove(fd int) error {
	if s := k.socks[fd]; s != nil {
		s.registered = false
	}
	return nil
}

// Read takes what has arrived.
func (k *Kernel) Read(fd int, p []byte) (int, unix.Errno) {
	s := k.socks[fd]
	switch {
	case s == nil:
		return 0, unix.EBADF
	case len(s.in) > 0:
		n := copy(p, s.in)
		if k.net.ShortWrites && n > 1 && k.net.Rand.IntN(4) == 0 {
			n = 1 + k.net.Rand.IntN(n)
		}
		s.in = s.in[n:]
		return n, 0
	case s.failed != 0:
		return 0, s.failed
	case s.ended:
		return 0, 0
	}
	return 0, unix.EAGAIN
}

// Write sends bytes on their way.
func (k *Kernel) Write(fd int, p []byte) (int, unix.Errno) {
	s := k.socks[fd]
	switch {
	case s == nil:
		return 0, unix.EBADF
	case s.failed != 0:
		return 0, s.failed
	}
	n := min(len(p), sendBuffer-s.unsent)
	if n > 1 && k.net.ShortWrites && k.net.Rand.IntN(4) == 0 {
		n = 1 + k.net.Rand.IntN(n)
	}
	if n == 0 {
		return 0, unix.EAGAIN
	}
	s.unsent += n
	data := append([]byte(nil), p[:n]...)
	s.conn.toServer(func() {
		s.unsent -= n
		s.conn.arrive(data)
	})
	return n, 0
}

// Connect begins a stream to the server at addr's port. Nobody there: refused, after a while.
func (k *Kernel) Connect(addr epoll.Address) (int, unix.Errno) {
	sa, ok := addr.Sockaddr.(*unix.SockaddrInet4)
	if !ok {
		return -1, unix.EAFNOSUPPORT
	}
	fd := k.net.nextFD
	k.net.nextFD++
	s := &sock{fd: fd, connecting: true}
	k.socks[fd] = s
	k.net.After(k.net.latency(), func() {
		s.connecting = false
		server := k.net.servers[sa.Port]
		if server == nil || server.state == dead {
			s.failed = unix.ECONNREFUSED
			return
		}
		s.conn = server.accept(s)
	})
	return fd, unix.EINPROGRESS
}

// Connected gives the outcome of Connect.
func (k *Kernel) Connected(fd int) unix.Errno {
	if s := k.socks[fd]; s != nil {
		return s.failed
	}
	return unix.EBADF
}

// Close ends a stream; what was written still arrives.
func (k *Kernel) Close(fd int) {
	s := k.socks[fd]
	delete(k.socks, fd)
	if s != nil && s.conn != nil {
		c := s.conn
		c.sock = nil
		c.toServer(func() { c.closed = true })
	}
}

// Now is the net's time.
func (k *Kernel) Now() int64 { return k.net.now }

// Wake makes the loop turn.
func (k *Kernel) Wake() { k.woken = true }

// Release does nothing.
func (k *Kernel) Release() {}
