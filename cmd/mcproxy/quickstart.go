package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mcproxy/config"
	"mcproxy/daemon"
)

// quickstartOptions are the flags of quickstart.
type quickstartOptions struct {
	backends int
	memory   int // MiB of each
	ring     string
	address  string // of the proxy
	admin    string
}

func newQuickstart() *cobra.Command {
	var opts quickstartOptions
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Try it: a proxy before memcacheds of its own",
		Long: "quickstart starts real memcacheds on free loopback ports and a proxy before them, shows a session with it, and waits for\n" +
			"Ctrl-C, which ends all of them. It needs memcached, and no configuration.",
		Example: "  mcproxy quickstart\n  mcproxy quickstart --backends 8 --memory 256 --ring cmemcache",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.check(); err != nil {
				return err
			}
			// An address that was not asked for may be another one if it is taken.
			if !cmd.Flags().Changed("address") {
				opts.address = freeAddress(opts.address)
			}
			if !cmd.Flags().Changed("admin-address") {
				opts.admin = freeAddress(opts.admin)
			}
			return quickstart(cmd.Context(), opts, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&opts.backends, "backends", 3, "how many memcacheds, 1 to 64")
	flags.IntVar(&opts.memory, "memory", 64, "MiB of memory for each memcached, 1 or more")
	flags.StringVar(&opts.ring, "ring", "consistent", "how keys are placed: consistent, cmemcache, ketama, libmemcached or rendezvous")
	flags.StringVar(&opts.address, "address", "127.0.0.1:11210", "the proxy's address; another port if this one is taken")
	flags.StringVar(&opts.admin, "admin-address", "127.0.0.1:9151", "the address of metrics and health; another port if this one is taken")
	_ = cmd.RegisterFlagCompletionFunc("ring", cobra.FixedCompletions( // fails only if there is no such flag
		[]string{"consistent", "cmemcache", "ketama", "libmemcached", "rendezvous"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check finds flags that make no configuration, before anything is started.
func (o quickstartOptions) check() error {
	switch {
	case o.backends < 1 || o.backends > 64:
		return usageError(fmt.Sprintf("--backends is %d; write 1 to 64", o.backends))
	case o.memory < 1 || o.memory > 1<<20:
		return usageError(fmt.Sprintf("--memory is %d; write 1 to %d (MiB)", o.memory, 1<<20))
	}
	var problems config.Problems
	_, err := config.Parse("quickstart", o.toml([]*memcached{{name: "b1", address: "127.0.0.1:1"}}))
	if !errors.As(err, &problems) {
		return err
	}
	flag, ok := map[string]string{"pools.main.ring": "--ring", "listeners[0].address": "--address", "admin.address": "--admin-address"}[problems[0].Key]
	if !ok {
		return problems
	}
	return usageError(flag + ": " + problems[0].Text)
}

// toml gives the configuration of a proxy before the backends.
func (o quickstartOptions) toml(backends []*memcached) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[[listeners]]\naddress = %q\n\n[admin]\naddress = %q\n\n", o.address, o.admin)
	fmt.Fprintf(&b, "[pools.main]\nring = %q\nbackends = [\n", o.ring)
	for _, m := range backends {
		fmt.Fprintf(&b, "  { name = %q, address = %q },\n", m.name, m.address)
	}
	b.WriteString("]\n")
	return b.String()
}

// freeAddress gives address, or its host with port 0 if somebody listens there.
func freeAddress(address string) string {
	ln, err := net.Listen("tcp", address)
	if err == nil {
		ln.Close()
		return address
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil || !errors.Is(err, syscall.EADDRINUSE) {
		return address // what is wrong shows when the proxy listens
	}
	return net.JoinHostPort(host, "0")
}

// quickstart runs until a signal.
func quickstart(ctx context.Context, opts quickstartOptions, out, errOut io.Writer) (err error) {
	log, err := daemon.NewLog(config.Log{Level: "warn", Format: "console"}, errOut)
	if err != nil {
		return err
	}
	path, err := findMemcached()
	if err != nil {
		return err
	}
	ctx, signals := notify(ctx, log.Logger)
	defer signals.stop()

	var backends []*memcached
	defer func() {
		for _, m := range backends {
			m.end()
		}
	}()
	for i := range opts.backends {
		m, err := startMemcached(ctx, path, fmt.Sprintf("b%d", i+1), opts.memory)
		if err != nil {
			return err
		}
		backends = append(backends, m)
	}
	f, err := config.Parse("quickstart", opts.toml(backends))
	if err != nil {
		return err
	}
	p, err := daemon.New(daemon.Options{File: f, Version: programVersion(), Log: log})
	if err != nil {
		return err
	}
	listening := p.Addrs()[0]
	opts.address = address(listening.Network(), listening.String())
	opts.admin = p.AdminAddr().String()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, signals.second) }() // ends with ctx; waited for below
	if err := introduce(opts, listening, backends, out); err != nil {
		cancel()
		return errors.Join(err, <-done)
	}
	if err := <-done; err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "ended, and the memcacheds too")
	return err
}

// introduce prints what is running, and a session with it.
func introduce(opts quickstartOptions, listening net.Addr, backends []*memcached, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "mcproxy %s\n\n", programVersion())
	fmt.Fprintf(w, "  address\t%s\tany memcached client can use it\n", opts.address)
	fmt.Fprintf(w, "  admin\thttp://%s/metrics\t/healthz and /readyz too\n", opts.admin)
	for _, m := range backends {
		fmt.Fprintf(w, "  %s\t%s\tmemcached, pid %d\n", m.name, m.address, m.cmd.Process.Pid)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprint(out, "\nA session with it:\n\n")
	if err := sampleSession(listening, out); err != nil {
		return fmt.Errorf("sample session: %w", err)
	}
	fmt.Fprintf(out, "\nThe same as proxy.toml, for mcproxy serve:\n\n")
	for line := range strings.Lines(opts.toml(backends)) {
		fmt.Fprint(out, strings.TrimRight("  "+line, " \n")+"\n")
	}
	_, err := fmt.Fprint(out, "\nCtrl-C ends the proxy and the memcacheds.\n")
	return err
}
