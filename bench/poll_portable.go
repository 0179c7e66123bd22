package bench

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// A portablePoller is a poller of goroutines, for systems without epoll: one a conn, which reads ahead. It costs more of the
// processor than an epollPoller.
type portablePoller struct {
	ready   chan int32
	done    chan struct{} // closed by close
	readers sync.WaitGroup
}

// A portableSocket is a conn and what its goroutine has read.
type portableSocket struct {
	conn   net.Conn
	poller *portablePoller
	id     int32

	mu     sync.Mutex
	in     []byte        // guarded by mu
	err    error         // guarded by mu: the end of the stream
	called bool          // guarded by mu: wait will give the id
	room   chan struct{} // read made room
}

const (
	maxReady    = 1024
	maxAhead    = 4 << 20          // bytes that are read before they are asked for
	writeAtOnce = time.Millisecond // how long a write may keep the others waiting
)

func newPortablePoller() *portablePoller {
	return &portablePoller{ready: make(chan int32, maxReady), done: make(chan struct{})}
}

func (p *portablePoller) close() {
	close(p.done)
	p.readers.Wait()
}

func (p *portablePoller) add(id int, conn net.Conn) (socket, error) {
	s := &portableSocket{conn: conn, poller: p, id: int32(id), room: make(chan struct{}, 1)}
	p.readers.Go(s.readAhead) // ends with the conn, or the poller
	return s, nil
}

func (p *portablePoller) wait(ids []int32, timeout time.Duration) ([]int32, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case id := <-p.ready:
		ids = append(ids, id)
	case <-timer.C:
		return ids, nil
	}
	for range maxReady {
		select {
		case id := <-p.ready:
			ids = append(ids, id)
			continue
		default:
		}
		break
	}
	return ids, nil
}

// readAhead reads until the end of the stream, or of the poller.
func (s *portableSocket) readAhead() {
	buf := make([]byte, 64<<10)
	for {
		n, err := s.conn.Read(buf)
		s.mu.Lock()
		s.in, s.err = append(s.in, buf[:n]...), err
		call, full := !s.called, len(s.in) >= maxAhead
		s.called = true
		s.mu.Unlock()
		if call && !s.poller.call(s.id) || err != nil {
			return
		}
		if full {
			select {
			case <-s.room:
			case <-s.poller.done:
				return
			}
		}
	}
}

// call has wait give the id; false when the poller is closed.
func (p *portablePoller) call(id int32) bool {
	select {
	case p.ready <- id:
		return true
	case <-p.done:
		return false
	}
}

func (s *portableSocket) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := copy(p, s.in)
	s.in = append(s.in[:0], s.in[n:]...)
	if n == 0 && s.err != nil {
		return 0, s.err
	}
	if len(s.in) == 0 {
		if s.called = s.err != nil; s.called {
			go s.poller.call(s.id) // for the end of the stream; ends with the poller, at the latest
		}
	}
	if n == 0 {
		return 0, errAgain
	}
	select {
	case s.room <- struct{}{}:
	default:
	}
	return n, nil
}

// write waits for a while; when that is too short, wait gives the id for another try.
func (s *portableSocket) write(p []byte) (int, error) {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeAtOnce)); err != nil {
		return 0, err
	}
	n, err := s.conn.Write(p)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	go s.poller.call(s.id) // ends with the poller, at the latest
	if n == 0 {
		return 0, errAgain
	}
	return n, nil
}

// watchWrites is write's own business.
func (s *portableSocket) watchWrites(int, bool) error { return nil }

func (s *portableSocket) close() { s.conn.Close() }
