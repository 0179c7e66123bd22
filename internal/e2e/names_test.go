package e2e

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/dnstest"
	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/proxy"
)

// TestBackendByName gives a backend by a name that is not known at first, then stands for one server, and then for another.
func TestBackendByName(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	dns := dnstest.Start(t)
	first, second := memcachedtest.Start(t), memcachedtest.Start(t)
	port := strconv.Itoa(first.Port())
	forward(t, "127.0.0.2:"+port, second.Addr())
	s := startProxyOf(t, proxy.Config{
		Pools: []pool.Config{{
			Name: "main", Backends: []pool.BackendConfig{{Network: "tcp", Address: "cache.test:" + port}},
			Backend: backend.Options{Timeout: failingTimeout, FailureLimit: 1},
		}},
		DNSServer: dns.Addr(), DNSInterval: 100 * time.Millisecond,
	})
	dns.SetTTL(3600) // longer than the interval
	conn := s.dial(t)
	conn.ask(t, "set k 0 0 3\r\none\r\n", "NOT_STORED\r\n")
	// again asks until the answer is what it should be.
	again := func(request, want string) {
		t.Helper()
		for end := time.Now().Add(answerTimeout); ; time.Sleep(10 * time.Millisecond) {
			answer, _, err := askWithNoop(conn, request)
			if err == nil && answer == want {
				return
			}
			if err != nil || time.Now().After(end) {
				t.Fatalf("%q: %q, %v; want %q", request, answer, err, want)
			}
		}
	}
	dns.SetHost("cache.test", "127.0.0.1")
	again("set k 0 0 3\r\none\r\n", "STORED\r\n")
	if got := first.Command("get k"); got == "END\r\n" {
		t.Error("it is not where the name led")
	}
	dns.SetHost("cache.test", "127.0.0.2", "127.0.0.1") // the present address is among them
	asked := dns.Asked("cache.test")
	for end := time.Now().Add(answerTimeout); dns.Asked("cache.test") < asked+4 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	conn.ask(t, "get k\r\n", "VALUE k 0 3\r\none\r\nEND\r\n")
	dns.SetHost("cache.test", "127.0.0.2")
	again("get k\r\n", "END\r\n")
	again("set k 0 0 3\r\ntwo\r\n", "STORED\r\n")
	if got := second.Command("get k"); got == "END\r\n" {
		t.Error("it is not where the name leads now")
	}
	dns.SetHost("cache.test") // a name that is lost changes nothing
	asked = dns.Asked("cache.test")
	for end := time.Now().Add(answerTimeout); dns.Asked("cache.test") < asked+4 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	conn.ask(t, "get k\r\n", "VALUE k 0 3\r\ntwo\r\nEND\r\n")
}

// forward passes conns on from one address to another until the test ends.
func forward(t *testing.T, from, to string) {
	t.Helper()
	ln, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends with the listener
		defer close(done)
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go func() { // ends with either conn
				_, _ = io.Copy(out, in)
				out.Close()
			}()
			go func() {
				_, _ = io.Copy(in, out)
				in.Close()
			}()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
}

// TestUpgradeOfSets has a set of backends be unknown while a new process is to take over: the one before goes on, which knows it.
func TestUpgradeOfSets(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	dns := dnstest.Start(t)
	mc := startMemcached(t)
	target := dnstest.Target{Host: "cache.test", Port: uint16(mc.Port()), Weight: 1}
	dns.SetHost("cache.test", "127.0.0.1")
	dns.SetTargets("_memcached._tcp.test", target)
	l := startLineage(t, buildProgram(t), fmt.Sprintf("[proxy]\ndns_server = %q\n[pools.main]\nbackends = [\"dnssrv+_memcached._tcp.test\"]\n", dns.Addr()))
	c := l.dial(t)
	c.ask(t, "set k 0 0 1\r\nv\r\n", "STORED\r\n")
	dns.SetTargets("_memcached._tcp.test")
	if out, err := l.tryUpgrade(); err == nil || !strings.Contains(out, "the new process says: the SRV records of _memcached._tcp.test are not found") {
		t.Errorf("an upgrade without the set: %v: %s", err, out)
	}
	c.ask(t, "get k\r\n", "VALUE k 0 1\r\nv\r\nEND\r\n")
	dns.SetTargets("_memcached._tcp.test", target)
	l.upgrade()
	c.ask(t, "get k\r\n", "VALUE k 0 1\r\nv\r\nEND\r\n")
	l.finish()
}
