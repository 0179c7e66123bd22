package daemon_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcproxy/config"
	"mcproxy/daemon"
	"mcproxy/internal/dnstest"
	"mcproxy/internal/memcachedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSetOfBackends has a proxy live by the SRV records of a name: unknown at first, then one server, then two.
func TestSetOfBackends(t *testing.T) {
	dns := dnstest.Start(t)
	servers := []*memcachedtest.Server{memcachedtest.Start(t), memcachedtest.Start(t)}
	f, err := config.Parse("proxy.toml", fmt.Sprintf("[[listeners]]\naddress = \"127.0.0.1:0\"\n[proxy]\ndns_server = %q\ndns_interval = \"1s\"\n"+
		"[pools.main]\nbackends = [\"dnssrv+_memcached._tcp.test\"]\n", dns.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	log, err := daemon.NewLog(f.Log, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	d, err := daemon.New(daemon.Options{File: f, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, nil) }() // ends with ctx; waited for below
	defer func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()

	target := func(s *memcachedtest.Server) dnstest.Target {
		return dnstest.Target{Host: "cache.test", Port: uint16(s.Port()), Weight: 1}
	}
	dns.SetHost("cache.test", "127.0.0.1")
	dns.SetTargets("_memcached._tcp.test", target(servers[0]))
	waitBackends(t, d, servers[0])
	waitStored(t, d.Addrs()[0].String())
	dns.SetTargets("_memcached._tcp.test", target(servers[0]), target(servers[1]))
	waitBackends(t, d, servers...)
	waitStored(t, d.Addrs()[0].String())
}

const patience = 30 * time.Second

// waitBackends waits until the pool has the servers as its backends, and no others, and all are up.
func waitBackends(t *testing.T, d *daemon.Daemon, servers ...*memcachedtest.Server) {
	t.Helper()
	var want []string
	for _, s := range servers {
		want = append(want, fmt.Sprintf("cache.test:%d up", s.Port()))
	}
	slices.Sort(want)
	var got []string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		snap, err := d.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, b := range snap.Pools[0].Backends {
			got = append(got, b.Address+" "+b.State)
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
	}
	t.Fatalf("the backends are %q, want %q", got, want)
}

// waitStored waits until many keys can be stored, on whatever backends they are.
func waitStored(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for i, end := 0, time.Now().Add(patience); i < 50; {
		_ = conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(conn, "set key%d 0 0 1\r\nx\r\n", i)
		answer, err := r.ReadString('\n')
		if err != nil || time.Now().After(end) {
			t.Fatalf("key%d: %q, %v", i, answer, err)
		}
		if answer == "STORED\r\n" {
			i++
		}
	}
}
