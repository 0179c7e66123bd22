package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mcproxy/bench"
	"mcproxy/bench/workload"
)

// A benchOptions is what the flags of "mcproxy bench" set.
type benchOptions struct {
	bench.Config
	json    bool
	html    string
	compare bool
	rounds  int
	slo     string
	live    bool
}

// newBenchCommand is "mcproxy bench".
func newBenchCommand() *cobra.Command {
	o := benchOptions{Config: bench.Default()}
	cmd := &cobra.Command{
		Use:   "bench [flags] HOST:PORT | --compare HOST:PORT HOST:PORT",
		Short: "Measure any memcached text endpoint under load",
		Long: "bench loads a memcached, or any proxy before some, and measures what it answers. It writes to the endpoint: keys begin\n" +
			"with --key-prefix. An endpoint is HOST:PORT, [IPv6]:PORT or unix:PATH, and must answer \"version\".\n\n" +
			"Without --rate the loop is closed: a conn sends when it has been answered. With --rate it is open: operations are sent\n" +
			"when they are due, and latencies count from then, so that a stall weighs on all that it delays.\n\n" +
			"SIZES: 100, 10-1KiB (uniform), 100:9,4KiB:1 (by weight), etc (Facebook's ETC pool), big:0.05 (5 % of 100 KiB to 4 MiB).\n\n" +
			"Workloads:\n" +
			"  mixed            gets, sets, deletes, touches and incrs by their ratios, as the other flags say\n" +
			"  zipf, viral, hot-swap, sequential, etc, big\n" +
			"                   mixed, with the keys or sizes named\n" +
			"  keystone-tokens  Keystone's token store: service users' lists of tokens grow and are rewritten whole\n" +
			"  trace            replay a cache trace: time,key,key size,value size,client,operation,ttl\n" +
			"  commands         replay a file of commands, such as \"mcproxy bench record\" writes",
		Example: "  mcproxy bench 127.0.0.1:11211\n" +
			"  mcproxy bench --rate 20000 --zipf 1.1 --value-size etc --html report.html 127.0.0.1:11210\n" +
			"  mcproxy bench --compare --rounds 10 127.0.0.1:11210 127.0.0.1:22121\n" +
			"  mcproxy bench --slo p99=1ms,p99.9=5ms 127.0.0.1:11210\n" +
			"  mcproxy bench --verify --set-ratio 0.3 --keys 1000 127.0.0.1:11210\n" +
			"  mcproxy bench --workload keystone-tokens --backends 127.0.0.1:11211,127.0.0.1:11212 127.0.0.1:11210\n" +
			"  zstd -dc cluster26.sort.zst | mcproxy bench --workload trace --file - 127.0.0.1:11210",
		Args: func(cmd *cobra.Command, args []string) error {
			if o.compare {
				return cobra.ExactArgs(2)(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Suit(cmd.Flags().Changed)
			o.Endpoint = args[0]
			if err := o.Check(); err != nil {
				return usageError(err.Error())
			}
			return o.run(cmd, args)
		},
	}
	o.bind(cmd)
	cmd.AddCommand(newRecordCommand())
	return cmd
}

// bind declares the flags.
func (o *benchOptions) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.Workload, "workload", o.Workload, strings.Join(workload.Names(), ", "))
	f.IntVar(&o.Conns, "conns", o.Conns, "conns kept open")
	f.IntVar(&o.Pipeline, "pipeline", o.Pipeline, "operations in flight on each conn")
	f.DurationVar(&o.Duration, "duration", o.Duration, "how long to measure; 10m with --requests and for replays")
	f.Int64Var(&o.Requests, "requests", o.Requests, "how many operations to measure (0: as many as the duration allows)")
	f.DurationVar(&o.Warmup, "warmup", o.Warmup, "load before the measurement; 0s with --requests, for keystone-tokens and replays")
	f.DurationVar(&o.Timeout, "timeout", o.Timeout, "an operation without an answer for so long has failed")
	f.Float64Var(&o.Rate, "rate", o.Rate, "operations a second, whatever the endpoint does: an open loop (0: a closed loop)")
	f.StringVar(&o.Arrivals, "arrivals", o.Arrivals, "of an open loop: poisson or even")
	f.StringVar(&o.Client, "client", o.Client, "raw (the tool's own) or gomemcache (what a Go application sees)")
	f.StringVar(&o.Source, "source", o.Source, "IP address of this machine that conns come from (such as 127.0.1.1 for a loopback endpoint)")
	f.IntVar(&o.Threads, "threads", o.Threads, "threads that drive the conns (0: half of the processors)")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "the same seed gives the same keys, sizes and order")

	f.IntVar(&o.Keys, "keys", o.Keys, "different keys")
	f.StringVar(&o.KeyDist, "key-dist", o.KeyDist, "which keys: uniform, zipf, hot-swap or sequential")
	f.Float64Var(&o.Zipf, "zipf", o.Zipf, "exponent of Zipf's law; alone, it means --key-dist zipf")
	f.Float64Var(&o.Viral, "viral", o.Viral, "share of one viral key in all picks; the rest follows --key-dist")
	f.IntVar(&o.SwapKeys, "swap-keys", o.SwapKeys, "hot-swap: how many of the hottest keys are exchanged")
	f.DurationVar(&o.SwapEvery, "swap-every", o.SwapEvery, "hot-swap: how often")
	f.StringVar(&o.KeySize, "key-size", o.KeySize, "bytes of a key: SIZES")
	f.StringVar(&o.KeyFile, "key-file", o.KeyFile, "the keys are this file's lines, in place of keys that are made up")
	f.StringVar(&o.KeyPrefix, "key-prefix", o.KeyPrefix, "of every key that is made up")
	f.StringVar(&o.ValueSize, "value-size", o.ValueSize, "bytes of a value: SIZES")
	f.Float64Var(&o.SetRatio, "set-ratio", o.SetRatio, "share of sets; what no ratio takes is gets")
	f.Float64Var(&o.DeleteRatio, "delete-ratio", o.DeleteRatio, "share of deletes")
	f.Float64Var(&o.TouchRatio, "touch-ratio", o.TouchRatio, "share of touches")
	f.Float64Var(&o.IncrRatio, "incr-ratio", o.IncrRatio, "share of incrs, on keys of their own")
	f.IntVar(&o.Multiget, "multiget", o.Multiget, "keys in one get")
	f.DurationVar(&o.TTL, "ttl", o.TTL, "of what is set and touched, in whole seconds (0s: for ever)")
	f.BoolVar(&o.Meta, "meta", o.Meta, "send meta commands")
	f.BoolVar(&o.Prefill, "prefill", o.Prefill, "set every key first")
	f.BoolVar(&o.Verify, "verify", o.Verify, "check every value read for staleness, tearing and crossed keys; exit 1 if one is wrong")

	f.IntVar(&o.Users, "users", o.Users, "keystone-tokens: users beside the service users")
	f.StringVar(&o.ServiceUsers, "service-users", o.ServiceUsers, "keystone-tokens: ids of the service users")
	f.Float64Var(&o.ServiceShare, "service-share", o.ServiceShare, "keystone-tokens: the service users' share of the tokens")
	f.StringVar(&o.TokenSize, "token-size", o.TokenSize, "keystone-tokens: bytes of a token: SIZES")
	f.IntVar(&o.Validations, "validations", o.Validations, "keystone-tokens: reads of tokens for each that is issued")
	f.IntVar(&o.ListLimit, "list-limit", o.ListLimit, "keystone-tokens: bytes of a list, past which the oldest tokens leave it (0: none)")
	f.BoolVar(&o.Locks, "locks", o.Locks, "keystone-tokens: change lists under Keystone's lock")
	f.StringVar(&o.File, "file", o.File, "trace, commands: the file (- is the standard input)")
	f.Float64Var(&o.Speed, "speed", o.Speed, "trace, commands: 1 as recorded, 2 twice as fast (0: as fast as the endpoint answers)")

	f.StringVar(&o.Backends, "backends", o.Backends, "the memcacheds behind the endpoint, host:port,host:port: show how they share the load")
	f.BoolVar(&o.compare, "compare", false, "run against two endpoints in turn, A B A B")
	f.IntVar(&o.rounds, "rounds", 5, "compare: how many times A B")
	f.StringVar(&o.slo, "slo", "", "search for the highest rate that holds, such as p99=1ms,p99.9=5ms")
	f.BoolVar(&o.json, "json", false, "print the result as JSON (docs/bench.md)")
	f.BoolVar(&o.live, "progress", false, "say each second how it goes, also when the standard error is no terminal")
	f.StringVar(&o.html, "html", "", "also write a page with plots to this file")
}

// A report is what a run, a comparison or a search gives.
type report interface {
	WriteSummary(out io.Writer) error
	WriteHTML(out io.Writer) error
}

// run measures and reports.
func (o *benchOptions) run(cmd *cobra.Command, args []string) (err error) {
	var slo bench.SLO
	if o.slo != "" {
		if slo, err = bench.ParseSLO(o.slo); err != nil {
			return usageError(err.Error())
		}
	}
	if o.slo != "" && o.compare {
		return usageError("slo and compare exclude each other")
	}
	var page *os.File
	if o.html != "" {
		// Before the load: a file that cannot be written should not be found out after it.
		if page, err = os.Create(o.html); err != nil {
			return err
		}
		defer page.Close()
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	line := newLiveLine(cmd.ErrOrStderr(), o.live)
	var out report
	var wrong int64
	switch {
	case o.compare:
		var c *bench.Comparison
		if c, err = bench.Compare(ctx, o.Config, args[1], o.rounds, line.show); err == nil {
			out = c
			for i := range c.RunsA {
				wrong += c.RunsA[i].Offences() + c.RunsB[i].Offences()
			}
		}
	case slo != nil:
		var s *bench.Search
		if s, err = slo.Search(ctx, o.Config, line.show); err == nil {
			out = s
		}
	default:
		var r *bench.Result
		if r, err = bench.Run(ctx, o.Config, line.show); err == nil {
			out, wrong = r, r.Offences()
		}
	}
	line.clear()
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted before anything was measured")
		}
		return err
	}
	if page != nil {
		err = cmp.Or(out.WriteHTML(page), page.Close())
	}
	if o.json {
		err = cmp.Or(printJSON(cmd.OutOrStdout(), out), err)
	} else {
		err = cmp.Or(out.WriteSummary(cmd.OutOrStdout()), err)
	}
	if err == nil && wrong > 0 {
		return fmt.Errorf("%d values read were wrong", wrong)
	}
	return err
}

// newRecordCommand is "mcproxy bench record".
func newRecordCommand() *cobra.Command {
	tee := bench.Tee{Duration: 10 * time.Minute, MaxBytes: 1 << 30}
	cmd := &cobra.Command{
		Use:   "record [flags] LISTEN ENDPOINT FILE",
		Short: "Stand between clients and an endpoint, and write down what they say",
		Long: "record listens for clients, passes what they say on to the endpoint, unchanged, and writes their commands to a file that\n" +
			"\"mcproxy bench --workload commands --file FILE\" replays. The file holds what the clients store: --blank-values leaves\n" +
			"the lengths alone. Ctrl-C ends it, and closes the conns.",
		Example: "  mcproxy bench record 127.0.0.1:11311 127.0.0.1:11211 commands.txt",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			file, err := os.OpenFile(args[2], os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
			if err != nil {
				return err
			}
			defer file.Close()
			tee.Listen, tee.Endpoint, tee.Out = args[0], args[1], file
			recorded, err := tee.Run(ctx, func(address string) {
				fmt.Fprintf(cmd.ErrOrStderr(), "listening on %s for %s; Ctrl-C ends\n", address, args[1])
			})
			if err = cmp.Or(err, file.Close()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d commands of %d clients, %d bytes\n", recorded.Commands, recorded.Clients, recorded.Bytes)
			if recorded.Full {
				fmt.Fprintln(cmd.OutOrStdout(), "a bound was reached: what came afterwards is not recorded")
			}
			if recorded.Broken > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "%d clients spoke no text protocol that can be recorded\n", recorded.Broken)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&tee.Duration, "duration", tee.Duration, "how long to record")
	cmd.Flags().Int64Var(&tee.MaxBytes, "max-bytes", tee.MaxBytes, "how much to record")
	cmd.Flags().BoolVar(&tee.BlankValues, "blank-values", false, "write values as so many x")
	return cmd
}

// A liveLine says how it goes: on a terminal in one line that is written over again and again, elsewhere, if asked to, line by
// line.
type liveLine struct {
	out      io.Writer // nil: nowhere
	terminal bool
	width    int // of what stands there, on a terminal
}

func newLiveLine(out io.Writer, asked bool) *liveLine {
	if file, ok := out.(*os.File); ok {
		if _, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS); err == nil {
			return &liveLine{out: out, terminal: true}
		}
	}
	if asked {
		return &liveLine{out: out}
	}
	return &liveLine{}
}

func (l *liveLine) show(p bench.Progress) { l.say(p.Line()) }

func (l *liveLine) say(text string) {
	switch {
	case l.terminal:
		l.write(text)
	case l.out != nil:
		fmt.Fprintln(l.out, text)
	}
}

func (l *liveLine) clear() {
	if l.terminal {
		l.write("")
	}
}

func (l *liveLine) write(text string) {
	fmt.Fprintf(l.out, "\r%-*s\r%s", l.width, "", text)
	l.width = len(text)
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
