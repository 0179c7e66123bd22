package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"mcproxy/config"
	"mcproxy/daemon"
)

func newServe() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve [-c FILE]",
		Short: "Run the proxy",
		Long: "serve runs the proxy until SIGTERM or SIGINT. Then it accepts nobody more, answers what it was asked, and ends; a second\n" +
			"signal ends it at once. SIGHUP has it read its configuration again: if that is right, it goes over to it without losing a\n" +
			"request or a client; if not, nothing changes. SIGUSR2 has a new process of the program, from the file that is there now,\n" +
			"take over the listeners and the clients, who do not notice. The log goes to standard error.",
		Example: "  mcproxy serve -c /etc/mcproxy/proxy.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			inherited, err := daemon.Inherit()
			if err != nil {
				return err
			}
			f, err := config.Load(file)
			if err == nil {
				err = serve(cmd.Context(), daemon.Options{File: f, Path: file, Version: programVersion(), Inherited: inherited}, cmd.ErrOrStderr())
			}
			inherited.Failed(err)
			return err
		},
	}
	fileFlag(cmd, &file)
	return cmd
}

// serve runs a configuration until a signal.
func serve(ctx context.Context, o daemon.Options, errOut io.Writer) error {
	log, err := daemon.NewLog(o.File.Log, errOut)
	if err != nil {
		return err
	}
	o.Log = log
	ctx, signals := notify(ctx, log.Logger)
	defer signals.stop()
	log.Info("mcproxy starts", zap.String("version", o.Version), zap.String("go", runtime.Version()),
		zap.Int("pid", os.Getpid()), zap.String("config", o.Path))
	logDescriptors(log.Logger, o.File.Proxy.MaxConns)
	d, err := daemon.New(o)
	if err != nil {
		return err
	}
	signals.obey(d)
	if err := d.Run(ctx, signals.second); err != nil {
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

// sameSignal is how long a signal may be followed by itself before it counts as a second one.
const sameSignal = 200 * time.Millisecond

// signals are what the program does about them.
type signals struct {
	second <-chan struct{} // closed at the second one that ends the program
	obey   func(d *daemon.Daemon)
	stop   func() // lets signals do what they did before
}

// notify gives a context that the first SIGTERM or SIGINT ends. Other signals wait until there is a Daemon to obey them.
func notify(ctx context.Context, log *zap.Logger) (context.Context, signals) {
	ctx, cancel := context.WithCancel(ctx)
	received := make(chan os.Signal, 4)
	signal.Notify(received, syscall.SIGTERM, syscall.SIGINT)
	changes := make(chan os.Signal, 4)
	signal.Notify(changes, syscall.SIGHUP, syscall.SIGUSR2)
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
	obey := func(d *daemon.Daemon) {
		go func() { // ends at stop; a change that it has begun ends with the process
			for {
				select {
				case <-stopped:
					return
				case s := <-changes: // the log says what comes of it
					if s == syscall.SIGHUP {
						_, _ = d.Reload(ctx)
					} else {
						_, _ = d.Upgrade(ctx)
					}
				}
			}
		}()
	}
	return ctx, signals{second, obey, func() {
		signal.Stop(received)
		signal.Stop(changes)
		close(stopped)
		cancel()
	}}
}
