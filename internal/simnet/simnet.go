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
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
)

// A Net is a simulated network with its clock. It is not safe for concurrent use.
type Net struct {
	Rand *rand.Rand
	// Latency bounds how long bytes travel, each way.
	Latency time.Duration
	// Steady has bytes travel for Latency exactly, and servers answer at once.
	Steady bool
	// ShortWrites lets writes take only a part of what they are given.
	ShortWrites bool
	// Late bounds how long one message in LateIn travels instead; 0: none does.
	Late   time.Duration
	LateIn int
	// StallIn has one read or write in so many take up to Stall, as when a process is stopped in the midst of a turn; 0: none does.
	StallIn int
	Stall   time.Duration
	// Lossy lets a stream that breaks lose the end of what was on its way.
	Lossy bool

	now     int64
	seq     uint64
	events  schedule
	servers []*Server
	kernels []*Kernel
	fds     []*sock // by descriptor, from firstFD on; nil: closed
}

const (
	firstFD   = 3
	firstPort = 20000
)

// New makes an empty network. Its clock starts at one second.
func New(seed uint64) *Net {
	return &Net{
		Rand: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)), Latency: 200 * time.Microsecond,
		now: int64(time.Second),
	}
}

// Now is the virtual time in nanoseconds.
func (n *Net) Now() int64 { return n.now }

// After has fn run when d has passed.
func (n *Net) After(d time.Duration, fn func()) {
	n.seq++
	n.events.push(event{n.now + int64(d), n.seq, fn})
}

func (n *Net) latency() time.Duration {
	if n.Steady {
		return n.Latency
	}
	limit := n.Latency
	if n.Late > 0 && n.Rand.IntN(n.LateIn) == 0 {
		limit = n.Late
	}
	return time.Duration(n.Rand.Int64N(int64(limit) + 1))
}

// Run lets d pass.
func (n *Net) Run(d time.Duration) { n.RunUntil(d, func() bool { return false }) }

// RunUntil lets time pass until done says so, or d has passed.
func (n *Net) RunUntil(d time.Duration, done func() bool) {
	until := n.now + int64(d)
	for !done() {
		for n.turnAll() {
		}
		next := until
		if len(n.events) > 0 {
			next = min(next, n.events[0].at)
		}
		for _, k := range n.kernels {
			switch {
			case k.stalled:
			case n.now < k.stoppedUntil:
				next = min(next, k.stoppedUntil)
			case k.wakeAt >= 0:
				next = min(next, k.wakeAt)
			}
		}
		n.now = max(n.now, next)
		for len(n.events) > 0 && n.events[0].at <= n.now {
			n.events.pop().fn()
		}
		if n.now >= until {
			return
		}
	}
}

// turnAll gives each loop that has something to do a turn, and says whether there was one.
func (n *Net) turnAll() bool {
	worked := false
	order := slices.Clone(n.kernels)
	for i := range order {
		if j := i + n.Rand.IntN(len(order)-i); j != i {
			order[i], order[j] = order[j], order[i]
		}
		k := order[i]
		if k.gone || k.stalled || n.now < k.stoppedUntil || k.asleep() {
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

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// schedule is a heap of events.
type schedule []event

func (s *schedule) push(e event) {
	h := append(*s, e)
	i := len(h) - 1
	for i > 0 && e.before(&h[(i-1)/2]) {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = e
	*s = h
}

func (s *schedule) pop() event {
	h := *s
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	*s = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].before(&h[child]) {
			child++
		}
		if last.before(&h[child]) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
	return first
}

// A Kernel is one loop's simulated kernel.
type Kernel struct {
	Loop *epoll.Loop

	net          *Net
	socks        []*sock // open, by descriptor
	gone         bool    // Crash was called
	woken        bool
	wakeAt       int64 // -1: only an event wakes it
	turned       int64 // when it last waited
	stalled      bool  // it is in the midst of a system call that takes long
	stoppedUntil int64 // it does not turn before
	waited       bool  // the last Wait found nothing, and nothing was left to do from this moment's turn before
	slow         []Slowness
	stallNext    time.Duration // its next system call takes so long
}

// A Slowness makes the way between a loop and a server longer for a while.
type Slowness struct {
	Server   *Server
	To, From time.Duration // how much longer, each way
	Until    int64         // Net.Now
}

// sock is a descriptor of a Kernel.
type sock struct {
	fd         int
	kernel     *Kernel
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
	k := &Kernel{net: n}
	k.Loop = epoll.New(k)
	n.kernels = append(n.kernels, k)
	return k.Loop
}

// Crash ends the process of a loop that NewLoop made: it turns no more, and its conns are cut. What it had sent may still arrive.
// Whoever waits in the loop can be told to give up afterwards: nothing gets out.
func (n *Net) Crash(l *epoll.Loop) {
	k := l.Kernel.(*Kernel)
	k.gone = true
	n.kernels = slices.DeleteFunc(n.kernels, func(o *Kernel) bool { return o == k })
	for len(k.socks) > 0 {
		k.Close(k.socks[0].fd)
	}
}

// Stop stops the process of a loop between two turns, as SIGSTOP does, for d.
func (n *Net) Stop(l *epoll.Loop, d time.Duration) {
	k := l.Kernel.(*Kernel)
	k.stoppedUntil = max(k.stoppedUntil, n.now+int64(d))
}

// Slow has a loop suffer a slowness from now on.
func (n *Net) Slow(l *epoll.Loop, s Slowness) {
	k := l.Kernel.(*Kernel)
	k.slow = append(k.slow, s)
}

// delays gives how much longer the ways to and from a server are now.
func (k *Kernel) delays(to *Server) (there, back time.Duration) {
	for i := range k.slow {
		if s := &k.slow[i]; s.Server == to && k.net.now < s.Until {
			there, back = max(there, s.To), max(back, s.From)
		}
	}
	return there, back
}

// StallNext has the next read or write of a loop take d.
func (n *Net) StallNext(l *epoll.Loop, d time.Duration) { l.Kernel.(*Kernel).stallNext = d }

// Stalled says whether a loop is in the midst of a system call that takes long.
func (n *Net) Stalled(l *epoll.Loop) bool { return l.Kernel.(*Kernel).stalled }

// stall lets time pass for all others in the midst of a system call.
func (k *Kernel) stall() {
	n := k.net
	if k.stalled || k.gone {
		return
	}
	d := k.stallNext
	k.stallNext = 0
	if d == 0 {
		if n.StallIn == 0 || n.Rand.IntN(n.StallIn) > 0 {
			return
		}
		d = time.Duration(n.Rand.Int64N(int64(n.Stall) + 1))
	}
	k.stalled = true
	n.Run(d)
	k.stalled = false
}

// sock gives an open descriptor of the kernel; nil: it is not.
func (k *Kernel) sock(fd int) *sock {
	if fd < firstFD || fd-firstFD >= len(k.net.fds) {
		return nil
	}
	if s := k.net.fds[fd-firstFD]; s != nil && s.kernel == k {
		return s
	}
	return nil
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
	for _, s := range k.socks {
		if ev := s.ready(); ev != 0 && n < len(events) {
			events[n] = epoll.Event{Tag: s.tag, Events: ev}
			n++
		}
	}
	if n > 1 {
		k.net.Rand.Shuffle(n, func(i, j int) { events[i], events[j] = events[j], events[i] })
	}
	k.waited = n == 0 && idle
	return n, nil
}

// Pause does nothing: a loop's turns take no time here.
func (k *Kernel) Pause(time.Duration) {}

// Add registers a descriptor.
func (k *Kernel) Add(fd int, tag uint64, want epoll.Events) error {
	s := k.sock(fd)
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
	if s := k.sock(fd); s != nil {
		s.registered = false
	}
	return nil
}

// Read takes what has arrived.
func (k *Kernel) Read(fd int, p []byte) (int, unix.Errno) {
	k.stall()
	s := k.sock(fd)
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
	k.stall()
	s := k.sock(fd)
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
	s.conn.toServer(s, p[:n])
	return n, 0
}

// Connect begins a stream to the server at addr's port. Nobody there: refused, after a while.
func (k *Kernel) Connect(addr epoll.Address) (int, unix.Errno) {
	sa, ok := addr.Sockaddr.(*unix.SockaddrInet4)
	if !ok {
		return -1, unix.EAFNOSUPPORT
	}
	if k.gone {
		return -1, unix.ENETDOWN
	}
	fd := firstFD + len(k.net.fds)
	s := &sock{fd: fd, kernel: k, connecting: true}
	k.net.fds = append(k.net.fds, s)
	k.socks = append(k.socks, s)
	i := sa.Port - firstPort
	wait := k.net.latency()
	if i >= 0 && i < len(k.net.servers) {
		there, back := k.delays(k.net.servers[i])
		wait += there + back
	}
	k.net.After(wait, func() {
		s.connecting = false
		switch {
		case k.net.fds[fd-firstFD] == nil: // closed meanwhile
		case i < 0 || i >= len(k.net.servers) || k.net.servers[i].state == dead:
			s.failed = unix.ECONNREFUSED
		default:
			s.conn = k.net.servers[i].accept(s)
		}
	})
	return fd, unix.EINPROGRESS
}

// Connected gives the outcome of Connect.
func (k *Kernel) Connected(fd int) unix.Errno {
	if s := k.sock(fd); s != nil {
		return s.failed
	}
	return unix.EBADF
}

// Close ends a stream; what was written still arrives, or some of it where streams are Lossy.
func (k *Kernel) Close(fd int) {
	s := k.sock(fd)
	if s == nil {
		return
	}
	k.net.fds[fd-firstFD] = nil
	k.socks = slices.DeleteFunc(k.socks, func(o *sock) bool { return o == s })
	if c := s.conn; c != nil {
		c.sock = nil
		c.lose()
		c.toServer(nil, nil)
	}
}

// Now is the net's time.
func (k *Kernel) Now() int64 { return k.net.now }

// Elapsed is Now: a simulated machine never sleeps.
func (k *Kernel) Elapsed() int64 { return k.net.now }

// Wake makes the loop turn.
func (k *Kernel) Wake() { k.woken = true }

// Release does nothing.
func (k *Kernel) Release() {}
