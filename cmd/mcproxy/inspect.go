package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mcproxy/config"
	"mcproxy/inspect"
)

// A serverSource is the flags that say which memcacheds to ask.
type serverSource struct {
	backends string
	file     string
	pool     string
	client   adminClient
}

// bind declares the flags.
func (s *serverSource) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.backends, "backends", "", "the memcacheds, `HOST:PORT,…`; or a proxy's own address, for the commands that read single keys")
	f.StringVarP(&s.file, "config", "c", "", "take the memcacheds from the pools of this configuration `file`")
	f.StringVar(&s.pool, "pool", "", "with -c and --admin: this `pool` alone")
	f.StringVar(&s.client.address, "admin", "", "ask the proxy with this [admin] `address` for its memcacheds")
	_ = cmd.MarkFlagFilename("config", "toml") // fails only if there is no such flag
}

// given reports whether any flag says where the servers are.
func (s *serverSource) given() bool {
	return s.backends != "" || s.file != "" || s.client.address != ""
}

// load finds the servers out. The configuration is nil unless it was named.
func (s *serverSource) load(ctx context.Context) ([]inspect.Server, *config.File, error) {
	if n := min(1, len(s.backends)) + min(1, len(s.file)) + min(1, len(s.client.address)); n != 1 {
		return nil, nil, usageError("which servers? one of --backends, -c and --admin")
	}
	var servers []inspect.Server
	var f *config.File
	var err error
	switch {
	case s.backends != "":
		if s.pool != "" {
			return nil, nil, usageError("--pool needs -c or --admin")
		}
		servers, err = parseServers(s.backends)
	case s.file != "":
		if f, err = config.Load(s.file); err == nil {
			servers = configServers(f, s.pool)
		}
	default:
		servers, err = s.ask(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	if len(servers) == 0 {
		return nil, nil, fmt.Errorf("there is no pool %q", s.pool)
	}
	return servers, f, nil
}

func parseServers(list string) ([]inspect.Server, error) {
	var servers []inspect.Server
	for one := range strings.SplitSeq(list, ",") {
		s, err := inspect.ParseServer(strings.TrimSpace(one))
		if err != nil {
			return nil, usageError("--backends: " + err.Error())
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// A serverSet gathers servers of pools; one that several pools have is one.
type serverSet struct{ all []inspect.Server }

func (s *serverSet) add(one inspect.Server, pool string) {
	for i := range s.all {
		if s.all[i].Address == one.Address {
			s.all[i].Pools = append(s.all[i].Pools, pool)
			return
		}
	}
	one.Pools = []string{pool}
	s.all = append(s.all, one)
}

// configServers gives the backends of a pool, or of all.
func configServers(f *config.File, pool string) []inspect.Server {
	var set serverSet
	for i := range f.Proxy.Pools {
		p := &f.Proxy.Pools[i]
		for j := range p.Backends {
			if b := &p.Backends[j]; pool == "" || p.Name == pool {
				set.add(inspect.Server{Name: b.Name, Network: cmp.Or(b.Network, "tcp"), Address: b.Address, Weight: b.Weight}, p.Name)
			}
		}
	}
	return set.all
}

// infoLine is a backend in the proxy's metrics.
var infoLine = regexp.MustCompile(`(?m)^mcproxy_backend_info\{address=("(?:[^"\\]|\\.)*"),backend=("(?:[^"\\]|\\.)*"),pool=("(?:[^"\\]|\\.)*")[,}]`)

// ask asks a running proxy for its backends.
func (s *serverSource) ask(ctx context.Context) ([]inspect.Server, error) {
	if err := s.client.resolve(); err != nil {
		return nil, err
	}
	text, err := s.client.do(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	var set serverSet
	found := infoLine.FindAllSubmatch(text, -1)
	if len(found) == 0 {
		return nil, fmt.Errorf("%s names no backends: is it mcproxy's [admin] address?", s.client.address)
	}
	for _, line := range found {
		var words [3]string
		for i := range words {
			if words[i], err = strconv.Unquote(string(line[1+i])); err != nil {
				return nil, fmt.Errorf("%s answers %q", s.client.address, line[0])
			}
		}
		one, err := inspect.ParseServer(words[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.client.address, err)
		}
		one.Name = words[1]
		if s.pool == "" || words[2] == s.pool {
			set.add(one, words[2])
		}
	}
	return set.all, nil
}

// newInspectCommand is "mcproxy inspect".
func newInspectCommand() *cobra.Command {
	o := inspect.Default()
	var source serverSource
	var people idSource
	var asJSON, progress bool
	var html string
	cmd := &cobra.Command{
		Use:   "inspect (--backends HOST:PORT,… | -c FILE | --admin HOST:PORT) [flags]",
		Short: "Show what memcacheds hold: the largest keys, bytes, lifetimes, and how evenly",
		Long: "inspect has every memcached list its keys (lru_crawler metadump), counts them as they come, and forgets them: memory does\n" +
			"not grow with their number. It reads no values and writes nothing. Servers without metadump are asked with stats\n" +
			"cachedump, which shows a part alone. A server that fails is reported beside the others, and the exit code is 1.\n\n" +
			"In keys, \\xHH is a byte that cannot be shown, and \\\\ a backslash. With --ids, Keystone's keys of these ids are named.\n" +
			"docs/inspect.md explains all of it.",
		Example: "  mcproxy inspect --backends 10.0.0.1:11211,10.0.0.2:11211\n" +
			"  mcproxy inspect -c /etc/mcproxy/proxy.toml --pool main --html memcached.html\n" +
			"  openstack user list -f json | mcproxy inspect --admin 127.0.0.1:9151 --ids -\n" +
			"  mcproxy inspect --backends 10.0.0.1 --json | jq '.largest[0]'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
			if o.Servers, _, err = source.load(ctx); err != nil {
				return err
			}
			if err := o.Check(); err != nil {
				return usageError(err.Error())
			}
			owner, err := people.owners(cmd.InOrStdin())
			if err != nil {
				return err
			}
			o.Owner = owner
			line := newLiveLine(cmd.ErrOrStderr(), progress)
			o.Progress = func(p inspect.Progress) { line.say(p.Line()) }
			out, err := withPage(html, func() (report, error) {
				r, err := inspect.Run(ctx, o)
				line.clear()
				if errors.Is(err, context.Canceled) {
					err = errors.New("interrupted")
				}
				return r, err
			})
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), out)
			} else {
				err = out.WriteSummary(cmd.OutOrStdout())
			}
			if n := out.(*inspect.Report).Failed(); err == nil && n > 0 {
				return fmt.Errorf("%d of %d servers could not be read to the end", n, len(o.Servers))
			}
			return err
		},
	}
	source.bind(cmd)
	people.bind(cmd)
	f := cmd.Flags()
	f.IntVar(&o.Top, "top", o.Top, "how many of the largest keys to list")
	f.StringVar(&o.Separators, "separators", o.Separators, "a key's prefix ends with the first of these `bytes`")
	f.DurationVar(&o.Timeout, "timeout", o.Timeout, "a server that says nothing for so long has failed")
	f.DurationVar(&o.Limit, "limit", o.Limit, "the whole may take so long")
	f.BoolVar(&asJSON, "json", false, "print JSON (docs/inspect.md)")
	f.StringVar(&html, "html", "", "also write a page with plots to this `file`")
	f.BoolVar(&progress, "progress", false, "say how far it is also when the standard error is no terminal")
	return cmd
}

// withPage makes a report, and writes its page to a file unless that is "". The file is opened first: that it cannot be written should
// not be found out at the end.
func withPage(file string, make func() (report, error)) (report, error) {
	if file == "" {
		return make()
	}
	page, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer page.Close()
	out, err := make()
	if err != nil {
		return nil, err
	}
	return out, cmp.Or(out.WriteHTML(page), page.Close())
}
