//go:build keystone

package keystonetest

import (
	"bufio"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/loopback"
)

// A proxyProcess is an mcproxy with a TCP listener, a unix socket and an admin address, which stay when it is started anew.
type proxyProcess struct {
	*process
	binary, config, address, socket, admin string
}

// buildProxy builds mcproxy.
func buildProxy(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "mcproxy")
	tool(t, exec.Command("go", "build", "-buildvcs=false", "-o", binary, "mcproxy/cmd/mcproxy"))
	return binary
}

// startProxy starts a proxy; pool is the TOML of its pool, but for the header.
func startProxy(t testing.TB, binary, pool string) *proxyProcess {
	t.Helper()
	dir, err := os.MkdirTemp("", "mcproxy") // not t.TempDir: a socket's path has room for 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &proxyProcess{
		process: newProcess(t, dir, "mcproxy"), binary: binary, config: filepath.Join(dir, "proxy.toml"),
		address: loopback.Address(t), socket: filepath.Join(dir, "mcproxy.sock"), admin: loopback.Address(t),
	}
	text := fmt.Sprintf("[[listeners]]\naddress = %q\n[[listeners]]\naddress = %q\n[admin]\naddress = %q\n[pools.main]\n%s",
		p.address, "unix:"+p.socket, p.admin, pool)
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.alive(); err != nil {
			t.Error(err)
		}
		if strings.Contains(p.lastWords(), "panic: ") {
			t.Errorf("mcproxy: %s", p.lastWords())
		}
	})
	return p
}

// start starts the process and returns when it accepts clients.
func (p *proxyProcess) start() error {
	if err := p.run(exec.Command(p.binary, "serve", "-c", p.config)); err != nil {
		return err
	}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", p.address); err == nil {
			return conn.Close()
		}
		if err := p.alive(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mcproxy accepts nobody\n%s", p.lastWords())
		}
	}
}

// figures are a proxy's metrics at one moment, by the text before the value.
type figures map[string]float64

// figures asks the proxy for its metrics.
func (p *proxyProcess) figures() figures {
	p.t.Helper()
	answer, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		p.t.Errorf("the proxy's metrics: %v", err)
		return nil
	}
	defer answer.Body.Close()
	f := figures{}
	for in := bufio.NewScanner(answer.Body); in.Scan(); {
		name, value, _ := strings.Cut(in.Text(), " ")
		if at := strings.LastIndex(in.Text(), "} "); at >= 0 {
			name, value = in.Text()[:at+1], in.Text()[at+2:]
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil && name != "#" {
			f[name] = n
		}
	}
	return f
}

// sum adds up the series of a name that have all these labels, such as `verb="get"`.
func (f figures) sum(name string, labels ...string) float64 {
	total := 0.0
next:
	for series, n := range f {
		if rest, ok := strings.CutPrefix(series, name); !ok || rest != "" && rest[0] != '{' {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(series, label) {
				continue next
			}
		}
		total += n
	}
	return total
}

// since gives what was added since an earlier moment.
func (f figures) since(before figures, name string, labels ...string) float64 {
	return f.sum(name, labels...) - before.sum(name, labels...)
}

// slowest gives a time, in seconds, within which all that a histogram has counted since before was done: a bound of its buckets.
func (f figures) slowest(before figures, histogram string) float64 {
	all := f.since(before, histogram+"_count")
	bound := math.Inf(1)
	for series := range f {
		at := strings.Index(series, `le="`)
		if !strings.HasPrefix(series, histogram+"_bucket{") || at < 0 {
			continue
		}
		text, _, _ := strings.Cut(series[at+4:], `"`)
		if le, err := strconv.ParseFloat(text, 64); err == nil && le < bound && f.since(before, histogram+"_bucket", `le="`+text+`"`) >= all {
			bound = le
		}
	}
	return bound
}

// until waits until something is true of the proxy's figures.
func (p *proxyProcess) until(what string, true func(figures) bool) {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !true(p.figures()) {
		if err := p.alive(); err != nil {
			p.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("after 30 s still not: %s\n%s", what, p.lastWords())
		}
		time.Sleep(20 * time.Millisecond)
	}
}
