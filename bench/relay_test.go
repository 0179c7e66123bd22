package bench_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"mcproxy/protocol"
)

// A plan may change a server's answer to a request before the client gets it. It is called for one request at a time.
type plan func(req *protocol.Request, answer []byte) []byte

// relay stands between a client and the server at address, request by request, and does to the answers what the plan says.
func relay(t *testing.T, address string, change plan) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		wait.Wait() // the tool has closed its conns by then
	})
	wait.Go(func() { // ends with the listener
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { // ends with either conn
				defer client.Close()
				server, err := net.Dial("tcp", address)
				if err != nil {
					t.Error(err)
					return
				}
				defer server.Close()
				err = converse(client, server, func(req *protocol.Request, answer []byte) []byte {
					mu.Lock()
					defer mu.Unlock()
					return change(req, answer)
				})
				if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
					t.Logf("relay: %v", err) // the tool closes conns in the middle when its time is over
				}
			})
		}
	})
	return listener.Addr().String()
}

// converse passes requests on, one at a time.
func converse(client, server net.Conn, change plan) error {
	var in, out []byte
	var req protocol.Request
	buf := make([]byte, 64<<10)
	for {
		used, line := 0, 0
		if line, _ = protocol.ParseRequest(in, &req); line > 0 {
			used = line
			if req.ValueLen >= 0 {
				used = 0
				if n, _ := req.TakeValue(in[line:]); n > 0 {
					used = line + n
				}
			}
		}
		if used == 0 {
			n, err := client.Read(buf)
			if err != nil {
				return err
			}
			in = append(in, buf[:n]...)
			continue
		}
		if _, err := server.Write(in[:used]); err != nil {
			return err
		}
		answer, rest, err := readAnswer(server, out, &req)
		if err != nil {
			return err
		}
		if _, err := client.Write(change(&req, answer)); err != nil {
			return err
		}
		out = rest
		in = in[used:]
	}
}

// readAnswer reads the whole answer to a request; in is what has been read of it.
func readAnswer(server net.Conn, in []byte, req *protocol.Request) (answer, rest []byte, err error) {
	shape := req.Verb.Shape()
	if req.NumKeys > 1 {
		shape = protocol.ShapeValues
	}
	used := 0
	var resp protocol.Response
	buf := make([]byte, 64<<10)
	for {
		n, err := protocol.ParseResponse(in[used:], shape, &resp)
		if err != nil {
			return nil, nil, err
		}
		if n > 0 {
			used += n
			if resp.Last {
				return in[:used:used], in[used:], nil
			}
			continue
		}
		if n, err = server.Read(buf); err != nil {
			return nil, nil, err
		}
		in = append(in, buf[:n]...)
	}
}
