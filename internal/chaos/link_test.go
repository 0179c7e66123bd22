package chaos

import (
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// link is the network between a proxy and a server: it passes bytes on in order, each conn and direction on its own. It may be late, now
// and then or for a while, hold one direction back, and break conns between a request and its answer. So answers that were given
// are still on their way when others are long there.
type link struct {
	listener net.Listener
	to       string
	rough    bool // late now and then by itself

	wg sync.WaitGroup // the copying goroutines

	mu    sync.Mutex // guards what follows
	rng   *rand.Rand
	conns map[net.Conn]bool
	ended bool
	late  time.Duration    // more than nothing: what passes is late by up to so much
	gates [2]chan struct{} // by direction; not nil: what comes waits until it is closed
	drop  int              // so many answers more are lost, with their conns
}

// A direction is the way that bytes go.
type direction int

const (
	toServer direction = iota
	toProxy
)

// linkAddress is where a proxy finds its own link to a server. Proxies whose backends had different addresses would not make copies, so
// it is one text for all: each process has another directory.
func linkAddress(server string) string { return "unix:/proc/self/cwd/" + server }

// startLink starts the one of the proxy that runs in dir to a server of that name and address; it ends with the test.
func startLink(t testing.TB, dir, server, to string, seed uint64) *link {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(dir, server))
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, to: to, rng: rand.New(rand.NewPCG(seed, 0)), conns: map[net.Conn]bool{}}
	l.wg.Go(l.accept) // ends when the listener is closed; waited for below
	t.Cleanup(func() {
		listener.Close()
		l.mu.Lock()
		l.ended = true
		l.mu.Unlock()
		l.cut()
		l.wg.Wait()
	})
	return l
}

func (l *link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.wg.Go(func() { // ends with its conns; waited for in the cleanup
			far, err := net.DialTimeout("tcp", l.to, time.Second)
			if err != nil {
				near.Close()
				return
			}
			if !l.keep(near) || !l.keep(far) {
				near.Close()
				far.Close()
			}
			l.wg.Go(func() { l.pass(near, far, toServer) })
			l.pass(far, near, toProxy)
		})
	}
}

// keep notes a conn, unless the link has ended.
func (l *link) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[conn] = true
	return !l.ended
}

// pass copies until one side ends, and then ends the other.
func (l *link) pass(from, to net.Conn, way direction) {
	defer func() {
		from.Close()
		to.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, from)
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if delay := l.delay(); delay > 0 {
			time.Sleep(delay)
		}
		if gate := l.gate(way); gate != nil {
			<-gate
		}
		if way == toProxy && l.drops() {
			return
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// delay is 0 mostly.
func (l *link) delay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.late > 0:
		return time.Duration(l.rng.Int64N(int64(l.late)))
	case l.rough && l.rng.IntN(20) == 0:
		return time.Duration(l.rng.IntN(40)) * time.Millisecond
	}
	return 0
}

func (l *link) gate(way direction) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gates[way]
}

func (l *link) drops() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drop == 0 {
		return false
	}
	l.drop--
	return true
}

// slow makes all that passes late by up to so much; 0 ends that.
func (l *link) slow(most time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late = most
}

// hold keeps back what comes in a direction, until release is called, once.
func (l *link) hold(way direction) (release func()) {
	gate := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gates[way] = gate
	return func() {
		l.mu.Lock()
		l.gates[way] = nil
		l.mu.Unlock()
		close(gate)
	}
}

// lose has the next n answers get lost, each with its conn: the requests were carried out.
func (l *link) lose(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop = n
}

// cut breaks all conns that there are. What was on its way is lost, or was not.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		conn.Close()
	}
}
