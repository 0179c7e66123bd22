package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mcproxy/config"
	"mcproxy/proxy"
)

// maxKey is the longest key that memcached takes, in bytes.
const maxKey = 250

func newRoute() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "route [-c FILE] KEY...",
		Short: "Show where keys belong",
		Long: "route shows the pool, the ring's hash and the backend of each key. It asks no server. The key \"-\" stands for the\n" +
			"lines of standard input, a key each.",
		Example: "  mcproxy route -c proxy.toml 6e49b86a7502dae881f3b9466ecbdfa4743c7eb9\n" +
			"  mcproxy route -c proxy.toml --json a b c\n" +
			"  mcproxy route -c proxy.toml - <keys.txt",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := config.Load(file)
			if err != nil {
				return err
			}
			router, err := proxy.NewRouter(f.Proxy)
			if err != nil {
				return err
			}
			placements, err := place(router, args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				e.SetEscapeHTML(false)
				return e.Encode(placements)
			}
			return printPlacements(cmd.OutOrStdout(), placements)
		},
	}
	fileFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list of {key, pool, ring, hash, backend, address}")
	return cmd
}

// place routes keys, and for the key "-" those of in.
func place(router *proxy.Router, keys []string, in io.Reader) ([]proxy.Placement, error) {
	placements := []proxy.Placement{} // not nil: JSON's empty list
	add := func(key, from string) error {
		if err := checkKey(key); err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		placements = append(placements, router.Route([]byte(key)))
		return nil
	}
	for i, key := range keys {
		if key != "-" {
			if err := add(key, fmt.Sprintf("key %d", i+1)); err != nil {
				return nil, err
			}
			continue
		}
		lines := bufio.NewScanner(in)
		for n := 1; lines.Scan(); n++ {
			if err := add(lines.Text(), fmt.Sprintf("standard input, line %d", n)); err != nil {
				return nil, err
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
	}
	return placements, nil
}

// checkKey says why memcached would not take a key.
func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("a key has at least one byte")
	case len(key) > maxKey:
		return fmt.Errorf("a key has at most %d bytes, this one has %d", maxKey, len(key))
	case strings.ContainsAny(key, " \r\n\x00"):
		return fmt.Errorf("%q has a blank, a line end or a NUL, which no key has", key)
	}
	return nil
}

func printPlacements(out io.Writer, placements []proxy.Placement) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tPOOL\tRING\tHASH\tBACKEND\tADDRESS")
	for _, p := range placements {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", p.Key, p.Pool, p.Ring, p.Hash, p.Backend, p.Address)
	}
	return w.Flush() // it remembers the first error
}
