package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mcproxy/bench/workload"
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
	workload string // "" or keystone-tokens
}

func newQuickstart() *cobra.Command {
	var opts quickstartOptions
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Try it: a proxy before memcacheds of its own",
		Long: "quickstart starts real memcacheds on free loopback ports and a proxy before them, shows a session with it, and waits for\n" +
			"Ctrl-C, which ends all of them. It needs memcached, and no configuration; what it runs stands in a file, which mcproxy reload\n" +
			"has it read again.\n\n" +
			"--workload keystone-tokens adds a load, and a story: Keystone's services rewrite long lists of tokens, and all lie on one of\n" +
			"two servers. docs/tutorial-skew.md tells it.",
		Example: "  mcproxy quickstart\n  mcproxy quickstart --backends 8 --memory 256 --ring cmemcache\n" +
			"  mcproxy quickstart --workload keystone-tokens",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.workload == workload.KeystoneTokens {
				opts.suitTokens(cmd.Flags().Changed)
			}
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
			opts.address, opts.admin = certainPort(opts.address), certainPort(opts.admin)
			return quickstart(cmd.Context(), opts, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&opts.backends, "backends", 3, "how many memcacheds, 1 to 64")
	flags.IntVar(&opts.memory, "memory", 64, "MiB of memory for each memcached, 1 or more")
	flags.StringVar(&opts.ring, "ring", "consistent", "how keys are placed: consistent, cmemcache, ketama, libmemcached or rendezvous")
	flags.StringVar(&opts.address, "address", "127.0.0.1:11210", "the proxy's address; another port if this one is taken")
	flags.StringVar(&opts.admin, "admin-address", "127.0.0.1:9151", "the address of metrics and health; another port if this one is taken")
	flags.StringVar(&opts.workload, "workload", "", "a load to look at: "+workload.KeystoneTokens+", with 2 backends of "+strconv.Itoa(tokenMemory)+" MiB and the ring "+tokenRing)
	_ = cmd.RegisterFlagCompletionFunc("workload", cobra.FixedCompletions([]string{workload.KeystoneTokens}, cobra.ShellCompDirectiveNoFileComp)) // as below
	_ = cmd.RegisterFlagCompletionFunc("ring", cobra.FixedCompletions(                                                                            // fails only if there is no such flag
		[]string{"consistent", "cmemcache", "ketama", "libmemcached", "rendezvous"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// suitTokens gives the options that were not given by hand what the story of the tokens needs.
func (o *quickstartOptions) suitTokens(given func(flag string) bool) {
	if !given("backends") {
		o.backends = 2
	}
	if !given("memory") {
		o.memory = tokenMemory
	}
	if !given("ring") {
		o.ring = tokenRing
	}
}

// onLoopback says whether an address is IPv4's loopback, of which this machine has 16 million.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.To4() != nil && ip.IsLoopback()
}

// check finds flags that make no configuration, before anything is started.
func (o quickstartOptions) check() error {
	switch {
	case o.backends < 1 || o.backends > 64:
		return usageError(fmt.Sprintf("--backends is %d; write 1 to 64", o.backends))
	case o.workload != "" && o.workload != workload.KeystoneTokens:
		return usageError(fmt.Sprintf("--workload is %q; the one that there is is %s", o.workload, workload.KeystoneTokens))
	case o.workload != "" && !onLoopback(o.address):
		return usageError(fmt.Sprintf("--address is %s; the load comes from several addresses of this machine, so write 127.0.0.1:PORT", o.address))
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
	fmt.Fprintf(&b, "[pools.main]\nring = %q\n", o.ring)
	if o.workload != "" {
		b.WriteString("timeout = \"900ms\" # a busy laptop shall not look like a dead server\n")
	}
	b.WriteString("backends = [\n")
	for _, m := range backends {
		fmt.Fprintf(&b, "  { name = %q, address = %q },\n", m.name, m.address)
	}
	b.WriteString("]\n")
	if o.workload != "" {
		b.WriteString("\n# Long values in chunks, spread over all backends.\n[pools.main.split]\nenabled = false\n")
	}
	return b.String()
}

// writeToml writes the configuration to a file of its own, and gives its path.
func (o quickstartOptions) writeToml(backends []*memcached) (path string, err error) {
	dir, err := os.MkdirTemp("", "mcproxy-quickstart-")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "proxy.toml")
	return path, os.WriteFile(path, []byte(o.toml(backends)), 0o600)
}

// freeAddress gives address, or its host with another port if somebody listens there.
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
	return certainPort(net.JoinHostPort(host, "0"))
}

// certainPort gives an address whose port is left to the system a free one, so that the configuration says it.
func certainPort(address string) string {
	if _, port, err := net.SplitHostPort(address); err != nil || port != "0" {
		return address
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return address // as above
	}
	defer ln.Close()
	return ln.Addr().String()
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
	file, err := opts.writeToml(backends)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(file))
	f, err := config.Load(file)
	if err != nil {
		return err
	}
	p, err := daemon.New(daemon.Options{File: f, Path: file, Version: programVersion(), Log: log})
	if err != nil {
		return err
	}
	signals.obey(p)
	listening := p.Addrs()[0]
	opts.address = address(listening.Network(), listening.String())
	opts.admin = p.AdminAddr().String()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, signals.second) }() // ends with ctx; waited for below
	err = opts.show(ctx, listening, file, backends, out)
	if err != nil {
		cancel()
	}
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "ended, and the memcacheds too")
	return err
}

// show prints what is running, and then shows a session with it, or loads it until ctx is done.
func (o quickstartOptions) show(ctx context.Context, listening net.Addr, file string, backends []*memcached, out io.Writer) error {
	if err := introduce(o, file, backends, out); err != nil {
		return err
	}
	if o.workload == "" {
		return introduceSession(o, listening, backends, out)
	}
	if err := seedTokens(listening); err != nil {
		return err
	}
	if err := introduceTokens(o, file, backends, out); err != nil {
		return err
	}
	return loadTokens(ctx, o.address)
}

// introduce prints what is running.
func introduce(opts quickstartOptions, file string, backends []*memcached, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "mcproxy %s\n\n", programVersion())
	fmt.Fprintf(w, "  address\t%s\tany memcached client can use it\n", opts.address)
	fmt.Fprintf(w, "  page\thttp://%s/\t/metrics, /healthz and more are there too\n", opts.admin)
	fmt.Fprintf(w, "  config\t%s\tmcproxy reload --admin %s has it read again\n", file, opts.admin)
	for _, m := range backends {
		fmt.Fprintf(w, "  %s\t%s\tmemcached, pid %d\n", m.name, m.address, m.cmd.Process.Pid)
	}
	return w.Flush()
}

// introduceSession prints a session, and the configuration.
func introduceSession(opts quickstartOptions, listening net.Addr, backends []*memcached, out io.Writer) error {
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
