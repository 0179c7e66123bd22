package porch

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"mcproxy/internal/tlsrelay"
	"mcproxy/proxy/door"
)

// A House is what the listeners of a server share.
type House struct {
	Log     *zap.Logger
	Epoch   time.Time       // what times of complaints count from
	Relays  *tlsrelay.Group // of conns with TLS
	Closing <-chan struct{} // closed when the server ends
	Enter   func(Guest)     // takes those who are let in; any goroutine calls it

	accepting sync.WaitGroup // goroutines of acceptors
}

// Wait waits until nobody is accepted any more, by acceptors that are paused or closed.
func (h *House) Wait() { h.accepting.Wait() }

// A Guest is a client's conn on its way from a listener to a worker.
type Guest struct {
	FD    int
	By    *Acceptor
	From  netip.Addr      // invalid: a unix socket
	Relay *tlsrelay.Relay // of a conn with TLS, whose plain end FD is; nil
}

// An Acceptor takes conns from one listener and lets them in. Its methods are safe for concurrent use.
type Acceptor struct {
	Config Config                    // immutable
	Door   atomic.Pointer[door.Door] // in force
	Counts Counts

	// Immutable.
	house   *House
	ln      net.Listener
	foreign bool            // somebody else made its socket, who sees to the path of a unix one
	file    *os.File        // the same socket, for accept4: a net.Listener's own RawConn cannot wait
	raw     syscall.RawConn // file's

	running atomic.Bool
	closed  chan struct{} // closed when nothing more is accepted
	closing sync.Once     // closes it
}

// Counts are counted of one listener. Conns are seldom opened, so all workers share it.
type Counts struct {
	Conns    atomic.Int64 // open now
	Accepted atomic.Uint64
	Rejected atomic.Uint64 // there were too many

	Denied         atomic.Uint64                // from networks that are not allowed
	Handshakes     [door.Outcomes]atomic.Uint64 // by how they ended
	deniedTold     atomic.Int64                 // when that was last logged, since the epoch; 0: never
	handshakesTold [door.Outcomes]atomic.Int64
}

// start has clients accepted, by a goroutine that ends with pause, leave or close.
func (a *Acceptor) start() {
	a.running.Store(true)
	a.house.accepting.Go(func() {
		defer a.running.Store(false)
		a.run()
	})
}

func (a *Acceptor) run() {
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
				a.house.Log.Warn("clients cannot be accepted for now", zap.Error(err))
			}
			select {
			case <-a.house.Closing:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

func (a *Acceptor) accept() (fd int, from unix.Sockaddr, err error) {
	rerr := a.raw.Read(func(lfd uintptr) bool {
		fd, from, err = unix.Accept4(int(lfd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return !errors.Is(err, unix.EAGAIN)
	})
	if rerr != nil {
		return -1, nil, net.ErrClosed
	}
	return fd, from, err
}

// maxQueue is how many clients drainQueue takes, so that it ends: more than the kernel's queue has.
const maxQueue = 1 << 13

// drainQueue takes the clients that have connected and were not accepted yet.
func (a *Acceptor) drainQueue() {
	for range maxQueue {
		fd, from, err := -1, unix.Sockaddr(nil), error(unix.EBADF)
		_ = a.raw.Control(func(lfd uintptr) { fd, from, err = unix.Accept4(int(lfd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC) })
		if err != nil || !a.receive(fd, from) {
			return
		}
	}
}

// receive lets a client in that has just connected, or not. It may wait for a place for a handshake; false: the listener is closed.
func (a *Acceptor) receive(fd int, sa unix.Sockaddr) bool {
	g := Guest{FD: fd, By: a, From: door.AddressOf(sa)}
	d := a.Door.Load()
	if !d.Admits(g.From) {
		unix.Close(fd)
		a.Counts.Denied.Add(1)
		a.complain(&a.Counts.deniedTold, "a client comes from a network that the listener does not allow: its conn is closed", zap.String("client", door.NameOf(g.From)))
		return true
	}
	if !d.Encrypts() {
		a.house.Enter(g)
		return true
	}
	return d.Accept(a.house.Relays, fd, a.closed, func(fd int, r *tlsrelay.Relay, err error) {
		outcome := door.OutcomeOf(err)
		a.Counts.Handshakes[outcome].Add(1)
		if err == nil {
			g.FD, g.Relay = fd, r
			a.house.Enter(g)
			return
		}
		text := "a client's TLS handshake failed"
		if outcome == door.Plain {
			text = "a client speaks plain text on a listener with TLS: its conn is closed"
		}
		a.complain(&a.Counts.handshakesTold[outcome], text, zap.String("client", door.NameOf(g.From)), zap.Stringer("outcome", outcome), zap.Error(err))
	})
}

// complain logs what a client did wrong, but not for each of a thousand.
func (a *Acceptor) complain(told *atomic.Int64, text string, fields ...zap.Field) {
	now := int64(time.Since(a.house.Epoch))
	last := told.Load()
	if last != 0 && now-last < int64(time.Minute) || !told.CompareAndSwap(last, now) {
		return
	}
	a.house.Log.Warn(text+" (told at most once a minute and listener)", append([]zap.Field{zap.String("listener", a.Config.Address)}, fields...)...)
}
