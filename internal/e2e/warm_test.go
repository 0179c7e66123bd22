package e2e

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/loopback"
	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/ring"
)

const warmKeys = 2000

// warmKey gives keys of the kinds that applications use; all of them are ASCII, for pymemcache takes no other.
func warmKey(i int) string {
	switch i % 4 {
	case 0:
		return fmt.Sprintf("%x", sha1.Sum(fmt.Append(nil, i)))
	case 1:
		return fmt.Sprintf("user:%d:profile", i)
	case 2:
		return fmt.Sprintf("tokens/b'%d+/=='", i)
	default:
		return fmt.Sprintf("{tag-%d}:%d", i%97, i)
	}
}

func warmKeyList() []string {
	keys := make([]string, warmKeys)
	for i := range keys {
		keys[i] = warmKey(i)
	}
	return keys
}

func reversed(key string) string {
	b := []byte(key)
	slices.Reverse(b)
	return string(b)
}

// A warmCase is a program that placed keys on several memcached, and the ring by which the proxy must find them.
type warmCase struct {
	name    string
	weights []int
	ring    ring.Options
	names   []string // of the backends; nil: they have none
	fill    func(t *testing.T, c warmCase, servers []*memcachedtest.Server)
}

func warmCases() []warmCase {
	equal, unequal := []int{1, 1, 1}, []int{1, 2, 5}
	libmemcached := func(distribution string) ring.Options {
		return ring.Options{Kind: "libmemcached", Distribution: distribution}
	}
	cases := []warmCase{
		{name: "python-memcached", weights: equal, ring: ring.Options{Kind: "cmemcache"}},
		{name: "python-memcached", weights: unequal, ring: ring.Options{Kind: "cmemcache"}},
		{name: "pylibmc-modula", weights: equal, ring: libmemcached("modula")},
		{name: "pylibmc-ketama", weights: equal, ring: libmemcached("ketama")},
		{name: "pylibmc-weighted", weights: equal, ring: libmemcached("ketama_weighted")},
		{name: "pylibmc-weighted", weights: unequal, ring: libmemcached("ketama_weighted")},
		{name: "pymemcache-hash", weights: equal, ring: ring.Options{Kind: "rendezvous"}},
		{name: "consistent", weights: equal, names: []string{"a", "b", "c"}, fill: fillThroughProxy},
		{name: "consistent", weights: unequal, names: []string{"a", "b", "c"}, fill: fillThroughProxy},
		{name: "consistent", weights: unequal, fill: fillThroughProxy},
	}
	for _, weights := range [][]int{equal, unequal} {
		for _, names := range [][]string{nil, {"alpha", "beta", "gamma"}} {
			for _, hash := range []string{"fnv1a_64", "md5", "crc32a", "fnv1_32"} {
				cases = append(cases, warmCase{
					name: "nutcracker " + hash, weights: weights, names: names,
					ring: ring.Options{Kind: "ketama", Hash: hash}, fill: fillThroughNutcracker,
				})
			}
		}
	}
	return append(cases, warmCase{
		name: "nutcracker with hash tags", weights: unequal,
		ring: ring.Options{Kind: "ketama", Hash: "fnv1a_64", HashTag: "{}"}, fill: fillThroughNutcracker,
	})
}

// TestWarmDropIn stores keys on three memcached with the program that a proxy replaces, or is put behind, and finds each
// of them through the proxy.
func TestWarmDropIn(t *testing.T) {
	if throughMemcached(t) {
		t.Log("three servers make one endpoint only through the proxy: nothing to check")
		return
	}
	var servers []*memcachedtest.Server
	for range 3 {
		servers = append(servers, startMemcached(t))
	}
	for _, c := range warmCases() {
		t.Run(fmt.Sprintf("%s %v %v", c.name, c.weights, c.names), func(t *testing.T) {
			flushAll(servers)
			if c.fill == nil {
				fillWithPython(t, c, servers)
			} else {
				c.fill(t, c, servers)
			}
			for _, mc := range servers {
				if mc.Stats()["curr_items"] == "0" {
					t.Fatalf("%s holds nothing: the case proves nothing", mc.Addr())
				}
			}
			s := startProxy(t, c.pool(servers))
			if missing := missingKeys(t, s.endpoint); len(missing) > 0 {
				t.Errorf("%d of %d keys are not found: %q", len(missing), warmKeys, missing[:min(5, len(missing))])
			}
		})
	}
}

// TestNoticesWarmDropIn shows that a ring which is nearly right loses keys.
func TestNoticesWarmDropIn(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	var servers []*memcachedtest.Server
	for range 3 {
		servers = append(servers, startMemcached(t))
	}
	c := warmCase{name: "python-memcached", weights: []int{1, 2, 5}, ring: ring.Options{Kind: "cmemcache"}}
	fillWithPython(t, c, servers)
	c.weights = []int{1, 2, 4}
	if len(missingKeys(t, startProxy(t, c.pool(servers)).endpoint)) == 0 {
		t.Error("another weight: every key is found")
	}
}

func flushAll(servers []*memcachedtest.Server) {
	for _, mc := range servers {
		mc.Command("flush_all")
	}
}

func (c warmCase) pool(servers []*memcachedtest.Server) pool.Config {
	list := backends(servers, c.weights...)
	for i, name := range c.names {
		list[i].Name = name
	}
	return pool.Config{Backends: list, Ring: c.ring}
}

// missingKeys reads all keys through ep and gives those that are not found with their value.
func missingKeys(t *testing.T, ep endpoint) []string {
	t.Helper()
	c := ep.dial(t)
	var missing []string
	for batch := range slices.Chunk(warmKeyList(), 100) {
		answer, closed, err := c.exchange([]byte("get " + strings.Join(batch, " ") + "\r\n"))
		if err != nil || closed {
			t.Fatalf("get: closed %v, %v", closed, err)
		}
		for _, key := range batch {
			value := reversed(key)
			if !bytes.Contains(answer, fmt.Appendf(nil, "VALUE %s 0 %d\r\n%s\r\n", key, len(value), value)) {
				missing = append(missing, key)
			}
		}
	}
	return missing
}

func fillWithPython(t *testing.T, c warmCase, servers []*memcachedtest.Server) {
	t.Helper()
	pkg, module := "python3-memcache", "memcache"
	if strings.HasPrefix(c.name, "py") && !strings.HasPrefix(c.name, "python") {
		module, _, _ = strings.Cut(c.name, "-")
		pkg = "python3-" + module
	}
	args := []string{"-B", "testdata/warm/fill.py", c.name}
	for i, mc := range servers {
		args = append(args, fmt.Sprintf("%s,%d", mc.Addr(), c.weights[i]))
	}
	ctx, cancel := context.WithTimeout(context.Background(), programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, python(t, pkg, module), args...)
	cmd.Stdin = strings.NewReader(strings.Join(warmKeyList(), "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", c.name, err, out)
	}
}

// fillThroughProxy stores the keys through another proxy, whose configuration lists the backends in another order.
func fillThroughProxy(t *testing.T, c warmCase, servers []*memcachedtest.Server) {
	p := c.pool(servers)
	slices.Reverse(p.Backends)
	storeKeys(t, startProxy(t, p).endpoint)
}

// storeKeys stores all keys through ep.
func storeKeys(t *testing.T, ep endpoint) {
	t.Helper()
	c := ep.dial(t)
	for batch := range slices.Chunk(warmKeyList(), 100) {
		var request []byte
		for _, key := range batch {
			request = fmt.Appendf(request, "set %s 0 0 %d\r\n%s\r\n", key, len(key), reversed(key))
		}
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		for _, key := range batch { // no sentinel: nutcracker knows no meta commands
			u, err := c.unit(time.Now().Add(answerTimeout))
			if err != nil || string(u) != "STORED\r\n" {
				t.Fatalf("set %s: %q, %v", key, u, err)
			}
		}
	}
}

// fillThroughNutcracker stores the keys through twemproxy.
func fillThroughNutcracker(t *testing.T, c warmCase, servers []*memcachedtest.Server) {
	t.Helper()
	var config strings.Builder
	listen := loopback.Address(t)
	fmt.Fprintf(&config, "main:\n  listen: %s\n  hash: %s\n  distribution: ketama\n  auto_eject_hosts: false\n", listen, c.ring.Hash)
	if c.ring.HashTag != "" {
		fmt.Fprintf(&config, "  hash_tag: %q\n", c.ring.HashTag)
	}
	config.WriteString("  servers:\n")
	for i, mc := range servers {
		name := ""
		if c.names != nil {
			name = " " + c.names[i]
		}
		fmt.Fprintf(&config, "   - %s:%d%s\n", mc.Addr(), c.weights[i], name)
	}
	file := filepath.Join(t.TempDir(), "nutcracker.yml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	statsHost, statsPort, _ := net.SplitHostPort(loopback.Address(t))
	cmd := exec.Command(program(t, "nutcracker", "nutcracker"), "-c", file, "-a", statsHost, "-s", statsPort, "-v", "3")
	var output bytes.Buffer
	cmd.Stderr = &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("nutcracker: %s", output.String())
		}
	}()
	waitListening(t, listen)
	storeKeys(t, endpoint{"tcp", listen})
}

func waitListening(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(answerTimeout); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
