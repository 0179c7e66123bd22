package epoll

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const maxEvents = 512 // taken from one epoll_wait

// Linux is the real Kernel.
type Linux struct {
	epfd   int
	wakefd int
	raw    [maxEvents]unix.EpollEvent
	woken  atomic.Bool
	lively bool // the last wait brought something
	clock  *Clock
}

// wakeTag marks the wake-up descriptor's events; a Loop's own tags never reach it.
const wakeTag = ^uint64(0)

// NewLinux opens an epoll instance and its wake-up descriptor. Loops that compare times share
// a clock.
func NewLinux(clock *Clock) (*Linux, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	k := &Linux{epfd: epfd, wakefd: wakefd, clock: clock}
	if err := k.Add(wakefd, wakeTag, In); err != nil {
		k.Release()
		return nil, err
	}
	return k, nil
}

// Wait is epoll_wait. A loop that sleeps for long goes through the runtime's system-call path, which gives its processor to others. One
// that has just had events first waits a millisecond without: the runtime would take the processor away after 20 µs, give it
// back on another thread, and keep its monitor awake for that. When the garbage collector wants to stop the world meanwhile, or
// another goroutine has waited for 10 ms, the runtime sends the thread a signal, which ends the wait.
func (k *Linux) Wait(events []Event, timeout time.Duration) (int, error) {
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	raw := k.raw[:min(len(events), maxEvents)]
	if k.lively {
		r, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.epfd), uintptr(unsafe.Pointer(&raw[0])), uintptr(len(raw)), min(uintptr(ms), 1), 0, 0)
		if n := int(r); errno == 0 && n > 0 {
			return k.take(events, n), nil
		}
		if errno == unix.EINTR {
			return 0, nil
		}
		k.lively = false
		if ms == 0 || ms == 1 {
			return 0, nil
		}
	}
	n, err := unix.EpollWait(k.epfd, raw, ms)
	if err != nil {
		if errors.Is(err, unix.EINTR) {
			return 0, nil
		}
		return 0, fmt.Errorf("epoll_wait: %w", err)
	}
	k.lively = n > 0
	return k.take(events, n), nil
}

// take gives the events that the kernel has put into raw.
func (k *Linux) take(events []Event, n int) int {
	out := 0
	for i := range n {
		tag := uint64(uint32(k.raw[i].Fd)) | uint64(uint32(k.raw[i].Pad))<<32
		if tag == wakeTag {
			var b [8]byte
			unix.Read(k.wakefd, b[:])
			k.woken.Store(false)
			continue
		}
		events[out] = Event{Tag: tag, Events: Events(k.raw[i].Events)}
		out++
	}
	return out
}

// Pause is nanosleep(2), raw: it is shorter than the scheduler takes to notice a thread in a system call. A signal ends it
// early, which does no harm.
func (k *Linux) Pause(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}

func (k *Linux) ctl(op, fd int, tag uint64, want Events) error {
	ev := unix.EpollEvent{Events: uint32(want), Fd: int32(uint32(tag)), Pad: int32(uint32(tag >> 32))}
	if err := unix.EpollCtl(k.epfd, op, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// Add registers fd, level-triggered.
func (k *Linux) Add(fd int, tag uint64, want Events) error {
	return k.ctl(unix.EPOLL_CTL_ADD, fd, tag, want)
}

// Modify changes what a registered fd waits for.
func (k *Linux) Modify(fd int, tag uint64, want Events) error {
	return k.ctl(unix.EPOLL_CTL_MOD, fd, tag, want)
}

// Remove ends fd's registration.
func (k *Linux) Remove(fd int) error { return k.ctl(unix.EPOLL_CTL_DEL, fd, 0, 0) }

// Read is recv(2). Reads and writes are raw system calls: on a non-blocking socket they end within microseconds, so the
// scheduler need not hear of them.
func (k *Linux) Read(fd int, p []byte) (int, unix.Errno) {
	if len(p) == 0 {
		return 0, unix.EINVAL
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), 0
	}
}

// Write is send(2), without a signal on a broken stream.
func (k *Linux) Write(fd int, p []byte) (int, unix.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), 0
	}
}

// Connect opens a non-blocking stream socket, without Nagle's delay, and begins to connect it.
func (k *Linux) Connect(addr Address) (int, unix.Errno) {
	fd, err := unix.Socket(addr.Family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, errno(err)
	}
	if addr.Family != unix.AF_UNIX {
		// Neither failure keeps the conn from working.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		SetKeepalive(fd, addr.Keepalive)
	}
	for {
		err = unix.Connect(fd, ownCopy(addr.Sockaddr))
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch e := errno(err); e {
	case 0, unix.EINPROGRESS:
		return fd, e
	default:
		unix.Close(fd)
		return -1, e
	}
}

// ownCopy copies an address that other loops use too: x/sys writes the kernel's form of it into the value itself.
func ownCopy(sa unix.Sockaddr) unix.Sockaddr {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		c := *a
		return &c
	case *unix.SockaddrInet6:
		c := *a
		return &c
	case *unix.SockaddrUnix:
		c := *a
		return &c
	}
	return sa
}

// SetKeepalive turns TCP keepalive on: first probe after idle, then every 15 s, given up after 5. idle <= 0 leaves it off.
func SetKeepalive(fd int, idle time.Duration) {
	if idle <= 0 {
		return
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, max(1, int(idle/time.Second)))
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 5)
}

// Connected gives the outcome of a Connect that was in progress.
func (k *Linux) Connected(fd int) unix.Errno {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return errno(err)
	}
	return unix.Errno(v)
}

// Close closes fd, which ends its registration too.
func (k *Linux) Close(fd int) { unix.Close(fd) }

// Now is nanoseconds since the epoch.
func (k *Linux) Now() int64 { return k.clock.Now() }

// Elapsed is the clock's.
func (k *Linux) Elapsed() int64 { return k.clock.Elapsed() }

// Wake writes the eventfd, once for any number of calls between two Waits.
func (k *Linux) Wake() {
	if k.woken.CompareAndSwap(false, true) {
		one := [8]byte{1}
		unix.Write(k.wakefd, one[:])
	}
}

// Release closes the epoll instance and the wake-up descriptor.
func (k *Linux) Release() {
	unix.Close(k.wakefd)
	unix.Close(k.epfd)
}

func errno(err error) unix.Errno {
	if err == nil {
		return 0
	}
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return unix.EIO
}
