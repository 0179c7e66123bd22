package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLargeValueGetsNoCopies has two keys hot, of which one has a value that is too long for copies: the other alone gets some.
func TestLargeValueGetsNoCopies(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	r := startRunning(t, buildProgram(t), fmt.Sprintf("[pools.main]\nbackends = [%q, %q]\ntimeout = \"5s\"\nstall_timeout = \"5s\"\n", startMemcached(t).Addr(), startMemcached(t).Addr()))
	c := r.dial(t)
	long, short := strings.Repeat("x", 300<<10), strings.Repeat("y", 20<<10)
	for key, value := range map[string]string{"long": long, "short": short} {
		c.ask(t, fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(value), value), "STORED\r\n")
	}
	ask := func() float64 {
		for range 20 {
			c.ask(t, "get long\r\n", fmt.Sprintf("VALUE long 0 %d\r\n%s\r\nEND\r\n", len(long), long))
			c.ask(t, "get short\r\n", fmt.Sprintf("VALUE short 0 %d\r\n%s\r\nEND\r\n", len(short), short))
		}
		return r.sum(r.figures(), "mcproxy_replica_keys")
	}
	until(t, "a key gets copies", func() bool { return ask() > 0 })
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		if n := ask(); n > 1 {
			t.Fatalf("%v keys get copies", n)
		}
	}
	if n := r.sum(r.figures(), "mcproxy_replica_reads_total", `outcome="copy"`); n == 0 {
		t.Error("no copy was read")
	}
}
