package inspect

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Server is one memcached.
type Server struct {
	Name    string // for people; "" is the address
	Network string // "tcp" or "unix"
	Address string // "host:port", or a socket's path
	Weight  int    // share of the keys, for rings; 0 is 1
	Pools   []string
}

// defaultPort is memcached's.
const defaultPort = "11211"

// ParseServer reads "host", "host:port", "[::1]:11211", "unix:/path" or "/path".
func ParseServer(text string) (Server, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok || strings.HasPrefix(text, "/") {
		if path == "" {
			return Server{}, fmt.Errorf("server %q: unix: wants a path", text)
		}
		return Server{Network: "unix", Address: path}, nil
	}
	const want = "want HOST, HOST:PORT, [IPv6]:PORT or unix:PATH"
	address := text
	if !strings.Contains(text, ":") {
		address = net.JoinHostPort(text, defaultPort)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || strings.ContainsAny(host, " \t\r\n") {
		return Server{}, fmt.Errorf("server %q: %s", text, want)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return Server{}, fmt.Errorf("server %q: port %q is not 1 to 65535; %s", text, port, want)
	}
	return Server{Network: "tcp", Address: address}, nil
}

// label is what people call the server.
func (s *Server) label() string {
	if s.Name != "" && s.Name != s.Address {
		return s.Name + " (" + s.Address + ")"
	}
	return s.Address
}

// maxLine bounds a line of an answer, in bytes: a key has 750 at most when escaped.
const maxLine = 8 << 10

// A conn is one conversation with a server. Whatever waits longer than timeout for a byte, or reads past the context's end, fails.
type conn struct {
	ctx     context.Context
	net     net.Conn
	in      *bufio.Reader
	timeout time.Duration
	stop    func() bool // takes back what the context's end does
}

// dial connects. Close the conn when done with it.
func dial(ctx context.Context, s *Server, timeout time.Duration) (*conn, error) {
	d := net.Dialer{Timeout: timeout}
	raw, err := d.DialContext(ctx, s.Network, s.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot connect: %w", plain(err))
	}
	c := &conn{ctx: ctx, net: raw, timeout: timeout}
	c.in = bufio.NewReaderSize(deadlined{c}, 64<<10)
	c.stop = context.AfterFunc(ctx, func() { raw.Close() })
	return c, nil
}

func (c *conn) close() {
	c.stop()
	c.net.Close()
}

// deadlined reads from a conn's socket with its timeout for each read.
type deadlined struct{ c *conn }

func (d deadlined) Read(p []byte) (int, error) {
	if err := d.c.net.SetReadDeadline(time.Now().Add(d.c.timeout)); err != nil {
		return 0, err
	}
	return d.c.net.Read(p)
}

// send writes a command line.
func (c *conn) send(command string) error {
	if err := c.net.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return c.broken(err)
	}
	if _, err := io.WriteString(c.net, command+"\r\n"); err != nil {
		return c.broken(err)
	}
	return nil
}

// line reads a line, without its end. It is valid until the next read.
func (c *conn) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if len(line) > maxLine || errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("answers a line of more than %d bytes, as no memcached does: %.60q…", maxLine, line)
	}
	if err != nil {
		return nil, c.broken(err)
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// errClosed says that the peer ended the conn.
var errClosed = errors.New("closes the conn in the middle of an answer")

// broken says why a conn gives nothing more.
func (c *conn) broken(err error) error {
	switch {
	case c.ctx.Err() != nil:
		return context.Cause(c.ctx)
	case errors.Is(err, io.EOF):
		return errClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("says nothing for %v", c.timeout)
	}
	return plain(err)
}

// plain takes from an error of package net what its caller says anyway.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// stats gives the answer to "stats" and what follows it, as a map.
func (c *conn) stats(what string) (map[string]string, error) {
	command := strings.TrimSpace("stats " + what)
	if err := c.send(command); err != nil {
		return nil, err
	}
	const most = 1 << 16 // lines: a class of items has some 20
	stats := map[string]string{}
	for range most {
		line, err := c.line()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		if string(line) == "END" {
			return stats, nil
		}
		rest, ok := strings.CutPrefix(string(line), "STAT ")
		if !ok {
			return nil, fmt.Errorf("answers %.60q to %s, as no memcached does", line, command)
		}
		name, value, _ := strings.Cut(rest, " ")
		stats[name] = value
	}
	return nil, fmt.Errorf("answers more than %d lines to %s, as no memcached does", most, command)
}

// number reads a figure of stats; what is none is 0.
func number(stats map[string]string, name string) int64 {
	n, err := strconv.ParseInt(stats[name], 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
