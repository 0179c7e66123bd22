package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"mcproxy/internal/handover"
	"mcproxy/proxy"
)

// systemd is the service manager that started the process, if it wants to be told (sd_notify(3), sd_watchdog_enabled(3)). Others speak
// the same protocol. Without one nothing is told.
type systemd struct {
	address  string        // of its socket; "": nobody
	watchdog time.Duration // it must be told so often that the process is well; 0: it need not
	log      *zap.Logger
}

// newSystemd reads the environment.
func newSystemd(log *zap.Logger) *systemd {
	s := &systemd{address: os.Getenv("NOTIFY_SOCKET"), log: log}
	if s.address == "" {
		return s
	}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	pid := os.Getenv("WATCHDOG_PID")
	if err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		s.watchdog = time.Duration(usec) * time.Microsecond
	}
	return s
}

// tell sends variables, one a line.
func (s *systemd) tell(lines ...string) { s.send(strings.Join(lines, "\n"), nil) }

func (s *systemd) send(text string, files []int) {
	if s.address == "" {
		return
	}
	if err := sendTo(s.address, text, files); err != nil {
		s.log.Warn("the service manager cannot be told", zap.String("what", text), zap.Error(err))
	}
}

func sendTo(address, text string, files []int) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(int64(time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		return err
	}
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	return unix.Sendmsg(fd, []byte(text), rights, &unix.SockaddrUnix{Name: address}, unix.MSG_NOSIGNAL) // "@" is x/sys's for an abstract one too
}

// ready says that the process serves, and how.
func (s *systemd) ready(status string) { s.tell("READY=1", "STATUS="+status) }

// reloading says that it will soon be ready again (Type=notify-reload wants the time).
func (s *systemd) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	s.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// mainPID says that another process is the service from now on, and waits until that is known: systemd must not take the end of this one
// for the end of the service.
func (s *systemd) mainPID(pid int) {
	if s.address == "" {
		return
	}
	s.tell(fmt.Sprintf("MAINPID=%d", pid))
	if err := s.barrier(5 * time.Second); err != nil {
		s.log.Warn("the service manager may not know the new process yet", zap.Error(err))
	}
}

// barrier waits until what was told before has been read (sd_notify_barrier(3)): the service manager closes the descriptor that is sent.
func (s *systemd) barrier(timeout time.Duration) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	raw, err := w.SyscallConn()
	if err == nil {
		var sent error
		err = raw.Control(func(fd uintptr) { sent = sendTo(s.address, "BARRIER=1", []int{int(fd)}) })
		err = errors.Join(err, sent)
	}
	w.Close()
	if err != nil {
		return err
	}
	if err := r.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := r.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil // it is closed
}

// feed tells the watchdog that the process is well as long as probe says so, twice in its time, until ctx is done.
func (s *systemd) feed(ctx context.Context, probe func(ctx context.Context) error) {
	if s.watchdog == 0 {
		return
	}
	tick := time.NewTicker(s.watchdog / 2)
	defer tick.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, s.watchdog/2)
		err := probe(limited)
		cancel()
		switch {
		case ctx.Err() != nil, errors.Is(err, proxy.ErrNotServing): // it ends, or another process has taken over
			return
		case err != nil:
			s.log.Error("the proxy does not answer itself; the watchdog is not told that it is well", zap.Error(err))
		default:
			s.tell("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// firstSocket is the first descriptor that systemd gives (SD_LISTEN_FDS_START).
const firstSocket = 3

// inheritSockets gives the sockets that systemd has opened for the process (sd_listen_fds(3)); nil if there are none.
func inheritSockets() (*Inheritance, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if pid != strconv.Itoa(os.Getpid()) || count == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 1<<16 {
		return nil, fmt.Errorf("LISTEN_FDS=%q is no number of sockets", count)
	}
	i := &Inheritance{}
	for fd := firstSocket; fd < firstSocket+n; fd++ {
		unix.CloseOnExec(fd)
		l := handover.Listener{Purpose: handover.Clients, Resolved: true, File: os.NewFile(uintptr(fd), "socket")}
		if at := fd - firstSocket; at < len(names) && names[at] == "admin" {
			l.Purpose = handover.Admin
		}
		ln, err := net.FileListener(l.File)
		if err != nil {
			return nil, fmt.Errorf("socket %d of LISTEN_FDS: %w", fd, err)
		}
		l.Network, l.Address = ln.Addr().Network(), ln.Addr().String()
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		ln.Close()
		i.listeners = append(i.listeners, l)
	}
	return i, nil
}
