package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDrain sends SIGTERM to a proxy with requests under way: whatever has been sent is answered, and conns end between two requests.
func TestDrain(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	mc := startMemcached(t)
	const pending = 200 // requests of one client that are under way
	l := startLineage(t, buildProgram(t), fmt.Sprintf("[proxy]\ndrain_timeout = \"5s\"\n[pools.main]\nbackends = [%q]\ntimeout = \"10s\"\nstall_timeout = \"10s\"\n", mc.Addr()))
	idle, busy, late, half, stuck := l.dial(t), l.dial(t), l.dial(t), l.dial(t), endpoint{"unix", l.socket}.dial(t)
	for _, c := range []*client{idle, busy, half, stuck} {
		c.ask(t, "set k 0 0 1\r\n1\r\n", "STORED\r\n")
	}
	mc.Pause()
	say(t, busy, strings.Repeat("get k\r\n", pending))
	say(t, half, "set half 0 0 10\r\n01234")
	say(t, stuck, "set stuck 0 0 10\r\n01234")
	until(t, "the requests are under way", func() bool { return l.sum(l.figures(), "mcproxy_client_requests_in_flight") > 0 })
	var newcomers []*client
	for range 50 { // some of them wait to be accepted when the signal comes
		c := l.dial(t)
		say(t, c, "mn\r\n")
		newcomers = append(newcomers, c)
	}
	say(t, late, "get k\r\n")
	for _, c := range append(newcomers, late) {
		c.arrives(t)
	}
	begun := time.Now()
	if err := syscall.Kill(l.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "it is draining", func() bool { return l.readyz() == http.StatusServiceUnavailable })
	until(t, "it accepts nobody", func() bool { return refusesAll(l.address) }) // it says that it drains before it does
	if u, err := idle.unit(time.Now().Add(answerTimeout)); !errors.Is(err, io.EOF) {
		t.Errorf("the idle client gets %q, %v; want the end", u, err)
	}
	var all sync.WaitGroup
	for i, c := range newcomers {
		all.Go(func() { // ends with the conn
			if got, err := c.rest(time.Now().Add(answerTimeout)); err != nil || string(got) != "MN\r\n" {
				t.Errorf("newcomer %d gets %q, %v", i, got, err)
			}
		})
	}
	mc.Resume()
	say(t, half, "56789\r\n")
	for what, want := range map[*client]string{
		busy: strings.Repeat("VALUE k 0 1\r\n1\r\nEND\r\n", pending), late: "VALUE k 0 1\r\n1\r\nEND\r\n", half: "STORED\r\n", stuck: "",
	} {
		got, err := what.rest(time.Now().Add(answerTimeout))
		if err != nil || string(got) != want {
			t.Errorf("after SIGTERM a client gets %s, %v; want %s", quote(got), err, quote([]byte(want)))
		}
	}
	all.Wait()
	l.ends(l.pid)
	if took := time.Since(begun); took < 5*time.Second {
		t.Errorf("it ended after %v, with a client in the midst of a request and drain_timeout = 5s", took)
	}
	if l.reap(0) {
		t.Error("a process is left")
	}
}

// refusesAll says whether nobody listens there any more.
func refusesAll(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		conn.Close()
	}
	return err != nil
}

// arrives waits until the peer's kernel has all that was written: loopback may take its time on a busy machine.
func (c *client) arrives(t *testing.T) {
	t.Helper()
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	until(t, "what was written has arrived", func() bool {
		left, failed := -1, error(nil)
		if err := errors.Join(raw.Control(func(fd uintptr) { left, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }), failed); err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
}

// readyz is the status of /readyz; 0: nobody answers.
func (l *lineage) readyz() int {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: answerTimeout}
	resp, err := client.Get("http://" + l.admin + "/readyz")
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}
