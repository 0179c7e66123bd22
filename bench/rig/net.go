package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FreeAddress is a loopback address on which nobody listens, below the ports that the kernel gives to clients.
func FreeAddress() (address, port string, err error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(20000+rand.IntN(12000)))
		if err == nil {
			address = l.Addr().String()
			_, port, _ = net.SplitHostPort(address) // an address of a listener has a port
			return address, port, l.Close()
		}
	}
	return "", "", errors.New("no free port from 20000 to 31999 on 127.0.0.1")
}

// AskVersion wants an answer to "version" of the server at address, HOST:PORT.
func AskVersion(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	return Ask(conn, "version\r\n", "VERSION ", time.Second)
}

// Ask sends a request and wants an answer of one line that begins with want.
func Ask(conn net.Conn, request, want string, timeout time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	var answer []byte
	for !slices.Contains(answer, '\n') {
		var buf [256]byte
		n, err := conn.Read(buf[:])
		if err != nil {
			return fmt.Errorf("after %q: %w", answer, err)
		}
		answer = append(answer, buf[:n]...)
	}
	if !strings.HasPrefix(string(answer), want) {
		return fmt.Errorf("answered %q to %q", answer, request)
	}
	return nil
}
