package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"mcproxy/backend"
	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/proxy"
)

// reloaded is a proxy whose configuration changes.
type reloaded struct {
	*proxy.Server
	t    *testing.T
	cfg  proxy.Config
	done chan error

	lingered chan struct{} // after succeed: closed when nothing is left of the server
}

// serveReloaded runs a proxy for the time of the test, with a listener on TCP.
func serveReloaded(t *testing.T, cfg proxy.Config) *reloaded {
	t.Helper()
	cfg.Listeners = append([]proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0"}}, cfg.Listeners...)
	cfg.Workers = 2
	srv, err := proxy.New(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	r := &reloaded{Server: srv, t: t, cfg: cfg}
	r.run()
	return r
}

// run serves until the test is over.
func (r *reloaded) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.done = make(chan error, 1)
	go func() { r.done <- r.Serve(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-r.done; err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	})
	for !r.Ready() {
		time.Sleep(time.Millisecond)
	}
}

// reload changes the configuration.
func (r *reloaded) reload(change func(cfg *proxy.Config)) {
	r.t.Helper()
	next := r.cfg
	change(&next)
	if err := r.Reload(r.t.Context(), next); err != nil {
		r.t.Fatal(err)
	}
	r.cfg = next
}

func (r *reloaded) dial() *scriptedClient {
	r.t.Helper()
	return dial(r.t, "tcp", r.Addrs()[0].String())
}

// poolsOf are pools of one backend each, "a", "b" and so on.
func poolsOf(servers ...*memcachedtest.Server) []pool.Config {
	var pools []pool.Config
	for i, s := range servers {
		pools = append(pools, pool.Config{
			Name: string(rune('a' + i)), OnError: pool.OnErrorError, Backends: []pool.BackendConfig{{Network: "tcp", Address: s.Addr()}},
			Backend: backend.Options{Timeout: 5 * time.Second},
		})
	}
	return pools
}

// TestReload adds a pool and a route, and takes them away. What stays keeps its conns, and figures only grow.
func TestReload(t *testing.T) {
	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	r := serveReloaded(t, proxy.Config{Pools: poolsOf(a)})
	c := r.dial()
	c.ask(t, "set x/1 0 0 1\r\n1", "STORED")
	conns := a.Stats()["total_connections"]
	r.reload(func(cfg *proxy.Config) {
		cfg.Pools = poolsOf(a, b)
		cfg.DefaultPool = "a"
		cfg.Routes = []proxy.Route{{Prefix: "x/", Pool: "b"}}
	})
	c.ask(t, "get x/1", "END")
	c.ask(t, "set x/2 0 0 1\r\n2", "STORED")
	c.ask(t, "set y 0 0 1\r\n3", "STORED")
	if got := b.Command("get x/2"); got != "VALUE x/2 0 1" && !strings.HasPrefix(got, "VALUE x/2 0 1\r\n2") {
		t.Errorf("b says %q of x/2", got)
	}
	r.reload(func(cfg *proxy.Config) { // other limits: another view of the pool, the same conns
		cfg.Pools = poolsOf(a)
		cfg.Pools[0].Backend.Timeout = 6 * time.Second
		cfg.Routes = nil
	})
	c.ask(t, "get x/2", "END")
	if now := a.Stats()["total_connections"]; now != conns { // Stats' own conn is counted before and after
		if n, m := atoi(t, conns), atoi(t, now); m != n+1 {
			t.Errorf("backend a had %s conns, and %s after two reloads", conns, now)
		}
	}
	snap, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.Pools) != 1 || snap.Pools[0].Requests["set"] != 2 || snap.Pools[0].Requests["get"] != 1 {
		t.Errorf("the figures are %+v", snap.Pools)
	}
	until(t, "b has no conns any more", func() bool { return atoi(t, b.Stats()["curr_connections"]) <= 2 }) // its own listener, which not every version counts, and the one that asks
}

func atoi(t *testing.T, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// until waits for what must come.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so after 20 s: %s", what)
		}
	}
}

// TestReloadListeners adds and removes listeners. Clients stay.
func TestReloadListeners(t *testing.T) {
	a := memcachedtest.Start(t)
	path := filepath.Join(t.TempDir(), "socket")
	r := serveReloaded(t, proxy.Config{Pools: poolsOf(a)})
	tcp := r.Addrs()[0].String()
	first := r.dial()
	first.ask(t, "mn", "MN")
	both := r.cfg.Listeners
	r.reload(func(cfg *proxy.Config) {
		cfg.Listeners = append(cfg.Listeners[:1:1], proxy.Listener{Network: "unix", Address: path, Mode: 0o600})
		both = cfg.Listeners
	})
	if r.Addrs()[0].String() != tcp {
		t.Errorf("a listener that stays has moved from %s to %s", tcp, r.Addrs()[0])
	}
	second := dial(t, "unix", path)
	second.ask(t, "set k 0 0 1\r\nx", "STORED")
	r.reload(func(cfg *proxy.Config) { cfg.Listeners = both[1:] })
	if c, err := net.Dial("tcp", tcp); err == nil {
		c.Close()
		t.Error("a listener that was taken away takes clients")
	}
	first.ask(t, "mn", "MN")
	dial(t, "unix", path).ask(t, "mn", "MN")
	r.reload(func(cfg *proxy.Config) { cfg.Listeners = []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0"}} })
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		t.Error("a socket that was taken away takes clients")
	}
	second.ask(t, "mn", "MN")
	r.dial().ask(t, "mn", "MN")
}

// TestReloadRefused has reloads fail late, and nothing change.
func TestReloadRefused(t *testing.T) {
	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	r := serveReloaded(t, proxy.Config{Pools: poolsOf(a)})
	c := r.dial()
	c.ask(t, "set k 0 0 1\r\n1", "STORED")
	for name, change := range map[string]func(cfg *proxy.Config){
		"an address that is taken": func(cfg *proxy.Config) {
			cfg.Listeners = []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0"}, {Network: "tcp", Address: a.Addr()}}
		},
		"other workers":      func(cfg *proxy.Config) { cfg.Workers = 3 },
		"a route to nowhere": func(cfg *proxy.Config) { cfg.Routes = []proxy.Route{{Prefix: "k", Pool: "none"}} },
		"a ring that is none": func(cfg *proxy.Config) {
			cfg.Pools[0].Ring.Kind = "square"
		},
	} {
		next := r.cfg
		next.Pools = poolsOf(b)
		change(&next)
		if err := r.Reload(t.Context(), next); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := c.answers("get k"); got != "VALUE k 0 1\r\n" {
			t.Errorf("%s: k is answered with %q afterwards", name, got)
		}
		c.want(t, "1")
		c.want(t, "END")
		r.dial().ask(t, "mn", "MN")
	}
}

// TestReloadUnderWay has a client pipeline requests over a reload: what was begun is answered by the old server, what comes later by
// the new one, in order, and not before.
func TestReloadUnderWay(t *testing.T) {
	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	a.Command("set k 0 0 3\r\nold")
	b.Command("set k 0 0 3\r\nnew")
	r := serveReloaded(t, proxy.Config{Pools: poolsOf(a)})
	c := r.dial()
	c.ask(t, "mn", "MN")
	a.Pause()
	if _, err := io.WriteString(c.conn, "get k\r\n"); err != nil {
		t.Fatal(err)
	}
	until(t, "the request is under way", func() bool {
		snap, err := r.Snapshot(t.Context())
		return err == nil && snap.Pools[0].Requests["get"] == 1
	})
	r.reload(func(cfg *proxy.Config) { cfg.Pools[0].Backends = poolsOf(b)[0].Backends })
	r.dial().ask(t, "set other 0 0 1\r\nx", "STORED") // nobody else waits
	if _, err := io.WriteString(c.conn, "get k\r\nmn\r\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.Reload(ctx, r.cfg); err == nil {
		t.Error("the next reload does not wait for requests of before the last")
	}
	a.Resume()
	for _, line := range []string{"VALUE k 0 3", "old", "END", "VALUE k 0 3", "new", "END", "MN"} {
		c.want(t, line)
	}
	r.reload(func(*proxy.Config) {})
}

// TestReloadKeepsTheJournal takes a server out that has missed a write, and puts it back, under another name and in another pool: the
// old value does not come back with it.
func TestReloadKeepsTheJournal(t *testing.T) {
	a, b := memcachedtest.Start(t), memcachedtest.Start(t)
	r := serveReloaded(t, proxy.Config{Pools: poolsOf(a)})
	short := backend.Options{Timeout: 200 * time.Millisecond, FailureLimit: 1000}
	r.reload(func(cfg *proxy.Config) { cfg.Pools[0].Backend = short })
	c := r.dial()
	c.ask(t, "set k 0 0 3\r\nold", "STORED")
	a.Pause()
	c.ask(t, "set k 0 0 3\r\nnew", "SERVER_ERROR "+a.Addr()+": timed out")
	r.reload(func(cfg *proxy.Config) { cfg.Pools = poolsOf(b) })
	r.reload(func(cfg *proxy.Config) {
		cfg.Pools = []pool.Config{{
			Name: "again", OnError: pool.OnErrorError, Backend: short,
			Backends: []pool.BackendConfig{{Name: "renamed", Network: "tcp", Address: a.Addr()}},
		}}
	})
	c.ask(t, "get k", "SERVER_ERROR renamed: earlier write unsettled")
	a.Resume()
	until(t, "the key can be read again", func() bool {
		switch got := c.answers("get k"); {
		case strings.HasPrefix(got, "SERVER_ERROR"):
			return false
		case got == "END\r\n":
			return true
		default:
			t.Fatalf("k is answered with %q", got)
			return true
		}
	})
}

// TestReloadUnderLoad reloads all the time while clients write and read their own keys: splitting goes on, pools and limits change, and
// no request fails or reads another value than was written last. In between the values are whole and in chunks.
func TestReloadUnderLoad(t *testing.T) {
	servers := []*memcachedtest.Server{memcachedtest.Start(t), memcachedtest.Start(t)}
	backends := []pool.BackendConfig{{Network: "tcp", Address: servers[0].Addr()}, {Network: "tcp", Address: servers[1].Addr()}}
	config := func(i int) []pool.Config {
		p := pool.Config{
			Name: "main", OnError: pool.OnErrorError, Backends: backends, Coalesce: pool.CoalesceAll,
			Backend: backend.Options{Timeout: 20 * time.Second, Connections: 1 + i%3},
		}
		p.Split = pool.SplitConfig{Enabled: i > 0, Threshold: 2000 + i, Chunk: 1000}
		p.HotKeysOff = i%4 == 3
		if i%2 == 1 {
			p.HotKeys.Tau = 0.1
		}
		return []pool.Config{p}
	}
	rounds := 40
	r := serveReloaded(t, proxy.Config{Pools: config(0)})
	var stop atomic.Bool
	var clients sync.WaitGroup
	var failed atomic.Pointer[string]
	for i := range 8 {
		c := r.dial()
		_ = c.conn.SetDeadline(time.Time{})
		clients.Go(func() {
			for n := 0; !stop.Load(); n++ {
				if wrong := c.round(i, n); wrong != "" {
					failed.CompareAndSwap(nil, &wrong)
					return
				}
			}
		})
	}
	for i := range rounds {
		r.reload(func(cfg *proxy.Config) {
			cfg.Pools = config(i)
			cfg.BatchDelay = time.Duration(i%2) * time.Microsecond
			cfg.Assembly = int64(64+i) << 20
		})
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	clients.Wait()
	if wrong := failed.Load(); wrong != nil {
		t.Error(*wrong)
	}
	snap, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if snap.Pools[0].Split.Stored == 0 || snap.Pools[0].Failures > 0 {
		t.Errorf("%d values stored in chunks, want some; %d failures", snap.Pools[0].Split.Stored, snap.Pools[0].Failures)
	}
}

// round writes values small and large, extends one, and reads them, all pipelined. It says what was wrong.
func (c *scriptedClient) round(client, n int) (wrong string) {
	var out, want bytes.Buffer
	value := func(size int) string {
		return strings.Repeat(fmt.Sprintf("%d.%d ", client, n), size)[:size]
	}
	small, large := value(20), value(5000)
	fmt.Fprintf(&out, "set s%d 0 0 20\r\n%s\r\nset l%d 0 0 5000\r\n%s\r\n", client, small, client, large)
	fmt.Fprintf(&out, "append l%d 0 0 20\r\n%s\r\nget l%d\r\nget s%d\r\nget s%d l%d\r\n", client, small, client, client, client, client)
	want.WriteString("STORED\r\nSTORED\r\nSTORED\r\n")
	s := fmt.Sprintf("VALUE s%d 0 20\r\n%s\r\n", client, small)
	l := fmt.Sprintf("VALUE l%d 0 5020\r\n%s%s\r\n", client, large, small)
	want.WriteString(l + "END\r\n" + s + "END\r\n" + s + l + "END\r\n")
	if _, err := c.conn.Write(out.Bytes()); err != nil {
		return err.Error()
	}
	got := make([]byte, want.Len())
	for read := 0; read < len(got); {
		k, err := c.r.Read(got[read:])
		if !bytes.HasPrefix(want.Bytes(), got[:read+k]) || err != nil {
			return fmt.Sprintf("client %d, round %d: got %.3000q (%v), want %.3000q", client, n, got[:read+k], err, want.Bytes())
		}
		read += k
	}
	return ""
}
