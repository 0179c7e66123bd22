//go:build !race

package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	idleClients = 10_000
	idleBudget  = 10 << 20 // bytes of resident memory for all of them
	askedBudget = 12 << 20 // likewise when each has asked once: with what the garbage collector has had no reason to look for yet
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
	asked := settledRSS(t, pid, idle+askedBudget)
	t.Logf("resident memory: %d KiB idle; %d idle clients cost %d KiB (%d bytes each), after a request of each %d KiB (%d bytes each)", idle>>10,
		idleClients, (silent-idle)>>10, (silent-idle)/idleClients, (asked-idle)>>10, (asked-idle)/idleClients)
	if silent-idle > idleBudget || asked-idle > askedBudget {
		t.Errorf("%d idle clients cost %d KiB, and %d KiB after a request of each; the budgets are %d and %d KiB", idleClients, (silent-idle)>>10, (asked-idle)>>10, idleBudget>>10, askedBudget>>10)
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
