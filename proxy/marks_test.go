package proxy_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"mcproxy/backend"
	"mcproxy/hotkey"
	"mcproxy/internal/memcachedtest"
	"mcproxy/internal/tlstest"
	"mcproxy/pool"
	"mcproxy/proxy"
	"mcproxy/proxy/door"
)

// mark stands in every key, value and password that the clients of TestNoMarksInTheLog send, and that its servers answer with.
const mark = "MARKEDBYTES"

// TestNoMarksInTheLog has clients and servers do what the log tells of, and much else. No byte of a key, a value or a password is in a
// line above debug.
func TestNoMarksInTheLog(t *testing.T) {
	core, log := observer.New(zap.InfoLevel)
	at := markedProxy(t, zap.New(core))
	at.misbehave()
	at.until(log, "key is hot", "slow call", "backend is down", "backend is held", "a client speaks memcached's binary protocol",
		"a client speaks plain text on a listener with TLS", "files have changed and are of no use")
	for _, e := range log.All() {
		if text := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(text, mark) {
			t.Errorf("in the log: %s", text)
		}
	}
}

// TestMarksInTheDebugLog has debug lines logged: then keys are told, and still no value or password.
func TestMarksInTheDebugLog(t *testing.T) {
	core, log := observer.New(zap.DebugLevel)
	at := markedProxy(t, zap.New(core))
	at.misbehave()
	at.until(log, "key is hot", "slow call")
	keys := 0
	for _, e := range log.All() {
		fields := e.ContextMap()
		if key := fmt.Sprint(fields["key"]); strings.Contains(key, mark) {
			keys++
		}
		delete(fields, "key")
		if text := fmt.Sprint(e.Message, fields); strings.Contains(text, mark) {
			t.Errorf("in the log: %s", text)
		}
	}
	if keys == 0 {
		t.Error("no key is in the debug log")
	}
}

// marked is a proxy that clients and servers treat badly.
type marked struct {
	t          *testing.T
	srv        *proxy.Server
	good, dies *memcachedtest.Server
	users      string
}

func markedProxy(t *testing.T, log *zap.Logger) *marked {
	t.Helper()
	m := &marked{t: t, good: memcachedtest.Start(t), dies: memcachedtest.Start(t), users: writeUsers(t, "ann:"+mark+"\n")}
	ca := tlstest.NewAuthority(t)
	pair := ca.Issue("localhost")
	onePoolOf := func(name, address string) pool.Config {
		return pool.Config{
			Name: name, OnError: pool.OnErrorError, Backends: []pool.BackendConfig{{Name: name + "1", Network: "tcp", Address: address}},
			HotKeys: hotkey.Config{MinRate: 1, Tau: 0.001, Window: int64(20 * time.Millisecond)},
			Backend: backend.Options{Timeout: 2 * time.Second, JournalLimit: 3},
		}
	}
	tcp := func(d door.Config) proxy.Listener {
		return proxy.Listener{Network: "tcp", Address: "127.0.0.1:0", Door: d}
	}
	srv, err := proxy.New(proxy.Config{
		Listeners: []proxy.Listener{
			tcp(door.Config{}), tcp(door.Config{AuthFile: m.users}), tcp(door.Config{Cert: pair.Cert, Key: pair.Key}),
			tcp(door.Config{ReadOnly: true, Prefixes: []string{mark + "x"}}),
		},
		Workers: 1, FilesInterval: 5 * time.Millisecond, SlowCall: 1, SlowRate: 1000,
		Pools:  []pool.Config{onePoolOf("good", m.good.Addr()), onePoolOf("dies", m.dies.Addr()), onePoolOf("bad", echo(t))},
		Routes: []proxy.Route{{Prefix: "dies", Pool: "dies"}, {Prefix: "bad", Pool: "bad"}}, DefaultPool: "good",
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	serveFor(t, srv)
	m.srv = srv
	return m
}

// echo is a server that answers with what it is sent, and other marked bytes.
func echo(t *testing.T) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() { // ends with the listener
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the conn
				defer conn.Close()
				buf := make([]byte, 4096)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					fmt.Fprintf(conn, "SERVER_ERROR %s\r\n%s", mark, buf[:n])
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// misbehave does all that may be told of.
func (m *marked) misbehave() {
	t := m.t
	plain, locked, secure, narrow := m.srv.Addrs()[0].String(), m.srv.Addrs()[1].String(), m.srv.Addrs()[2].String(), m.srv.Addrs()[3].String()
	value := strings.Repeat(mark, 10)
	set := func(key string) string { return fmt.Sprintf("set %s 0 0 %d\r\n%s", key, len(value), value) }
	c := dial(t, "tcp", plain)
	for range 20 { // hot, and slow
		c.answers(set(mark))
		io.WriteString(c.conn, strings.Repeat("get "+mark+"\r\n", 200)+"mn\r\n")
		for line := ""; line != "MN\r\n"; {
			var err error
			if line, err = c.r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.answers("get bad" + mark)
	c.answers(set("bad" + mark))
	m.dies.Kill()
	for i := range 8 { // until its journal is full
		c.answers(set(fmt.Sprintf("dies%s%d", mark, i)))
		c.answers("get dies" + mark)
	}
	for _, bad := range []string{
		"\x80\x01" + mark, "GET /" + mark + " HTTP/1.1\r\n", mark + strings.Repeat("x", 5000), "\x16\x03\x01" + mark, set(mark) + mark, "set " + mark + " x 0 1\r\n",
	} {
		io.WriteString(dial(t, "tcp", plain).conn, bad)
	}
	for _, line := range []string{"set a 0 0 15\r\nann " + mark, "set a 0 0 15\r\nbob " + mark, "get " + mark} {
		dial(t, "tcp", locked).answers(line)
	}
	for _, line := range []string{"get " + mark, set(mark + "x")} {
		dial(t, "tcp", narrow).answers(line)
	}
	dial(t, "tcp", secure).answers(set(mark))
	writeFile(t, m.users, mark+"\n")
}

// until waits for lines of the log.
func (m *marked) until(log *observer.ObservedLogs, messages ...string) {
	m.t.Helper()
	for _, message := range messages {
		until(m.t, "the log says: "+message, func() bool {
			return log.Filter(func(e observer.LoggedEntry) bool { return strings.HasPrefix(e.Message, message) }).Len() > 0
		})
	}
}
