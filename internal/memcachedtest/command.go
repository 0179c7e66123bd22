//go:build linux

package memcachedtest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Dial opens a connection to the server and closes it when the test ends. A
// failure ends the test.
func (s *Server) Dial() net.Conn {
	s.t.Helper()
	conn, err := net.Dial(s.network, s.address)
	if err != nil {
		s.t.Fatalf("dial memcached: %v", err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// Command sends line and CRLF on a connection of its own and returns all that
// the server answers, byte for byte; "" for a noreply or quiet command. line
// may hold a data block and further commands, with CRLF between: the value
// ends where line ends. An answer that does not come within 5 s is an error
// of the test, and Command returns what came before it.
func (s *Server) Command(line string) string {
	s.t.Helper()
	answer, err := s.exchange(line, ioTimeout)
	if err != nil {
		s.t.Errorf("memcached on %s: command %.200q: %v", s.Addr(), line, err)
	}
	return answer
}

// Stats is the answer to "stats", or to "stats ARG", as a map.
func (s *Server) Stats(arg ...string) map[string]string {
	s.t.Helper()
	return parseStats(s.Command(strings.Join(append([]string{"stats"}, arg...), " ")))
}

// endMark is sent after each command and answered with endAnswer: so the end
// of any answer shows, an empty one's too.
const endMark, endAnswer = "mn\r\n", "MN\r\n"

// exchange sends line and returns the answer up to endAnswer, or up to where
// the server closed the connection.
func (s *Server) exchange(line string, timeout time.Duration) (string, error) {
	conn, err := net.DialTimeout(s.network, s.address, timeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	if conn, err = s.guard.pass(conn); err != nil {
		return "", err
	}
	// Written beside the reading: an answer longer than the sockets' buffers
	// would otherwise stop both sides.
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, line+"\r\n"+endMark)
		written <- err
	}()
	answer, readErr := readAnswer(bufio.NewReader(conn))
	if readErr != nil {
		conn.Close() // ends the writer
	}
	return answer, errors.Join(readErr, <-written)
}

// pass does what the server wants of a new connection.
func (g *Guard) pass(conn net.Conn) (net.Conn, error) {
	if g.TLS != nil {
		conn = tls.Client(conn, g.TLS)
	}
	if g.Login == "" {
		return conn, nil
	}
	if _, err := fmt.Fprintf(conn, "set auth 0 0 %d\r\n%s\r\n", len(g.Login), g.Login); err != nil {
		return nil, err
	}
	answer := make([]byte, len("STORED\r\n"))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "STORED\r\n" {
		return nil, fmt.Errorf("login answered %q: %w", answer, err)
	}
	return conn, nil
}

// readAnswer reads lines, and the data blocks that VALUE and VA lines
// announce, up to endAnswer or the end of the stream.
func readAnswer(r *bufio.Reader) (string, error) {
	var answer strings.Builder
	for {
		line, err := r.ReadString('\n')
		if line == endAnswer {
			return answer.String(), nil
		}
		answer.WriteString(line)
		if errors.Is(err, io.EOF) {
			return answer.String(), nil
		}
		if err != nil {
			return answer.String(), err
		}
		size, err := dataSize(line)
		if err != nil {
			return answer.String(), err
		}
		if _, err := io.CopyN(&answer, r, size); err != nil {
			return answer.String(), fmt.Errorf("in the data after %q: %w", line, err)
		}
	}
}

// dataSize is the number of bytes that follow an answer's line, CRLF
// included: 0 if it announces none.
func dataSize(line string) (int64, error) {
	fields := strings.Fields(line)
	var size string
	switch {
	case len(fields) >= 4 && fields[0] == "VALUE":
		size = fields[3]
	case len(fields) >= 2 && fields[0] == "VA":
		size = fields[1]
	default:
		return 0, nil
	}
	n, err := strconv.ParseUint(size, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("a length in %q: %w", line, err)
	}
	return int64(n) + 2, nil
}
