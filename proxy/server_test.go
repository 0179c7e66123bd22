package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"mcproxy/backend"
	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/proxy"
)

// dial connects to a proxy for at most ten seconds.
func dial(t *testing.T, network, addr string) *scriptedClient {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &scriptedClient{conn, bufio.NewReader(conn)}
}

// ask sends a line and wants one back.
func (c *scriptedClient) ask(t *testing.T, line, want string) {
	t.Helper()
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	c.want(t, want)
}

func (c *scriptedClient) want(t *testing.T, want string) {
	t.Helper()
	if got, err := c.r.ReadString('\n'); got != want+"\r\n" {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

// ended checks that the proxy has closed the conn.
func (c *scriptedClient) ended(t *testing.T) {
	t.Helper()
	if got, err := c.r.ReadString('\n'); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) || got != "" {
		t.Errorf("got %q (%v), want the end", got, err)
	}
}

func onePool(network, address string) []pool.Config {
	return []pool.Config{{Name: "main", Backends: []pool.BackendConfig{{Network: network, Address: address}}}}
}

func TestOneConnTooMany(t *testing.T) {
	addr := serve(t, proxy.Config{
		Listeners: []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0"}}, MaxConns: 2,
		Pools: onePool("tcp", memcachedtest.Start(t).Addr()),
	})
	first, second := dial(t, "tcp", addr), dial(t, "tcp", addr)
	first.ask(t, "mn", "MN")
	second.ask(t, "mn", "MN")
	third := dial(t, "tcp", addr)
	third.want(t, "ERROR Too many open connections")
	third.ended(t)
	first.conn.Close()
	for range 500 { // the place is free as soon as the proxy has noticed
		if c := dial(t, "tcp", addr); c.answers("mn") == "MN\r\n" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("no place became free")
}

func TestListenersOfAllKinds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mcproxy.sock")
	// What a process that died has left.
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()

	mc := memcachedtest.Start(t, "-l", "::1")
	for _, b := range []struct{ network, address string }{
		{"tcp", mc.Addr()},
		{"tcp", fmt.Sprintf("[::1]:%d", mc.Port())},
		{"unix", memcachedtest.StartUnix(t).Addr()[len("unix:"):]},
	} {
		t.Run(b.network+" "+b.address, func(t *testing.T) {
			pools := onePool(b.network, b.address)
			pools[0].Backend.Timeout = 10 * time.Second
			srv, err := proxy.New(proxy.Config{
				Listeners: []proxy.Listener{
					{Network: "tcp", Address: "127.0.0.1:0"}, {Network: "tcp", Address: "[::1]:0"}, {Network: "unix", Address: path, Mode: 0o600},
				},
				Pools: pools,
			}, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- srv.Serve(ctx) }()
			for i, addr := range srv.Addrs() {
				dial(t, addr.Network(), addr.String()).ask(t, fmt.Sprintf("set k%d 0 0 1\r\n%d", i, i), "STORED")
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
				t.Errorf("the socket is %v (%v), want one of mode 0600", info.Mode(), err)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the socket is left behind: %v", err)
			}
		})
	}
}

func TestListenRefusesWhatIsTaken(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("unix", filepath.Join(dir, "taken"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, path := range []string{file, taken.Addr().String()} {
		_, err := proxy.New(proxy.Config{
			Listeners: []proxy.Listener{{Network: "unix", Address: path}}, Pools: onePool("tcp", "127.0.0.1:1"),
		}, zap.NewNop())
		if err == nil {
			t.Errorf("listening on %s: no error", path)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("what was there is gone: %v", err)
		}
	}
}

// TestDrain ends a proxy while one client waits for a backend that is slow, and another is idle.
func TestDrain(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := proxy.Config{Listeners: []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0"}}, Pools: onePool("tcp", mc.Addr())}
	cfg.Pools[0].Backend = backend.Options{Timeout: 8 * time.Second}
	srv, err := proxy.New(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	addr := srv.Addrs()[0].String()
	busy, idle := dial(t, "tcp", addr), dial(t, "tcp", addr)
	idle.ask(t, "mn", "MN")
	busy.ask(t, "set k 0 0 1\r\nv", "STORED")
	mc.Pause()
	if _, err := io.WriteString(busy.conn, "get k\r\nmn\r\n"); err != nil {
		t.Fatal(err)
	}
	cancel()
	idle.ended(t)
	if srv.Ready() {
		t.Error("a proxy that drains says that it is ready")
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("a proxy that drains takes clients")
	}
	mc.Resume()
	for _, line := range []string{"VALUE k 0 1", "v", "END", "MN"} {
		busy.want(t, line)
	}
	busy.ended(t)
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// answers sends a line and gives the line that comes back, if any.
func (c *scriptedClient) answers(line string) string {
	_, _ = io.WriteString(c.conn, line+"\r\n") // the conn may be closed already
	got, _ := c.r.ReadString('\n')
	return got
}
