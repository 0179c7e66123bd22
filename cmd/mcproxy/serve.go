package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"mcproxy/admin"
	"mcproxy/config"
	"mcproxy/proxy"
)

func newServe() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve [-c FILE]",
		Short: "Run the proxy",
		Long: "serve runs the proxy until SIGTERM or SIGINT. Then it accepts nobody more, answers what it was asked, and ends; a second\n" +
			"signal ends it at once. The log goes to standard error.",
		Example: "  mcproxy serve -c /etc/mcproxy/proxy.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := config.Load(file)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), file, f, cmd.ErrOrStderr())
		},
	}
	fileFlag(cmd, &file)
	return cmd
}

// serve runs a configuration until a signal.
func serve(ctx context.Context, name string, f *config.File, errOut io.Writer) error {
	log, control, err := newLog(f.Log, errOut)
	if err != nil {
		return err
	}
	ctx, signals := notify(ctx, log)
	defer signals.stop()
	log.Info("mcproxy starts", zap.String("version", programVersion()), zap.String("go", runtime.Version()),
		zap.Int("pid", os.Getpid()), zap.String("config", name))
	logDescriptors(log, f.Proxy.MaxConns)
	p, err := newProgram(f, log, control)
	if err != nil {
		return err
	}
	if err := p.run(ctx, signals.second); err != nil {
		return err
	}
	log.Info("mcproxy has ended")
	return nil
}

// logDescriptors tells how many files the process may open. The Go runtime has raised the soft limit to the hard one, less 1, before
// main (package os, rlimit.go), as 10,000 clients need it.
func logDescriptors(log *zap.Logger, maxConns int) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("cannot read the limit of file descriptors", zap.Error(err))
		return
	}
	log.Info("limits", zap.Uint64("descriptors", limit.Cur), zap.Int("max_connections", maxConns))
	if uint64(maxConns) >= limit.Cur {
		log.Warn("max_connections is more than the process may open files: raise LimitNOFILE= or ulimit -n")
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

// A program is a proxy and its admin endpoints, which listen already.
type program struct {
	proxy   *proxy.Server
	admin   *admin.Server
	adminLn net.Listener // nil without [admin]
}

// newProgram opens all listeners, and logs what should be thought over.
func newProgram(f *config.File, log *zap.Logger, control *logControl) (*program, error) {
	for _, w := range f.Warnings {
		log.Warn(w.Text, zap.String("config", w.File), zap.Int("line", w.Line), zap.String("key", w.Key))
	}
	p := &program{}
	var err error
	// First, as it leaves nothing behind when the proxy cannot listen.
	if f.Admin.Address != "" {
		if p.adminLn, err = net.Listen("tcp", f.Admin.Address); err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
	}
	cfg := f.Proxy
	cfg.Version = programVersion()
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	spareScheduler(cfg.Workers)
	if p.proxy, err = proxy.New(cfg, log.Named("proxy")); err != nil {
		if p.adminLn != nil {
			p.adminLn.Close()
		}
		return nil, err
	}
	for _, a := range p.proxy.Addrs() {
		log.Info("listening", zap.Stringer("address", a))
	}
	if p.adminLn != nil {
		opts := admin.Options{
			Build: admin.Build{Version: programVersion(), GoVersion: runtime.Version()}, NativeHistograms: f.Admin.NativeHistograms, Log: control,
		}
		p.admin = admin.New(p.proxy, opts, log.Named("admin"))
		log.Info("admin", zap.String("url", "http://"+p.adminLn.Addr().String()))
	}
	return p, nil
}

// run serves until ctx is done and the proxy has drained, or until now is closed. The admin endpoints stay to the end, so that
// they can tell of the draining.
func (p *program) run(ctx context.Context, now <-chan struct{}) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	adminDone := make(chan struct{})
	adminCtx, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAdmin()
	go func() { // ends when stopAdmin is called; run waits for it
		defer close(adminDone)
		if p.admin == nil {
			return
		}
		if err := p.admin.Serve(adminCtx, p.adminLn); err != nil {
			cancel(err)
		}
	}()
	proxyDone := make(chan error, 1)
	go func() { proxyDone <- p.proxy.Serve(ctx) }() // ends with ctx, or with the process
	var err error
	select {
	case err = <-proxyDone:
	case <-now:
		return errors.New("ended at once by a second signal; clients may miss answers")
	}
	stopAdmin()
	<-adminDone
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause // of the admin endpoints
	}
	return err
}

// sameSignal is how long a signal may be followed by itself before it counts as a second one.
const sameSignal = 200 * time.Millisecond

// signals are those that end the program.
type signals struct {
	second <-chan struct{} // closed at the second one
	stop   func()          // lets signals do what they did before
}

// notify gives a context that the first SIGTERM or SIGINT ends.
func notify(ctx context.Context, log *zap.Logger) (context.Context, signals) {
	ctx, cancel := context.WithCancel(ctx)
	received := make(chan os.Signal, 4)
	signal.Notify(received, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	second := make(chan struct{})
	stopped := make(chan struct{})
	go func() { // ends at stop, or at the second signal
		var first time.Time
		for {
			select {
			case <-stopped:
				return
			case s := <-received:
				switch {
				case s == syscall.SIGHUP:
					log.Warn("SIGHUP changes nothing: a new configuration needs a restart")
				case first.IsZero():
					first = time.Now()
					log.Info("draining; a second signal ends the process at once", zap.Stringer("signal", s))
					cancel()
				case time.Since(first) < sameSignal: // timeout(1) signals the process and its group
				default:
					close(second)
					return
				}
			}
		}
	}()
	return ctx, signals{second, func() {
		signal.Stop(received)
		close(stopped)
		cancel()
	}}
}
