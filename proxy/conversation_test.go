package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"mcproxy/backend"
	"mcproxy/pool"
	"mcproxy/proxy"
	"mcproxy/proxy/door"
)

// TestConversations plays the files of testdata/conversations against a proxy over two scripted backends, a and b. Keys that
// begin with "a" belong to a, all others to b. A line of a file is one of
//
//	# a comment, or nothing
//	option KEY=VALUE                 before anything else, as in proxy.toml: on_error, timeout, max_pending, allow_flush_all, max_value (bytes),
//	                                 commands, prefixes, users (of auth_file, blanks between)
//	c> TEXT                          the client c (any name of letters and digits but a, b) sends TEXT and CRLF; \r, \n, \0, \xNN mean themselves
//	c>> TEXT                         the same without CRLF
//	c< TEXT                          the client gets the line TEXT
//	c~ REGEXP                        the client gets a line that REGEXP matches, as a whole
//	c.                               the client has got nothing else: `mn` is answered at once
//	c!                               the client's conn has been closed by the proxy
//	a< TEXT                          the backend gets the line TEXT (its conns' `version` is answered for it)
//	a> TEXT, a>> TEXT                the backend sends that on the conn that the last a< came on
//	a!                               the backend closes that conn
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/conversations/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			newPlay(t, file).run(string(text))
		})
	}
}

type play struct {
	t        *testing.T
	file     string
	line     int
	onError  pool.OnError
	options  backend.Options
	flushAll bool
	door     door.Config // of the listener
	maxValue int64
	begin    func() // sets addr; start, if a test has no other
	backends map[string]*scriptedBackend
	clients  map[string]*scriptedClient
	addr     string
}

func newPlay(t *testing.T, file string) *play {
	p := &play{
		t: t, file: file, maxValue: 1000, clients: make(map[string]*scriptedClient), options: backend.Options{Timeout: 2 * time.Second},
		backends: map[string]*scriptedBackend{"a": newScriptedBackend(t), "b": newScriptedBackend(t)},
	}
	p.begin = p.start
	return p
}

func (p *play) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s:%d: %s", p.file, p.line, fmt.Sprintf(format, args...))
}

// start starts the proxy, after the options were read.
func (p *play) start() {
	cfg := proxy.Config{
		StatsInterval: -1, // the backends are scripted
		Listeners:     []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0", Door: p.door}},
		Workers:       1,
		Routes:        []proxy.Route{{Prefix: "a", Pool: "a"}},
		DefaultPool:   "b",
		MaxValue:      p.maxValue,
	}
	for _, name := range []string{"a", "b"} {
		cfg.Pools = append(cfg.Pools, pool.Config{
			Name: name, OnError: p.onError, AllowFlushAll: p.flushAll, Backend: p.options,
			Backends: []pool.BackendConfig{{Name: name, Network: "tcp", Address: p.backends[name].ln.Addr().String()}},
		})
	}
	p.addr = serve(p.t, cfg)
}

// serve runs a proxy for the time of the test and gives its first listener's address.
func serve(t *testing.T, cfg proxy.Config) string {
	t.Helper()
	_, addr := serveServer(t, cfg)
	return addr
}

// serveServer is serve, and gives the server too.
func serveServer(t *testing.T, cfg proxy.Config) (*proxy.Server, string) {
	t.Helper()
	srv, err := proxy.New(cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return srv, srv.Addrs()[0].String()
}

func (p *play) run(text string) {
	for line := range strings.Lines(text) {
		p.line++
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || line[0] == '#':
			continue
		case strings.HasPrefix(line, "option "):
			p.option(line[len("option "):])
			continue
		}
		if p.addr == "" {
			p.begin()
		}
		i := strings.IndexAny(line, "<>~.!")
		if i < 1 {
			p.fatalf("what is %q?", line)
		}
		who, rest := line[:i], line[i+1:]
		data := unescape(strings.TrimPrefix(strings.TrimPrefix(rest, ">"), " "))
		if !strings.HasPrefix(rest, ">") {
			data += "\r\n"
		}
		if b := p.backends[who]; b != nil {
			p.backend(b, line[i], data)
		} else {
			p.client(who, line[i], data)
		}
	}
}

func (p *play) option(text string) {
	key, value, _ := strings.Cut(text, "=")
	var err error
	switch key {
	case "on_error":
		p.onError = map[string]pool.OnError{"error": pool.OnErrorError}[value]
		if p.onError.String() != value {
			err = errors.New("miss or error")
		}
	case "timeout":
		p.options.Timeout, err = time.ParseDuration(value)
	case "max_pending":
		p.options.MaxPending, err = strconv.Atoi(value)
	case "allow_flush_all":
		p.flushAll, err = strconv.ParseBool(value)
	case "users": // the lines of auth_file
		p.door.AuthFile = writeUsers(p.t, strings.ReplaceAll(value, " ", "\n")+"\n")
	case "commands":
		if p.door.ReadOnly = value == "read"; value != "read" {
			err = errors.New("read")
		}
	case "prefixes":
		p.door.Prefixes = strings.Fields(value)
	case "max_value":
		p.maxValue, err = strconv.ParseInt(value, 10, 64)
	default:
		err = errors.New("no such option")
	}
	if err != nil {
		p.fatalf("option %q: %v", text, err)
	}
}

func unescape(s string) string {
	return strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\0`, "\x00", `\x80`, "\x80").Replace(s)
}

func (p *play) backend(b *scriptedBackend, what byte, data string) {
	switch what {
	case '<':
		select {
		case got := <-b.lines:
			b.last = got.conn
			if got.text != data {
				p.fatalf("the backend got %q, want %q", got.text, data)
			}
		case <-time.After(5 * time.Second):
			p.fatalf("the backend got nothing, want %q", data)
		}
	case '>':
		if _, err := io.WriteString(b.last, data); err != nil {
			p.fatalf("backend: %v", err)
		}
	case '!':
		b.last.Close()
	}
}

func (p *play) client(name string, what byte, data string) {
	c := p.clients[name]
	if c == nil {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			p.fatalf("%v", err)
		}
		p.t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		c = &scriptedClient{conn, bufio.NewReader(conn)}
		p.clients[name] = c
	}
	switch what {
	case '>':
		if _, err := io.WriteString(c.conn, data); err != nil {
			p.fatalf("client: %v", err)
		}
	case '<':
		if got, err := c.r.ReadString('\n'); got != data {
			p.fatalf("the client got %q (%v), want %q", got, err, data)
		}
	case '~':
		got, err := c.r.ReadString('\n')
		if pattern := regexp.MustCompile("^(?:" + strings.TrimSuffix(data, "\r\n") + ")\r\n$"); !pattern.MatchString(got) {
			p.fatalf("the client got %q (%v), want %s", got, err, pattern)
		}
	case '.':
		io.WriteString(c.conn, "mn\r\n")
		if got, err := c.r.ReadString('\n'); got != "MN\r\n" {
			p.fatalf("the client got %q (%v), want nothing", got, err)
		}
	case '!':
		if got, err := c.r.ReadString('\n'); got != "" || err == nil {
			p.fatalf("the client got %q, want the end", got)
		}
	}
}

type scriptedClient struct {
	conn net.Conn
	r    *bufio.Reader
}

// A scriptedBackend hands the lines it gets to the play, but for `version`, which it answers.
type scriptedBackend struct {
	ln    net.Listener
	lines chan scriptedLine
	last  net.Conn
}

type scriptedLine struct {
	conn net.Conn
	text string
}

func newScriptedBackend(t *testing.T) *scriptedBackend {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &scriptedBackend{ln: ln, lines: make(chan scriptedLine, 100)}
	var conns sync.WaitGroup
	ended := make(chan struct{})
	var mu sync.Mutex
	var open []net.Conn
	go func() { // ends when the listener is closed
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			conns.Go(func() { b.serve(conn) }) // ends when the conn is closed
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
		for _, conn := range open {
			conn.Close()
		}
		conns.Wait()
	})
	return b
}

func (b *scriptedBackend) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		text, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if text == "version\r\n" {
			io.WriteString(conn, "VERSION 1.6.18\r\n")
			continue
		}
		b.lines <- scriptedLine{conn, text}
	}
}
