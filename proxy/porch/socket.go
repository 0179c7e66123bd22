package porch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
	"mcproxy/internal/handover"
	"mcproxy/proxy/door"
)

// Config is one address that clients come to.
type Config struct {
	Network string      // "tcp", "tcp4", "tcp6" or "unix"
	Address string      // "127.0.0.1:11210", "[::1]:11210", or a socket's path
	Mode    fs.FileMode // permissions of a unix socket; 0 is 0o660

	Door door.Config // what it asks of its clients
}

// Open has an address listened on: by the socket for it among inherited, whose File is nil then, or by a new one. Nobody is accepted yet.
func (h *House) Open(c Config, keepalive time.Duration, inherited []handover.Listener) (*Acceptor, error) {
	ln, foreign, err := inherit(c, inherited)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if ln == nil {
		if c.Network == "unix" {
			if err := removeStale(c.Address); err != nil {
				return nil, err
			}
		}
		var plain net.ListenConfig
		plain.SetMultipathTCP(false) // whose conns do not inherit all that Adapt sets
		if ln, err = plain.Listen(context.Background(), c.Network, c.Address); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	a := &Acceptor{Config: c, house: h, ln: ln, foreign: foreign, closed: make(chan struct{})}
	if err := a.setUp(keepalive); err != nil {
		a.close()
		return nil, fmt.Errorf("listen on %s: %w", c.Address, err)
	}
	return a, nil
}

// inherit makes a listener of an inherited socket, if there is one for c. It is foreign if another sees to the path of a unix socket.
func inherit(c Config, inherited []handover.Listener) (ln net.Listener, foreign bool, err error) {
	for i := range inherited {
		in := &inherited[i]
		if in.File == nil || in.Purpose != handover.Clients || !in.Is(c.Network, c.Address) {
			continue
		}
		if ln, err = net.FileListener(in.File); err != nil {
			return nil, false, fmt.Errorf("inherited socket: %w", err)
		}
		in.File.Close()
		in.File = nil // it is used
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(in.Unlink)
		}
		return ln, !in.Unlink, nil
	}
	return nil, false, nil
}

func (a *Acceptor) setUp(keepalive time.Duration) error {
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
	return a.Adapt(a.Config.Mode, keepalive)
}

// maxUnsent is how many bytes the kernel takes for a client beyond what that has room for. By itself it takes up to 4 MiB of each (tcp_wmem): a thousand
// clients that ask and do not read would have it use up what it has for all conns of the machine (tcp_mem), and all would suffer.
const maxUnsent = 512 << 10

// Adapt sets what may change while it listens.
func (a *Acceptor) Adapt(mode fs.FileMode, keepalive time.Duration) error {
	if a.Config.Network == "unix" {
		if a.foreign {
			return nil
		}
		return os.Chmod(a.Config.Address, cmp.Or(mode, fs.FileMode(0o660)))
	}
	// On Linux accepted conns inherit them all, which saves three system calls for each.
	return a.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
		epoll.SetKeepalive(int(fd), keepalive)
	})
}

// Addr is where it listens, with the port that port 0 became.
func (a *Acceptor) Addr() net.Addr { return a.ln.Addr() }

// handover describes the socket for another process. The file is the acceptor's.
func (a *Acceptor) handover() handover.Listener {
	return handover.Listener{
		Purpose: handover.Clients, Network: a.Config.Network, Address: a.Config.Address, Unlink: a.Config.Network == "unix" && !a.foreign, File: a.file,
	}
}

// pause has nobody accepted any more; clients wait in the kernel's queue.
func (a *Acceptor) pause() {
	_ = a.file.SetReadDeadline(time.Unix(1, 0)) // a file that is closed ends the goroutine too
}

// resume undoes pause; start must follow.
func (a *Acceptor) resume() { _ = a.file.SetReadDeadline(time.Time{}) }

// leave closes an acceptor whose socket is another process's.
func (a *Acceptor) leave() {
	if u, ok := a.ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	a.close()
}

// close ends it: nobody can connect any more.
func (a *Acceptor) close() {
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
