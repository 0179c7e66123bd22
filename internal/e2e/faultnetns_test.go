//go:build !race

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A namespace is a network of its own with one memcached, and a virtual cable from ours to it.
type namespace struct {
	t            *testing.T
	ip, tc       string // programs
	name, cable  string
	host, server string // addresses; of 198.18.0.0/15, which is for benchmarks (RFC 2544)
}

// startNamespace makes one. A reason: this process may not. Whatever else fails, fails the test.
func startNamespace(t *testing.T) (n *namespace, reason string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil, "this process is not root's"
	}
	pid := os.Getpid()
	n = &namespace{
		t: t, ip: program(t, "iproute2", "ip"), tc: program(t, "iproute2", "tc"), name: fmt.Sprintf("mcproxy-faults-%d", pid),
		cable: fmt.Sprintf("mcf%d", pid%1_000_000_000), host: fmt.Sprintf("198.19.%d.%d", pid/64%256, pid%64*4+1),
		server: fmt.Sprintf("198.19.%d.%d", pid/64%256, pid%64*4+2),
	}
	if out, err := exec.Command(n.ip, "netns", "add", n.name).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ermi") { // "Operation not permitted", "Permission denied": a container's root
			return nil, fmt.Sprintf("%s netns add: %s", n.ip, out)
		}
		t.Fatalf("%s netns add: %v: %s", n.ip, err, out)
	}
	t.Cleanup(func() {
		_ = exec.Command(n.ip, "route", "delete", "blackhole", n.server+"/32").Run() // it is there only if the test ended early
		n.run(n.ip, "netns", "delete", n.name)                                       // the cable goes with it
	})
	far := n.cable + "p"
	n.run(n.ip, "link", "add", n.cable, "type", "veth", "peer", "name", far, "netns", n.name)
	n.run(n.ip, "address", "add", n.host+"/30", "dev", n.cable)
	n.run(n.ip, "link", "set", n.cable, "up")
	n.inside(n.ip, "address", "add", n.server+"/30", "dev", far)
	n.inside(n.ip, "link", "set", far, "up")
	return n, ""
}

func (n *namespace) run(argv ...string) {
	n.t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
}

func (n *namespace) inside(argv ...string) {
	n.t.Helper()
	n.run(slices.Concat([]string{n.ip, "netns", "exec", n.name}, argv)...)
}

// startMemcached starts a memcached there, and gives its address; it ends with the test.
func (n *namespace) startMemcached() endpoint {
	n.t.Helper()
	cmd := exec.Command(n.ip, "netns", "exec", n.name, program(n.t, "memcached", "memcached"), "-l", n.server, "-U", "0", "-u", "root", "-m", "64")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ep := endpoint{"tcp", net.JoinHostPort(n.server, "11211")}
	waitListening(n.t, ep.address)
	return ep
}

// partition is a way to cut a network, and what mends it.
type partition struct {
	name      string
	cut, mend func(*namespace)
}

var cuts = []partition{
	// At its far end: without the near one, packets would take our network's way out.
	{
		"the cable is out", func(n *namespace) { n.inside(n.ip, "link", "set", n.cable+"p", "down") },
		func(n *namespace) { n.inside(n.ip, "link", "set", n.cable+"p", "up") },
	},
	// Requests come through and are obeyed, and nobody learns of it.
	{
		"answers are lost", func(n *namespace) { n.inside(n.ip, "route", "add", "blackhole", n.host+"/32") },
		func(n *namespace) { n.inside(n.ip, "route", "delete", "blackhole", n.host+"/32") },
	},
	{
		"requests are lost", func(n *namespace) { n.run(n.ip, "route", "add", "blackhole", n.server+"/32") },
		func(n *namespace) { n.run(n.ip, "route", "delete", "blackhole", n.server+"/32") },
	},
	// 8 KB a second, and at most 64 KB on their way: what comes at all comes late.
	{
		"delay", func(n *namespace) {
			n.run(n.tc, "qdisc", "add", "dev", n.cable, "root", "tbf", "rate", "64kbit", "burst", "4kb", "limit", "64kb")
		},
		func(n *namespace) { n.run(n.tc, "qdisc", "delete", "dev", n.cable, "root") },
	},
}

const cutFor = 700 * time.Millisecond // some deadlines

// partitions cuts the network between the proxy and one of two backends in one way after another. A write is confirmed, or it is an error: what was
// confirmed is there afterwards, what was an error is there or nothing is, and never what was there before.
func partitions(t *testing.T, binary string) {
	n, reason := startNamespace(t)
	if n == nil {
		t.Logf("not tried: partitions of a network. They take root, and ip and tc of iproute2: %s", reason)
		return
	}
	seed := seed(t)
	far := n.startMemcached()
	r := startRunning(t, binary, fmt.Sprintf(`
[[routes]]
prefix = "bad"
pool = "bad"
[pools.default]
backends = [%q]
timeout = "5s"
stall_timeout = "5s"
[pools.bad]
backends = [%q]
timeout = "250ms"
on_error = "error"
`, startMemcached(t).Addr(), far.address))
	run := newOwners(t, r.endpoint, seed, true)
	run.start()
	for _, way := range cuts {
		failed := r.sum(r.figures(), "mcproxy_pool_failures_total", `pool="bad"`)
		way.cut(n)
		time.Sleep(cutFor) // how long is all the same to what is judged
		way.mend(n)
		start := time.Now()
		r.awaitUp(t, far.address)
		t.Logf("%s: %.0f requests failed; used again after %v", way.name, r.sum(r.figures(), "mcproxy_pool_failures_total", `pool="bad"`)-failed,
			time.Since(start).Round(time.Millisecond))
		if r.sum(r.figures(), "mcproxy_pool_failures_total", `pool="bad"`) == failed {
			t.Errorf("%s: no request failed: the network was not cut", way.name)
		}
	}
	run.end(t)
	t.Logf("%v", run)
	run.compare(t, far)
}

// compare asks the backend itself: what was confirmed is there, and what is there was written last.
func (run *ownersRun) compare(t *testing.T, ep endpoint) {
	t.Helper()
	conn := ep.dial(t)
	lines := bufio.NewReader(conn.Conn)
	confirmed := 0
	for _, o := range run.list {
		for key, want := range o.last {
			if !broken(key) {
				continue
			}
			if _, err := fmt.Fprintf(conn, "get %s\r\n", key); err != nil {
				t.Fatal(err)
			}
			got, err := readValue(lines)
			if err != nil {
				t.Fatal(err)
			}
			if got != want && (got != "" || o.sure[key]) {
				t.Errorf("%s: the backend has %.100q; %.100q was written last, confirmed: %v", key, got, want, o.sure[key])
			}
			if o.sure[key] {
				confirmed++
			}
		}
	}
	if confirmed == 0 {
		t.Error("no write was confirmed: the run says little")
	}
}

// readValue reads the answer to a get of one key; "" for a miss.
func readValue(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) < 4 {
		return "", err
	}
	length, err := strconv.Atoi(words[3])
	if err != nil {
		return "", err
	}
	var value strings.Builder
	for value.Len() < length+len("\r\nEND\r\n") {
		b, err := in.ReadByte()
		if err != nil {
			return "", err
		}
		value.WriteByte(b)
	}
	return value.String()[:length], nil
}
