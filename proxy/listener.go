package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
	"mcproxy/proxy/door"
)

// An acceptor takes conns from one listener and hands them to the workers.
type acceptor struct {
	srv  *Server
	l    Listener
	ln   net.Listener
	file *os.File        // the same socket, for accept4: a net.Listener's own RawConn cannot wait
	raw  syscall.RawConn // file's

	door    atomic.Pointer[door.Door] // in force
	closed  chan struct{}             // closed when nothing more is accepted
	closing sync.Once                 // closes it

	counts listenerCounts
}

func (s *Server) listen(l Listener, keepalive time.Duration) (*acceptor, error) {
	if l.Network == "unix" {
		if err := removeStale(l.Address); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen(l.Network, l.Address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	a := &acceptor{srv: s, l: l, ln: ln, closed: make(chan struct{})}
	if err := a.setUp(keepalive); err != nil {
		a.close()
		return nil, fmt.Errorf("listen on %s: %w", l.Address, err)
	}
	return a, nil
}

func (a *acceptor) setUp(keepalive time.Duration) error {
	ln, ok := a.ln.(interface{ File() (*os.File, error) })
	if !ok {
		return fmt.Errorf("%T has no descriptor", a.ln)
	}
	var err error
	if a.file, err = ln.File(); err != nil {
		return err
	}
	if a.raw, err = a.file.SyscallConn(); err != nil {
		return err
	}
	return a.adapt(a.l.Mode, keepalive)
}

// adapt sets what may change while it listens.
func (a *acceptor) adapt(mode fs.FileMode, keepalive time.Duration) error {
	if a.l.Network == "unix" {
		return os.Chmod(a.l.Address, cmp.Or(mode, fs.FileMode(0o660)))
	}
	// On Linux accepted conns inherit both, which saves two system calls for each.
	return a.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		epoll.SetKeepalive(int(fd), keepalive)
	})
}

func (a *acceptor) close() {
	a.closing.Do(func() { close(a.closed) })
	a.ln.Close()
	if a.file != nil {
		a.file.Close()
	}
}

// removeStale takes away a socket that a process which is no more has left; one that answers stays.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // nothing there: listening will tell if something else is wrong
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("listen: %s exists and is no socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("listen: somebody else serves %s", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("listen: %s is there: %w", path, err)
	}
	return os.Remove(path)
}

// run is the acceptor's goroutine; it ends when the listener is closed.
func (a *acceptor) run() {
	var complained time.Time
	for {
		fd, from, err := a.accept()
		switch {
		case err == nil:
			if !a.receive(fd, from) {
				return
			}
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EINTR):
		default: // no descriptors, no memory: the clients in the backlog can wait
			if time.Since(complained) > 10*time.Second {
				complained = time.Now()
				a.srv.log.Warn("clients cannot be accepted for now", zap.Error(err))
			}
			select {
			case <-a.srv.stopping:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

func (a *acceptor) accept() (fd int, from unix.Sockaddr, err error) {
	rerr := a.raw.Read(func(lfd uintptr) bool {
		fd, from, err = unix.Accept4(int(lfd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return !errors.Is(err, unix.EAGAIN)
	})
	if rerr != nil {
		return -1, nil, net.ErrClosed
	}
	return fd, from, err
}

// tooMany is what memcached says in the same case (memcached.c, with maxconns_fast).
const tooMany = "ERROR Too many open connections\r\n"

// listenerCounts are counted of one listener. Conns are seldom opened, so all workers share it.
type listenerCounts struct {
	conns    atomic.Int64 // open now
	accepted atomic.Uint64
	rejected atomic.Uint64 // over MaxConns

	denied         atomic.Uint64                // from networks that are not allowed
	handshakes     [door.Outcomes]atomic.Uint64 // by how they ended
	deniedTold     atomic.Int64                 // when that was last logged, since the epoch; 0: never
	handshakesTold [door.Outcomes]atomic.Int64
}

// assign gives a client's conn to the worker that has the fewest.
func (s *Server) assign(g guest) {
	fd, by := g.fd, g.by
	if n, most := s.conns.Add(1), s.tables.Load().cfg.MaxConns; most > 0 && n > int64(most) {
		s.conns.Add(-1)
		s.rejected.Add(1)
		by.counts.rejected.Add(1)
		unix.Write(fd, []byte(tooMany)) // a fresh socket's buffer takes it
		unix.Close(fd)
		return
	}
	s.accepted.Add(1)
	by.counts.accepted.Add(1)
	by.counts.conns.Add(1)
	w := s.workers[0]
	for _, o := range s.workers[1:] {
		if o.conns.Load() < w.conns.Load() {
			w = o
		}
	}
	w.conns.Add(1)
	if !w.loop.Post(func() { w.adopt(g) }) {
		unix.Close(fd)
		w.gone(by)
	}
}
