//go:build !race

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	idleClients = 10_000
	idleBudget  = 10 << 20 // bytes of resident memory for all of them
)

// TestIdleMemory measures what 10,000 idle clients cost the real program, over its resident memory without them: clients
// that have never asked anything, and clients that have.
func TestIdleMemory(t *testing.T) {
	enoughFiles(t, idleClients+200)
	pid, ep := startProgram(t)
	c := ep.dial(t)
	for range 100 { // a proxy that has been used
		c.ask(t, "set k 0 0 3\r\nabc\r\nget k\r\n", "STORED\r\nVALUE k 0 3\r\nabc\r\nEND\r\n")
	}
	idle := settledRSS(t, pid, 0)
	conns := make([]*client, idleClients)
	for i := range conns {
		conns[i] = ep.dial(t)
	}
	c.ask(t, "get k\r\n", "VALUE k 0 3\r\nabc\r\nEND\r\n")
	silent := settledRSS(t, pid, idle+idleBudget)
	for _, conn := range conns {
		if _, err := conn.Write([]byte("get k\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range conns {
		for range 2 {
			if _, err := conn.unit(time.Now().Add(answerTimeout)); err != nil {
				t.Fatal(err)
			}
		}
	}
	asked := settledRSS(t, pid, idle+idleBudget)
	t.Logf("resident memory: %d KiB idle; %d idle clients cost %d KiB (%d bytes each), after a request of each %d KiB (%d bytes each)", idle>>10,
		idleClients, (silent-idle)>>10, (silent-idle)/idleClients, (asked-idle)>>10, (asked-idle)/idleClients)
	if silent-idle > idleBudget || asked-idle > idleBudget {
		t.Errorf("%d idle clients cost %d KiB, and %d KiB after a request of each; the budget is %d KiB", idleClients, (silent-idle)>>10, (asked-idle)>>10, idleBudget>>10)
	}
}

// enoughFiles raises the limit of open files for this process and those it starts.
func enoughFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Max = max(limit.Max, n) // above the present one only root may
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("%d open files are needed, the limit is %d: %v; raise it with ulimit -n", n, limit.Max, err)
	}
}

// startProgram builds mcproxy and runs it over one memcached; it ends with the test.
func startProgram(t *testing.T) (pid int, ep endpoint) {
	t.Helper()
	return startProgramOf(t, fmt.Sprintf("[pools.main]\nbackends = [%q]\n", startMemcached(t).Addr()))
}

// startProgramOf builds mcproxy and runs it with a configuration that lacks only the listener; it ends with the test.
func startProgramOf(t *testing.T, config string) (pid int, ep endpoint) {
	t.Helper()
	return runProgram(t, buildProgram(t), config)
}

// buildProgram builds mcproxy, without the race detector, and gives its path.
func buildProgram(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "mcproxy")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "mcproxy/cmd/mcproxy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// runProgram runs mcproxy with a configuration that lacks only the listener; it ends with the test.
func runProgram(t *testing.T, binary, config string) (pid int, ep endpoint) {
	t.Helper()
	dir := t.TempDir()
	listen := freeAddress(t)
	file := filepath.Join(dir, "proxy.toml")
	config = fmt.Sprintf("[[listeners]]\naddress = %q\n\n", listen) + config
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(binary, "serve", "-c", file)
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("mcproxy ended: %v\n%s", err, log.String())
			}
		case <-time.After(answerTimeout):
			_ = cmd.Process.Kill()
			<-ended
			t.Errorf("mcproxy did not end\n%s", log.String())
		}
	})
	waitListening(t, listen)
	return cmd.Process.Pid, endpoint{"tcp", listen}
}

var rssLine = regexp.MustCompile(`(?m)^Rss:\s+(\d+) kB$`)

// settledRSS is a process's resident memory in bytes, when it is at most enough or has not fallen for a second, and half a
// second has passed in which it could grow.
func settledRSS(t *testing.T, pid int, enough int64) int64 {
	t.Helper()
	time.Sleep(500 * time.Millisecond)
	least, since := int64(1<<62), time.Now()
	for {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			t.Fatal(err)
		}
		m := rssLine.FindSubmatch(text)
		if m == nil {
			t.Fatalf("no Rss in %s", text)
		}
		kib, _ := strconv.ParseInt(string(m[1]), 10, 64)
		if rss := kib << 10; rss < least {
			least, since = rss, time.Now()
		}
		if least <= enough || time.Since(since) > time.Second {
			return least
		}
		time.Sleep(20 * time.Millisecond)
	}
}
