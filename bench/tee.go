package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"mcproxy/bench/workload"
	"mcproxy/protocol"
)

// A Tee stands between clients and an endpoint and writes down what the clients say, in the form that the workload
// commands replays. It passes bytes on as they come and changes none.
type Tee struct {
	Listen   string // HOST:PORT or unix:PATH
	Endpoint string // HOST:PORT or unix:PATH
	Out      io.Writer

	// The recording ends with whichever comes first; what passes afterwards is not recorded.
	Duration time.Duration // > 0
	MaxBytes int64         // > 0; of Out

	BlankValues bool // write values as so many x, where their bytes are nobody's business
}

// Recorded is what a Tee has done.
type Recorded struct {
	Clients  int64 `json:"clients"`
	Commands int64 `json:"commands"` // written down
	Bytes    int64 `json:"bytes"`    // written
	Broken   int64 `json:"broken"`   // clients whose stream could not be read on, and was passed on unread
	Full     bool  `json:"full"`     // a bound was reached, and commands passed unrecorded
}

// teeing is a Tee at work.
type teeing struct {
	Tee
	address address
	begun   time.Time
	conns   sync.WaitGroup

	mu       sync.Mutex
	out      *bufio.Writer // guarded by mu
	err      error         // guarded by mu: of the writing
	recorded Recorded      // guarded by mu
	open     map[net.Conn]bool
}

// Run passes on and records until ctx is done, and then closes every conn. ready is called with the address once clients
// can come.
func (t Tee) Run(ctx context.Context, ready func(address string)) (Recorded, error) {
	if t.Duration <= 0 || t.MaxBytes <= 0 {
		return Recorded{}, fmt.Errorf("duration %v, max-bytes %d: want over 0", t.Duration, t.MaxBytes)
	}
	listen, err := parseAddress(t.Listen)
	if err != nil {
		return Recorded{}, err
	}
	w := &teeing{Tee: t, out: bufio.NewWriter(t.Out), open: map[net.Conn]bool{}}
	if w.address, err = parseAddress(t.Endpoint); err != nil {
		return Recorded{}, err
	}
	if _, err := w.address.version(dialTimeout); err != nil {
		return Recorded{}, err
	}
	listener, err := net.Listen(listen.network, listen.name)
	if err != nil {
		return Recorded{}, err
	}
	w.begun = time.Now()
	stop := context.AfterFunc(ctx, func() { w.stop(listener) })
	defer stop()
	ready(listener.Addr().String())
	for client := int64(0); ; client++ {
		conn, err := listener.Accept()
		if err != nil {
			break
		}
		w.conns.Go(func() { w.serve(conn, client) }) // ends with the conn
	}
	w.stop(listener)
	w.conns.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.recorded, errors.Join(w.err, w.out.Flush())
}

const dialTimeout = 5 * time.Second

// stop closes everything.
func (w *teeing) stop(listener net.Listener) {
	listener.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.open {
		conn.Close()
	}
	w.open = nil
}

// track has stop close conn; false when that is over.
func (w *teeing) track(conn net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		conn.Close()
		return false
	}
	w.open[conn] = true
	return true
}

func (w *teeing) forget(conn net.Conn) {
	conn.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, conn)
}

// serve passes one client's bytes on until either side ends.
func (w *teeing) serve(client net.Conn, number int64) {
	if !w.track(client) {
		return
	}
	defer w.forget(client)
	endpoint, err := w.address.dial(dialTimeout)
	if err != nil || !w.track(endpoint) {
		return
	}
	defer w.forget(endpoint)
	w.mu.Lock()
	w.recorded.Clients++
	w.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() { // ends with the endpoint's conn
		_, _ = io.Copy(client, endpoint)
		client.Close()
	})
	defer back.Wait()
	defer endpoint.Close()
	s := teeStream{tee: w, number: number}
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if n > 0 {
			if _, err := endpoint.Write(buf[:n]); err != nil {
				return
			}
			s.take(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// A teeStream reads one client's commands.
type teeStream struct {
	tee     *teeing
	number  int64
	in      []byte // what is no whole command yet
	swallow int    // bytes of a refused command's data block that are still to come
	over    bool   // nothing of it can be recorded any more
	request protocol.Request
}

// take records the commands that are whole now.
func (s *teeStream) take(data []byte) {
	if s.over {
		return
	}
	s.in = append(s.in, data...)
	for {
		drop := min(s.swallow, len(s.in))
		s.in = s.in[drop:]
		s.swallow -= drop
		n, err := s.command()
		if err != nil {
			s.tee.mu.Lock()
			s.tee.recorded.Broken++
			s.tee.mu.Unlock()
			s.over, s.in = true, nil
			return
		}
		if n == 0 {
			return
		}
		s.in = s.in[n:]
	}
}

// command records the command at the start of s.in and gives its length; 0 when it is not all there.
func (s *teeStream) command() (n int, err error) {
	req := &s.request
	if n, err = protocol.ParseRequest(s.in, req); n == 0 || err != nil {
		return 0, err
	}
	switch {
	case req.Verb == protocol.Refused:
		s.swallow = req.Swallow
		return n, nil
	case req.ValueLen >= 0:
		taken, ok := req.TakeValue(s.in[n:])
		if taken == 0 {
			return 0, nil
		}
		n += taken
		if !ok {
			return n, nil
		}
	}
	s.tee.record(s.number, req)
	return n, nil
}

// record writes one command down.
func (w *teeing) record(client int64, req *protocol.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := time.Since(w.begun)
	if w.err != nil || w.recorded.Full {
		return
	}
	if w.BlankValues {
		blank := make([]byte, len(req.Value))
		for i := range blank {
			blank[i] = 'x'
		}
		req.Value = blank
	}
	text := protocol.AppendRequest(fmt.Appendf(nil, "%s%.6f %d\r\n", workload.StampMark, at.Seconds(), client), req)
	if at > w.Duration || w.recorded.Bytes+int64(len(text)) > w.MaxBytes {
		w.recorded.Full = true
		return
	}
	_, w.err = w.out.Write(text)
	w.recorded.Commands++
	w.recorded.Bytes += int64(len(text))
}
