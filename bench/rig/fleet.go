package rig

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The programs that StartMcproxy and StartNutcracker start.
const (
	Mcproxy    = "mcproxy"
	Nutcracker = "nutcracker"
)

// A Fleet is a set of memcacheds and the proxies before them, all children of this process.
type Fleet struct {
	Memcacheds []string // addresses

	m        *Machine
	dir      string   // configurations and logs
	children []*Child // in the order of their start
	servers  []*Child // that StartFleet has started, as in Memcacheds
	links    []link   // to memcacheds that are not on loopback
}

// StartFleet starts n memcacheds with that many MiB of memory each and more arguments, on the core of the load.
func (m *Machine) StartFleet(ctx context.Context, n, memory int, more ...string) (*Fleet, error) {
	dir, err := os.MkdirTemp("", m.Name+"-")
	if err != nil {
		return nil, err
	}
	f := &Fleet{m: m, dir: dir}
	for i := range n {
		if err := f.startMemcached(ctx, i, memory, more); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

func (f *Fleet) startMemcached(ctx context.Context, number, memory int, more []string) error {
	address, port, err := FreeAddress()
	if err != nil {
		return err
	}
	argv := []string{
		f.m.Program("memcached"), "-t", "1", "-m", strconv.Itoa(memory), "-l", "127.0.0.1", "-p", port, "-U", "0", "-c", "8192",
	}
	if os.Geteuid() == 0 {
		argv = append(argv, "-u", "root") // it does not run as root without being told to
	}
	c, err := f.Start(ctx, "memcached "+strconv.Itoa(number+1), address, f.m.LoadCores(), append(argv, more...))
	if err != nil {
		return err
	}
	f.Memcacheds, f.servers = append(f.Memcacheds, address), append(f.servers, c)
	return nil
}

// Pause stops the i-th memcached, as one that hangs: its kernel still takes conns and bytes. StartFleet has started it.
func (f *Fleet) Pause(i int) error { return f.servers[i].cmd.Process.Signal(syscall.SIGSTOP) }

// Resume has it go on.
func (f *Fleet) Resume(i int) error { return f.servers[i].cmd.Process.Signal(syscall.SIGCONT) }

// Start runs a server on the cores, with as many file descriptors as it may have, and returns when it answers at address.
func (f *Fleet) Start(ctx context.Context, name, address, cores string, argv []string) (*Child, error) {
	limit := strconv.FormatUint(f.m.descriptors, 10)
	pinned := []string{f.m.Program("taskset"), "-c", cores, f.m.Program("prlimit"), "--nofile=" + limit + ":" + limit}
	c, err := Start(name, nil, append(pinned, argv...)...)
	if err != nil {
		return nil, err
	}
	f.children = append(f.children, c)
	return c, c.waitReady(ctx, address)
}

// A Proxy is a process that can be measured.
type Proxy struct {
	Name    string // in tables
	Family  string // the program; empty for a user's own
	Address string
	PID     int
	Child   *Child // nil for a user's own
	Admin   string // mcproxy's admin address
	Config  string // the file
}

// McproxyConfig is what differs between one mcproxy and another.
type McproxyConfig struct {
	Workers int    // event loops, each on a core of its own as far as there are cores
	Ring    string // lines of the pool that choose it
	Proxy   string // more lines of [proxy]
	Pool    string // more tables of the pool main
	Limits  string // lines of [limits]
	Timeout string // of the pool, a duration; empty: 5s
	Program string // an absolute path; empty: the machine's Mcproxy
}

// StartMcproxy starts mcproxy before the fleet's memcacheds. It is as patient as the load generator: the rivals wait for ever,
// and whoever gives up early does less work.
func (f *Fleet) StartMcproxy(ctx context.Context, name string, cfg McproxyConfig) (Proxy, error) {
	p := Proxy{Name: name, Family: Mcproxy}
	var err error
	if p.Address, _, err = FreeAddress(); err != nil {
		return Proxy{}, err
	}
	if p.Admin, _, err = FreeAddress(); err != nil {
		return Proxy{}, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[[listeners]]\naddress = %q\n[proxy]\nworkers = %d\n%s[log]\nlevel = \"warn\"\n[admin]\naddress = %q\n",
		p.Address, cfg.Workers, cfg.Proxy, p.Admin)
	if cfg.Limits != "" {
		fmt.Fprintf(&b, "[limits]\n%s", cfg.Limits)
	}
	fmt.Fprintf(&b, "[pools.main]\n%stimeout = %q\nstall_timeout = \"10s\"\nbackends = [\n", cfg.Ring, cmp.Or(cfg.Timeout, "5s"))
	for _, memcached := range f.Memcacheds {
		fmt.Fprintf(&b, "  %q,\n", memcached)
	}
	b.WriteString("]\n" + cfg.Pool)
	if p.Config, err = f.File(name+".toml", b.String()); err != nil {
		return Proxy{}, err
	}
	return f.StartProxy(ctx, p, f.m.ProxyCores(cfg.Workers), []string{cmp.Or(cfg.Program, f.m.Mcproxy), "serve", "-c", p.Config})
}

// StartNutcracker starts twemproxy before the fleet's memcacheds, with buffers of that many bytes; 0 is its default. Its ring
// is ketama with fnv1a_64.
func (f *Fleet) StartNutcracker(ctx context.Context, name string, mbuf int) (Proxy, error) {
	p := Proxy{Name: name, Family: Nutcracker}
	var err error
	if p.Address, _, err = FreeAddress(); err != nil {
		return Proxy{}, err
	}
	_, stats, err := FreeAddress()
	if err != nil {
		return Proxy{}, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "main:\n  listen: %s\n  hash: fnv1a_64\n  distribution: ketama\n  auto_eject_hosts: false\n  preconnect: true\n  servers:\n",
		p.Address)
	for _, memcached := range f.Memcacheds {
		fmt.Fprintf(&b, "   - %s:1\n", memcached)
	}
	argv := []string{f.m.Program(Nutcracker), "-a", "127.0.0.1", "-s", stats, "-v", "3"}
	if mbuf > 0 {
		argv = append(argv, "-m", strconv.Itoa(mbuf))
	}
	if p.Config, err = f.File(name+".yml", b.String()); err != nil {
		return Proxy{}, err
	}
	return f.StartProxy(ctx, p, f.m.ProxyCores(1), append(argv, "-c", p.Config))
}

// StartProxy starts any proxy, and sets its Child and PID.
func (f *Fleet) StartProxy(ctx context.Context, p Proxy, cores string, argv []string) (Proxy, error) {
	var err error
	if p.Child, err = f.Start(ctx, p.Name, p.Address, cores, argv); err != nil {
		return Proxy{}, err
	}
	p.PID = p.Child.PID()
	return p, nil
}

// File writes a file that goes with the fleet, and gives its path.
func (f *Fleet) File(name, text string) (string, error) {
	path := filepath.Join(f.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// Close ends the children, the last first, and removes their files.
func (f *Fleet) Close() {
	for _, c := range slices.Backward(f.children) {
		c.End(syscall.SIGTERM)
	}
	for _, l := range f.links {
		if err := l.down(); err != nil {
			f.m.Say("%v", err)
		}
	}
	_ = os.RemoveAll(f.dir) // what stays is a few files in a directory for such
}
