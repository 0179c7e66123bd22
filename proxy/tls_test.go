package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/memcachedtest"
	"mcproxy/internal/tlstest"
	"mcproxy/pool"
	"mcproxy/proxy/door"
)

func TestTLS(t *testing.T) {
	ca := tlstest.NewAuthority(t)
	pair := ca.Issue("localhost")
	server := memcachedtest.Start(t)
	g := serveGuarded(t, door.Config{Cert: pair.Cert, Key: pair.Key, ClientCA: ca.File}, patient(server))
	config := ca.Client("localhost", ca.Issue("client"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config.MaxVersion = version
		c := g.encrypted(config)
		value := strings.Repeat("0123456789", 60_000)
		c.ask(t, fmt.Sprintf("set large 0 0 %d\r\n%s", len(value), value), "STORED")
		c.ask(t, "get large", fmt.Sprintf("VALUE large 0 %d", len(value)))
		c.want(t, value)
		c.want(t, "END")
		c.ask(t, "set k 0 0 1\r\n1\r\nget k", "STORED")
		c.want(t, "VALUE k 0 1")
		c.want(t, "1")
		c.want(t, "END")
		c.ask(t, "mn\r\nquit", "MN")
		c.ended(t)
	}
	s, err := g.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if l := s.Clients.Listeners[0]; l.Handshakes["done"] != 2 || !l.TLS || l.Expires.Before(time.Now()) {
		t.Errorf("listener %+v", l)
	}
	// The client's own address is known behind the relay.
	if len(s.Addresses) == 0 || s.Addresses[0].Address != "127.0.0.1" || s.Addresses[0].BytesIn < 1_200_000 {
		t.Errorf("addresses %+v", s.Addresses)
	}

	// Without a certificate.
	conn := tls.Client(dial(t, "tcp", g.addr).conn, ca.Client("localhost"))
	if err := conn.Handshake(); err == nil {
		_, err = conn.Read(make([]byte, 1))
		if err == nil {
			t.Error("a client without a certificate is let in")
		}
	}
	until(t, "it is counted", func() bool { l, _ := g.figures(); return l.Handshakes["certificate"] == 1 })
	g.logged("a client's TLS handshake failed")
	until(t, "all are gone", func() bool { l, _ := g.figures(); return l.Conns == 0 && l.Handshaking == 0 })
}

// TestTLSHostile has clients that keep handshakes waiting, speak plain text, or TLS where there is none.
func TestTLSHostile(t *testing.T) {
	ca := tlstest.NewAuthority(t)
	pair := ca.Issue("localhost")
	pools := patient(memcachedtest.Start(t))
	g := serveGuarded(t, door.Config{Cert: pair.Cert, Key: pair.Key, MaxHandshakes: 3, HandshakeTimeout: 300 * time.Millisecond}, pools)
	for i := range 10 {
		c := dial(t, "tcp", g.addr)
		if i%2 == 1 {
			io.WriteString(c.conn, "\x16\x03\x01\x02") // and no more
		}
	}
	// It waits behind them for its turn, and no longer.
	c := dial(t, "tcp", g.addr)
	conn := tls.Client(c.conn, ca.Client("localhost"))
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	done := false
	for range 20 { // 300 ms may be too little for a busy machine
		if err := conn.Handshake(); err == nil {
			done = true
			break
		}
		conn = tls.Client(dial(t, "tcp", g.addr).conn, ca.Client("localhost"))
	}
	if !done {
		t.Error("nobody comes through any more")
	}
	until(t, "the slow ones are counted", func() bool { l, _ := g.figures(); return l.Handshakes["timeout"] >= 10 && l.Handshaking == 0 })

	c = dial(t, "tcp", g.addr)
	c.ask(t, "get a", "CLIENT_ERROR this listener speaks TLS")
	c.ended(t)
	g.logged("a client's TLS handshake failed")
	g.logged("a client speaks plain text on a listener with TLS")
	until(t, "plain text is counted", func() bool { l, _ := g.figures(); return l.Handshakes["plain"] == 1 })

	plain := serveGuarded(t, door.Config{}, pools)
	if err := tls.Client(dial(t, "tcp", plain.addr).conn, ca.Client("localhost")).Handshake(); err == nil {
		t.Error("TLS where there is none")
	}
	plain.logged("a client speaks TLS on a listener without")
	if _, clients := plain.figures(); clients.ClosedBy["tls"] != 1 {
		t.Errorf("closed by %v", clients.ClosedBy)
	}
}

// TestCertificateSwap replaces the certificate while clients come, ask and go. None of them fails, and the new one is shown at last.
func TestCertificateSwap(t *testing.T) {
	ca := tlstest.NewAuthority(t)
	pair := ca.Issue("localhost")
	g := serveGuarded(t, door.Config{Cert: pair.Cert, Key: pair.Key}, patient(memcachedtest.Start(t)))
	var asked atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			stays := i%2 == 0
			var c *scriptedClient
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if c == nil {
					conn, err := tls.Dial("tcp", g.addr, ca.Client("localhost"))
					if err != nil {
						t.Errorf("client %d: %v", i, err)
						return
					}
					defer conn.Close()
					c = &scriptedClient{conn, bufio.NewReader(conn)}
				}
				if wrong := c.round(i, n); wrong != "" {
					t.Errorf("client %d: %s", i, wrong)
					return
				}
				asked.Add(1)
				if !stays && n%5 == 0 {
					c.conn.Close()
					c = nil
				}
			}
		})
	}
	var expires time.Time
	for i := range 5 {
		expires = time.Now().Add(time.Duration(i+2) * time.Hour).Truncate(time.Second)
		ca.IssueTo(pair, "localhost", expires)
		until(t, "the new certificate is in force", func() bool { l, _ := g.figures(); return l.Expires.Equal(expires) })
		before := asked.Load()
		until(t, "clients go on", func() bool { return asked.Load() > before+20 })
	}
	close(stop)
	clients.Wait()
	shown := g.encrypted(ca.Client("localhost")).conn.(*tls.Conn).ConnectionState().PeerCertificates[0].NotAfter
	if !shown.Equal(expires) {
		t.Errorf("the listener shows a certificate until %v, want %v", shown, expires)
	}
	if s, _ := g.Snapshot(t.Context()); s.FilesChanged < 5 {
		t.Errorf("%d changes of files counted", s.FilesChanged)
	}
}

// secureServer is a memcached with TLS, that demands a certificate and a login.
func secureServer(t *testing.T, ca *tlstest.Authority, users string) *memcachedtest.Server {
	t.Helper()
	pair := ca.Issue("127.0.0.1")
	guard := memcachedtest.Guard{TLS: ca.Client("127.0.0.1", ca.Issue("test")), Login: "ann secret"}
	return memcachedtest.StartGuarded(t, guard, "-Y", users, "-Z",
		"-o", "ssl_chain_cert="+pair.Cert+",ssl_key="+pair.Key+",ssl_verify_mode=2,ssl_ca_cert="+ca.File)
}

// TestSecureBackends goes through a proxy to real servers with TLS and logins, which come and go.
func TestSecureBackends(t *testing.T) {
	ca := tlstest.NewAuthority(t)
	users := writeUsers(t, "ann:secret\n")
	servers := []*memcachedtest.Server{secureServer(t, ca, users), secureServer(t, ca, users)}
	show := ca.Issue("proxy")
	cfg := pool.Config{
		Name: "main", OnError: pool.OnErrorError, AuthFile: writeUsers(t, "ann:secret\n"),
		TLS:     pool.TLSConfig{Enabled: true, CA: ca.File, Cert: show.Cert, Key: show.Key},
		Backend: backend.Options{Timeout: 10 * time.Second},
	}
	for _, s := range servers {
		cfg.Backends = append(cfg.Backends, pool.BackendConfig{Network: "tcp", Address: s.Addr()})
	}
	g := serveGuarded(t, door.Config{}, []pool.Config{cfg})
	c := dial(t, "tcp", g.addr)
	value := strings.Repeat("v", 700_000)
	var keys, want strings.Builder
	for i := range 20 {
		c.ask(t, fmt.Sprintf("set key%d 0 0 %d\r\n%s", i, len(value), value), "STORED")
		fmt.Fprintf(&keys, " key%d", i)
		fmt.Fprintf(&want, "VALUE key%d 0 %d\r\n%s\r\n", i, len(value), value)
	}
	io.WriteString(c.conn, "get"+keys.String()+"\r\n")
	got := make([]byte, want.Len()+len("END\r\n"))
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != want.String()+"END\r\n" {
		t.Errorf("a get of 20 keys: %v", err)
	}
	for _, s := range servers {
		if s.Stats()["curr_items"] == "0" {
			t.Errorf("%s has nothing", s.Addr())
		}
	}
	// They come back with nothing in them, and the conns with them.
	for _, s := range servers {
		s.Restart()
	}
	until(t, "the servers are used again", func() bool {
		for i := range 20 {
			if c.answers(fmt.Sprintf("get key%d", i)) != "END\r\n" {
				return false
			}
		}
		return true
	})
	if s, err := g.Snapshot(t.Context()); err != nil || s.Pools[0].Expires.Before(time.Now()) {
		t.Errorf("the proxy's certificate expires %v, %v", s.Pools[0].Expires, err)
	}
}

// TestSecureBackendsRefuse has servers that cannot be used: each says why in the log, and is a backend that is down.
func TestSecureBackendsRefuse(t *testing.T) {
	ca, stranger := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	users := writeUsers(t, "ann:secret\n")
	secure := secureServer(t, ca, users)
	plain := memcachedtest.Start(t)
	login := memcachedtest.StartGuarded(t, memcachedtest.Guard{Login: "ann secret"}, "-Y", users)
	show := ca.Issue("proxy")
	right := pool.TLSConfig{Enabled: true, CA: ca.File, Cert: show.Cert, Key: show.Key}
	other := right
	other.CA = stranger.File
	name := right
	name.ServerName = "elsewhere"
	none := right
	none.Cert, none.Key = "", ""
	wrong := writeUsers(t, "ann:hunter2\n")
	for _, tt := range []struct {
		name   string
		server *memcachedtest.Server
		tls    pool.TLSConfig
		auth   string
		cause  string
	}{
		{"another authority", secure, other, users, "certificate"},
		{"another name", secure, name, users, "elsewhere"},
		{"no certificate", secure, none, users, ""},
		{"a wrong password", secure, right, wrong, "login refused"},
		{"no TLS there", plain, right, "", ""},
		{"no login wanted", login, pool.TLSConfig{}, wrong, "login refused"},
		{"no TLS here", secure, pool.TLSConfig{}, users, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := serveGuarded(t, door.Config{}, []pool.Config{{
				Name: "main", TLS: tt.tls, AuthFile: tt.auth, OnError: pool.OnErrorError,
				Backends: []pool.BackendConfig{{Name: "a", Network: "tcp", Address: tt.server.Addr()}},
				Backend:  backend.Options{Timeout: time.Second},
			}})
			c := dial(t, "tcp", g.addr)
			until(t, "the backend is down", func() bool {
				if got := c.answers("set k 0 0 2\r\nvv"); !strings.HasPrefix(got, "SERVER_ERROR a: ") {
					t.Errorf("set: %q", got)
				}
				s, err := g.Snapshot(t.Context())
				return err == nil && s.Pools[0].Backends[0].State == "down"
			})
			g.logged("backend is down")
			cause := fmt.Sprint(g.log.FilterMessage("backend is down").All()[0].ContextMap()["cause"])
			if !strings.Contains(cause, tt.cause) {
				t.Errorf("down because of %q, want …%s…", cause, tt.cause)
			}
			if all := fmt.Sprint(g.log.All()); strings.Contains(all, "hunter2") || strings.Contains(all, "secret") {
				t.Errorf("a password is in the log: %s", all)
			}
		})
	}
}

// TestSecureBackendHangs stops a server with TLS: requests time out, and when it goes on it is used again.
func TestSecureBackendHangs(t *testing.T) {
	ca := tlstest.NewAuthority(t)
	users := writeUsers(t, "ann:secret\n")
	server := secureServer(t, ca, users)
	show := ca.Issue("proxy")
	g := serveGuarded(t, door.Config{}, []pool.Config{{
		Name: "main", TLS: pool.TLSConfig{Enabled: true, CA: ca.File, Cert: show.Cert, Key: show.Key}, AuthFile: users,
		Backends: []pool.BackendConfig{{Name: "a", Network: "tcp", Address: server.Addr()}},
		Backend:  backend.Options{Timeout: 500 * time.Millisecond, ConnectTimeout: 5 * time.Second, StallTimeout: 600 * time.Millisecond},
	}})
	c := dial(t, "tcp", g.addr)
	until(t, "the backend serves", func() bool { return c.answers("set k 0 0 3\r\nold") == "STORED\r\n" })
	server.Pause()
	c.ask(t, "set k 0 0 3\r\nnew", "NOT_STORED")
	time.Sleep(700 * time.Millisecond) // so that the conn is set aside
	c.ask(t, "set k2 0 0 3\r\nnew", "NOT_STORED")
	server.Resume()
	until(t, "the backend serves again", func() bool { return c.answers("set k3 0 0 1\r\n1") == "STORED\r\n" })
	until(t, "the key is absent or new", func() bool { return c.answers("get k") == "END\r\n" })
	c.ask(t, "set k 0 0 3\r\nnew", "STORED")
	if got := server.Command("get k"); got != "VALUE k 0 3\r\nnew\r\nEND\r\n" {
		t.Errorf("the server has %q", got)
	}
}
