package simnet

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
)

type serverState uint8

const (
	running serverState = iota
	paused              // like SIGSTOP: its kernel takes conns and bytes, the process reads nothing
	dead                // conns are refused
)

// A Server is a simulated memcached process.
type Server struct {
	Memory *Memory // what it holds; a restart empties it
	// KeepCAS lets the cas numbers go on after a restart. memcached's begin again, so that a number can mean two items.
	KeepCAS bool
	// Recount bounds how far cas numbers go back with a restart, if they are not kept: other requests may have brought them near where they
	// were. 0: to the begin.
	Recount uint64
	// KeepItems has Kill leave what the server holds, as when the way to it is cut.
	KeepItems bool

	net     *Net
	port    int
	state   serverState
	conns   []*stream
	working bool // a step is scheduled
}

// stream is one conn, on the server's side.
type stream struct {
	server *Server
	sock   *sock // the other side; nil when that is closed
	kernel *Kernel
	in     []byte // arrived at the server's kernel
	tried  int    // so many bytes of in were looked at and are no whole request
	closed bool   // the client's end arrived
	lastIn int64  // when the last bytes to the server arrive: later ones not before
	last   int64  // the same for bytes to the client
	lossy  bool   // broken: the end of what is on its way may get lost
	lost   bool   // it has begun
	held   int64  // what is on its way does not arrive before
}

// NewServer starts a server and gives its address ("127.0.0.1:port").
func (n *Net) NewServer() (s *Server, address string) {
	s = &Server{net: n, port: firstPort + len(n.servers), Memory: NewMemory()}
	s.Memory.now = n.Now
	n.servers = append(n.servers, s)
	return s, fmt.Sprintf("127.0.0.1:%d", s.port)
}

func (s *Server) accept(k *sock) *stream {
	c := &stream{server: s, sock: k, kernel: k.kernel}
	s.conns = append(s.conns, c)
	return c
}

// Pause stops the process as SIGSTOP does.
func (s *Server) Pause() {
	if s.state == running {
		s.state = paused
	}
}

// Resume lets a paused process go on: it finds its conns readable in any order, those closed meanwhile among them.
func (s *Server) Resume() {
	if s.state == paused {
		s.state = running
		s.work()
	}
}

// Kill ends the process: its conns are reset, what it held is gone.
func (s *Server) Kill() {
	s.state = dead
	if !s.KeepItems {
		cas := s.Memory.cas
		s.Memory = NewMemory()
		s.Memory.now = s.net.Now
		switch {
		case s.KeepCAS:
			s.Memory.cas = cas
		case s.Recount > 0:
			s.Memory.cas = cas - min(cas, s.net.Rand.Uint64N(s.Recount+1))
		}
	}
	for _, c := range s.conns {
		c.reset()
	}
	s.conns = nil
}

// Start starts a killed process again, empty.
func (s *Server) Start() {
	if s.state == dead {
		s.state = running
	}
}

// Reset breaks one of the server's conns, as a middlebox does: the server still reads what arrived. It is chosen at random, or is
// the one on which requests are longest on their way.
func (s *Server) Reset() {
	var whole []*stream
	for _, c := range s.conns {
		if c.sock != nil && c.sock.failed == 0 {
			whole = append(whole, c)
		}
	}
	if len(whole) == 0 {
		return
	}
	c := whole[s.net.Rand.IntN(len(whole))]
	if s.net.Rand.IntN(4) > 0 {
		c = slices.MaxFunc(whole, func(a, b *stream) int { return cmp.Compare(a.lastIn, b.lastIn) })
	}
	c.reset()
}

// Sever breaks all conns of a loop to the server.
func (s *Server) Sever(l *epoll.Loop) {
	for _, c := range s.conns {
		if c.sock != nil && c.sock.failed == 0 && c.kernel.Loop == l {
			c.reset()
		}
	}
}

func (c *stream) reset() {
	if c.sock != nil {
		c.sock.failed = unix.ECONNRESET
		c.sock.in = nil
	}
	c.lose()
}

// lose has what is on its way to the server arrive later, or its end get lost.
func (c *stream) lose() {
	n := c.server.net
	if !n.Lossy || c.lastIn <= n.now {
		return
	}
	c.lossy = n.Rand.IntN(2) == 0
	if n.Late > 0 && n.Rand.IntN(2) == 0 {
		c.held = n.now + n.Rand.Int64N(int64(n.Late))
	}
}

// toServer has data arrive at the server, behind what was written before; nil: the end of the stream.
func (c *stream) toServer(from *sock, data []byte) {
	n := c.server.net
	there, _ := c.kernel.delays(c.server)
	c.lastIn = max(c.lastIn, n.now+int64(n.latency()+there))
	data = slices.Clone(data)
	n.After(time.Duration(c.lastIn-n.now), func() { c.arrive(from, data) })
}

func (c *stream) arrive(from *sock, data []byte) {
	n := c.server.net
	if c.held > n.now {
		n.After(time.Duration(c.held-n.now), func() { c.arrive(from, data) })
		return
	}
	if data == nil {
		c.closed = true
		c.server.forget(c)
		return
	}
	from.unsent -= len(data)
	switch {
	case c.lost:
		return
	case c.lossy && n.Rand.IntN(3) == 0:
		c.lost = true
		data = data[:n.Rand.IntN(len(data))]
	}
	c.in = append(c.in, data...)
	c.server.work()
}

func (c *stream) readable() bool { return len(c.in) > c.tried }

// forget drops a conn that is closed and has nothing left to read.
func (s *Server) forget(c *stream) {
	if c.closed && !c.readable() {
		s.conns = slices.DeleteFunc(s.conns, func(o *stream) bool { return o == c })
	}
}

// work schedules a step of the process if there is something to do.
func (s *Server) work() {
	if s.state != running || s.working || !slices.ContainsFunc(s.conns, (*stream).readable) {
		return
	}
	s.working = true
	busy := time.Duration(0)
	if !s.net.Steady {
		busy = time.Duration(s.net.Rand.Int64N(20_000))
	}
	s.net.After(busy, func() {
		s.working = false
		s.step()
		s.work()
	})
}

// step serves one conn, chosen at random among those that are readable.
func (s *Server) step() {
	if s.state != running {
		return
	}
	var readable []*stream
	for _, c := range s.conns {
		if c.readable() {
			readable = append(readable, c)
		}
	}
	if len(readable) == 0 {
		return
	}
	c := readable[s.net.Rand.IntN(len(readable))]
	used, answer, ok := s.Memory.Serve(c.in)
	c.in = c.in[used:]
	c.tried = 0
	if used == 0 { // the rest of a request is on its way, or will never come
		c.tried = len(c.in)
		s.forget(c)
		return
	}
	if !ok {
		c.reset()
		return
	}
	c.send(answer)
	s.forget(c)
}

func (c *stream) send(answer []byte) {
	n := c.server.net
	_, back := c.kernel.delays(c.server)
	c.last = max(c.last, n.now+int64(n.latency()+back))
	n.After(time.Duration(c.last-n.now), func() {
		if c.sock != nil && c.sock.failed == 0 {
			c.sock.in = append(c.sock.in, answer...)
		}
	})
}
