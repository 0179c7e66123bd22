package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
)

// answerTimeout is how long any suite waits for an answer that must come. It is no measure of the proxy: it ends a test
// that would hang.
const answerTimeout = 20 * time.Second

// endpoint is an address that speaks memcached's text protocol: a proxy, a relay or memcached itself.
type endpoint struct{ network, address string }

func endpointOf(mc *memcachedtest.Server) endpoint { return parseEndpoint(mc.Addr()) }

func parseEndpoint(s string) endpoint {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return endpoint{"unix", path}
	}
	return endpoint{"tcp", s}
}

// String is the form that the client scripts take: "127.0.0.1:11211" or "unix:/path".
func (e endpoint) String() string {
	if e.network == "unix" {
		return "unix:" + e.address
	}
	return e.address
}

// client is one client connection. It is used by one goroutine.
type client struct {
	net.Conn
	pending []byte // read and not yet taken
}

func (e endpoint) connect() (*client, error) {
	conn, err := net.DialTimeout(e.network, e.address, answerTimeout)
	if err != nil {
		return nil, err
	}
	return &client{Conn: conn}, nil
}

// dial connects, and closes the connection when the test ends.
func (e endpoint) dial(t testing.TB) *client {
	t.Helper()
	c, err := e.connect()
	if err != nil {
		t.Fatalf("connect to %s: %v", e, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// fill reads once and adds to pending. It says io.EOF for a conn that the peer has closed or reset.
func (c *client) fill() error {
	var chunk [64 << 10]byte
	n, err := c.Read(chunk[:])
	c.pending = append(c.pending, chunk[:n]...)
	if n > 0 {
		return nil
	}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return io.EOF
	}
	return err
}

// unit takes the next answer: a line, with the data block that a VALUE or VA line announces.
func (c *client) unit(deadline time.Time) (unit, error) {
	if err := c.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	for {
		u, err := cutUnit(c.pending)
		if err != nil {
			return nil, err
		}
		if u != nil {
			c.pending = c.pending[len(u):]
			return u, nil
		}
		if err := c.fill(); err != nil {
			return nil, fmt.Errorf("%w, after %q", err, tail(c.pending, 200))
		}
	}
}

// until takes everything up to mark, which is not part of it.
func (c *client) until(mark []byte, deadline time.Time) ([]byte, error) {
	if err := c.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	for !bytes.HasSuffix(c.pending, mark) {
		if err := c.fill(); err != nil {
			got := c.pending
			c.pending = nil
			return got, err
		}
	}
	got := c.pending[:len(c.pending)-len(mark)]
	c.pending = nil
	return got, nil
}

// rest takes everything up to the end of the stream.
func (c *client) rest(deadline time.Time) ([]byte, error) {
	got, err := c.until([]byte("\x00never\x00"), deadline)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return got, err
}

var sentinels atomic.Uint64

// newSentinel gives a request that is answered on every healthy stream, and its answer, which nothing else can look
// like: so the end of the answers to what was sent before it shows, also of quiet commands.
func newSentinel() (request, answer []byte) {
	n := sentinels.Add(1)
	return fmt.Appendf(nil, "mg sentinel-%d k\r\n", n), fmt.Appendf(nil, "EN ksentinel-%d\r\n", n)
}

// exchange sends request and returns all that is answered to it, up to a sentinel or to the end of the stream; closed
// says which.
func (c *client) exchange(request []byte) (answer []byte, closed bool, err error) {
	return c.exchangeWithin(request, answerTimeout)
}

func (c *client) exchangeWithin(request []byte, timeout time.Duration) (answer []byte, closed bool, err error) {
	deadline := time.Now().Add(timeout)
	mark, end := newSentinel()
	sent := make(chan error, 1)
	if err := c.SetWriteDeadline(deadline); err != nil {
		return nil, false, err
	}
	go func() { // ends with the write, which has a deadline; waited for below
		_, err := c.Write(append(bytes.Clone(request), mark...))
		sent <- err
	}()
	answer, err = c.until(end, deadline)
	closed = errors.Is(err, io.EOF)
	if err != nil {
		c.Close() // ends the writer
		<-sent
		if closed {
			err = nil
		}
		return answer, closed, err
	}
	return answer, false, <-sent
}

// ask is exchange for tests: it fails t unless the answer is want.
func (c *client) ask(t testing.TB, request, want string) {
	t.Helper()
	answer, closed, err := c.exchange([]byte(request))
	if err != nil || closed || string(answer) != want {
		t.Errorf("%s: got %s (closed %v, %v), want %s", quote([]byte(request)), quote(answer), closed, err, quote([]byte(want)))
	}
}

// quote is %q of b, shortened in its middle.
func quote(b []byte) string {
	const most = 600
	if len(b) <= most {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q… %d bytes …%q", b[:most/2], len(b)-most, b[len(b)-most/2:])
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }
