package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"mcproxy/backend"
	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/proxy"
)

// service is what a suite goes through: a proxy over some memcached.
type service struct {
	endpoint  // its TCP listener
	unix      endpoint
	memcached bool // it is no proxy but memcached itself
	servers   []*memcachedtest.Server
	proxy     *proxy.Server // nil for memcached itself
}

// startMemcached starts a memcached that behaves alike whenever it is asked the same: random streams cannot fill its
// memory, and no thread of its own holds items for a moment (so a number changes in place, see command.changes).
func startMemcached(t testing.TB, args ...string) *memcachedtest.Server {
	return memcachedtest.Start(t, append([]string{"-m", "1024", "-c", "16384", "-o", "no_modern"}, args...)...)
}

// startService starts n memcached, and a proxy over them; or gives one memcached as it is.
func startService(t testing.TB, n int) *service {
	t.Helper()
	var servers []*memcachedtest.Server
	for range n {
		servers = append(servers, startMemcached(t))
	}
	if throughMemcached(t) {
		return &service{endpoint: endpointOf(servers[0]), unix: endpointOf(memcachedtest.StartUnix(t)), memcached: true, servers: servers}
	}
	p := poolOf(servers...)
	p.Backend.Timeout = 10 * time.Second // these suites are about answers, not about a machine that is busy
	s := startProxy(t, p)
	s.servers = servers
	s.waitVersion(t)
	return s
}

// waitVersion waits until the proxy gives its backend's version for its own, as it does from the first contact on:
// memcapable asks for the version first, and expects less of an old one.
func (s *service) waitVersion(t testing.TB) {
	t.Helper()
	c := s.dial(t)
	defer c.Close()
	want := s.servers[0].Command("version")
	for deadline := time.Now().Add(answerTimeout); ; {
		answer, _, err := askWithNoop(c, "version\r\n")
		if answer == want {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("version: %q, %v; want %q", answer, err, want)
		}
	}
}

// backends configures servers as the backends of a pool, with weights if there are any.
func backends(servers []*memcachedtest.Server, weights ...int) []pool.BackendConfig {
	var list []pool.BackendConfig
	for i, mc := range servers {
		ep := endpointOf(mc)
		b := pool.BackendConfig{Network: ep.network, Address: ep.address}
		if len(weights) > 0 {
			b.Weight = weights[i]
		}
		list = append(list, b)
	}
	return list
}

// startProxy runs a proxy with one pool; it ends with the test.
func startProxy(t testing.TB, p pool.Config) *service {
	t.Helper()
	p.Name = "main"
	return startProxyOf(t, proxy.Config{Pools: []pool.Config{p}})
}

// startProxyOf runs a proxy on a TCP port and a unix socket; it ends with the test.
func startProxyOf(t testing.TB, cfg proxy.Config) *service {
	t.Helper()
	dir, err := os.MkdirTemp("", "mcproxy") // not t.TempDir: a socket's path has room for 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg.Listeners = []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0"}, {Network: "unix", Address: filepath.Join(dir, "socket")}}
	cfg.Workers = 2
	cfg.DrainTimeout = 2 * time.Second
	server, err := proxy.New(cfg, zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)))
	if err != nil {
		t.Fatalf("start the proxy: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }() // ends with ctx; waited for below
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the proxy ended: %v", err)
		}
	})
	s := &service{proxy: server}
	for _, addr := range server.Addrs() {
		if strings.HasPrefix(addr.Network(), "tcp") {
			s.endpoint = endpoint{"tcp", addr.String()}
		} else {
			s.unix = endpoint{"unix", addr.String()}
		}
	}
	return s
}

// poolOf is a pool of some memcached with the options of most tests: those that look at answers, not at time, and must not
// see a miss where the machine was busy for a moment.
func poolOf(servers ...*memcachedtest.Server) pool.Config {
	return pool.Config{Backends: backends(servers), AllowFlushAll: true, AllowStatsAll: true, Backend: backend.Options{Timeout: answerTimeout / 2}}
}
