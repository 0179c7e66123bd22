package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"mcproxy/inspect"
	"mcproxy/internal/termtext"
	"mcproxy/internal/webpage"
	"mcproxy/keystone"
	"mcproxy/protocol"
	"mcproxy/proxy"
	"mcproxy/split"
)

// A reader finds keys on servers. Its fields are the flags of the commands that read single values.
type reader struct {
	source     serverSource
	fetch      inspect.Fetch
	showValues bool
	json       bool
}

func (r *reader) bind(cmd *cobra.Command) {
	r.fetch = inspect.DefaultFetch()
	r.fetch.MaxValue = keystone.MaxValue
	r.source.bind(cmd)
	f := cmd.Flags()
	f.DurationVar(&r.fetch.Timeout, "timeout", r.fetch.Timeout, "a server that says nothing for so long has failed")
	f.BoolVar(&r.showValues, "show-values", false, "show contents; otherwise lengths and counts stand for them")
}

// A found is a key on one server, or why that is not known.
type found struct {
	server inspect.Server
	item   inspect.Item
	err    error
}

// find asks every server for a key, at the same time. The one on which the configuration puts the key comes first. It is an error if no server has
// the key; servers that failed beside one that has it are told on errOut.
func (r *reader) find(ctx context.Context, errOut io.Writer, key string) ([]found, error) {
	if err := inspect.CheckKey(key); err != nil {
		return nil, err
	}
	servers, f, err := r.source.load(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]found, len(servers))
	var group sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := range servers {
		all[i].server = servers[i]
		group.Go(func() { // ends with the server's answer
			places <- struct{}{}
			all[i].item, all[i].err = r.fetch.Get(ctx, &servers[i], key)
			<-places
		})
	}
	group.Wait()
	if f != nil {
		router, err := proxy.NewRouter(f.Proxy)
		if err != nil {
			return nil, err
		}
		home := router.Route([]byte(key)).Address
		if i := slices.IndexFunc(all, func(f found) bool { return f.server.Address == home }); i > 0 {
			all = slices.Insert(slices.Delete(all, i, i+1), 0, all[i])
		}
	}
	var has []found
	var failed error
	for _, one := range all {
		switch {
		case one.err != nil:
			failed = cmp.Or(failed, one.err)
			fmt.Fprintln(errOut, "mcproxy:", one.err)
		case one.item.Found:
			has = append(has, one)
		}
	}
	if len(has) > 0 {
		return has, nil
	}
	if failed != nil {
		return nil, fmt.Errorf("no server that answers has %s", protocol.EscapeKey(key))
	}
	return nil, fmt.Errorf("no server has %s", protocol.EscapeKey(key))
}

// decode reads what a server has.
func (f *found) decode() (keystone.Value, error) {
	if f.item.Flags == split.ReservedFlags {
		return keystone.Value{}, errors.New("mcproxy keeps this value in chunks: ask the proxy for it, with --backends and the proxy's own address")
	}
	v, err := keystone.Decode(f.item.Value, f.item.Flags)
	if err != nil {
		return keystone.Value{}, fmt.Errorf("%s: %w", f.server.Address, err)
	}
	return v, nil
}

// place says where a value stands, and how.
func (f *found) place() string {
	return fmt.Sprintf("%s: %s, flags %d, %s", f.server.Address, webpage.Bytes(float64(f.item.Size)), f.item.Flags, ttlText(f.item.TTL))
}

func ttlText(ttl int64) string {
	switch {
	case ttl == inspect.Forever:
		return "never expires"
	case ttl < 0:
		return "expires at a time that this server does not tell"
	}
	return "expires in " + termtext.Age(time.Duration(ttl)*time.Second)
}

// A foundJSON is a found as JSON.
type foundJSON struct {
	Server string `json:"server"`
	Bytes  int    `json:"bytes"`
	Flags  uint32 `json:"flags"`
	TTL    int64  `json:"ttl"` // seconds; -1: for ever, -2: not known
}

func foundList(all []found) []foundJSON {
	var out []foundJSON
	for _, f := range all {
		out = append(out, foundJSON{f.server.Address, f.item.Size, f.item.Flags, f.item.TTL})
	}
	return out
}

func newShowCommand() *cobra.Command {
	var r reader
	cmd := &cobra.Command{
		Use:   "show (--backends HOST:PORT,… | -c FILE | --admin HOST:PORT) [flags] KEY",
		Short: "Show a cached value as JSON: a pickle, JSON or text, compressed or not",
		Long: "show finds a key and writes what stands there as JSON. A pickle is read as data, and nothing in it is run: classes are names.\n" +
			"Without --show-values it shows the shape alone. Where the value was found is said on the standard error.",
		Example: "  mcproxy keystone show --backends 10.0.0.1,10.0.0.2 2d6cad476fdd468cd5142307ac89a6534277951e\n" +
			"  mcproxy keystone show -c proxy.toml --show-values 6e49b86a7502dae881f3b9466ecbdfa4743c7eb9",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := r.find(cmd.Context(), cmd.ErrOrStderr(), args[0])
			if err != nil {
				return err
			}
			v, err := all[0].decode()
			if err != nil {
				return err
			}
			for i := range all {
				fmt.Fprintln(cmd.ErrOrStderr(), all[i].place())
			}
			fmt.Fprintln(cmd.ErrOrStderr(), v.Form)
			return v.WriteJSON(cmd.OutOrStdout(), !r.showValues)
		},
	}
	r.bind(cmd)
	return cmd
}

func newTokenCommand() *cobra.Command {
	var r reader
	cmd := &cobra.Command{
		Use:   "token (--backends HOST:PORT,… | -c FILE | --admin HOST:PORT) [flags] ID",
		Short: "Find a token on whichever server has it",
		Long: "token asks every server for a token. An ID of \"-\" is read from the standard input, so that it stands in no command line.\n" +
			"What the token holds is shown with --show-values.",
		Example: "  mcproxy keystone token --backends 10.0.0.1,10.0.0.2 - <token.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := oneID(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			key := keystone.TokenKey(id)
			all, err := r.find(cmd.Context(), cmd.ErrOrStderr(), key)
			if err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), struct {
					Key   string      `json:"key"`
					Hash  uint64      `json:"cmemcache_hash"`
					Found []foundJSON `json:"found"`
				}{key, keystone.Hash(key), foundList(all)})
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "key %s, cmemcache hash %d\n", key, keystone.Hash(key))
			for i := range all {
				fmt.Fprintln(out, all[i].place())
			}
			if !r.showValues {
				return nil
			}
			v, err := all[0].decode()
			if err != nil {
				return err
			}
			return v.WriteJSON(out, false)
		},
	}
	r.bind(cmd)
	cmd.Flags().BoolVar(&r.json, "json", false, "print JSON {key, cmemcache_hash, found: [{server, bytes, flags, ttl}]}")
	return cmd
}

// listOptions are the flags of list.
type listOptions struct {
	reader
	user     string
	revoked  bool
	lifetime time.Duration
	limit    int64
}

// A listJSON is what list --json prints.
type listJSON struct {
	Key string `json:"key"`
	keystone.ListReport
	Found  []foundJSON       `json:"found"`
	Listed []listedTokenJSON `json:"listed,omitempty"` // with --show-values
}

type listedTokenJSON struct {
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
}

func newListCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list (--user ID | --revocations) (--backends HOST:PORT,… | -c FILE | --admin HOST:PORT) [flags]",
		Short: "Open a user's token list: how many tokens, how many expired, how fast it grows, and when it is too long",
		Long: "list reads the list of a user's tokens that Keystone keeps up to Kilo, or its revocation list. A token's time of issue is its expiry\n" +
			"less --lifetime. The tokens themselves are shown with --show-values.",
		Example: "  mcproxy keystone list --user 7d2bb33e0a484c5b9cd1ef7a0a9e3a8d --backends 10.0.0.1,10.0.0.2",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (o.user == "") == !o.revoked {
				return usageError("one of --user and --revocations is needed")
			}
			if o.lifetime <= 0 || o.limit <= 0 {
				return usageError("--lifetime and --limit must be above 0")
			}
			return o.run(cmd)
		},
	}
	o.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.user, "user", "", "the user's `id`")
	f.BoolVar(&o.revoked, "revocations", false, "the list of revoked tokens")
	f.DurationVar(&o.lifetime, "lifetime", time.Hour, "of tokens: [token] expiration of keystone.conf")
	f.Int64Var(&o.limit, "limit", keystone.MaxItem, "the longest value that the servers take, in bytes (memcached -I)")
	f.BoolVar(&o.json, "json", false, "print JSON (docs/keystone-tools.md)")
	return cmd
}

func (o *listOptions) run(cmd *cobra.Command) error {
	key := keystone.RevocationKey()
	if !o.revoked {
		key = keystone.UserKey(o.user)
	}
	all, err := o.find(cmd.Context(), cmd.ErrOrStderr(), key)
	if err != nil {
		return err
	}
	v, err := all[0].decode()
	if err != nil {
		return err
	}
	tokens, err := v.TokenList()
	if err != nil {
		return fmt.Errorf("%s: %w", all[0].server.Address, err)
	}
	now := time.Now().UTC()
	r := keystone.Report(tokens, all[0].item.Size, now, o.lifetime, o.limit)
	if o.json {
		out := listJSON{Key: key, ListReport: r, Found: foundList(all)}
		for _, t := range tokens {
			if o.showValues {
				out.Listed = append(out.Listed, listedTokenJSON(t))
			}
		}
		return printJSON(cmd.OutOrStdout(), out)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "key %s, cmemcache hash %d\n", key, keystone.Hash(key))
	for i := range all {
		fmt.Fprintln(out, all[i].place())
	}
	return errors.Join(listSummary(out, &r, now), o.printTokens(out, tokens, now))
}

// listSummary writes the figures for people.
func listSummary(out io.Writer, r *keystone.ListReport, now time.Time) error {
	rows := [][]string{
		{"tokens", fmt.Sprintf("%d, of which %d have expired", r.Tokens, r.Expired)},
		{"bytes", fmt.Sprintf("%s of the %s that fit", webpage.Bytes(float64(r.Bytes)), webpage.Bytes(float64(r.Limit)))},
	}
	if r.Tokens > 0 {
		far := "never at this rate"
		if !r.FullAt.IsZero() {
			far = "in " + termtext.Age(r.FullAt.Sub(now))
		}
		rows = append(rows,
			[]string{"issued", fmt.Sprintf("%s to %s", r.FirstIssued.Format(time.DateTime), r.LastIssued.Format(time.DateTime))},
			[]string{"expire", fmt.Sprintf("%s to %s", r.FirstExpiry.Format(time.DateTime), r.LastExpiry.Format(time.DateTime))},
			[]string{"issued in the last hour", fmt.Sprint(r.IssuedHour)},
			[]string{"growth", fmt.Sprintf("%.0f tokens an hour, %s", r.Growth, webpage.Bytes(r.Growth*float64(r.Bytes)/float64(r.Tokens)))},
			[]string{"comes to", webpage.Bytes(float64(r.Steady)) + " at that rate, if expired tokens leave it"},
			[]string{"too long", far})
	}
	return columns(out, rows)
}

// printTokens writes the tokens if they may be shown.
func (o *listOptions) printTokens(out io.Writer, tokens []keystone.ListedToken, now time.Time) error {
	if !o.showValues {
		return nil
	}
	fmt.Fprintln(out)
	rows := [][]string{{"TOKEN", "EXPIRES"}}
	for _, t := range tokens {
		expired := ""
		if !t.Expires.After(now) {
			expired = "  expired"
		}
		rows = append(rows, []string{termtext.Printable(t.ID), t.Expires.Format(time.DateTime) + expired})
	}
	return columns(out, rows)
}

func newKeystoneTopCommand() *cobra.Command {
	var o hotKeysOptions
	var source idSource
	cmd := &cobra.Command{
		Use:   "top [--admin HOST:PORT | -c FILE] [--users FILE] [flags]",
		Short: "Show a running proxy's heaviest keys with their owners, and how many tokens users are issued a minute",
		Long: "top asks the [admin] address of a running proxy for the keys that cost its backends most, and says whose they are. Each store of a user's\n" +
			"token list is a token issued, or revoked. Users whose lists are not among the heaviest keys are not seen. BY\n" +
			"says which clients read and write the list, and how much of that is theirs: they are the Keystones that the user asks.",
		Example: "  openstack user list -f json | mcproxy keystone top --users -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.client.resolve(); err != nil {
				return err
			}
			d, err := source.directory(cmd.InOrStdin())
			if err != nil {
				return err
			}
			o.all = true
			report, err := o.fetch(cmd.Context())
			if err != nil {
				return err
			}
			out := topReport(report, d)
			if o.json {
				return printJSON(cmd.OutOrStdout(), out)
			}
			return printTop(cmd.OutOrStdout(), out)
		},
	}
	o.client.bind(cmd)
	source.bind(cmd)
	cmd.Flags().StringVar(&o.pool, "pool", "", "this `pool` alone")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON (docs/keystone-tools.md)")
	return cmd
}
