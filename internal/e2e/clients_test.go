package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// programTimeout bounds one run of another program.
const programTimeout = 2 * time.Minute

func TestClientsPythonMemcached(t *testing.T) {
	runClient(t, python(t, "python3-memcache", "memcache"), "python_memcached.py")
}

func TestClientsPymemcache(t *testing.T) {
	runClient(t, python(t, "python3-pymemcache", "pymemcache"), "pymemcache_all.py")
}

func TestClientsPylibmc(t *testing.T) {
	runClient(t, python(t, "python3-pylibmc", "pylibmc"), "pylibmc_all.py")
}

// runClient runs a client's script against a service, over TCP and over a unix socket.
func runClient(t *testing.T, interpreter, script string) {
	s := startService(t, 1)
	for _, ep := range []endpoint{s.endpoint, s.unix} {
		t.Run(ep.network, func(t *testing.T) {
			out, err := run(interpreter, "-B", "testdata/clients/"+script, ep.String())
			if err != nil {
				t.Fatalf("%s: %v\n%s", script, err, out)
			}
			t.Logf("%s: %s", script, strings.TrimSpace(out))
		})
	}
}

// TestNoticesClients shows that each script sees a value that is not the one it stored.
func TestNoticesClients(t *testing.T) {
	interpreter := python(t, "python3-memcache", "memcache")
	for _, script := range []string{"python_memcached.py", "pymemcache_all.py", "pylibmc_all.py"} {
		s := brokenService(t, 1, "corrupts values")
		if out, err := run(interpreter, "-B", "testdata/clients/"+script, s.String()); err == nil {
			t.Errorf("%s: nothing noticed: %s", script, out)
		}
	}
}

// run runs a program and gives what it printed.
func run(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("still running after %v", programTimeout)
	}
	return string(out), err
}

// TestClientsTools runs libmemcached's command-line tools.
func TestClientsTools(t *testing.T) {
	tool := func(name string) string { // Debian renames the tools
		return program(t, "libmemcached-tools", strings.Replace(name, "mem", "memc", 1), name)
	}
	cp, cat, rm, touch, exist := tool("memcp"), tool("memcat"), tool("memrm"), tool("memtouch"), tool("memexist")
	s := startService(t, 1)
	for _, ep := range []endpoint{s.endpoint, s.unix} {
		t.Run(ep.network, func(t *testing.T) {
			servers := "--servers=" + ep.address
			must := func(ok bool, name string, args ...string) string {
				t.Helper()
				out, err := run(name, append([]string{servers}, args...)...)
				if (err == nil) != ok {
					t.Errorf("%s %q: %v; want success %v\n%.500s", filepath.Base(name), args, err, ok, out)
				}
				return out
			}
			dir := t.TempDir()
			for _, size := range []int{0, 1, 100, 4096, 100_000, 1_000_000, 1_048_000} {
				key := fmt.Sprintf("file-%d", size)
				want := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
				file := filepath.Join(dir, key)
				if err := os.WriteFile(file, want, 0o600); err != nil {
					t.Fatal(err)
				}
				must(true, cp, file)
				must(true, exist, key)
				must(true, touch, "--expire=1000", key)
				got := filepath.Join(dir, "got")
				must(true, cat, "--file="+got, key)
				if content, err := os.ReadFile(got); err != nil || !bytes.Equal(content, want) {
					t.Errorf("%d bytes: memcat brought %d bytes, %v", size, len(content), err)
				}
				must(true, rm, key)
				must(false, exist, key)
				must(false, rm, key)
				must(false, touch, "--expire=1000", key)
			}
			file := filepath.Join(dir, "over")
			if err := os.WriteFile(file, make([]byte, 1_048_577), 0o600); err != nil {
				t.Fatal(err)
			}
			must(false, cp, file)
			must(true, tool("memping"))
			if out := must(true, tool("memstat")); !strings.Contains(out, "cmd_get") {
				t.Errorf("memstat printed no cmd_get: %s", out)
			}
			must(true, tool("memslap"), "--concurrency=4", "--execute-number=200", "--test=set")
			must(true, tool("memslap"), "--concurrency=4", "--execute-number=200", "--test=get")
			must(true, tool("memslap"), "--concurrency=4", "--execute-number=200", "--test=mget")
			must(true, tool("memflush"))
		})
	}
}
