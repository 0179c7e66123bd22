package handover_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/handover"
)

// pair gives both ends, in one process.
func pair(t *testing.T) (old, next *handover.Conn) {
	t.Helper()
	old, file, err := handover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	if next, err = handover.Open(file); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*handover.Conn{old, next} {
		c.Deadline(time.Now().Add(time.Minute))
		t.Cleanup(c.Close)
	}
	return old, next
}

func listenerFile(t *testing.T) (handover.Listener, net.Listener) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return handover.Listener{Purpose: "clients", Network: "tcp", Address: "127.0.0.1:0", File: f}, ln
}

// TestHandover gives a listener, a server with very many keys and many sessions, of which some have long bytes; each conn still leads
// to its own client.
func TestHandover(t *testing.T) {
	old, next := pair(t)
	l, ln := listenerFile(t)
	given := &handover.State{Servers: []handover.Server{{Server: "tcp a:1", State: "down", Version: "1.6.18"}, {Server: "tcp b:1", State: "up"}}}
	for i := range 5000 {
		given.Servers[0].Keys = append(given.Servers[0].Keys, fmt.Appendf(nil, "%d\xff%s", i, strings.Repeat("k", 240)))
	}
	var clients []net.Conn
	for i := range 300 {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		client := os.NewFile(uintptr(fds[1]), "client")
		c, err := net.FileConn(client)
		client.Close()
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
		s := handover.Session{FD: fds[0], Listener: i % 2, Skip: i % 3, EOF: i%5 == 0}
		if i%7 == 0 && i > 0 {
			s.In = bytes.Repeat([]byte{byte(i)}, i*1000)
			s.Out = fmt.Append(nil, "out", i)
			s.Refusal = &handover.Refusal{Answer: "no", Unlink: []byte("\xfe")}
		}
		given.Sessions = append(given.Sessions, s)
	}
	defer given.Close()
	var taken *handover.State
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			listeners, err := next.Listeners()
			if err != nil {
				return err
			}
			if len(listeners) != 1 || listeners[0].Address != l.Address || listeners[0].Purpose != "clients" {
				return fmt.Errorf("listeners are %+v", listeners)
			}
			same, err := net.FileListener(listeners[0].File)
			if err != nil {
				return err
			}
			listeners[0].File.Close()
			defer same.Close()
			if same.Addr().String() != ln.Addr().String() {
				return fmt.Errorf("it listens on %v, want %v", same.Addr(), ln.Addr())
			}
			if taken, err = next.Take(); err != nil {
				return err
			}
			return next.Taken()
		}()
	}()
	if err := errors.Join(old.Begin([]handover.Listener{l}), old.Give(given), old.Go(), <-done); err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var keys [][]byte
	for _, s := range taken.Servers {
		keys = append(keys, s.Keys...)
	}
	if !reflect.DeepEqual(keys, given.Servers[0].Keys) || taken.Servers[0].Version != "1.6.18" || taken.Servers[len(taken.Servers)-1].Server != "tcp b:1" {
		t.Errorf("%d keys in %d parts", len(keys), len(taken.Servers))
	}
	if len(taken.Sessions) != len(given.Sessions) {
		t.Fatalf("%d sessions, want %d", len(taken.Sessions), len(given.Sessions))
	}
	for i := range taken.Sessions {
		got, want := taken.Sessions[i], given.Sessions[i]
		if _, err := unix.Write(got.FD, fmt.Appendf(nil, "%5d", i)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 5)
		if _, err := clients[i].Read(answer); err != nil || string(answer) != fmt.Sprintf("%5d", i) {
			t.Fatalf("client %d reads %q, %v", i, answer, err)
		}
		clients[i].Close()
		got.FD = want.FD
		if !reflect.DeepEqual(got, want) {
			t.Errorf("session %d is %+v", i, got.Listener)
		}
	}
}

// TestHandoverFails has the new process fail in every way that it can: the old one hears of it.
func TestHandoverFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		next func(c *handover.Conn) // what the new process does
		want string
	}{
		{"it says why", func(c *handover.Conn) {
			_, _ = c.Listeners()
			c.Failed(errors.New("no such file"))
		}, "no such file"},
		{"it ends", func(c *handover.Conn) { c.Close() }, ""},
		{"it ends when it is ready", func(c *handover.Conn) {
			_, _ = c.Listeners()
			go c.Close()
			if s, err := c.Take(); err == nil {
				s.Close()
			}
		}, ""},
		{"it is silent", func(*handover.Conn) {}, "timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, next := pair(t)
			old.Deadline(time.Now().Add(500 * time.Millisecond))
			l, _ := listenerFile(t)
			done := make(chan struct{})
			go func() {
				defer close(done)
				tt.next(next)
			}()
			err := old.Begin([]handover.Listener{l})
			if err == nil {
				err = old.Give(&handover.State{})
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the old process hears %v, want %q", err, tt.want)
			}
			<-done
		})
	}
}

// TestHandoverOfOldDies has the old process die at every point: the new one has nothing then.
func TestHandoverOfOldDies(t *testing.T) {
	old, next := pair(t)
	old.Close()
	if _, err := next.Listeners(); err == nil {
		t.Error("listeners of nobody")
	}
	old, next = pair(t)
	l, _ := listenerFile(t)
	began := make(chan error, 1)
	go func() { began <- old.Begin([]handover.Listener{l}) }()
	listeners, err := next.Listeners()
	if err != nil {
		t.Fatal(err)
	}
	listeners[0].File.Close()
	given := make(chan error, 1)
	go func() {
		if err := <-began; err != nil {
			given <- err
			return
		}
		given <- old.Give(&handover.State{})
	}()
	s, err := next.Take()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	taken := make(chan error, 1)
	go func() { taken <- next.Taken() }()
	if err := <-given; err != nil {
		t.Fatal(err)
	}
	old.Close() // and no go
	if err := <-taken; err == nil {
		t.Error("the new process goes without a word")
	}
}
