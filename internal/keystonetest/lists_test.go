//go:build keystone

package keystonetest

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
	"mcproxy/keystone"
	"mcproxy/ring"
)

const (
	python    = "/usr/bin/python3" // Debian's modules belong to it
	mostBytes = 1_048_473          // of a value under a key of 40 bytes, in a memcached with its default of 1 MiB
)

// A replay is the outcome of testdata/token_lists.py.
type replay struct {
	Issued, Missing, Strange int
	Revoked, Unrevoked       int
	Refused, Stale           int
	Bytes                    []int
	Seconds                  float64
}

func (r replay) String() string {
	return fmt.Sprintf("%d tokens issued, %d missing in their list; %d revoked, %d of them not quite; %d refused; lists of %d bytes; %.0f s",
		r.Issued, r.Missing, r.Revoked, r.Unrevoked, r.Refused, r.Bytes, r.Seconds)
}

// play runs the script; meanwhile is called when the first lists are there, and may be nil.
func play(t *testing.T, servers string, meanwhile func(), args ...string) replay {
	t.Helper()
	cmd := exec.Command(python, append([]string{"-B", "testdata/token_lists.py", "--servers", servers}, args...)...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewReader(out)
	if first, err := lines.ReadString('\n'); err != nil || first != "filled\n" {
		t.Fatalf("token_lists.py %q: %q, %v\n%s", args, first, err, &problems)
	}
	if meanwhile != nil {
		meanwhile()
	}
	var r replay
	if err := json.NewDecoder(lines).Decode(&r); err != nil {
		t.Fatalf("token_lists.py %q: %v\n%s", args, err, &problems)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("token_lists.py %q: %v\n%s", args, err, &problems)
	}
	return r
}

// lists are three memcacheds behind a proxy that splits values.
type lists struct {
	proxy   *proxyProcess
	servers []*memcachedtest.Server
}

// startLists starts them; settings are more lines of the pool.
func startLists(t *testing.T, binary, settings string) *lists {
	l := &lists{}
	var backends []string
	for i := range 3 {
		mc := memcachedtest.Start(t, "-m", "256")
		l.servers = append(l.servers, mc)
		backends = append(backends, fmt.Sprintf("{ address = %q, name = %q }", mc.Addr(), backendName(i)))
	}
	l.proxy = startProxy(t, binary, "backends = ["+strings.Join(backends, ", ")+"]\n"+settings+"[pools.main.split]\nenabled = true\n")
	return l
}

// moved gives the bytes that went to and from each backend since then, and the busiest's over the mean's.
func (l *lists) moved(before figures) (bytes []float64, ratio float64) {
	after := l.proxy.figures()
	total, most := 0.0, 0.0
	for i := range l.servers {
		label := fmt.Sprintf("backend=%q", backendName(i))
		n := after.since(before, "mcproxy_backend_sent_bytes_total", label) + after.since(before, "mcproxy_backend_received_bytes_total", label)
		bytes = append(bytes, n)
		total, most = total+n, max(most, n)
	}
	return bytes, most * float64(len(bytes)) / total
}

// home gives the number of the server that most of n users' lists are on, by a kind of ring.
func home(t *testing.T, kind string, servers []*memcachedtest.Server, n int) int {
	t.Helper()
	var nodes []ring.Node
	for i, mc := range servers {
		nodes = append(nodes, ring.Node{Name: backendName(i), Named: true, Host: "127.0.0.1", Port: mc.Port(), Weight: 1})
	}
	r, err := ring.New(nodes, ring.Options{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	count, most := make([]int, len(nodes)), 0
	for i := range n {
		at := r.Lookup([]byte(keystone.UserKey(fmt.Sprintf("%x", md5.Sum(fmt.Appendf(nil, "user %d", i))))))
		count[at]++
		if count[at] > count[most] {
			most = at
		}
	}
	t.Logf("%d of %d lists are on the server that fails", count[most], n)
	return most
}

// TestTokenLists replays Kilo's token lists: nothing is lost while they grow, beyond what one memcached takes, and the servers bear alike.
func TestTokenLists(t *testing.T) {
	t.Parallel()
	binary := buildProxy(t)
	type growth struct {
		name    string
		args    []string
		atLeast int     // bytes of each list in the end
		even    float64 // bytes of the busiest server over the mean's, at most; 0 if the lists are too short for it
	}
	growths := []growth{
		{"from nothing", []string{"--users", "3", "--writers", "4", "--shared", "--tokens", "3000", "--revoke", "20"}, 80_000, 0},
		{"at 580 KB", []string{"--users", "3", "--writers", "3", "--shared", "--tokens", "210", "--initial-bytes", "577000", "--revoke", "20"}, 580_000, 1.1},
		{"across 1 MiB", []string{"--users", "2", "--writers", "2", "--shared", "--tokens", "80", "--initial-bytes", "1047000"}, mostBytes + 1, 1.1},
	}
	if *full {
		growths[0] = growth{"from nothing", []string{"--users", "3", "--writers", "3", "--shared", "--tokens", "20700", "--revoke", "50"}, 580_000, 1.1}
		growths[1] = growth{"on to 1 MiB", []string{"--users", "1", "--writers", "1", "--shared", "--tokens", "5600", "--initial-bytes", "580000"}, mostBytes + 1, 1.1}
	}
	for _, g := range growths {
		t.Run(g.name, func(t *testing.T) {
			l := startLists(t, binary, "timeout = \"20s\"\nstall_timeout = \"20s\"\n") // of a machine that is busy this test wants to see nothing
			before := l.proxy.figures()
			r := play(t, l.proxy.address, nil, g.args...)
			bytes, ratio := l.moved(before)
			t.Logf("%v; bytes moved by each server: %.4g, busiest/mean %.3f", r, bytes, ratio)
			if r.Missing+r.Strange+r.Unrevoked+r.Refused > 0 {
				t.Errorf("%+v: want nothing missing, strange, unrevoked or refused", r)
			}
			if r.Bytes[0] < g.atLeast {
				t.Errorf("the shortest list has %d bytes, want at least %d", r.Bytes[0], g.atLeast)
			}
			if g.even > 0 && ratio > g.even {
				t.Errorf("the busiest server moved %.3f times the mean's bytes, want at most %.2f", ratio, g.even)
			}
		})
	}
	t.Run("across 1 MiB without mcproxy", func(t *testing.T) {
		r := play(t, memcachedtest.Start(t, "-m", "256").Addr(), nil, growths[2].args...)
		t.Logf("%v", r)
		if r.Missing == 0 {
			t.Errorf("%+v: memcached has kept what is too long for it: the replay does not see what it is for", r)
		}
	})
}

// TestTokenListsLost has a memcached stop and die while lists are written, behind mcproxy and as python-memcached's own choice.
func TestTokenListsLost(t *testing.T) {
	t.Parallel()
	binary := buildProxy(t)
	seconds, tokens, users := 10, 3000, 6
	for _, fault := range []struct {
		name string
		run  func(*memcachedtest.Server)
	}{
		{"paused", func(mc *memcachedtest.Server) { mc.Pause(); time.Sleep(outage); mc.Resume() }},
		{"killed", func(mc *memcachedtest.Server) { mc.Kill(); time.Sleep(outage); mc.Restart() }},
	} {
		for _, through := range []string{"mcproxy", "python-memcached"} {
			t.Run(fault.name+" behind "+through, func(t *testing.T) {
				l := startLists(t, binary, "")
				address, kind := l.proxy.address, "consistent"
				if through != "mcproxy" {
					var all []string
					for _, mc := range l.servers {
						all = append(all, mc.Addr())
					}
					address, kind = strings.Join(all, ","), "cmemcache"
				}
				victim := l.servers[home(t, kind, l.servers, users)]
				r := play(t, address, func() {
					time.Sleep(time.Duration(seconds) * time.Second / 4)
					fault.run(victim)
				}, "--users", fmt.Sprint(users), "--writers", fmt.Sprint(users), "--tokens", fmt.Sprint(tokens), "--seconds", fmt.Sprint(seconds))
				t.Logf("%v; %d lists were older than their last acknowledged write", r, r.Stale)
				if through == "mcproxy" && r.Stale+r.Strange > 0 {
					t.Errorf("%+v: want no list older than its last acknowledged write, and nothing in it that was not issued", r)
				}
			})
		}
	}
}
