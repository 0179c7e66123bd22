package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The proxies that are started here. The first three are families too: a target is for every proxy of its family.
const (
	ours          = "mcproxy"
	nutcracker    = "nutcracker"
	haproxy       = "haproxy"
	nutcrackerBig = "nutcracker-64k"
)

// bigBuffers is nutcrackerBig's size of buffers, in bytes: with larger values it serves twemproxy better than 16,384, its default.
const bigBuffers = 65536

// A proxy is a process that can be measured.
type proxy struct {
	name    string // in tables
	family  string // one of the constants; empty for a user's own
	address string
	pid     int
	child   *child // nil for a user's own
}

// A fleet is a set of memcacheds and the proxies before them, all children of this process.
type fleet struct {
	h          *harness
	dir        string   // configurations and logs
	memcacheds []string // addresses
	children   []*child // in the order of their start
}

// startFleet starts memcacheds with that many MiB of memory each, on the core of the load.
func (h *harness) startFleet(ctx context.Context, memcacheds, memory int) (*fleet, error) {
	dir, err := os.MkdirTemp("", "bench-rivals-")
	if err != nil {
		return nil, err
	}
	f := &fleet{h: h, dir: dir}
	for i := range memcacheds {
		address, port, err := freeAddress()
		if err == nil {
			err = f.startMemcached(ctx, "memcached "+strconv.Itoa(i+1), address, port, memory)
		}
		if err != nil {
			f.close()
			return nil, err
		}
	}
	return f, nil
}

func (f *fleet) startMemcached(ctx context.Context, name, address, port string, memory int) error {
	args := []string{"-t", "1", "-m", strconv.Itoa(memory), "-l", "127.0.0.1", "-p", port, "-U", "0", "-c", "8192"}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "root") // it does not run as root without being told to
	}
	if _, err := f.start(ctx, name, address, f.h.loadCores(), append([]string{f.h.programs["memcached"]}, args...)); err != nil {
		return err
	}
	f.memcacheds = append(f.memcacheds, address)
	return nil
}

// start runs a server on the cores, with as many file descriptors as it may have, and returns when it answers at address.
func (f *fleet) start(ctx context.Context, name, address, cores string, argv []string) (*child, error) {
	limit := strconv.FormatUint(f.h.descriptors, 10)
	pinned := []string{f.h.programs["taskset"], "-c", cores, f.h.programs["prlimit"], "--nofile=" + limit + ":" + limit}
	c, err := startChild(name, nil, append(pinned, argv...)...)
	if err != nil {
		return nil, err
	}
	f.children = append(f.children, c)
	return c, c.waitReady(ctx, address)
}

// readyTimeout is how long a server may take from its start to its first answer.
const readyTimeout = 10 * time.Second

// waitReady returns when the server at address answers "version".
func (c *child) waitReady(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := askVersion(ctx, address)
		if err == nil {
			return nil
		}
		if err := c.gone(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: no answer at %s: %w: %s", c.name, address, err, c.said)
		case <-c.ended: // the next turn says so
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func askVersion(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	return ask(conn, "version\r\n", "VERSION ", time.Second)
}

// ask sends a request and wants an answer of one line that begins with want.
func ask(conn net.Conn, request, want string, timeout time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	var answer []byte
	for !slices.Contains(answer, '\n') {
		var buf [256]byte
		n, err := conn.Read(buf[:])
		if err != nil {
			return fmt.Errorf("after %q: %w", answer, err)
		}
		answer = append(answer, buf[:n]...)
	}
	if !strings.HasPrefix(string(answer), want) {
		return fmt.Errorf("answered %q to %q", answer, request)
	}
	return nil
}

// startMcproxy starts mcproxy with that many workers, each on a core of its own as far as there are cores.
func (f *fleet) startMcproxy(ctx context.Context, workers int) (proxy, error) {
	address, _, err := freeAddress()
	if err != nil {
		return proxy{}, err
	}
	admin, _, err := freeAddress()
	if err != nil {
		return proxy{}, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[[listeners]]\naddress = %q\n[proxy]\nworkers = %d\n[log]\nlevel = \"warn\"\n[admin]\naddress = %q\n", address, workers, admin)
	// As patient as the load generator: the rivals wait for ever, and whoever gives up early does less work.
	fmt.Fprintf(&b, "[pools.main]\nring = \"ketama\"\nhash = \"fnv1a_64\"\ntimeout = \"5s\"\nstall_timeout = \"10s\"\nbackends = [\n")
	for _, m := range f.memcacheds {
		fmt.Fprintf(&b, "  %q,\n", m)
	}
	b.WriteString("]\n")
	file, err := f.file("mcproxy.toml", b.String())
	if err != nil {
		return proxy{}, err
	}
	argv := []string{f.h.opts.binary, "serve", "-c", file}
	return f.startProxy(ctx, proxy{name: ours, family: ours, address: address}, f.h.proxyCores(workers), argv)
}

// startNutcracker starts twemproxy with buffers of that many bytes; 0 is its default.
func (f *fleet) startNutcracker(ctx context.Context, name string, mbuf int) (proxy, error) {
	address, _, err := freeAddress()
	if err != nil {
		return proxy{}, err
	}
	_, stats, err := freeAddress()
	if err != nil {
		return proxy{}, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "main:\n  listen: %s\n  hash: fnv1a_64\n  distribution: ketama\n  auto_eject_hosts: false\n  preconnect: true\n  servers:\n", address)
	for _, m := range f.memcacheds {
		fmt.Fprintf(&b, "   - %s:1\n", m)
	}
	argv := []string{f.h.programs[nutcracker], "-a", "127.0.0.1", "-s", stats, "-v", "3"}
	if mbuf > 0 {
		argv = append(argv, "-m", strconv.Itoa(mbuf))
	}
	file, err := f.file(name+".yml", b.String())
	if err != nil {
		return proxy{}, err
	}
	return f.startProxy(ctx, proxy{name: name, family: nutcracker, address: address}, f.h.proxyCores(1), append(argv, "-c", file))
}

// startHaproxy starts haproxy as a relay that copies bytes: each client conn goes to one of the memcacheds, in turn.
func (f *fleet) startHaproxy(ctx context.Context) (proxy, error) {
	address, _, err := freeAddress()
	if err != nil {
		return proxy{}, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"+
		"frontend relay\n  bind %s\n  default_backend memcached\nbackend memcached\n  balance roundrobin\n", address)
	for i, m := range f.memcacheds {
		fmt.Fprintf(&b, "  server m%d %s\n", i+1, m)
	}
	file, err := f.file("haproxy.cfg", b.String())
	if err != nil {
		return proxy{}, err
	}
	argv := []string{f.h.programs[haproxy], "-db", "-f", file}
	return f.startProxy(ctx, proxy{name: haproxy, family: haproxy, address: address}, f.h.proxyCores(1), argv)
}

func (f *fleet) startProxy(ctx context.Context, p proxy, cores string, argv []string) (proxy, error) {
	var err error
	if p.child, err = f.start(ctx, p.name, p.address, cores, argv); err != nil {
		return proxy{}, err
	}
	p.pid = p.child.pid()
	return p, nil
}

// startAll starts mcproxy, and then every rival that was asked for.
func (f *fleet) startAll(ctx context.Context) (proxy, []proxy, error) {
	mcproxy, err := f.startMcproxy(ctx, 1)
	if err != nil {
		return proxy{}, nil, err
	}
	rivals, err := f.startRivals(ctx)
	return mcproxy, rivals, err
}

func (f *fleet) startRivals(ctx context.Context) ([]proxy, error) {
	var rivals []proxy
	for _, name := range f.h.opts.against {
		var p proxy
		var err error
		switch name {
		case nutcracker:
			p, err = f.startNutcracker(ctx, name, 0)
		case nutcrackerBig:
			p, err = f.startNutcracker(ctx, name, bigBuffers)
		case haproxy:
			p, err = f.startHaproxy(ctx)
		}
		if err != nil {
			return nil, err
		}
		rivals = append(rivals, p)
	}
	return append(rivals, f.h.opts.rivals...), nil
}

func (f *fleet) file(name, text string) (string, error) {
	path := filepath.Join(f.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// close ends the children, the last first, and removes their files.
func (f *fleet) close() {
	for _, c := range slices.Backward(f.children) {
		c.end(syscall.SIGTERM)
	}
	_ = os.RemoveAll(f.dir) // what stays is a few files in a directory for such
}

// freeAddress is a loopback address on which nobody listens, below the ports that the kernel gives to clients.
func freeAddress() (address, port string, err error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(20000+rand.IntN(12000)))
		if err == nil {
			address = l.Addr().String()
			_, port, _ = net.SplitHostPort(address) // an address of a listener has a port
			return address, port, l.Close()
		}
	}
	return "", "", errors.New("no free port from 20000 to 31999 on 127.0.0.1")
}

// findProgram looks in PATH, and where Debian keeps servers.
func findProgram(name string) (string, error) {
	for _, place := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(place); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed; install Debian's package %s", name, packageOf(name))
}

// programOf is the program of a proxy.
func programOf(proxy string) string {
	if proxy == nutcrackerBig {
		return nutcracker
	}
	return proxy
}

// packageOf is the Debian package that has a program.
func packageOf(name string) string {
	switch name {
	case "taskset", "prlimit":
		return "util-linux"
	}
	return name
}
