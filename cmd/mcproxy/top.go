package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mcproxy/admin"
	"mcproxy/top"
)

// topOptions are the flags of top.
type topOptions struct {
	client adminClient
	tab    string
	once   bool
	json   bool
}

// newTopCommand is "mcproxy top".
func newTopCommand() *cobra.Command {
	var o topOptions
	cmd := &cobra.Command{
		Use:   "top [--admin HOST:PORT | -c FILE] [flags]",
		Short: "Watch a running proxy on the terminal: skew, backends, hot keys, clients",
		Long: "top asks the [admin] address of a running proxy each second, and shows its pools, backends, hot and oversized keys, clients and\n" +
			"events, each in a tab. ? in it lists its keys. The same is on the page of that address, with plots.\n\n" +
			"For scripts, --once prints all tabs as text, or --tab's alone, and --json prints one object, {\"status\": …, \"hot_keys\": …}, as\n" +
			"/api/status and /api/hotkeys answer (docs/admin.md).",
		Example: "  mcproxy top\n" +
			"  mcproxy top -c /etc/mcproxy/proxy.toml --tab keys\n" +
			"  mcproxy top --once --tab backends\n" +
			"  mcproxy top --json | jq '.status.pools[] | {pool, skew: .skew.bytes, busiest: .skew.busiest}'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.tab != "" && !slices.Contains(top.Tabs(), o.tab) {
				return usageError(fmt.Sprintf("--tab: %q is none of %s", o.tab, strings.Join(top.Tabs(), ", ")))
			}
			if err := o.client.resolve(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if o.once || o.json {
				return o.print(ctx, cmd)
			}
			return o.watch(ctx, cmd)
		},
	}
	o.client.bind(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.tab, "tab", "", "begin with this `tab`: "+strings.Join(top.Tabs(), ", ")+"; with --once, this one alone")
	flags.BoolVar(&o.once, "once", false, "print the tables once")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	_ = cmd.RegisterFlagCompletionFunc("tab", cobra.FixedCompletions(top.Tabs(), cobra.ShellCompDirectiveNoFileComp)) // fails only if there is no such flag
	return cmd
}

// fetch asks the proxy for all that top shows.
func (o *topOptions) fetch(ctx context.Context) (*top.Data, error) {
	d := &top.Data{Status: new(admin.Status), HotKeys: new(admin.HotKeyReport)}
	for _, part := range []struct {
		path string
		to   any
	}{{"/api/status", d.Status}, {"/api/hotkeys", d.HotKeys}} {
		text, err := o.client.do(ctx, http.MethodGet, part.path, nil)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, part.to); err != nil {
			return nil, fmt.Errorf("%s answers, but not as mcproxy's [admin] address does: %w", o.client.address, err)
		}
	}
	return d, nil
}

// print is for scripts.
func (o *topOptions) print(ctx context.Context, cmd *cobra.Command) error {
	d, err := o.fetch(ctx)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), d)
	}
	return top.WriteOnce(cmd.OutOrStdout(), d, o.tab)
}

// watch runs on the terminal until somebody quits.
func (o *topOptions) watch(ctx context.Context, cmd *cobra.Command) error {
	out, ok := cmd.OutOrStdout().(*os.File)
	if ok {
		_, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS)
		ok = err == nil
	}
	if !ok {
		return usageError("the output is no terminal: --once or --json prints for scripts")
	}
	if _, err := o.fetch(ctx); err != nil {
		return err // before the screen is taken: a wrong address should be said on it
	}
	model := top.New(o.fetch, o.client.address, o.tab)
	_, err := tea.NewProgram(model, tea.WithContext(ctx), tea.WithInput(cmd.InOrStdin()), tea.WithOutput(out)).Run()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) {
		return nil // by a signal
	}
	return err
}
