package epoll_test

import (
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a loop over the real kernel for the time of the test.
func start(t *testing.T) *epoll.Loop {
	t.Helper()
	k, err := epoll.NewLinux(epoll.NewClock(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	l := epoll.New(k)
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Post(l.Stop)
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if l.Post(func() {}) {
			t.Error("a loop that has ended takes work")
		}
		k.Release()
	})
	return l
}

// within runs fn on the loop and waits for it.
func within(t *testing.T, l *epoll.Loop, fn func()) {
	t.Helper()
	done := make(chan struct{})
	if !l.Post(func() { fn(); close(done) }) {
		t.Fatal("the loop is closed")
	}
	<-done
}

// echo sends back what it reads, in Flush.
type echo struct {
	l        *epoll.Loop
	fd       int
	tag      epoll.Tag
	data     []byte
	deferred bool
	ended    chan struct{}
}

func (e *echo) Ready(epoll.Events) {
	n, errno := e.l.Kernel.Read(e.fd, e.l.Scratch)
	if n == 0 && errno != unix.EAGAIN {
		e.l.CloseFD(e.fd, e.tag)
		close(e.ended)
		return
	}
	e.data = append(e.data, e.l.Scratch[:n]...)
	if !e.deferred {
		e.deferred = true
		e.l.Defer(e)
	}
}

func (e *echo) Flush() {
	e.deferred = false
	e.l.Kernel.Write(e.fd, e.data)
	e.data = e.data[:0]
}

func TestEcho(t *testing.T) {
	l := start(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{l: l, fd: fds[0], ended: make(chan struct{})}
	within(t, l, func() {
		if e.tag, err = l.Register(e.fd, e, epoll.In); err != nil {
			t.Error(err)
		}
	})
	for _, text := range []string{"a", "hello", "end"} {
		if _, err := unix.Write(fds[1], []byte(text)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		pfd := []unix.PollFd{{Fd: int32(fds[1]), Events: unix.POLLIN}}
		if _, err := unix.Poll(pfd, 5000); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(fds[1], buf); err != nil || string(buf[:n]) != text {
			t.Fatalf("read %q, %v; want %q", buf[:n], err, text)
		}
	}
	unix.Close(fds[1])
	<-e.ended
}

// TestConcurrentConnects has several loops connect to one shared address at once: x/sys writes into the address it is given,
// which the race detector must not see.
func TestConcurrentConnects(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, network := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"unix", path}} {
		ln, err := net.Listen(network[0], network[1])
		if err != nil {
			t.Fatal(err)
		}
		addr := epoll.Address{Sockaddr: &unix.SockaddrUnix{Name: path}, Family: unix.AF_UNIX}
		if tcp, ok := ln.Addr().(*net.TCPAddr); ok {
			addr = epoll.Address{Sockaddr: &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte{127, 0, 0, 1}}, Family: unix.AF_INET, Keepalive: time.Minute}
		}
		var all sync.WaitGroup
		for range 4 {
			k, err := epoll.NewLinux(epoll.NewClock(time.Now()))
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				defer k.Release()
				for range 50 {
					fd, errno := k.Connect(addr)
					if errno != 0 && errno != unix.EINPROGRESS && errno != unix.EAGAIN {
						t.Errorf("connect: %v", errno)
					}
					if fd >= 0 {
						k.Close(fd)
					}
				}
			})
		}
		all.Wait()
		ln.Close()
	}
}

type alarmFunc func(now int64) int64

func (f alarmFunc) Expire(now int64) int64 { return f(now) }

func TestAlarmGoesOffInOrder(t *testing.T) {
	l := start(t)
	var got []string
	done := make(chan struct{})
	within(t, l, func() {
		begin := l.Now
		late := l.NewAlarm(alarmFunc(func(now int64) int64 {
			if now < begin+int64(20*time.Millisecond) {
				t.Errorf("the late alarm is early: %v", time.Duration(now-begin))
			}
			got = append(got, "late")
			close(done)
			return 0
		}))
		again := 0
		soon := l.NewAlarm(alarmFunc(func(now int64) int64 {
			got = append(got, "soon")
			if again++; again == 3 {
				return 0
			}
			return now + int64(time.Millisecond)
		}))
		late.Set(begin + int64(20*time.Millisecond))
		late.Set(begin + int64(time.Hour)) // later than it is set: no effect
		soon.Set(begin + int64(time.Hour))
		soon.Set(begin + int64(time.Millisecond))
	})
	<-done
	within(t, l, func() {
		if len(got) != 4 || got[3] != "late" {
			t.Errorf("alarms went off as %v, want soon three times, then late", got)
		}
	})
}

func TestPostKeepsOrder(t *testing.T) {
	l := start(t)
	var got []int
	for i := range 1000 {
		l.Post(func() { got = append(got, i) })
	}
	within(t, l, func() {
		for i, v := range got {
			if i != v {
				t.Errorf("posted function %d ran as number %d", v, i)
				return
			}
		}
		if len(got) != 1000 {
			t.Errorf("%d of 1000 posted functions ran", len(got))
		}
	})
}

// staleKernel gives two events at once; the first handler closes the second's descriptor.
type staleKernel struct {
	epoll.Kernel
	events []epoll.Event
	tags   map[int]uint64
}

func (k *staleKernel) Wait(events []epoll.Event, _ time.Duration) (int, error) {
	n := copy(events, k.events)
	k.events = nil
	return n, nil
}
func (k *staleKernel) Add(fd int, tag uint64, _ epoll.Events) error { k.tags[fd] = tag; return nil }
func (k *staleKernel) Close(int)                                    {}
func (k *staleKernel) Now() int64                                   { return 1 }

type readyFunc func()

func (f readyFunc) Ready(epoll.Events) { f() }

// TestEventOfAClosedDescriptorReachesNobody closes a descriptor whose event was fetched already, and registers another in its
// place.
func TestEventOfAClosedDescriptorReachesNobody(t *testing.T) {
	k := &staleKernel{tags: make(map[int]uint64)}
	l := epoll.New(k)
	var second epoll.Tag
	first, err := l.Register(1, readyFunc(func() {
		l.CloseFD(2, second)
		if _, err := l.Register(3, readyFunc(func() { t.Error("the new descriptor got the old one's event") }), epoll.In); err != nil {
			t.Error(err)
		}
	}), epoll.In)
	if err != nil {
		t.Fatal(err)
	}
	if second, err = l.Register(2, readyFunc(func() { t.Error("a closed descriptor's handler was called") }), epoll.In); err != nil {
		t.Fatal(err)
	}
	k.events = []epoll.Event{{Tag: uint64(first), Events: epoll.In}, {Tag: uint64(second), Events: epoll.In}}
	if err := l.Turn(); err != nil {
		t.Fatal(err)
	}
}

type failingKernel struct{ staleKernel }

var errKernel = errors.New("no more")

func (*failingKernel) Wait([]epoll.Event, time.Duration) (int, error) { return 0, errKernel }

func TestRunEndsWhenTheKernelFails(t *testing.T) {
	l := epoll.New(&failingKernel{})
	if err := l.Run(); !errors.Is(err, errKernel) {
		t.Errorf("Run: %v, want %v", err, errKernel)
	}
}
