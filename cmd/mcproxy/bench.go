package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mcproxy/bench"
)

// requestsDuration bounds a run that is to end by its count of requests.
const requestsDuration = 10 * time.Minute

// newBenchCommand is "mcproxy bench".
func newBenchCommand() *cobra.Command {
	cfg := bench.Default()
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench [flags] HOST:PORT",
		Short: "Measure any memcached text endpoint under load",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Endpoint = args[0]
			if cfg.Requests > 0 && !cmd.Flags().Changed("duration") {
				cfg.Duration = requestsDuration
			}
			if err := cfg.Check(); err != nil {
				return usageError(err.Error())
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			result, err := bench.Run(ctx, cfg, liveLine(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), result)
			}
			return result.WriteSummary(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.IntVar(&cfg.Conns, "conns", cfg.Conns, "conns kept open")
	f.IntVar(&cfg.Pipeline, "pipeline", cfg.Pipeline, "operations in flight on each conn")
	f.IntVar(&cfg.Threads, "threads", cfg.Threads, "threads that drive the conns (0: half of the processors)")
	f.DurationVar(&cfg.Duration, "duration", cfg.Duration, "how long to measure")
	f.Int64Var(&cfg.Requests, "requests", cfg.Requests, "how many operations to measure")
	f.DurationVar(&cfg.Warmup, "warmup", cfg.Warmup, "load before the measurement")
	f.DurationVar(&cfg.Timeout, "timeout", cfg.Timeout, "an operation without an answer for so long has failed")
	f.Float64Var(&cfg.Rate, "rate", cfg.Rate, "operations a second, whatever the endpoint does (0: closed loop)")
	f.StringVar(&cfg.Arrivals, "arrivals", cfg.Arrivals, "of an open loop: poisson or even")
	f.IntVar(&cfg.Keys, "keys", cfg.Keys, "different keys")
	f.StringVar(&cfg.ValueSize, "value-size", cfg.ValueSize, "bytes of a value")
	f.Float64Var(&cfg.SetRatio, "set-ratio", cfg.SetRatio, "share of sets")
	f.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "seed")
	f.BoolVar(&cfg.Prefill, "prefill", cfg.Prefill, "set every key first")
	f.BoolVar(&cfg.Meta, "meta", cfg.Meta, "meta commands")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// liveLine writes over its last line again and again.
func liveLine(out io.Writer) func(bench.Progress) {
	return func(p bench.Progress) { fmt.Fprintf(out, "\r%-60s\r", p.Line()) }
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
