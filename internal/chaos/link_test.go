package chaos

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// link is the network between a proxy and a server: it passes bytes on in order, and now and then late, each conn and direction
// on its own. So answers that were given are still on their way when others are long there.
type link struct {
	listener net.Listener
	to       string

	wg sync.WaitGroup // the copying goroutines

	mu    sync.Mutex // guards what follows
	rng   *rand.Rand
	conns map[net.Conn]bool
	ended bool
}

// startLink starts one to an address; it ends with the test.
func startLink(t testing.TB, to string, seed uint64) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
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
			l.wg.Go(func() { l.pass(near, far) })
			l.pass(far, near)
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
func (l *link) pass(from, to net.Conn) {
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
		time.Sleep(l.delay())
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// delay is 0 mostly.
func (l *link) delay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rng.IntN(20) > 0 {
		return 0
	}
	return time.Duration(l.rng.IntN(40)) * time.Millisecond
}

// cut breaks all conns that there are. What was on its way is lost, or was not.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		conn.Close()
	}
}
