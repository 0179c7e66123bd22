//go:build !race

package e2e

import (
	"bytes"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// breakage is a way in which a network, or what stands in it, fails.
type breakage int

const (
	whole    breakage = iota // it does not
	late                     // bytes come late, and some after the deadline
	deaf                     // requests do not come through; they do when it is whole again
	mute                     // answers do not come through; they do when it is whole again
	garbling                 // bits of answers are wrong
	cutting                  // conns are closed in the middle of values
	dripping                 // answers come one byte at a time
	gone                     // no conn is kept
)

var breakages = []breakage{late, deaf, mute, garbling, cutting, dripping, gone}

func (b breakage) String() string {
	return [...]string{"whole", "late", "deaf", "mute", "garbling", "cutting", "dripping", "gone"}[b]
}

// garbled is the bit that a garbling link sets: no byte of the protocol has it, and no value of these tests. So what the proxy can
// notice it must notice, and in a value, which the protocol does not protect, the client sees what was there.
const garbled = 0x80

// A faultyRelay is the network between the proxy and a backend, and fails as it is told.
type faultyRelay struct {
	listener net.Listener
	to       string
	running  sync.WaitGroup // its goroutines

	mu      sync.Mutex // guards what follows
	rng     *rand.Rand
	conns   map[net.Conn]bool
	way     breakage
	changed chan struct{} // closed when way changes
	ended   bool
}

// startFaultyRelay starts one; it ends with the test.
func startFaultyRelay(t *testing.T, to string, seed uint64) *faultyRelay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &faultyRelay{
		listener: listener, to: to, rng: rand.New(rand.NewPCG(seed, 7)), conns: map[net.Conn]bool{}, changed: make(chan struct{}),
	}
	l.running.Go(l.accept) // ends when the listener is closed; waited for below
	t.Cleanup(func() {
		listener.Close()
		l.mu.Lock()
		l.ended = true
		l.mu.Unlock()
		l.fail(gone)
		l.running.Wait()
	})
	return l
}

// fail has it fail in that way from now on, conns that are open included.
func (l *faultyRelay) fail(way breakage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.way = way
	close(l.changed)
	l.changed = make(chan struct{})
	if way == gone {
		for conn := range l.conns {
			conn.Close()
		}
	}
}

func (l *faultyRelay) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() { // ends with its conns; waited for in the cleanup
			far, err := net.DialTimeout("tcp", l.to, answerTimeout)
			if err != nil {
				near.Close()
				return
			}
			if !l.keep(near, far) {
				near.Close()
				far.Close()
			}
			l.running.Go(func() { l.pass(near, far, false) })
			l.pass(far, near, true)
		})
	}
}

// keep notes two conns, unless none is kept now.
func (l *faultyRelay) keep(near, far net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[near], l.conns[far] = true, true
	return l.way != gone && !l.ended
}

// pass hands bytes on until one side ends, and then ends the other.
func (l *faultyRelay) pass(from, to net.Conn, answers bool) {
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
		if !l.hand(buf[:n], to, answers) || err != nil {
			return
		}
	}
}

// hand hands some bytes on in the way of the moment. false: the conn is to end.
func (l *faultyRelay) hand(b []byte, to net.Conn, answers bool) bool {
	l.mu.Lock()
	way, changed, dice := l.way, l.changed, l.rng.IntN(1<<20)
	l.mu.Unlock()
	switch {
	case way == late:
		wait := time.Duration(dice%40) * time.Millisecond
		if dice%8 == 0 {
			wait += failingTimeout
		}
		select {
		case <-time.After(wait):
		case <-changed:
		}
	case way == deaf && !answers, way == mute && answers:
		for blocked := true; blocked; {
			<-changed
			l.mu.Lock()
			way, changed = l.way, l.changed
			l.mu.Unlock()
			blocked = way == deaf && !answers || way == mute && answers
		}
		if way == gone {
			return false
		}
	case way == garbling && answers && dice%3 == 0 && len(b) > 0:
		b[dice/3%len(b)] |= garbled
	case way == cutting && answers && (bytes.HasPrefix(b, []byte("VALUE ")) || dice%4 == 0):
		_, _ = to.Write(b[:len(b)/2])
		return false
	case way == dripping && answers:
		for i := range b {
			if _, err := to.Write(b[i : i+1]); err != nil {
				return false
			}
		}
		return true
	case way == gone:
		return false
	}
	_, err := to.Write(b)
	return err == nil
}
