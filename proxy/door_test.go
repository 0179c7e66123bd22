package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/protocol"
	"mcproxy/proxy"
	"mcproxy/proxy/door"
)

// guarded is a proxy with a listener that asks something of its clients.
type guarded struct {
	*reloaded
	addr string
	log  *observer.ObservedLogs
}

// serveGuarded runs a proxy for the time of the test. Files are looked at often.
func serveGuarded(t *testing.T, d door.Config, pools []pool.Config) *guarded {
	t.Helper()
	core, log := observer.New(zap.InfoLevel)
	cfg := proxy.Config{
		Listeners: []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0", Door: d}}, Workers: 2, Pools: pools, FilesInterval: 5 * time.Millisecond,
		DrainTimeout: time.Second,
	}
	srv, err := proxy.New(cfg, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	serveFor(t, srv)
	return &guarded{&reloaded{Server: srv, t: t, cfg: cfg}, srv.Addrs()[0].String(), log}
}

// serveFor has a proxy serve for the time of the test.
func serveFor(t *testing.T, srv *proxy.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }() // ends with ctx
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	until(t, "the proxy serves", srv.Ready)
}

// figures are those of the listener, and of all clients.
func (g *guarded) figures() (proxy.ListenerFigures, proxy.ClientFigures) {
	g.t.Helper()
	s, err := g.Snapshot(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	return s.Clients.Listeners[0], s.Clients
}

// logged waits for a line of the log that begins so.
func (g *guarded) logged(message string) {
	g.t.Helper()
	until(g.t, "the log says: "+message, func() bool {
		return g.log.Filter(func(e observer.LoggedEntry) bool { return strings.HasPrefix(e.Message, message) }).Len() > 0
	})
}

// encrypted connects with TLS.
func (g *guarded) encrypted(c *tls.Config) *scriptedClient {
	g.t.Helper()
	plain := dial(g.t, "tcp", g.addr)
	conn := tls.Client(plain.conn, c)
	if err := conn.Handshake(); err != nil {
		g.t.Fatalf("handshake: %v", err)
	}
	return &scriptedClient{conn, bufio.NewReader(conn)}
}

// patient is a pool for tests of answers on a busy machine.
func patient(servers ...*memcachedtest.Server) []pool.Config {
	pools := poolsOf(servers...)
	for i := range pools {
		pools[i].Backend.Timeout = 10 * time.Second
	}
	return pools
}

func TestDoorAllow(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("127.0.0.2/31"), netip.MustParsePrefix("fd00::/8")}
	g := serveGuarded(t, door.Config{Allow: networks}, patient(memcachedtest.Start(t)))
	from := func(host string) *scriptedClient {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}, Timeout: 10 * time.Second}
		conn, err := d.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return &scriptedClient{conn, bufio.NewReader(conn)}
	}
	from("127.0.0.2").ask(t, "mn", "MN")
	from("127.0.0.3").ask(t, "mn", "MN")
	from("127.0.0.1").ended(t)
	from("127.0.0.4").ended(t)
	if l, _ := g.figures(); l.Denied != 2 || l.Accepted != 2 {
		t.Errorf("denied %d, accepted %d; want 2, 2", l.Denied, l.Accepted)
	}
	g.logged("a client comes from a network that the listener does not allow")
	g.reload(func(cfg *proxy.Config) {
		cfg.Listeners = []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0", Door: door.Config{Allow: networks[1:]}}}
	})
	from("127.0.0.2").ended(t)
}

func TestDoorRules(t *testing.T) {
	server := memcachedtest.Start(t)
	pools := patient(server)
	pools[0].AllowFlushAll, pools[0].AllowStatsAll = true, true
	const noVerb, noKey = "CLIENT_ERROR command not permitted on this listener", "CLIENT_ERROR key not permitted on this listener"
	type step struct{ send, want string } // want "": no answer
	server.Command("set t/a 0 0 1\r\n1")
	server.Command("set other 0 0 1\r\n2")
	for _, tt := range []struct {
		name  string
		door  door.Config
		steps []step
	}{
		{"read", door.Config{ReadOnly: true}, []step{
			{"get t/a", "VALUE t/a 0 1\r\n1\r\nEND"},
			{"gets none", "END"},
			{"mg t/a v", "VA 1\r\n1"},
			{"mg t/a t k q", "HD t-1 kt/a"},
			{"mn", "MN"},
			{"version", "VERSION 1.6.18"},
			{"verbosity 1", "OK"},
			{"set t/a 0 0 5\r\nget t", noVerb},
			{"set t/a 0 0 5 noreply\r\nget t", ""},
			{"cas t/a 0 0 2 7\r\nxx", noVerb},
			{"gat 10 t/a", noVerb},
			{"delete t/a", noVerb},
			{"delete t/a noreply", ""},
			{"incr t/a 1", noVerb},
			{"touch t/a 1", noVerb},
			{"flush_all", noVerb},
			{"stats settings", noVerb},
			{"ms t/a 2 q\r\nxx", noVerb},
			{"md t/a q", noVerb},
			{"ma t/a", noVerb},
			{"mg t/a T30", noVerb},
			{"mg none N30 v", noVerb},
			{"mg t/a R30", noVerb},
			{"bogus", "ERROR"},
			{"shutdown", "CLIENT_ERROR command not allowed through a proxy"},
			{"get t/a", "VALUE t/a 0 1\r\n1\r\nEND"},
		}},
		{"list", door.Config{Verbs: []protocol.Verb{protocol.Set, protocol.MetaGet}}, []step{
			{"set t/a 0 0 1\r\n1", "STORED"},
			{"mg t/a T30", "HD"},
			{"get t/a", noVerb},
			{"get t/a other", noVerb},
			{"stats", noVerb},
		}},
		{"read and more", door.Config{ReadOnly: true, Verbs: []protocol.Verb{protocol.Touch}}, []step{
			{"touch t/a 0", "TOUCHED"},
			{"get t/a", "VALUE t/a 0 1\r\n1\r\nEND"},
			{"delete t/a", noVerb},
		}},
		{"prefixes", door.Config{Prefixes: []string{"t/", "lock"}}, []step{
			{"get t/a t/b lock", "VALUE t/a 0 1\r\n1\r\nEND"},
			{"get other", noKey},
			{"get t/a other t/b", noKey},
			{"gat 0 t/a other", noKey},
			{"get t", noKey},
			{"set other 0 0 3\r\nxyz", noKey},
			{"set other 0 0 3 noreply\r\nxyz", ""},
			{"set t/a 0 0 1\r\n1", "STORED"},
			{"mg dC9h b v", "VA 1\r\n1"},          // t/a
			{"mg b3RoZXI= b v", noKey},            // other
			{"ms other 1\r\nx", noKey},            // its data block goes by
			{"flush_all", noVerb},                 // it would be everybody's
			{"stats items", noVerb},               // it may tell keys
			{"delete other", noKey},               // nor this
			{"set other 0 0 2000000\r\n", "wait"}, // see below
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := serveGuarded(t, tt.door, pools)
			c := dial(t, "tcp", g.addr)
			refused := 0
			for _, s := range tt.steps {
				if s.want == "wait" { // a value over the server's limit deletes the old one, where it may be stored at all
					s.send, s.want = s.send+strings.Repeat("x", 2_000_000), noKey
				}
				if _, err := io.WriteString(c.conn, s.send+"\r\nmn\r\n"); err != nil {
					t.Fatal(err)
				}
				want := s.want + "\r\nMN\r\n"
				if s.want == "" {
					want = "MN\r\n"
				}
				if s.send == "mn" {
					want = "MN\r\nMN\r\n"
				}
				got := make([]byte, len(want))
				if _, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
					t.Fatalf("%.60q: got %q (%v), want %q", s.send, got, err, want)
				}
				if s.want == noVerb || s.want == noKey || s.want == "" {
					refused++
				}
			}
			if _, clients := g.figures(); clients.Errors["forbidden"] != uint64(refused) {
				t.Errorf("%d requests counted as forbidden, want %d", clients.Errors["forbidden"], refused)
			}
			if got := server.Command("get t/a other"); got != "VALUE t/a 0 1\r\n1\r\nVALUE other 0 1\r\n2\r\nEND\r\n" {
				t.Errorf("the server has %q", got)
			}
		})
	}
}

// TestDoorRulesReload changes what clients may ask who are there already.
func TestDoorRulesReload(t *testing.T) {
	g := serveGuarded(t, door.Config{}, patient(memcachedtest.Start(t)))
	c := dial(t, "tcp", g.addr)
	c.ask(t, "set k 0 0 1\r\n1", "STORED")
	for range 2 {
		g.reload(func(cfg *proxy.Config) {
			cfg.Listeners = []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0", Door: door.Config{ReadOnly: true}}}
		})
		c.ask(t, "set k 0 0 1\r\n1", "CLIENT_ERROR command not permitted on this listener")
		g.reload(func(cfg *proxy.Config) { cfg.Listeners = []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0"}} })
		c.ask(t, "set k 0 0 1\r\n1", "STORED")
	}
}

func writeUsers(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	writeFile(t, path, text)
	return path
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLogin plays the same conversation with memcached itself and with a proxy that demands a login.
func TestLogin(t *testing.T) {
	users := writeUsers(t, "ann:secret\nbob:x:y\n")
	direct := memcachedtest.StartGuarded(t, memcachedtest.Guard{Login: "ann secret"}, "-Y", users)
	g := serveGuarded(t, door.Config{AuthFile: users}, patient(memcachedtest.Start(t)))
	conversation := []struct{ send, want, memcached string }{ // memcached "": the same
		{"get a", "CLIENT_ERROR unauthenticated", ""},
		{"version", "CLIENT_ERROR unauthenticated", ""},
		{"mn", "CLIENT_ERROR unauthenticated", ""},
		{"bogus", "CLIENT_ERROR unauthenticated", ""},
		{
			"set a 0 0 10\r\nann secret12", "CLIENT_ERROR bad data chunk\r\nCLIENT_ERROR unauthenticated",
			"CLIENT_ERROR unauthenticated", // 1.6.18 writes the second answer over the first
		},
		{"set a 0 0 3\r\nann", "CLIENT_ERROR bad authentication token format", ""},
		{"set a 0 0 7\r\nann sec", "CLIENT_ERROR authentication failure", ""},
		{"set a 0 0 10\r\nbob secret", "CLIENT_ERROR authentication failure", ""},
		{"set a 7 9 12\r\n ann  secret", "STORED", ""},
		{"get a", "END", ""},
		{"set a 0 0 10\r\nann secret", "STORED", ""}, // an item like any other
		{"get a", "VALUE a 0 10\r\nann secret\r\nEND", ""},
	}
	play := func(addr string, memcached bool) {
		c := dial(t, "tcp", addr)
		for _, s := range conversation {
			want := s.want
			if memcached && s.memcached != "" {
				want = s.memcached
			}
			if _, err := io.WriteString(c.conn, s.send+"\r\n"); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(want)+2)
			if _, err := io.ReadFull(c.r, got); err != nil || string(got) != want+"\r\n" {
				t.Fatalf("memcached %v: %q: got %q (%v), want %q", memcached, s.send, got, err, want)
			}
		}
	}
	play(direct.Addr(), true)
	play(g.addr, false)
	_, clients := g.figures()
	if clients.Logins != 1 || clients.Errors["login"] != 4 || clients.Errors["unauthenticated"] != 5 {
		t.Errorf("%d logins, errors %v", clients.Logins, clients.Errors)
	}
	// Unlike memcached, a command's data block goes by with it; the login may be pipelined, and come in pieces.
	c := dial(t, "tcp", g.addr)
	c.ask(t, "add a 0 0 5\r\nhello", "CLIENT_ERROR unauthenticated")
	c.ask(t, "add a 0 0 5 noreply\r\nhello\r\nset a 0 0 2000\r\n"+strings.Repeat("x", 2000), "CLIENT_ERROR bad authentication token format")
	for _, piece := range strings.SplitAfter("set a 0 0 8 noreply\r\nbob x:y\r\n", "") {
		if _, err := io.WriteString(c.conn, strings.Replace(piece, "8", "7", 1)); err != nil {
			t.Fatal(err)
		}
	}
	c.want(t, "STORED")
	c.ask(t, "get none", "END")
	// Who guesses is cut off.
	c = dial(t, "tcp", g.addr)
	for range 10 {
		c.ask(t, "set a 0 0 5\r\nann x", "CLIENT_ERROR authentication failure")
	}
	c.ended(t)
	// And so is who sends what no login can be.
	c = dial(t, "tcp", g.addr)
	io.WriteString(c.conn, "get "+strings.Repeat("k ", 5000))
	c.ended(t)
	if _, clients := g.figures(); clients.ClosedBy["guesses"] != 1 || clients.ClosedBy["garbage"] != 1 {
		t.Errorf("closed by %v", clients.ClosedBy)
	}
}

// TestLoginFileChanges takes a user away while the proxy runs.
func TestLoginFileChanges(t *testing.T) {
	users := writeUsers(t, "ann:secret\n")
	g := serveGuarded(t, door.Config{AuthFile: users}, patient(memcachedtest.Start(t)))
	in := dial(t, "tcp", g.addr)
	in.ask(t, "set a 0 0 10\r\nann secret", "STORED")
	writeFile(t, users, "ann\n")
	g.logged("files have changed and are of no use")
	dial(t, "tcp", g.addr).ask(t, "set a 0 0 10\r\nann secret", "STORED")
	writeFile(t, users, "bob:other\n")
	g.logged("files have changed, and are in force")
	dial(t, "tcp", g.addr).ask(t, "set a 0 0 10\r\nann secret", "CLIENT_ERROR authentication failure")
	in.ask(t, "get none", "END") // who is in stays in
	if err := os.Remove(users); err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(t.Context(), g.cfg); err == nil {
		t.Error("a reload with a file of users that is gone")
	}
	dial(t, "tcp", g.addr).ask(t, "set a 0 0 9\r\nbob other", "STORED")
}
