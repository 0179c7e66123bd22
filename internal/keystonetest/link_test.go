//go:build keystone

package keystonetest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// What a link does with what passes.
const (
	passes   int32 = iota // as it comes
	hangs                 // requests are read, and nothing answers
	garbles               // requests are answered with what no memcached says
	cutsOff               // an answer with a value ends in the middle of it, and the conn is closed
	linkEnds              // how many there are
)

// A link stands before a memcached and behaves as it is told, from the next bytes on.
type link struct {
	address string
	target  string
	mode    atomic.Int32
	spoiled atomic.Int64 // answers that it kept back, made up or cut
}

// startLink starts a link, which ends with the test.
func startLink(t testing.TB, target string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{address: listener.Addr().String(), target: target}
	var conns sync.WaitGroup
	var open sync.Map
	accepting := make(chan struct{})
	go func() { // ends when the listener is closed; waited for below
		defer close(accepting)
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			open.Store(near, nil)
			conns.Go(func() { // ends when either conn is closed, by its other side or below
				defer open.Delete(near)
				l.serve(near)
			})
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-accepting
		open.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
		conns.Wait()
	})
	return l
}

// serve passes bytes both ways until a conn is closed.
func (l *link) serve(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer far.Close()
	var back sync.WaitGroup
	back.Go(func() { // ends when far is closed
		defer near.Close()
		l.copy(near, far, l.answer)
	})
	l.copy(far, near, func(part []byte) ([]byte, bool) { return l.request(near, part) })
	far.Close()
	back.Wait()
}

// copy passes on what change makes of each part, until there is no more or it says that this was the last.
func (l *link) copy(to io.Writer, from io.Reader, change func([]byte) (changed []byte, last bool)) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			part, last := change(buf[:n])
			if _, err := to.Write(part); err != nil || last {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// request is what becomes of bytes from the proxy.
func (l *link) request(near io.Writer, part []byte) ([]byte, bool) {
	switch l.mode.Load() {
	case hangs:
		l.spoiled.Add(1)
		return nil, false
	case garbles:
		l.spoiled.Add(1)
		_, err := near.Write([]byte("\x00\xffVALUE of nothing 0 -1\r\n\r\nEND"))
		return nil, err != nil
	}
	return part, false
}

// answer is what becomes of bytes from the memcached.
func (l *link) answer(part []byte) ([]byte, bool) {
	if l.mode.Load() != cutsOff {
		return part, false
	}
	at := bytes.Index(part, []byte("VALUE "))
	end := bytes.Index(part[max(at, 0):], []byte("\r\n"))
	if at < 0 || end < 0 {
		return part, false
	}
	l.spoiled.Add(1)
	head := at + end + 2
	return part[:head+min(20, (len(part)-head)/2)], true
}
