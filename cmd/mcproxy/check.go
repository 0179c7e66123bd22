package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mcproxy/config"
	"mcproxy/daemon"
	"mcproxy/proxy"
)

func newCheck() *cobra.Command {
	var file, against string
	cmd := &cobra.Command{
		Use:   "check [-c FILE] [--against FILE]",
		Short: "Check a configuration, and show what it says",
		Long: "check reports everything that is wrong with a configuration, by line, and exits with 1; or it shows the listeners,\n" +
			"pools and routes, and exits with 0. Warnings go to standard error. It reads the certificates,\n" +
			"keys and files of users that are named there, and opens no socket.\n\n" +
			"With --against it tells instead what a proxy would change that goes over from that file to this one, and how many keys would\n" +
			"move; it exits with 1 if a running proxy would refuse.",
		Example: "  mcproxy check -c proxy.toml\n  mcproxy check -c new.toml --against /etc/mcproxy/proxy.toml && mv new.toml /etc/mcproxy/proxy.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := config.Load(file)
			if err != nil {
				return err
			}
			// The rings and routes are made too: what they find wrong is no surprise at the start then.
			if _, err := proxy.NewRouter(f.Proxy); err != nil {
				return err
			}
			if err := f.Proxy.ReadFiles(); err != nil {
				return err
			}
			for _, w := range f.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			if against != "" {
				return compareFiles(cmd.OutOrStdout(), against, f)
			}
			return printFile(cmd.OutOrStdout(), file, f)
		},
	}
	fileFlag(cmd, &file)
	cmd.Flags().StringVar(&against, "against", "", "tell what changes from this configuration `file`")
	_ = cmd.MarkFlagFilename("against", "toml") // fails only if there is no such flag
	return cmd
}

// compareFiles tells what changes from the file named before.
func compareFiles(out io.Writer, before string, after *config.File) error {
	f, err := config.Load(before)
	if err != nil {
		return err
	}
	change, err := daemon.Compare(f, after)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out, change.String()); err != nil {
		return err
	}
	if len(change.Refused) > 0 {
		return errors.New("a running proxy would refuse this")
	}
	return nil
}

// printFile shows what a configuration says in tables.
func printFile(out io.Writer, name string, f *config.File) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%s is right\n\n", name)
	fmt.Fprintln(w, "LISTENER")
	for _, l := range f.Proxy.Listeners {
		fmt.Fprintln(w, address(l.Network, l.Address))
	}
	if f.Admin.Address != "" {
		fmt.Fprintf(w, "\nADMIN\nhttp://%s\n", f.Admin.Address)
	}
	fmt.Fprint(w, "\nPOOL\tRING\tBACKEND\tADDRESS\tWEIGHT\n")
	for _, p := range f.Proxy.Pools {
		for _, b := range p.Backends {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", p.Name, p.Ring.Kind, cmp.Or(b.Name, b.Address), address(b.Network, b.Address), b.Weight)
		}
	}
	fmt.Fprint(w, "\nPREFIX\tPOOL\n")
	for _, r := range f.Proxy.Routes {
		fmt.Fprintf(w, "%s\t%s\n", r.Prefix, r.Pool)
	}
	fmt.Fprintf(w, "(other)\t%s\n", f.Proxy.DefaultPool)
	return w.Flush() // it remembers the first error
}

// address gives an address as it is written in proxy.toml.
func address(network, address string) string {
	if network == "unix" {
		return "unix:" + address
	}
	return address
}
