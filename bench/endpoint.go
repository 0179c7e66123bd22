package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// An address is where an endpoint listens, as package net has it.
type address struct {
	network string // tcp or unix
	name    string // host:port, or the socket's path
	text    string // as the user wrote it
	source  net.IP // that conns come from; nil: the system chooses. TCP alone
}

// parseAddress reads "host:port", "[::1]:11211", "unix:/path" or "/path".
func parseAddress(text string) (address, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok || strings.HasPrefix(text, "/") {
		if path == "" {
			return address{}, fmt.Errorf("endpoint %q: unix: wants a path", text)
		}
		return address{network: "unix", name: path, text: text}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" || port == "" {
		return address{}, fmt.Errorf("endpoint %q: want HOST:PORT, [IPv6]:PORT or unix:PATH", text)
	}
	return address{network: "tcp", name: text, text: text}, nil
}

// dial opens a conn.
func (a address) dial(timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	if a.source != nil {
		d.LocalAddr = &net.TCPAddr{IP: a.source}
	}
	return d.Dial(a.network, a.name)
}

// exchange opens a conn for one command and gives the lines of its answer up to one that last accepts.
func (a address) exchange(command string, timeout time.Duration, last func(line string) bool) ([]string, error) {
	conn, err := a.dial(timeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return nil, err
	}
	// Only what a memcached would answer is worth reading: a peer of another kind may never end its line.
	reader := bufio.NewReader(io.LimitReader(conn, 1<<20))
	var lines []string
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("the conn was closed after %q", strings.Join(append(lines, line), "\n"))
			}
			return lines, err
		}
		line = strings.TrimRight(line, "\r\n")
		lines = append(lines, line)
		if last(line) {
			return lines, nil
		}
	}
}

// version asks the endpoint for its version. An endpoint that does not answer in memcached's words is refused: a load
// against something else measures nothing, and may do harm.
func (a address) version(timeout time.Duration) (string, error) {
	lines, err := a.exchange("version", timeout, func(string) bool { return true })
	if err != nil {
		return "", fmt.Errorf("%s: no answer to version, so this is no memcached text endpoint that works: %w", a.text, err)
	}
	version, ok := strings.CutPrefix(lines[0], "VERSION ")
	if !ok {
		return "", fmt.Errorf("%s: answers %.80q to version, so this is no memcached text endpoint", a.text, lines[0])
	}
	return version, nil
}

// stats gives the answer to stats as a map.
func (a address) stats(timeout time.Duration) (map[string]string, error) {
	lines, err := a.exchange("stats", timeout, func(line string) bool { return !strings.HasPrefix(line, "STAT ") })
	if err != nil {
		return nil, fmt.Errorf("%s: stats: %w", a.text, err)
	}
	if end := lines[len(lines)-1]; end != "END" {
		return nil, fmt.Errorf("%s: stats: answered %.80q", a.text, end)
	}
	stats := map[string]string{}
	for _, line := range lines[:len(lines)-1] {
		name, value, _ := strings.Cut(strings.TrimPrefix(line, "STAT "), " ")
		stats[name] = value
	}
	return stats, nil
}
