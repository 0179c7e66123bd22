package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"mcproxy/admin"
	"mcproxy/config"
	"mcproxy/internal/discover"
	"mcproxy/internal/resolve"
	"mcproxy/proxy"
)

// Options say what a Daemon begins with.
type Options struct {
	File    *config.File
	Path    string // where File was read, and is read again; "": nowhere
	Version string // the program's
	Log     *Log
	// Inherited is what the process has from another; nil: nothing.
	Inherited *Inheritance
}

// A Daemon is a proxy and its admin endpoints. Its methods are safe for concurrent use.
type Daemon struct {
	*proxy.Server

	// Immutable after New.
	path    string
	version string
	log     *Log
	admin   *admin.Server // nil without [admin], and so is
	adminLn *leavable
	from    *Inheritance
	systemd *systemd
	program string   // the file that an upgrade starts; "": not known
	args    []string // and what with

	changing sync.Mutex    // held while the configuration or the process changes
	file     *config.File  // guarded by changing: what is in force,
	found    proxy.Config  // and its Proxy with the backends of sets; guarded by changing
	holds    time.Duration // for so long what sets stand for does; guarded by changing
	left     bool          // guarded by changing: another process has taken over
	finder   *discover.Finder
}

// New opens all listeners, and logs what should be thought over. Nobody is served before Run.
func New(o Options) (*Daemon, error) {
	warn(o.Log.Logger, o.File)
	d := &Daemon{path: o.Path, version: o.Version, log: o.Log, file: o.File, from: o.Inherited, systemd: newSystemd(o.Log.Logger)}
	d.program, d.args = program()
	var err error
	d.finder = &discover.Finder{Resolver: resolve.New(o.File.Proxy.DNSServer)}
	cfg, missing := d.find(context.Background(), o.File.Proxy)
	if len(missing) > 0 && d.from.takesOver() { // the process before knows what they stand for
		return nil, fmt.Errorf("the SRV records of %s are not found", strings.Join(missing, ", "))
	}
	d.found = cfg
	// First, as it leaves nothing behind when the proxy cannot listen.
	if d.adminLn, err = d.openAdmin(o.File.Admin.Address); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	cfg.Version = o.Version
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	spareScheduler(cfg.Workers)
	if d.Server, err = proxy.NewFrom(cfg, o.Log.Named("proxy"), d.from.inherited()); err != nil {
		if d.adminLn != nil {
			d.adminLn.Close()
		}
		return nil, err
	}
	d.from.closeRest(o.Log.Logger)
	for _, a := range d.Addrs() {
		o.Log.Info("listening", zap.Stringer("address", a))
	}
	if d.adminLn != nil {
		opts := admin.Options{
			Build: admin.Build{Version: o.Version, GoVersion: runtime.Version()}, NativeHistograms: o.File.Admin.NativeHistograms, Log: o.Log.control,
			Hosts: adminHosts(o.File.Admin), Pprof: o.File.Admin.Pprof,
		}
		d.admin = admin.New(d, opts, o.Log.Named("admin"))
		o.Log.Info("admin", zap.String("url", "http://"+d.adminLn.Addr().String()))
	}
	return d, nil
}

// adminHosts are the names by which the endpoints may be asked: those of the configuration, and the machine's own, long and short.
func adminHosts(a config.Admin) []string {
	hosts := slices.Clone(a.Hosts)
	if name, err := os.Hostname(); err == nil {
		short, _, _ := strings.Cut(name, ".")
		hosts = append(hosts, name, short)
	}
	return hosts
}

func (d *Daemon) hasLeft() bool {
	d.changing.Lock()
	defer d.changing.Unlock()
	return d.left
}

// tellSystemd tells it when clients are served, that they are, and when the process ends. The goroutines end with ctx.
func (d *Daemon) tellSystemd(ctx context.Context) *sync.WaitGroup {
	var g sync.WaitGroup
	g.Go(func() {
		select {
		case <-ctx.Done():
			return
		case <-d.Serving():
		}
		d.systemd.ready("clients are accepted")
		d.systemd.feed(ctx, d.Probe)
	})
	return &g
}

func warn(log *zap.Logger, f *config.File) {
	for _, w := range f.Warnings {
		log.Warn(w.Text, zap.String("config", w.File), zap.Int("line", w.Line), zap.String("key", w.Key))
	}
}

// spareScheduler gives the Go scheduler room for two goroutines beside the event loops: those keep their processors while they are busy,
// and nobody who accepts clients or collects figures should wait for one of them to sleep. GOMAXPROCS in the environment
// is left alone.
func spareScheduler(workers int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), workers) + 2)
	}
}

// program gives the file of the running program, as whoever started it named it: a link may lead to another file by now. And its arguments.
func program() (path string, args []string) {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		path = ""
	}
	return path, os.Args[1:]
}

// AdminAddr is where the admin endpoints are; nil without them.
func (d *Daemon) AdminAddr() net.Addr {
	if d.adminLn == nil {
		return nil
	}
	return d.adminLn.Addr()
}

// Run serves until ctx is done and the proxy has drained, or until now is closed, or another process has taken over. The admin endpoints
// stay to the end, so that they can tell of the draining.
func (d *Daemon) Run(ctx context.Context, now <-chan struct{}) error {
	if d.from.takesOver() {
		if err := d.from.takeOver(ctx, d); err != nil {
			return fmt.Errorf("the process before goes on, and this one ends: %w", err)
		}
	}
	stop := context.AfterFunc(ctx, func() { d.systemd.tell("STOPPING=1") })
	defer stop()
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tellers := d.tellSystemd(ctx)
	defer tellers.Wait()
	defer cancel(nil)
	adminDone := make(chan struct{})
	adminCtx, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAdmin()
	go func() { // ends when stopAdmin is called; Run waits for it
		defer close(adminDone)
		if d.admin == nil {
			return
		}
		if err := d.admin.Serve(adminCtx, d.adminLn); err != nil {
			cancel(err)
		}
	}()
	proxyDone := make(chan error, 1)
	go func() { proxyDone <- d.Serve(ctx) }() // ends with ctx, or with the process
	setsDone := make(chan struct{})
	go func() { // ends with ctx; Run waits for it
		defer close(setsDone)
		d.watchSets(ctx)
	}()
	defer func() {
		cancel(nil)
		<-setsDone
	}()
	var err error
	select {
	case err = <-proxyDone:
	case <-now:
		return errors.New("ended at once by a second signal; clients may miss answers")
	}
	stopAdmin()
	<-adminDone
	if d.hasLeft() {
		stop() // what becomes of this process is not the service's matter any more
		cancel(nil)
		lingered := make(chan struct{})
		go func() { // ends with the last client, or soon after outer
			defer close(lingered)
			d.Linger(outer)
		}()
		select {
		case <-lingered:
		case <-now:
		}
		return err
	}
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause // of the admin endpoints
	}
	return err
}
