package e2e

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// fault changes a stream of answers: it is given each answer of a conn with its number, from 1, over all conns, and
// returns what the client gets.
type fault func(n int64, answer unit, hold *unit) []byte

// A relay stands between clients and an endpoint, hands requests on as they are, and breaks answers.
type relay struct {
	listener net.Listener
	target   endpoint
	fault    fault
	answers  atomic.Int64
	conns    sync.WaitGroup
}

// startRelay starts a relay; it ends with the test.
func startRelay(t testing.TB, target endpoint, f fault) endpoint {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, target: target, fault: f}
	done := make(chan struct{})
	go func() { // ends when the listener is closed; waited for below
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.conns.Go(func() { r.serve(conn) })
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
		r.conns.Wait()
	})
	return endpoint{"tcp", listener.Addr().String()}
}

// serve relays one conn until either end closes it.
func (r *relay) serve(conn net.Conn) {
	defer conn.Close()
	server, err := r.target.connect()
	if err != nil {
		return
	}
	defer server.Close()
	requests := make(chan struct{})
	go func() { // ends when either conn is closed; waited for below
		defer close(requests)
		_, _ = io.Copy(server.Conn, conn)
		server.Close()
	}()
	r.answer(conn, server)
	conn.Close()
	<-requests
}

func (r *relay) answer(conn net.Conn, server *client) {
	var hold unit
	for {
		u, err := cutUnit(server.pending)
		if err != nil {
			return
		}
		if u == nil {
			if server.fill() != nil {
				return
			}
			continue
		}
		server.pending = server.pending[len(u):]
		if _, err := conn.Write(r.fault(r.answers.Add(1), bytes.Clone(u), &hold)); err != nil {
			return
		}
	}
}

// every returns the fault f for each nth answer, and no fault for the others.
func every(n int64, f fault) fault {
	return func(i int64, answer unit, hold *unit) []byte {
		if *hold != nil { // a reordering in progress
			both := append(bytes.Clone(answer), *hold...)
			*hold = nil
			return both
		}
		if i%n == 0 {
			return f(i, answer, hold)
		}
		return answer
	}
}

// faults are what a broken proxy might do.
var faults = map[string]fault{
	"corrupts": func(_ int64, answer unit, _ *unit) []byte {
		answer[len(answer)-3] ^= 0x20
		return answer
	},
	"drops":    func(int64, unit, *unit) []byte { return nil },
	"repeats":  func(_ int64, answer unit, _ *unit) []byte { return append(bytes.Clone(answer), answer...) },
	"reorders": func(_ int64, answer unit, hold *unit) []byte { *hold = answer; return nil },
	"corrupts values": func(_ int64, answer unit, _ *unit) []byte {
		if data := answer.data(); len(data) > 2 {
			data[0] ^= 0x01
		}
		return answer
	},
	"says a miss": func(_ int64, answer unit, _ *unit) []byte {
		if bytes.HasPrefix(answer, []byte("VALUE ")) {
			return nil
		}
		return answer
	},
}

// brokenService is memcached behind a relay with a fault in each nth answer.
func brokenService(t testing.TB, n int64, name string) *service {
	mc := startMemcached(t)
	return &service{endpoint: startRelay(t, endpointOf(mc), every(n, faults[name])), memcached: true}
}
