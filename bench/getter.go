package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"mcproxy/protocol"
)

// A getter reads values outside of the load, on a conn that it opens for the first.
type getter struct {
	address address
	timeout time.Duration
	conn    net.Conn
}

func (g *getter) get(key string) ([]byte, error) {
	if g.conn == nil {
		conn, err := g.address.dial(g.timeout)
		if err != nil {
			return nil, err
		}
		g.conn = conn
	}
	value, err := getOnce(g.conn, key, g.timeout)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.address.text, err)
	}
	return value, nil
}

func (g *getter) close() {
	if g.conn != nil {
		g.conn.Close()
	}
}

// getOnce gets one value; nil is a miss.
func getOnce(conn net.Conn, key string, timeout time.Duration) ([]byte, error) {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "get "+key+"\r\n"); err != nil {
		return nil, err
	}
	var in []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		in = append(in, buf[:n]...)
		var r protocol.Response
		n, err = protocol.ParseResponse(in, protocol.ShapeValue, &r)
		switch {
		case err != nil:
			return nil, err
		case n > 0 && r.Status.IsError():
			return nil, errors.New(string(r.Line))
		case n > 0:
			return bytes.Clone(r.Value), nil
		}
	}
}
