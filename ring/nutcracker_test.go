//go:build linux

package ring_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mcproxy/ring"
)

// The test in this file asks a running nutcracker (twemproxy) where it sends keys. Placement alone is judged, so behind it
// are no memcached but backends that note the key of each set.

// A poolCase is one pool of nutcracker's configuration and the ring that is to agree with it.
type poolCase struct {
	name         string
	nodes        []ring.Node
	opts         ring.Options
	hash         string // nutcracker's setting
	distribution string
	tag          string
	extra        [][]byte // keys besides the common ones
}

func TestAgainstNutcracker(t *testing.T) {
	sinks := newSinks(t)
	pools := poolCases(t, sinks)
	dir := t.TempDir()
	if len(dir) > 80 { // a socket's path has 107 bytes at most
		short, err := os.MkdirTemp("/tmp", "ring")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(short) })
		dir = short
	}
	startNutcracker(t, dir, pools)
	checked := 0
	for i, pool := range pools {
		t.Run(pool.name, func(t *testing.T) {
			r := mustNew(t, pool.nodes, pool.opts)
			keys := append(nutcrackerKeys(), pool.extra...)
			sendSets(t, socketPath(dir, i), keys)
			got := sinks.take()
			wrong := 0
			for _, key := range keys {
				want := pool.nodes[r.Lookup(key)]
				at, arrived := got[string(key)]
				if address := addressOf(want); !arrived || at != address {
					if wrong++; wrong <= 5 {
						t.Errorf("%+v: %q (hash %08x) went to %q, the ring says %q", pool.opts, key, r.Hash(key), at, address)
					}
				}
				checked++
			}
			if wrong > 0 {
				t.Errorf("%d of %d keys went elsewhere", wrong, len(keys))
			}
		})
	}
	t.Logf("%d pools, %d keys", len(pools), checked)
}

// poolCases covers key hashes, weights, names, tags and both distributions.
func poolCases(t *testing.T, s *sinks) []poolCase {
	var pools []poolCase
	ketama := func(name string, nodes []ring.Node, hash string) {
		pools = append(pools, poolCase{name: "ketama " + name, nodes: nodes, hash: hash, distribution: "ketama", opts: ring.Options{Kind: "ketama", Hash: hash}})
	}
	hashes := []string{"one_at_a_time", "md5", "crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh", "murmur", "jenkins"}
	for _, hash := range hashes {
		ketama("hash "+hash, s.tcp(5, 1), hash)
	}
	for _, weights := range [][]int{{1}, {1, 1}, {1, 2}, {1, 2, 5}, {5, 7, 11, 13}, {1, 100000}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {3, 3, 3}, {1, 16777215}} {
		ketama(fmt.Sprintf("weights %v", weights), s.tcp(len(weights), weights...), "fnv1a_64")
		ketama(fmt.Sprintf("weights %v md5", weights), s.tcp(len(weights), weights...), "md5")
	}
	ketama("16 equal", s.tcp(16, 1), "fnv1a_64")
	ketama("port 11211", s.defaultPort(), "fnv1a_64")
	ketama("port 11211 and others", append(s.defaultPort(), s.tcp(3, 2)...), "md5")
	ketama("unix sockets", append(s.unix(), s.tcp(2, 1)...), "fnv1a_32")
	ketama("named", named(s.tcp(4, 1, 3), "b", "a", "cache-10", "cache-9"), "fnv1a_64")
	ketama("named on port 11211", named(s.defaultPort(), "10.0.0.1", "x.y:11211", "z"), "murmur")
	ketama("some named", append(named(s.tcp(2, 1), "one", "two"), s.tcp(5, 4)[2:]...), "fnv1_32")
	ketama("named unix sockets", named(s.unix(), "sock-b", "sock-a"), "jenkins")

	short, long, at := collidingPair(t)
	for _, names := range [][]string{{short, long}, {long, short}} {
		ketama("equal points "+names[0]+" first", named(s.tcp(2, 1), names...), "fnv1a_64")
		last := &pools[len(pools)-1]
		last.extra = keysBefore(t, last.nodes, last.opts, at)
	}
	for _, tag := range []string{"{}", "||", "ab", "<>"} {
		for _, hash := range []string{"fnv1a_64", "md5"} {
			pools = append(pools, poolCase{
				name: "tag " + tag + " " + hash, nodes: s.tcp(6, 1, 2), hash: hash, distribution: "ketama", tag: tag,
				opts: ring.Options{Kind: "ketama", Hash: hash, HashTag: tag},
			})
		}
	}
	return append(pools, modulaCases(s)...)
}

// modulaCases: nutcracker's modula is python-memcached's ring if the hash is crc32, and libmemcached's if all weights are 1,
// over the nodes in nutcracker's own order.
func modulaCases(s *sinks) []poolCase {
	var pools []poolCase
	add := func(name string, nodes []ring.Node, hash string, opts ring.Options) {
		sorted := make([]ring.Node, len(nodes))
		for i, from := range ring.TwemproxyOrder(nodes) {
			sorted[i] = nodes[from]
		}
		pools = append(pools, poolCase{name: "modula " + name, nodes: sorted, hash: hash, distribution: "modula", opts: opts})
	}
	crc := ring.Options{Kind: "cmemcache", NoOrOne: true}
	for _, weights := range [][]int{{1}, {1, 1}, {1, 2, 5}, {2, 2, 2}, {1, 2, 3, 4, 5, 6, 7}, {30000, 40000}} {
		add(fmt.Sprintf("crc32 weights %v", weights), s.tcp(len(weights), weights...), "crc32", crc)
	}
	add("crc32 named", named(s.tcp(4, 2, 1), "bb", "c", "aaa", "b"), "crc32", crc)
	add("crc32 ports 11211", append(s.defaultPort(), s.tcp(2, 1)...), "crc32", crc)
	for theirs, ours := range map[string]string{
		"one_at_a_time": "one_at_a_time", "md5": "md5", "crc32": "crc", "fnv1_64": "fnv1_64", "fnv1a_64": "fnv1a_64",
		"fnv1_32": "fnv1_32", "fnv1a_32": "fnv1a_32", "murmur": "murmur", "jenkins": "jenkins",
	} {
		add(theirs, s.tcp(7, 1), theirs, ring.Options{Kind: "libmemcached", Hash: ours})
	}
	return pools
}

func named(nodes []ring.Node, names ...string) []ring.Node {
	for i, name := range names {
		nodes[i].Name, nodes[i].Named = name, true
	}
	return nodes
}

func addressOf(n ring.Node) string {
	if n.Port == 0 {
		return n.Host
	}
	return n.Host + ":" + strconv.Itoa(n.Port)
}

// keysBefore finds keys that belong to the point at.
func keysBefore(t *testing.T, nodes []ring.Node, opts ring.Options, at uint32) (keys [][]byte) {
	t.Helper()
	r := mustNew(t, nodes, opts)
	points, _ := ring.Points(r)
	before := uint32(0)
	for _, p := range points {
		if p < at {
			before = p
		}
	}
	for i := 0; len(keys) < 10; i++ {
		key := fmt.Appendf(nil, "arc%d", i)
		if h := uint32(r.Hash(key)); h > before && h <= at {
			keys = append(keys, key)
		}
		if i > 50_000_000 {
			t.Fatalf("no key hashes to %08x..%08x", before+1, at)
		}
	}
	return keys
}

// nutcrackerKeys are of all lengths and bytes that the protocol lets through, with and without tags.
func nutcrackerKeys() [][]byte {
	rnd := rand.New(rand.NewPCG(4, 4))
	keys := [][]byte{[]byte("ob"), []byte("foo"), []byte("caf\xc3\xa9"), []byte("6e49b86a7502dae881f3b9466ecbdfa4743c7eb9")}
	for i := range 100 {
		keys = append(keys, fmt.Appendf(nil, "tokens/%d", i), fmt.Appendf(nil, "%040x", rnd.Uint64()))
	}
	for i := range 60 {
		for _, form := range []string{"a{%d}b", "{%db", "x|%d|y", "|%d", "a%db", "<>%d", "{}{%d}"} {
			if i%6 == 0 {
				keys = append(keys, fmt.Appendf(nil, form, i))
			}
		}
		high := make([]byte, 1+i*4)
		for j := range high {
			high[j] = byte(0x80 + rnd.IntN(0x80))
		}
		mixed := make([]byte, 2+rnd.IntN(248))
		for j := range mixed {
			mixed[j] = byte(0x21 + rnd.IntN(0x100-0x21))
		}
		keys = append(keys, high, mixed)
	}
	seen := map[string]bool{}
	unique := keys[:0]
	for _, key := range keys {
		if !seen[string(key)] {
			seen[string(key)] = true
			unique = append(unique, key)
		}
	}
	return unique
}

// sendSets sets each key through the proxy on the given socket and waits until all are stored.
func sendSets(t *testing.T, socket string, keys [][]byte) {
	t.Helper()
	if len(keys) < 290 {
		t.Fatalf("%d keys, want at least 290", len(keys))
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for len(keys) > 0 {
		batch := keys[:min(50, len(keys))]
		keys = keys[len(batch):]
		var out bytes.Buffer
		for _, key := range batch {
			fmt.Fprintf(&out, "set %s 0 0 1\r\nv\r\n", key)
		}
		if _, err := conn.Write(out.Bytes()); err != nil {
			t.Fatal(err)
		}
		for _, key := range batch {
			if line, err := in.ReadString('\n'); err != nil || line != "STORED\r\n" {
				t.Fatalf("set %q: answer %q, %v", key, line, err)
			}
		}
	}
}

func socketPath(dir string, pool int) string { return filepath.Join(dir, fmt.Sprintf("p%d", pool)) }

func nutcrackerConfig(dir string, pools []poolCase) []byte {
	var b bytes.Buffer
	for i, pool := range pools {
		fmt.Fprintf(&b, "p%d:\n  listen: %s\n  hash: %s\n  distribution: %s\n  auto_eject_hosts: false\n", i, socketPath(dir, i), pool.hash, pool.distribution)
		if pool.tag != "" {
			fmt.Fprintf(&b, "  hash_tag: %q\n", pool.tag)
		}
		b.WriteString("  servers:\n")
		for _, n := range pool.nodes {
			fmt.Fprintf(&b, "   - %s:%d", addressOf(n), n.Weight)
			if n.Named {
				fmt.Fprintf(&b, " %s", n.Name)
			}
			b.WriteString("\n")
		}
	}
	return b.Bytes()
}

// startNutcracker runs nutcracker until the test ends. Its statistics need a TCP port, which another process may take
// between our finding it and its binding it: then it is tried again.
func startNutcracker(t *testing.T, dir string, pools []poolCase) {
	t.Helper()
	binary, err := exec.LookPath("nutcracker")
	if err != nil {
		t.Fatalf("%v: this test needs the package nutcracker", err)
	}
	config := filepath.Join(dir, "conf")
	if err := os.WriteFile(config, nutcrackerConfig(dir, pools), 0o600); err != nil {
		t.Fatal(err)
	}
	for try := 1; ; try++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		l.Close()
		cmd := exec.Command(binary, "-c", config, "-a", "127.0.0.1", "-s", port, "-p", filepath.Join(dir, "pid"), "-o", filepath.Join(dir, "log"))
		exited, err := runUntilEnd(cmd)
		if err != nil {
			t.Fatal(err)
		}
		if waitForSocket(socketPath(dir, len(pools)-1), exited) {
			t.Cleanup(func() {
				_ = cmd.Process.Kill() // an error says that it has ended
				<-exited
			})
			return
		}
		_ = cmd.Process.Kill()
		<-exited
		if try == 3 {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("nutcracker does not come up; its log:\n%s", log)
		}
	}
}

// runUntilEnd starts cmd; the channel is closed when it has been waited for. The kernel ends it with this process: the
// goroutine keeps the thread that forked, because the death signal goes by that.
func runUntilEnd(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed: an error, and the expected one
		}
	}()
	return done, <-started
}

// waitForSocket answers whether something listens on path before the process exits and 10 s are over.
func waitForSocket(path string, exited <-chan struct{}) bool {
	timeout := time.After(10 * time.Second)
	for {
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return true
		}
		select {
		case <-exited:
			return false
		case <-timeout:
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// sinks are backends that answer STORED to every set and note its key.
type sinks struct {
	onTCP, onDefaultPort, onUnix []ring.Node

	mu    sync.Mutex
	keys  map[string]string // key to the address that it came to; "both" if it came to several
	conns map[net.Conn]bool // nil once the sinks are closed
}

func newSinks(t *testing.T) *sinks {
	t.Helper()
	s := &sinks{keys: map[string]string{}, conns: map[net.Conn]bool{}}
	var served sync.WaitGroup
	var listeners []net.Listener
	t.Cleanup(func() {
		for _, l := range listeners {
			l.Close()
		}
		s.mu.Lock()
		for conn := range s.conns {
			conn.Close()
		}
		s.conns = nil
		s.mu.Unlock()
		served.Wait()
	})
	listen := func(network, address string) (ring.Node, error) {
		l, err := net.Listen(network, address)
		if err != nil {
			return ring.Node{}, err
		}
		listeners = append(listeners, l)
		address = l.Addr().String()
		n := ring.Node{Name: address, Host: address}
		if network == "tcp" {
			host, port, _ := net.SplitHostPort(address)
			n.Host = host
			n.Port, _ = strconv.Atoi(port)
		}
		served.Go(func() { s.accept(l, address, &served) })
		return n, nil
	}
	must := func(n ring.Node, err error) ring.Node {
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 16 {
		s.onTCP = append(s.onTCP, must(listen("tcp", "127.0.0.1:0")))
	}
	// The default port is likely to be in use on 127.0.0.1, but not on all of 127.0.0.0/8.
	for try := 0; len(s.onDefaultPort) < 3; try++ {
		n, err := listen("tcp", fmt.Sprintf("127.%d.%d.%d:11211", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250)))
		if err == nil {
			s.onDefaultPort = append(s.onDefaultPort, n)
		} else if try > 100 {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("/tmp", "sink")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{"a", "longer"} {
		s.onUnix = append(s.onUnix, must(listen("unix", filepath.Join(dir, name))))
	}
	return s
}

func withWeights(nodes []ring.Node, weights ...int) []ring.Node {
	nodes = append([]ring.Node(nil), nodes...)
	for i := range nodes {
		nodes[i].Weight = weights[i%len(weights)]
	}
	return nodes
}

func (s *sinks) tcp(n int, weights ...int) []ring.Node { return withWeights(s.onTCP[:n], weights...) }
func (s *sinks) defaultPort() []ring.Node              { return withWeights(s.onDefaultPort, 1) }
func (s *sinks) unix() []ring.Node                     { return withWeights(s.onUnix, 1, 2) }

// take gives the keys that have come since the last time.
func (s *sinks) take() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := s.keys
	s.keys = map[string]string{}
	return keys
}

// accept serves until l is closed.
func (s *sinks) accept(l net.Listener, address string, served *sync.WaitGroup) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		closed := s.conns == nil
		if !closed {
			s.conns[conn] = true
		}
		s.mu.Unlock()
		if closed {
			conn.Close()
			return
		}
		served.Go(func() { s.serve(conn, address) })
	}
}

// serve answers sets until the connection ends, or until something else comes.
func (s *sinks) serve(conn net.Conn, address string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		fields := strings.SplitN(line, " ", 3)
		if len(fields) != 3 || fields[0] != "set" {
			return
		}
		if _, err := io.CopyN(io.Discard, in, int64(len("v\r\n"))); err != nil {
			return
		}
		s.mu.Lock()
		if before, again := s.keys[fields[1]]; again && before != address {
			address = "both"
		}
		s.keys[fields[1]] = address
		s.mu.Unlock()
		if _, err := io.WriteString(conn, "STORED\r\n"); err != nil {
			return
		}
	}
}
