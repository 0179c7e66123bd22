//go:build linux

package memcachedtest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// Ports are taken below the range from which the kernel picks the local
	// port of an outgoing connection (32768 up). A port inside that range
	// could be lost while the server is stopped, even to a client whose
	// connect to the stopped server's own port meets itself.
	firstPort, lastPort = 20000, 32767

	startTries   = 20               // ports tried before Start gives up
	startTimeout = 10 * time.Second // from the fork to the first answer
	stopTimeout  = 5 * time.Second  // from SIGTERM to SIGKILL
	ioTimeout    = 5 * time.Second  // for a whole Command or Stats
)

// errExited says that memcached ended before it answered; most often its
// port was taken.
var errExited = errors.New("memcached ended before it answered")

// Server is one memcached process on a loopback port or a unix socket. Its
// address never changes, whatever happens to the process.
//
// Methods may be called from any goroutine until the test ends, except Dial
// and Start, which may end the test and so belong to the test's own goroutine.
// The other methods report what goes wrong with Errorf.
type Server struct {
	// Immutable after Start.
	t       testing.TB
	binary  string
	args    []string // the caller's
	network string   // "tcp" or "unix"
	address string   // "127.0.0.1:21211", or the socket's path
	port    int      // 0 for a unix socket
	guard   Guard

	mu   sync.Mutex // guards proc, and is held while the process changes
	proc *process   // nil while stopped
}

// Start runs memcached on a free port of 127.0.0.1, with args after the
// options that Start itself gives (-l, -p, -U, and -u root for root), and
// returns when it answers. The process ends with the test. Anything that
// prevents the start fails the test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return StartGuarded(t, Guard{}, args...)
}

// A Guard is what a server wants of its clients, for those of this package.
type Guard struct {
	TLS   *tls.Config // nil: plain TCP
	Login string      // "name password"; "": none
}

// StartGuarded is Start for a server with -Z or -Y among its args.
func StartGuarded(t testing.TB, g Guard, args ...string) *Server {
	t.Helper()
	s := newServer(t, args)
	s.network, s.guard = "tcp", g
	var err error
	for range startTries {
		s.port = firstPort + rand.IntN(lastPort-firstPort+1)
		s.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
		if err = s.start(); !errors.Is(err, errExited) {
			break
		}
	}
	if err != nil {
		t.Fatalf("start memcached %q: %v", args, err)
	}
	return s
}

// StartUnix is Start on a unix socket, in a directory that goes with the test.
func StartUnix(t testing.TB, args ...string) *Server {
	t.Helper()
	s := newServer(t, args)
	// Not t.TempDir: it carries the test's name, and a socket's path has
	// room for 107 bytes.
	dir, err := os.MkdirTemp("", "memcached")
	if err != nil {
		t.Fatalf("start memcached: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s.network, s.address = "unix", filepath.Join(dir, "socket")
	if err := s.start(); err != nil {
		t.Fatalf("start memcached %q: %v", args, err)
	}
	return s
}

func newServer(t testing.TB, args []string) *Server {
	t.Helper()
	binary, err := exec.LookPath("memcached")
	if err != nil {
		t.Fatalf("memcached is not installed (%v): run `make install-test-deps`, or `apt-get install -y memcached`", err)
	}
	return &Server{t: t, binary: binary, args: args}
}

// Addr is the address in the form of mcproxy's configuration:
// "127.0.0.1:21211", or "unix:" and the socket's path.
func (s *Server) Addr() string {
	if s.network == "unix" {
		return "unix:" + s.address
	}
	return s.address
}

// Port is the TCP port, 0 for a unix socket.
func (s *Server) Port() int { return s.port }

// PID is the process's id, 0 while stopped. It changes with Restart.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return 0
	}
	return s.proc.pid()
}

// Stop ends the process as an operator would, with SIGTERM, and kills it when
// that takes over 5 s. memcached takes half a second to end; Kill takes none.
// The address stays reserved for Restart. Stopping twice is no error.
func (s *Server) Stop() { s.end(stopTimeout) }

// Kill ends the process with SIGKILL. Killing twice is no error.
func (s *Server) Kill() { s.end(0) }

// Restart kills the process if it runs and starts an empty one on the same
// address with the same arguments.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	deadline := time.Now().Add(startTimeout)
	for {
		err := s.start()
		if err == nil {
			return
		}
		if !errors.Is(err, errExited) || time.Now().After(deadline) {
			s.t.Errorf("restart memcached on %s: %v", s.Addr(), err)
			return
		}
	}
}

// Pause stops the process with SIGSTOP and returns when all its threads have
// stopped: it answers nothing from then on, while the kernel still accepts
// connections and bytes for it.
func (s *Server) Pause() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		s.t.Errorf("pause memcached on %s: not running", s.Addr())
		return
	}
	if err := s.proc.pause(); err != nil {
		s.t.Errorf("pause memcached on %s: %v", s.Addr(), err)
	}
}

// Resume continues a paused process.
func (s *Server) Resume() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		s.t.Errorf("resume memcached on %s: not running", s.Addr())
		return
	}
	if err := s.proc.resume(); err != nil {
		s.t.Errorf("resume memcached on %s: %v", s.Addr(), err)
	}
}

// Log is the end of what the process wrote to its standard output and error:
// at most 64 KiB, "" while stopped. Start with "-v" or "-vv" to see more.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return ""
	}
	return s.proc.lastWords()
}

// start runs a process and waits until it answers. errExited means that
// another port may do better.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	proc, err := startProcess(s.binary, s.commandLine())
	if err != nil {
		return err
	}
	if err := s.waitReady(proc); err != nil {
		proc.end(0)
		err = fmt.Errorf("%w; its last words: %q", err, proc.lastWords())
		proc.close()
		return err
	}
	s.proc = proc
	// The process and not s.Kill: it holds no lock that a failed test may
	// have left locked.
	s.t.Cleanup(proc.close)
	return nil
}

func (s *Server) end(grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return
	}
	s.proc.end(grace)
	s.proc = nil
}

func (s *Server) commandLine() []string {
	var line []string
	if s.network == "unix" {
		line = append(line, "-s", s.address)
	} else {
		line = append(line, "-l", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", "0")
	}
	if os.Geteuid() == 0 {
		line = append(line, "-u", "root")
	}
	return append(line, s.args...)
}

// waitReady returns when proc itself answers at s's address. An answer alone
// is not enough: two tests may have picked one port at the same moment, and
// then the other's memcached answers.
func (s *Server) waitReady(proc *process) error {
	want := strconv.Itoa(proc.pid())
	deadline := time.Now().Add(startTimeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		lines, err := s.exchange("stats", time.Until(deadline))
		if err == nil && parseStats(lines)["pid"] == want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer after %v: %w", startTimeout, err)
		}
		select {
		case <-proc.exited:
			return errExited
		case <-time.After(pause):
		}
	}
}

// parseStats reads "STAT name value" lines.
func parseStats(answer string) map[string]string {
	stats := map[string]string{}
	for line := range strings.Lines(answer) {
		rest, ok := strings.CutPrefix(line, "STAT ")
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(strings.TrimRight(rest, "\r\n"), " ")
		stats[name] = value
	}
	return stats
}
