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
			"request or a client; if not, nothing changes. The log goes to standard error.",
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
	log, err := daemon.NewLog(f.Log, errOut)
	if err != nil {
		return err
	}
	ctx, signals := notify(ctx, log.Logger)
	defer signals.stop()
	log.Info("mcproxy starts", zap.String("version", programVersion()), zap.String("go", runtime.Version()),
		zap.Int("pid", os.Getpid()), zap.String("config", name))
	logDescriptors(log.Logger, f.Proxy.MaxConns)
	d, err := daemon.New(daemon.Options{File: f, Path: name, Version: programVersion(), Log: log})
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
	signal.Notify(changes, syscall.SIGHUP)
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
				case <-changes:
					_, _ = d.Reload(ctx) // it says in the log what came of it
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
