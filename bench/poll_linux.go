package bench

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const maxEvents = 256 // taken from one epoll_wait

// An epollPoller is a poller of few system calls: a closed loop costs one send and one recv a request, and its share of an
// epoll_wait.
type epollPoller struct {
	epfd    int
	events  [maxEvents]unix.EpollEvent
	noPwait bool // the kernel has no epoll_pwait2, so waits are rounded up to milliseconds
}

// An epollSocket is a conn's descriptor.
type epollSocket struct {
	fd     int
	poller *epollPoller
}

func newPoller() (poller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &epollPoller{epfd: epfd}, nil
}

func (p *epollPoller) close() { unix.Close(p.epfd) }

func (p *epollPoller) add(id int, conn net.Conn) (socket, error) {
	defer conn.Close() // what goes on is a duplicate of its descriptor
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, fmt.Errorf("dup: %w", dupErr)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(id)}
	if err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	return &epollSocket{fd: fd, poller: p}, nil
}

func (p *epollPoller) wait(ids []int32, timeout time.Duration) ([]int32, error) {
	n, err := p.epollWait(timeout)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return ids, fmt.Errorf("epoll_wait: %w", err)
	}
	for i := range n {
		ids = append(ids, p.events[i].Fd)
	}
	return ids, nil
}

// epollWait goes through the runtime when it may sleep, so that the garbage collector need not wait for it.
func (p *epollPoller) epollWait(timeout time.Duration) (int, error) {
	if timeout <= 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])), maxEvents, 0, 0, 0)
		return count(n, errno)
	}
	if !p.noPwait {
		ts := unix.NsecToTimespec(int64(timeout))
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])), maxEvents,
			uintptr(unsafe.Pointer(&ts)), 0, 0)
		if errno != unix.ENOSYS {
			return count(n, errno)
		}
		p.noPwait = true // before Linux 5.11
	}
	ms := min((timeout+time.Millisecond-1)/time.Millisecond, math.MaxInt32)
	return unix.EpollWait(p.epfd, p.events[:], int(ms))
}

// precise makes sleeps of the calling thread end when they should, not up to 50 µs later: an open loop's arrivals are
// as exact as its timers. The caller has locked its goroutine to the thread.
func precise() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }

func count(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (s *epollSocket) watchWrites(id int, on bool) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(id)}
	if on {
		event.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(s.poller.epfd, unix.EPOLL_CTL_MOD, s.fd, &event)
}

// read and write are raw system calls: on a non-blocking socket they end within microseconds, so the scheduler need not hear
// of them.
func (s *epollSocket) read(p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return 0, errAgain
		case errno != 0:
			return 0, errno
		case n == 0:
			return 0, io.EOF
		default:
			return int(n), nil
		}
	}
}

func (s *epollSocket) write(p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return 0, errAgain
		case errno != 0:
			return 0, errno
		default:
			return int(n), nil
		}
	}
}

func (s *epollSocket) close() { unix.Close(s.fd) }

// cpuTime is what the process has used, in seconds.
func cpuTime() (user, system float64) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, 0
	}
	return float64(usage.Utime.Nano()) / 1e9, float64(usage.Stime.Nano()) / 1e9
}
