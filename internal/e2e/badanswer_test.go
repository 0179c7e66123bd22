package e2e

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"testing"

	"mcproxy/backend"
	"mcproxy/pool"
	"mcproxy/proxy"
)

// TestBadInputAnswerKey makes memcached 1.6.18 put a key with a line end into an answer: it forgets that an item's key came in
// base64 when it appends to it. No answer may be taken for another.
func TestBadInputAnswerKey(t *testing.T) {
	s := startService(t, 1)
	if s.memcached {
		return // it does
	}
	w := newWitness(s.endpoint)
	defer w.end(t)
	const key = "YQ0KVkFMVUUgeCAwIDENCnkNCkVORA==" // "a\r\nVALUE x 0 1\r\ny\r\nEND"
	c, other := s.dial(t), s.dial(t)
	for range 3 {
		for _, request := range []string{"ms " + key + " 1 b\r\na\r\nms " + key + " 1 b MA\r\nb\r\n", "mg " + key + " b k v\r\n", "me " + key + " b\r\n"} {
			answer, closed, err := c.exchange([]byte(request))
			if closed || err != nil {
				t.Errorf("%q: closed %v, %v", request, closed, err)
				c = s.dial(t)
			}
			if bytes.HasPrefix([]byte(request), []byte("mg ")) && !bytes.HasPrefix(answer, []byte("VA 2 ")) {
				t.Errorf("%q: %q, and the item is there: its answer has broken a conn that others share", request, answer)
			}
			if bytes.Contains(answer, []byte("\r\nVALUE x 0 1\r\ny\r\nEND")) {
				t.Errorf("%q: the key's bytes are taken for an answer: %q", request, answer)
			}
			c.ask(t, "set in-step 0 0 1\r\na\r\nget in-step\r\n", "STORED\r\nVALUE in-step 0 1\r\na\r\nEND\r\n")
			other.ask(t, "mg in-step v\r\n", "VA 1\r\na\r\n")
		}
	}
}

// TestBadAnswersEndTheConn has a backend whose answers are damaged between two of them, so that each would be taken for the one before it, or fit
// no such request: what the client gets is a failure, and no answer to another request.
func TestBadAnswersEndTheConn(t *testing.T) {
	for _, tt := range []struct{ name, greeting, requests, answers string }{
		{"a torn version", "VERSION 1.6.18\r\x8aSTORED\r\n", "set k 0 0 1\r\na\r\n", "NOT_STORED\r\n"},
		{"a torn error", "", "set k 0 0 1\r\na\r\nset k 0 0 1\r\nb\r\n", "SERVER_ERROR x\r\x8aSTORED\r\nNOT_STORED\r\n"},
		{"a torn meta answer", "", "md k q c\r\nmd k c\r\n", "HD c1\r\x8aHD c2\r\nHD c3\r\n"},
		{"another verb's", "", "delete k\r\n", "STORED\r\n"},
		{"another verb's, of meta", "", "md k\r\n", "EN\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			greeting := tt.greeting
			if greeting == "" {
				greeting = "VERSION 1.6.18\r\n"
			}
			go func() { // ends with the listener
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go func() { // ends with its conn
						defer conn.Close()
						in := bufio.NewReader(conn)
						if _, err := in.ReadString('\n'); err != nil {
							return
						}
						if _, err := conn.Write([]byte(greeting)); err != nil {
							return
						}
						if _, err := in.ReadString('\n'); err != nil {
							return
						}
						_, _ = conn.Write([]byte(tt.answers))
						_, _ = in.WriteTo(new(bytes.Buffer)) // until it is closed
					}()
				}
			}()
			s := startProxyOf(t, proxy.Config{Pools: []pool.Config{{
				Name: "main", OnError: pool.OnErrorError, Backends: []pool.BackendConfig{{Network: "tcp", Address: listener.Addr().String()}},
				Backend: backend.Options{Timeout: failingTimeout},
			}}, DefaultPool: "main"})
			c := s.dial(t)
			answer, _, err := askWithNoop(c, tt.requests)
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range []string{"STORED", "HD", "EN", "c2", "c3"} {
				if strings.Contains(answer, other) {
					t.Errorf("%q, sent %q after %q, was answered with %q", tt.requests, tt.answers, greeting, answer)
				}
			}
		})
	}
}
