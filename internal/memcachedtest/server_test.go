//go:build linux

package memcachedtest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcproxy/internal/memcachedtest"
)

// roleVar makes the test binary play a test run that will be killed; see
// TestDiesWithTheTestProcess.
const roleVar = "MEMCACHEDTEST_ROLE"

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestAnswers(t *testing.T) {
	for _, start := range []struct {
		name string
		run  func(testing.TB, ...string) *memcachedtest.Server
	}{{"tcp", memcachedtest.Start}, {"unix", memcachedtest.StartUnix}} {
		t.Run(start.name, func(t *testing.T) {
			mc := start.run(t, "-m", "17")
			big := strings.Repeat("x", 900_000)
			for _, tt := range []struct{ line, want string }{
				{"set a 5 0 6\r\nMN\r\nab", "STORED\r\n"},
				{"get a none", "VALUE a 5 6\r\nMN\r\nab\r\nEND\r\n"},
				{"mg a v f", "VA 6 f5\r\nMN\r\nab\r\n"},
				{"set b 0 0 900000\r\n" + big, "STORED\r\n"},
				{"get b", "VALUE b 0 900000\r\n" + big + "\r\nEND\r\n"},
				{"set c 0 0 1 noreply\r\nc", ""},
				{"get c", "VALUE c 0 1\r\nc\r\nEND\r\n"},
				{"nonsense", "ERROR\r\n"},
				{"mn", ""},
			} {
				if got := mc.Command(tt.line); got != tt.want {
					t.Errorf("Command(%.80q) = %.80q, want %.80q", tt.line, got, tt.want)
				}
			}
			if got, want := mc.Stats()["pid"], strconv.Itoa(mc.PID()); got != want {
				t.Errorf(`Stats()["pid"] = %s, want %s`, got, want)
			}
			if got, want := mc.Stats("settings")["maxbytes"], strconv.Itoa(17<<20); got != want {
				t.Errorf(`Stats("settings")["maxbytes"] = %s, want %s`, got, want)
			}
		})
	}
}

func TestAddr(t *testing.T) {
	tcp, unix := memcachedtest.Start(t), memcachedtest.StartUnix(t)
	if got, want := tcp.Addr(), fmt.Sprintf("127.0.0.1:%d", tcp.Port()); got != want {
		t.Errorf("Addr() = %q, want %q", got, want)
	}
	if got := unix.Addr(); !strings.HasPrefix(got, "unix:/") {
		t.Errorf("Addr() = %q, want a path after unix:", got)
	}
	if got := unix.Port(); got != 0 {
		t.Errorf("Port() = %d for a unix socket, want 0", got)
	}
}

func TestRestartIsEmptyAtTheSameAddress(t *testing.T) {
	for _, start := range []func(testing.TB, ...string) *memcachedtest.Server{
		memcachedtest.Start, memcachedtest.StartUnix,
	} {
		mc := start(t)
		addr, pid := mc.Addr(), mc.PID()
		conn := mc.Dial() // an open connection must not keep the port
		mc.Command("set k 0 0 1\r\na")
		mc.Restart()
		if got := mc.Command("get k"); got != "END\r\n" {
			t.Errorf("%s: get after Restart = %q, want a miss", addr, got)
		}
		if mc.Addr() != addr || mc.PID() == pid {
			t.Errorf("Restart: address %s, pid %d; was %s, %d", mc.Addr(), mc.PID(), addr, pid)
		}
		if n, err := conn.Read(make([]byte, 1)); !closedByPeer(n, err) {
			t.Errorf("%s: read from the killed server = %d, %v, want a closed conn", addr, n, err)
		}
	}
}

func TestStopAndKill(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*memcachedtest.Server)
	}{
		{"Stop", (*memcachedtest.Server).Stop},
		{"Kill", (*memcachedtest.Server).Kill},
		{"Stop after Pause", func(mc *memcachedtest.Server) { mc.Pause(); mc.Stop() }},
		{"Kill after Pause", func(mc *memcachedtest.Server) { mc.Pause(); mc.Kill() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mc := memcachedtest.Start(t)
			tt.end(mc)
			mc.Stop() // nothing runs: nothing to do
			mc.Kill()
			if conn, err := net.Dial("tcp", mc.Addr()); err == nil {
				conn.Close()
				t.Fatal("the server still accepts connections")
			}
			if got := mc.PID(); got != 0 {
				t.Errorf("PID() = %d, want 0", got)
			}
			mc.Restart()
			if got := mc.Command("get k"); got != "END\r\n" {
				t.Errorf("get after Restart = %q", got)
			}
		})
	}
}

func TestPauseHangsAndResumeAnswers(t *testing.T) {
	mc := memcachedtest.Start(t)
	for range 20 { // Pause must not return while a thread still answers
		conn := mc.Dial()
		mc.Pause()
		if _, err := io.WriteString(conn, "get k\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read from a paused server = %d, %v, want a timeout", n, err)
		}
		mc.Resume()
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != "END\r\n" {
			t.Fatalf("answer after Resume = %q, %v", line, err)
		}
	}
}

func TestLogAndArguments(t *testing.T) {
	mc := memcachedtest.Start(t, "-vv")
	mc.Command("get hello")
	if !strings.Contains(mc.Log(), "get hello") {
		t.Errorf("Log() = %q, want it to show the command", mc.Log())
	}
}

func TestManyAtOnce(t *testing.T) {
	for range 12 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			mc := memcachedtest.Start(t)
			if got, want := mc.Stats()["pid"], strconv.Itoa(mc.PID()); got != want {
				t.Errorf("the port answers as process %s, want %s", got, want)
			}
		})
	}
}

func TestCleanupEndsTheServer(t *testing.T) {
	var addrs []string
	t.Run("starts", func(t *testing.T) {
		paused := memcachedtest.Start(t)
		paused.Pause()
		addrs = append(addrs, paused.Addr(), memcachedtest.Start(t).Addr())
	})
	for _, addr := range addrs {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			t.Errorf("%s still accepts connections after its test", addr)
		}
	}
}

// fakeTB records a failure instead of failing the test that looks at it.
type fakeTB struct {
	testing.TB
	fatal, error string
}

func (f *fakeTB) Helper() {}

func (f *fakeTB) Errorf(format string, args ...any) { f.error = fmt.Sprintf(format, args...) }

func (f *fakeTB) Fatalf(format string, args ...any) {
	f.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestFailures(t *testing.T) {
	run := func(f func(t *fakeTB)) *fakeTB {
		fake := &fakeTB{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			f(fake)
		}()
		<-done
		return fake
	}
	t.Run("memcached refuses its arguments", func(t *testing.T) {
		got := run(func(t *fakeTB) { memcachedtest.Start(t, "--no-such-option") })
		if !strings.Contains(got.fatal, "no-such-option") {
			t.Errorf("Fatalf said %q, want memcached's own words", got.fatal)
		}
	})
	t.Run("no memcached on the machine", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		got := run(func(t *fakeTB) { memcachedtest.Start(t) })
		if !strings.Contains(got.fatal, "apt-get install -y memcached") {
			t.Errorf("Fatalf said %q, want what to install", got.fatal)
		}
	})
	t.Run("a command to a stopped server", func(t *testing.T) {
		got := run(func(t *fakeTB) {
			mc := memcachedtest.Start(t)
			mc.Kill()
			mc.Command("get k")
		})
		if !strings.Contains(got.error, "refused") {
			t.Errorf("Errorf said %q, want a refused connection", got.error)
		}
	})
	t.Run("a stopped server cannot be paused", func(t *testing.T) {
		got := run(func(t *fakeTB) {
			mc := memcachedtest.Start(t)
			mc.Kill()
			mc.Pause()
		})
		if !strings.Contains(got.error, "not running") {
			t.Errorf("Errorf said %q, want: not running", got.error)
		}
	})
}

func TestDiesWithTheTestProcess(t *testing.T) {
	if os.Getenv(roleVar) != "" {
		mc := memcachedtest.Start(t)
		fmt.Println("address:", mc.Addr())
		_, _ = io.Copy(io.Discard, os.Stdin) // until the other side kills us
		return
	}
	self := exec.Command(os.Args[0], "-test.run=^TestDiesWithTheTestProcess$")
	self.Env = append(os.Environ(), roleVar+"=killed")
	stdin, err := self.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := self.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	addr := strings.TrimSpace(strings.TrimPrefix(line, "address:"))
	conn, dialErr := net.Dial("tcp", addr)
	if dialErr != nil {
		t.Errorf("before the kill (%q, %v): %v", line, err, dialErr)
	}
	_ = self.Process.Kill()
	_ = self.Wait()
	if conn == nil {
		return
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); !closedByPeer(n, err) {
		t.Errorf("read after the test process was killed = %d, %v, want a closed conn", n, err)
	}
}

func closedByPeer(n int, err error) bool {
	return n == 0 && err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}
