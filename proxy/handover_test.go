package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"mcproxy/backend"
	"mcproxy/internal/dnstest"
	"mcproxy/internal/handover"
	"mcproxy/internal/memcachedtest"
	"mcproxy/internal/tlstest"
	"mcproxy/proxy"
	"mcproxy/proxy/door"
)

// succeed runs a server in the place of r, to which r gives all, as a new process would. The listeners that cfg has are taken over.
func (r *reloaded) succeed() *reloaded {
	r.t.Helper()
	old, file, err := handover.Pair()
	if err != nil {
		r.t.Fatal(err)
	}
	defer old.Close()
	other, err := handover.Open(file)
	if err != nil {
		r.t.Fatal(err)
	}
	defer other.Close()
	for _, c := range []*handover.Conn{old, other} {
		c.Deadline(time.Now().Add(time.Minute))
	}
	next := &reloaded{t: r.t, cfg: r.cfg}
	done := make(chan error, 1)
	var listeners []handover.Listener
	go func() {
		done <- func() (err error) {
			if listeners, err = other.Listeners(); err != nil {
				return err
			}
			if next.Server, err = proxy.NewFrom(r.cfg, zap.NewNop(), proxy.Inherited{Listeners: listeners, Clients: true}); err != nil {
				return err
			}
			state, err := other.Take()
			if err != nil {
				return err
			}
			if err := errors.Join(next.Adopt(state, listeners), other.Taken()); err != nil {
				return err
			}
			next.run()
			return nil
		}()
	}()
	if err := old.Begin(r.Listeners()); err != nil {
		r.t.Fatal(errors.Join(err, <-done))
	}
	state, err := r.Freeze(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := errors.Join(old.Give(state), old.Go()); err != nil {
		r.t.Fatal(err)
	}
	r.Leave()
	if err := <-r.done; err != nil {
		r.t.Errorf("Serve of the old server: %v", err)
	}
	r.done <- nil
	r.lingered = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // ends with the clients that it has TLS with, at the latest when the test is over
		defer close(r.lingered)
		r.Linger(ctx)
	}()
	r.t.Cleanup(func() {
		cancel()
		<-r.lingered
	})
	if err := <-done; err != nil {
		r.t.Fatal(err)
	}
	return next
}

// TestHandover gives clients in the midst of everything to another server.
func TestHandover(t *testing.T) {
	mc := memcachedtest.Start(t)
	path := filepath.Join(t.TempDir(), "socket")
	cfg := proxy.Config{
		Pools: poolsOf(mc), Listeners: []proxy.Listener{{Network: "unix", Address: path, Mode: 0o600}}, MaxValue: 300_000,
	}
	r := serveReloaded(t, cfg)
	idle, byUnix := r.dial(), dial(t, "unix", path)
	inLine, inValue, inRefused, lazy, ending := r.dial(), r.dial(), r.dial(), r.dial(), r.dial()
	for i, c := range []*scriptedClient{idle, byUnix, inLine, inValue, inRefused, lazy, ending} {
		c.ask(t, fmt.Sprintf("set c%d 0 0 1\r\n%d", i, i), "STORED")
	}
	large := strings.Repeat("large", 50_000)
	lazy.ask(t, "set large 0 0 250000\r\n"+large, "STORED")
	idle.ask(t, "set refused 0 0 3\r\nold", "STORED")
	say := func(c *scriptedClient, text string) {
		t.Helper()
		if _, err := io.WriteString(c.conn, text); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		say(inLine, "get c")
		say(inValue, "set v 0 0 10\r\n01234")
		say(inRefused, "set refused 0 0 500000\r\n"+strings.Repeat("x", 100_000))
		say(lazy, strings.Repeat("get large\r\n", 40))
		say(ending, "get c0\r\nquit\r\n")
		time.Sleep(20 * time.Millisecond) // so that the old server has read some of it; whatever it has read, the rest must hold

		r = r.succeed()

		say(inLine, "2\r\n")
		for _, want := range []string{"VALUE c2 0 1", "2", "END"} {
			inLine.want(t, want)
		}
		say(inValue, "56789\r\n")
		inValue.want(t, "STORED")
		inValue.ask(t, "get v", "VALUE v 0 10")
		inValue.want(t, "0123456789")
		inValue.want(t, "END")
		say(inRefused, strings.Repeat("x", 400_000)+"\r\n")
		inRefused.want(t, "SERVER_ERROR object too large for cache")
		inRefused.ask(t, "get refused", "END")
		for range 40 {
			for _, want := range []string{"VALUE large 0 250000", large, "END"} {
				lazy.want(t, want)
			}
		}
		for _, want := range []string{"VALUE c0 0 1", "0", "END"} {
			ending.want(t, want)
		}
		ending.ended(t)
		ending = r.dial()
		idle.ask(t, "get nobody", "END")
		byUnix.ask(t, "get nobody", "END")
		dial(t, "unix", path).ask(t, "mn", "MN")
		idle.ask(t, "set refused 0 0 3\r\nold", "STORED")
	}
	snap, err := r.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := snap.Clients.Conns; got < 7 {
		t.Errorf("the last server has %d conns", got)
	}
	if v := snap.Pools[0].Backends[0].Version; v == "" {
		t.Error("the last server does not know its backend's version")
	}
}

// TestHandoverOfDoors gives clients that have logged in, may not ask everything, or speak TLS, which the old server goes on carrying; and one
// that is in the midst of its handshake.
func TestHandoverOfDoors(t *testing.T) {
	mc := memcachedtest.Start(t)
	ca := tlstest.NewAuthority(t)
	pair := ca.Issue("localhost")
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("ann:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := serveReloaded(t, proxy.Config{Pools: patient(mc), DrainTimeout: time.Minute, Listeners: []proxy.Listener{
		{Network: "tcp", Address: "localhost:0", Door: door.Config{Cert: pair.Cert, Key: pair.Key}},
		{Network: "tcp", Address: "127.0.0.2:0", Door: door.Config{AuthFile: users, Prefixes: []string{"t/"}}},
	}})
	encrypted, guarded := r.Addrs()[1].String(), r.Addrs()[2].String()
	mc.Command("set t/k 0 0 1\r\n1")
	known, stranger := dial(t, "tcp", guarded), dial(t, "tcp", guarded)
	known.ask(t, "set x 0 0 10\r\nann secret", "STORED")
	secret := func() *scriptedClient {
		plain := dial(t, "tcp", encrypted)
		conn := tls.Client(plain.conn, ca.Client("localhost"))
		return &scriptedClient{conn, bufio.NewReader(conn)}
	}
	ask := func(c *scriptedClient) {
		t.Helper()
		c.ask(t, "get t/k", "VALUE t/k 0 1")
		c.want(t, "1")
		c.want(t, "END")
	}
	var carried []*scriptedClient
	first := r
	for range 3 {
		greeting := secret()
		until(t, "the handshake has begun", func() bool {
			snap, err := r.Snapshot(t.Context())
			return err == nil && snap.Clients.Listeners[1].Handshaking == 1
		})
		greeted := make(chan error, 1)
		go func() { // ends with the handshake
			time.Sleep(20 * time.Millisecond) // so that the servers change meanwhile, or wait for it: either is right
			greeted <- greeting.conn.(*tls.Conn).Handshake()
		}()
		r = r.succeed()
		if err := <-greeted; err != nil {
			t.Fatalf("a handshake meanwhile: %v", err)
		}
		carried = append(carried, greeting)
		for _, c := range append(carried, known) {
			ask(c)
		}
		known.ask(t, "get other", "CLIENT_ERROR key not permitted on this listener")
		stranger.ask(t, "get t/k", "CLIENT_ERROR unauthenticated")
		snap, err := r.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range snap.Addresses {
			if a.Address != "127.0.0.1" && a.Address != "127.0.0.2" && a.Address != proxy.OtherAddresses {
				t.Errorf("a client comes from %q", a.Address)
			}
		}
	}
	select {
	case <-first.lingered:
		t.Error("the first server does not carry its client any more")
	default:
	}
	io.WriteString(carried[0].conn, "quit\r\n") // closed by the last server
	carried[0].ended(t)
	<-first.lingered
	for _, c := range carried[1:] {
		ask(c)
		c.conn.Close()
	}
	until(t, "those who have gone are not served", func() bool {
		snap, err := r.Snapshot(t.Context())
		return err == nil && snap.Clients.Listeners[1].Conns == 0
	})
}

// TestHandoverOfNames has nobody answer for a backend's name while servers change: the next one goes where the one before went.
func TestHandoverOfNames(t *testing.T) {
	dns := dnstest.Start(t)
	mc := memcachedtest.Start(t)
	dns.SetHost("cache.test", "127.0.0.1")
	cfg := proxy.Config{Pools: onePool("tcp", fmt.Sprintf("cache.test:%d", mc.Port())), DNSServer: dns.Addr()}
	cfg.Pools[0].Backend.Timeout = 10 * time.Second
	r := serveReloaded(t, cfg)
	c := r.dial()
	until(t, "the backend is known", func() bool {
		return c.answers("set k 0 0 1\r\nv") == "STORED\r\n"
	})
	dns.SetMute(true)
	defer dns.SetMute(false)
	r.succeed()
	c.ask(t, "get k", "VALUE k 0 1")
	c.want(t, "v")
	c.want(t, "END")
}

// TestHandoverOfLostListener gives a client of a listener that the next server does not have.
func TestHandoverOfLostListener(t *testing.T) {
	r := serveReloaded(t, proxy.Config{Pools: patient(memcachedtest.Start(t)), Listeners: []proxy.Listener{{Network: "tcp", Address: "127.0.0.2:0"}}})
	lost, kept := dial(t, "tcp", r.Addrs()[1].String()), r.dial()
	r.cfg.Listeners = r.cfg.Listeners[:1]
	lost.ask(t, "mn", "MN")
	r.succeed()
	lost.ended(t)
	kept.ask(t, "mn", "MN")
}

// TestHandoverOfJournal gives a server on which a write was missed, while it is stopped: the old value does not come back.
func TestHandoverOfJournal(t *testing.T) {
	mc := memcachedtest.Start(t)
	cfg := proxy.Config{Pools: poolsOf(mc)}
	cfg.Pools[0].Backend = backend.Options{Timeout: 200 * time.Millisecond, FailureLimit: 1000}
	r := serveReloaded(t, cfg)
	c := r.dial()
	c.ask(t, "set k 0 0 3\r\nold", "STORED")
	mc.Pause()
	c.ask(t, "set k 0 0 3\r\nnew", "SERVER_ERROR "+mc.Addr()+": timed out")
	r.succeed()
	c.ask(t, "get k", "SERVER_ERROR "+mc.Addr()+": earlier write unsettled")
	mc.Resume()
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

// TestHandoverUnderLoad gives clients to one server after the other while they ask without pause. None of their requests fails.
func TestHandoverUnderLoad(t *testing.T) {
	cfg := proxy.Config{Pools: poolsOf(memcachedtest.Start(t), memcachedtest.Start(t))[:1]}
	cfg.Pools[0].Split.Enabled, cfg.Pools[0].Split.Threshold, cfg.Pools[0].Split.Chunk = true, 2000, 1000
	r := serveReloaded(t, cfg)
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
	for range 10 {
		r = r.succeed()
		time.Sleep(5 * time.Millisecond)
	}
	stop.Store(true)
	clients.Wait()
	if wrong := failed.Load(); wrong != nil {
		t.Error(*wrong)
	}
}

// TestThaw freezes a server and has it go on, and freezes it where that cannot be done in time.
func TestThaw(t *testing.T) {
	mc := memcachedtest.Start(t)
	r := serveReloaded(t, proxy.Config{Pools: poolsOf(mc)})
	c, slow := r.dial(), r.dial()
	c.ask(t, "set k 0 0 1\r\nv", "STORED")
	for range 3 {
		if _, err := io.WriteString(c.conn, "get k"); err != nil {
			t.Fatal(err)
		}
		state, err := r.Freeze(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(state.Sessions) < 2 || len(state.Servers) != 1 || state.Servers[0].State != "up" {
			t.Errorf("it gives %d sessions and %+v", len(state.Sessions), state.Servers)
		}
		if _, err := io.WriteString(c.conn, "\r\nget k\r\n"); err != nil {
			t.Fatal(err)
		}
		r.Thaw()
		for range 2 {
			for _, want := range []string{"VALUE k 0 1", "v", "END"} {
				c.want(t, want)
			}
		}
		r.dial().ask(t, "mn", "MN")
		slow.ask(t, "mn", "MN")
	}
	mc.Pause()
	if _, err := io.WriteString(slow.conn, "get k\r\n"); err != nil {
		t.Fatal(err)
	}
	until(t, "the request is under way", func() bool {
		snap, err := r.Snapshot(t.Context())
		return err == nil && snap.Pools[0].Backends[0].Pending > 0
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Freeze(ctx); !errors.Is(err, proxy.ErrBusy) {
		t.Errorf("a server with a request under way: %v", err)
	}
	c.ask(t, "mn", "MN")
	mc.Resume()
	for _, want := range []string{"VALUE k 0 1", "v", "END"} {
		slow.want(t, want)
	}
	r.reload(func(cfg *proxy.Config) { cfg.BatchDelay = 1 })
}
