package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// A client speaks to one memcached or proxy, one request at a time.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(ctx context.Context, address string) (*client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReaderSize(conn, 64<<10)}, nil
}

func (c *client) close() { c.conn.Close() }

// answerTimeout is how long an answer may take.
const answerTimeout = 20 * time.Second

// line sends a request and gives the first line of the answer, without its end.
func (c *client) line(request ...[]byte) (string, error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return "", err
	}
	if _, err := c.conn.Write(bytes.Join(request, nil)); err != nil {
		return "", err
	}
	line, err := c.in.ReadString('\n')
	return strings.TrimSuffix(line, "\r\n"), err
}

// set stores a value; an answer other than STORED is an error.
func (c *client) set(key string, value []byte) error {
	line, err := c.line(fmt.Appendf(nil, "set %s 0 0 %d\r\n", key, len(value)), value, []byte("\r\n"))
	if err == nil && line != "STORED" {
		err = fmt.Errorf("set %s of %d bytes: answered %q", key, len(value), line)
	}
	return err
}

// get gives a value; nil is a miss.
func (c *client) get(key string) ([]byte, error) {
	line, err := c.line([]byte("get " + key + "\r\n"))
	if err != nil || line == "END" {
		return nil, err
	}
	var flags uint32
	var size int
	if _, err := fmt.Sscanf(line, "VALUE "+key+" %d %d", &flags, &size); err != nil || size < 0 {
		return nil, fmt.Errorf("get %s: answered %q", key, line)
	}
	rest := make([]byte, size+len("\r\nEND\r\n"))
	if _, err := io.ReadFull(c.in, rest); err != nil {
		return nil, err
	}
	if string(rest[size:]) != "\r\nEND\r\n" {
		return nil, fmt.Errorf("get %s: the value of %d bytes ends with %q", key, size, rest[size:])
	}
	return rest[:size], nil
}
