package inspect_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"mcproxy/inspect"
)

// fakeStats are those of a server that has 3 items.
const fakeStats = "STAT version 1.6.18\r\nSTAT time 1700000000\r\nSTAT uptime 1000\r\nSTAT curr_items 3\r\nSTAT bytes 300\r\nEND\r\n"

// fake is a server that answers a command with what answers has under it, and closes the conn behind an answer that ends in "<close>". A command
// that it does not know is never answered.
func fake(t *testing.T, answers map[string]string) inspect.Server {
	t.Helper()
	return serve(t, func(conn net.Conn) {
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			answer := answers[strings.TrimRight(lines.Text(), "\r")]
			text, end := strings.CutSuffix(answer, "<close>")
			if _, err := fmt.Fprint(conn, text); err != nil || end {
				return
			}
		}
	})
}

// serve runs a function on each conn, and closes it behind the function. All conns are closed when the test ends.
func serve(t *testing.T, talk func(net.Conn)) inspect.Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends when the listener is closed
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			done := make(chan struct{})
			go func() { // ends with the conn
				defer close(done)
				defer conn.Close()
				talk(conn)
			}()
			t.Cleanup(func() {
				conn.Close()
				<-done
			})
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	return inspect.Server{Network: "tcp", Address: ln.Addr().String()}
}
