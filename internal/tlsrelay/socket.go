package tlsrelay

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A socket is a non-blocking stream socket, with the deadlines of an os.File.
type socket struct {
	*os.File
	raw syscall.RawConn
	// hasty makes Read give errNothing instead of waiting. It belongs to who reads.
	hasty bool
}

func newSocket(fd int, name string) (*socket, error) {
	f := os.NewFile(uintptr(fd), name)
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &socket{File: f, raw: raw}, nil
}

// pair makes two sockets that are connected: one for a relay, one for a loop.
func pair() (ours *socket, theirs int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("socketpair: %w", err)
	}
	if ours, err = newSocket(fds[0], "plain"); err != nil {
		unix.Close(fds[1])
		return nil, -1, err
	}
	return ours, fds[1], nil
}

// LocalAddr and RemoteAddr are net.Conn's; nobody asks.
func (s *socket) LocalAddr() net.Addr  { return &net.UnixAddr{Name: s.Name(), Net: "unix"} }
func (s *socket) RemoteAddr() net.Addr { return s.LocalAddr() }

// errNothing says that nothing is there to read yet. crypto/tls takes it for a temporary error, after which it can go on
// (Conn.readRecordOrCCS).
type errNothing struct{}

func (errNothing) Error() string   { return "nothing to read yet" }
func (errNothing) Timeout() bool   { return true }
func (errNothing) Temporary() bool { return true }

// Read is net.Conn's.
func (s *socket) Read(p []byte) (n int, err error) {
	if !s.hasty {
		return s.File.Read(p)
	}
	rerr := s.raw.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), p)
		return true
	})
	switch {
	case rerr != nil:
		return 0, rerr
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, errNothing{}
	case err != nil:
		return 0, err
	case n == 0:
		return 0, errEnd
	}
	return n, nil
}

// readInto waits for bytes and takes them into what get gives, which is put back as long as there are none.
func (s *socket) readInto(get func() *buffer, put func(*buffer)) (b *buffer, n int, err error) {
	rerr := s.raw.Read(func(fd uintptr) bool {
		b = get()
		for {
			if n, err = unix.Read(int(fd), b[:]); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if errors.Is(err, unix.EAGAIN) {
			put(b)
			b = nil
			return false
		}
		return true
	})
	if err == nil {
		err = rerr
	}
	if err == nil && n == 0 {
		err = errEnd
	}
	return b, max(n, 0), err
}

// shutdown ends one direction or both at once; who waits in them goes on.
func (s *socket) shutdown(how int) {
	_ = s.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), how) }) // a socket that is closed is shut
}

// left says whether the other end is closed.
func (s *socket) left() (gone bool) {
	_ = s.raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd)}} // POLLHUP is always told
		_, err := unix.Poll(poll, 0)
		gone = err == nil && poll[0].Revents&unix.POLLHUP != 0
	})
	return gone
}
