package e2e

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mcproxy/backend"
	"mcproxy/pool"
	"mcproxy/proxy"
)

// A scriptedBackend answers requests as a test says. Probes (version) it answers as memcached does.
type scriptedBackend struct {
	endpoint
	mu    sync.Mutex
	reply func(line string) (answer string, closes bool) // guarded by mu; line is without its CRLF
}

// script is a backend's behaviour: what it sends for a line, and whether it closes the conn then.
type script func(line string) (answer string, closes bool)

func startScripted(t testing.TB) *scriptedBackend {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &scriptedBackend{endpoint: endpoint{"tcp", listener.Addr().String()}}
	var conns sync.WaitGroup
	var open sync.Map
	done := make(chan struct{})
	go func() { // ends when the listener is closed; waited for below
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Store(conn, nil)
			conns.Go(func() { // ends when the conn is closed, by either side or below
				defer open.Delete(conn)
				b.serve(conn)
			})
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
		open.Range(func(conn, _ any) bool { return conn.(net.Conn).Close() != nil || true })
		conns.Wait()
	})
	return b
}

func (b *scriptedBackend) set(s script) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reply = s
}

func (b *scriptedBackend) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "version" {
			if _, err := conn.Write([]byte("VERSION 1.6.18\r\n")); err != nil {
				return
			}
			continue
		}
		if line == "stats" { // of the backend's keeper: no part of any script
			if _, err := conn.Write([]byte("STAT version 1.6.18\r\nEND\r\n")); err != nil {
				return
			}
			continue
		}
		if strings.HasPrefix(line, "set ") {
			if _, err := in.ReadString('\n'); err != nil { // the tests' values hold no line end
				return
			}
		}
		b.mu.Lock()
		reply := b.reply
		b.mu.Unlock()
		answer, closes := reply(line)
		if _, err := conn.Write([]byte(answer)); err != nil || closes {
			return
		}
	}
}

// wellBehaved answers reads with a value that names its key.
func wellBehaved(line string) (string, bool) {
	words := strings.Fields(line)
	switch words[0] {
	case "get":
		var b strings.Builder
		for _, key := range words[1:] {
			fmt.Fprintf(&b, "VALUE %s 0 %d\r\n%s\r\n", key, len(key), key)
		}
		return b.String() + "END\r\n", false
	case "set":
		return "STORED\r\n", false
	case "delete":
		return "DELETED\r\n", false
	}
	return "ERROR\r\n", false
}

// badScripts are what a broken backend may answer to a get.
func badScripts() map[string]script {
	always := func(answer string, closes bool) script { return func(string) (string, bool) { return answer, closes } }
	key := func(line string) string { return strings.Fields(line)[1] }
	return map[string]script{
		"nonsense":              always("FROBNICATE 1 2 3\r\n", false),
		"empty lines":           always("\r\n\r\n\r\n", false),
		"bytes":                 always("\x00\x01\x80\xff\r\n\x80", false),
		"the answer to a set":   always("STORED\r\n", false),
		"half a line":           always("VALU", false),
		"half a line, closes":   always("VALUE bad", true),
		"nothing":               always("", false),
		"nothing, closes":       always("", true),
		"a line without an end": always(strings.Repeat("x", 1<<20), false),
		"an absurd length":      always("VALUE bad-1 0 99999999999999\r\nabc\r\n", false),
		"a negative length":     always("VALUE bad-1 0 -1\r\nabc\r\nEND\r\n", false),
		"a length that lies": func(line string) (string, bool) {
			return fmt.Sprintf("VALUE %s 0 3\r\nabcdef\r\nEND\r\n", key(line)), false
		},
		"a value cut off": func(line string) (string, bool) {
			return fmt.Sprintf("VALUE %s 0 1000\r\nabc", key(line)), false
		},
		"closes in mid-value": func(line string) (string, bool) {
			return fmt.Sprintf("VALUE %s 0 1000\r\nabc", key(line)), true
		},
		"another key": always("VALUE other 0 3\r\nabc\r\nEND\r\n", false),
		"two answers": func(line string) (string, bool) {
			answer, _ := wellBehaved(line)
			return answer + answer, false
		},
		"a second answer for another": func(line string) (string, bool) {
			answer, _ := wellBehaved(line)
			return answer + "VALUE stolen 0 6\r\nstolen\r\nEND\r\n", false
		},
		"too many values": func(line string) (string, bool) {
			return fmt.Sprintf("VALUE %[1]s 0 1\r\na\r\nVALUE %[1]s 0 1\r\nb\r\nEND\r\n", key(line)), false
		},
		"an error":       always("SERVER_ERROR out of memory writing get response\r\n", false),
		"a client error": always("CLIENT_ERROR bad command line format\r\n\r\n", false), // as from 1.6.40 on
	}
}

// TestBadInputBackends puts a broken backend under the keys that begin with "bad", and a good one under all others, in
// one proxy. Whatever it answers, each request gets one whole answer in time, with no value that is not its own; clients
// of the good one notice nothing; and it is used again when it is well.
func TestBadInputBackends(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	bad := startScripted(t)
	good := poolOf(startMemcached(t))
	good.Name = "good"
	good.Backend.Timeout = 5 * time.Second
	s := startProxyOf(t, proxy.Config{
		Pools: []pool.Config{good, {
			Name: "bad", Backends: []pool.BackendConfig{{Network: "tcp", Address: bad.address}},
			Backend: backend.Options{Timeout: failingTimeout, Settle: 50 * time.Millisecond, StallTimeout: 500 * time.Millisecond},
		}},
		Routes: []proxy.Route{{Prefix: "bad", Pool: "bad"}}, DefaultPool: "good",
	})
	for name, reply := range badScripts() {
		t.Run(name, func(t *testing.T) {
			w := newWitness(s.endpoint)
			bad.set(reply)
			clients := []*client{s.dial(t), s.dial(t), s.dial(t)}
			for i := range 12 {
				brokenReads(t, clients[i%len(clients)])
			}
			bad.set(wellBehaved)
			wellAgain(t, clients)
			w.look()
			w.end(t)
		})
	}
}

// brokenReads asks for one key and for two, among a good one, while the backend is broken.
func brokenReads(t *testing.T, c *client) {
	t.Helper()
	start := time.Now()
	answer, closed, err := askWithNoop(c, "get bad-1\r\nset good 0 0 2\r\nok\r\nget bad-1 bad-2\r\nget good\r\n")
	if took := time.Since(start); took > failingLimit+lag.since(start) {
		t.Errorf("answered after %v", took)
	}
	if err != nil || closed {
		t.Fatalf("got %q, closed %v, %v", answer, closed, err)
	}
	list, err := units([]byte(answer))
	if err != nil || len(list) < 5 {
		t.Fatalf("got %q, %v", answer, err)
	}
	// Of "VALUE bad-1 …, END, STORED, VALUE bad-1 …, VALUE bad-2 …, END, VALUE good 0 2, END" any value of bad may lack, and
	// END may be an error.
	var kinds []string
	for _, u := range list {
		words := strings.Fields(string(u.line()))
		switch {
		case len(words) == 0:
			t.Fatalf("an empty line in %q", answer)
		case words[0] == "VALUE" && strings.HasPrefix(words[1], "bad-"):
			kinds = append(kinds, words[1])
		case words[0] == "VALUE":
			kinds = append(kinds, "VALUE "+words[1])
		case strings.HasSuffix(words[0], "ERROR"):
			kinds = append(kinds, "END")
		default:
			kinds = append(kinds, words[0])
		}
	}
	got := strings.Join(kinds, ",")
	for _, lacking := range []string{"bad-1,END,STORED,", "END,STORED,"} {
		for _, second := range []string{"bad-1,bad-2,END,", "bad-1,END,", "bad-2,END,", "END,"} {
			if got == lacking+second+"VALUE good,END" {
				return
			}
		}
	}
	t.Errorf("got %q (%s)", answer, got)
}

// wellAgain waits until each client, and so each worker, uses the backend again, and then wants every answer right.
func wellAgain(t *testing.T, clients []*client) {
	t.Helper()
	start := time.Now()
	for _, c := range clients {
		for {
			answer, closed, err := askWithNoop(c, "get bad-1\r\n")
			if err != nil || closed {
				t.Fatalf("closed %v, %v", closed, err)
			}
			if answer == "VALUE bad-1 0 5\r\nbad-1\r\nEND\r\n" {
				break
			}
			if time.Since(start) > answerTimeout {
				t.Fatalf("after %v still %q", time.Since(start), answer)
			}
		}
	}
	if took := time.Since(start); took > time.Second {
		t.Logf("used again after %v", took)
	}
	for i := range 60 {
		key, begun := fmt.Sprintf("bad-%d", i), time.Now()
		answer, closed, err := askWithNoop(clients[i%len(clients)], "get "+key+"\r\n")
		if answer == "END\r\n" && time.Since(begun) > failingTimeout && lag.since(begun) > 0 {
			continue // the machine was too busy to answer in time
		}
		if err != nil || closed || answer != fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(key), key) {
			t.Errorf("get %s: %q, closed %v, %v", key, answer, closed, err)
		}
	}
}
