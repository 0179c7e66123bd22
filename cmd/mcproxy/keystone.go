package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mcproxy/inspect"
	"mcproxy/internal/termtext"
	"mcproxy/keystone"
	"mcproxy/protocol"
	"mcproxy/ring"
)

// newKeystoneCommand is "mcproxy keystone".
func newKeystoneCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keystone COMMAND",
		Short: "Say what the keys and values of OpenStack's Keystone are",
		Long: "keystone knows the keys under which Keystone, and keystonemiddleware, cache things, and reads what stands there. Nothing is\n" +
			"written to any server, values are read as data and never run, and what they hold is shown with --show-values alone.\n" +
			"docs/keystone-tools.md explains the commands.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			_ = cmd.Help() // writes to standard error, which has nobody to tell
			return usageError("no command")
		},
	}
	cmd.AddCommand(newWhoseCommand(), newKeyCommand(), newListCommand(), newTokenCommand(), newShowCommand(), newKeystoneTopCommand(), newSkewCommand())
	return cmd
}

// An idSource is the flags that say which ids are known.
type idSource struct {
	ids, users, tokens string
	regions            []string
}

func (s *idSource) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.ids, "ids", "", "a `file` of ids of users or tokens (docs/keystone-tools.md); - is the standard input")
	f.StringVar(&s.users, "users", "", "a `file` of users' ids, such as \"openstack user list -f json\" prints; - is the standard input")
	f.StringVar(&s.tokens, "tokens", "", "a `file` of tokens; - is the standard input")
	f.StringArrayVar(&s.regions, "region", nil, "the `name` of a cache region beside Keystone's own; may be repeated")
}

// directory reads the ids.
func (s *idSource) directory(in io.Reader) (*keystone.Directory, error) {
	d := keystone.NewDirectory()
	for _, name := range s.regions {
		d.AddRegion(name)
	}
	used := false
	for _, source := range []struct {
		file string
		add  func(keystone.ID)
	}{{s.ids, d.Add}, {s.users, d.AddUser}, {s.tokens, d.AddToken}} {
		if source.file == "" {
			continue
		}
		if source.file == "-" && used {
			return nil, usageError("the standard input can be read once")
		}
		used = used || source.file == "-"
		err := readIDs(source.file, in, func(id keystone.ID) error {
			source.add(id)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

// owners gives what names keys' owners.
func (s *idSource) owners(in io.Reader) (func(string) string, error) {
	d, err := s.directory(in)
	if err != nil {
		return nil, err
	}
	return func(key string) string { return termtext.Printable(d.Whose(key).String()) }, nil
}

// readIDs reads a file of ids, or in for "-".
func readIDs(file string, in io.Reader, each func(keystone.ID) error) error {
	name := "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in, name = f, file
	}
	if err := keystone.ReadIDs(in, each); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// columns prints rows as a table.
func columns(out io.Writer, rows [][]string) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush() // it remembers the first error
}

// A keyOwner is what whose prints.
type keyOwner struct {
	Key string `json:"key"`
	keystone.Owner
}

func newWhoseCommand() *cobra.Command {
	var source idSource
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "whose [flags] KEY...",
		Short: "Say which user, token or region a key is of",
		Long: "whose hashes the ids that it is given as Keystone does, and says which of them a key is. It knows the keys that every\n" +
			"Keystone has. The key \"-\" stands for the lines of standard input, a key each. It asks no server.",
		Example: "  openstack user list -f json | mcproxy keystone whose --users - 6e49b86a7502dae881f3b9466ecbdfa4743c7eb9\n" +
			"  mcproxy keystone whose 2d6cad476fdd468cd5142307ac89a6534277951e",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := source.directory(cmd.InOrStdin())
			if err != nil {
				return err
			}
			all := []keyOwner{} // not nil: JSON's empty list
			rows := [][]string{{"KEY", "WHAT", "ID", "NAME"}}
			err = eachKey(args, cmd.InOrStdin(), func(key string) {
				o := d.Whose(key)
				all = append(all, keyOwner{protocol.EscapeKey(key), o})
				rows = append(rows, []string{protocol.EscapeKey(key), string(o.Kind), cmp.Or(termtext.Printable(o.ID), "-"), cmp.Or(termtext.Printable(o.Name), "-")})
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			return columns(cmd.OutOrStdout(), rows)
		},
	}
	source.bind(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list of {key, kind, id, name}")
	return cmd
}

// eachKey goes through keys, and for "-" through the lines of in.
func eachKey(keys []string, in io.Reader, each func(string)) error {
	for i, key := range keys {
		if key != "-" {
			if err := inspect.CheckKey(key); err != nil {
				return fmt.Errorf("key %d: %w", i+1, err)
			}
			each(key)
			continue
		}
		lines := bufio.NewScanner(in)
		for n := 1; lines.Scan(); n++ {
			if err := inspect.CheckKey(lines.Text()); err != nil {
				return fmt.Errorf("standard input, line %d: %w", n, err)
			}
			each(lines.Text())
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
	}
	return nil
}

// A keyReport is what key prints.
type keyReport struct {
	Key       string               `json:"key"`
	Lock      string               `json:"lock,omitempty"`
	Hash      uint64               `json:"cmemcache_hash"`
	Placement []keystone.Placement `json:"placement,omitempty"`
}

func newKeyCommand() *cobra.Command {
	var user, token, region string
	var source serverSource
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "key (--user ID | --token ID | --region NAME) [--backends HOST:PORT,… | -c FILE] [--json]",
		Short: "Give the key of a user's token list, of a token or of a region, and where each ring puts it",
		Long: "key hashes an id as Keystone does. With servers, in the order in which the clients have them, it says which of them the key\n" +
			"stands on by each client's ring. It asks none of them. A token of \"-\" is read from the standard input.",
		Example: "  mcproxy keystone key --user 7d2bb33e0a484c5b9cd1ef7a0a9e3a8d --backends 10.0.0.1,10.0.0.2\n" +
			"  mcproxy keystone key --region tokens -c proxy.toml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r keyReport
			switch {
			case min(1, len(user))+min(1, len(token))+min(1, len(region)) != 1:
				return usageError("one of --user, --token and --region is needed")
			case user != "":
				r.Key, r.Lock = keystone.UserKey(user), keystone.UserLock(user)
			case region != "":
				r.Key = keystone.RegionKey(region)
			default:
				id, err := oneID(token, cmd.InOrStdin())
				if err != nil {
					return err
				}
				r.Key = keystone.TokenKey(id)
			}
			r.Hash = keystone.Hash(r.Key)
			if source.given() {
				servers, _, err := source.load(cmd.Context())
				if err != nil {
					return err
				}
				nodes, err := nodesOf(servers)
				if err != nil {
					return err
				}
				if r.Placement, err = keystone.Place(r.Key, nodes, keystone.Recipes()); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return r.print(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&user, "user", "", "a user's `id`")
	f.StringVar(&token, "token", "", "a token's `id`")
	f.StringVar(&region, "region", "", "a region's `name`: "+strings.Join(keystone.Regions(), ", "))
	source.bind(cmd)
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (r *keyReport) print(out io.Writer) error {
	fmt.Fprintf(out, "key             %s\n", r.Key)
	if r.Lock != "" {
		fmt.Fprintf(out, "its lock        %s\n", termtext.Printable(r.Lock))
	}
	_, err := fmt.Fprintf(out, "cmemcache hash  %d\n", r.Hash)
	if len(r.Placement) == 0 || err != nil {
		return err
	}
	rows := [][]string{{"RING", "HASH", "SERVER", "", "OF"}}
	for _, p := range r.Placement {
		rows = append(rows, []string{p.Ring, fmt.Sprint(p.Hash), p.Server, fmt.Sprintf("(number %d)", p.Index+1), p.Of})
	}
	fmt.Fprintln(out)
	return columns(out, rows)
}

// oneID gives an id, or for "-" the first line of in: what stands in a command line, others on the machine can see.
func oneID(text string, in io.Reader) (string, error) {
	if text != "-" {
		return text, nil
	}
	const most = 1 << 20
	line, err := bufio.NewReaderSize(in, 64<<10).ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) || len(line) > most {
		return "", fmt.Errorf("standard input: want a line with an id")
	}
	id := string(bytes.TrimSpace(line))
	if id == "" {
		return "", errors.New("standard input: it has no id")
	}
	return id, nil
}

// nodesOf makes a ring's nodes of servers.
func nodesOf(servers []inspect.Server) ([]ring.Node, error) {
	var nodes []ring.Node
	for _, s := range servers {
		n := ring.Node{Name: cmp.Or(s.Name, s.Address), Named: s.Name != "", Host: s.Address, Weight: max(1, s.Weight)}
		if s.Network != "unix" {
			host, port, err := net.SplitHostPort(s.Address)
			if err != nil {
				return nil, err
			}
			n.Host = host
			if n.Port, err = strconv.Atoi(port); err != nil {
				return nil, fmt.Errorf("server %q: %w", s.Address, err)
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func newSkewCommand() *cobra.Command {
	var users, ringName, html string
	var count int
	var listBytes int64
	var source serverSource
	var asJSON bool
	var names []string
	for _, rec := range keystone.Recipes() {
		names = append(names, rec.Name)
	}
	cmd := &cobra.Command{
		Use:   "skew --users FILE (--servers N | --backends HOST:PORT,… | -c FILE) [flags]",
		Short: "Compute which server each user's token list falls on, and what another ring or number of servers would give",
		Long: "skew places the token lists of users on servers, and says how even that is. It asks no server. The file has an id a line, a name,\n" +
			"and the bytes of the user's list, as \"mcproxy inspect --users FILE\" shows them; lists without bytes count --list-bytes.",
		Example: "  mcproxy keystone skew --users services.txt --servers 2\n" +
			"  openstack user list -f json | mcproxy keystone skew --users - --backends 10.0.0.1,10.0.0.2,10.0.0.3 --ring ketama --html skew.html",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			recipe, err := findRecipe(ringName)
			if err != nil {
				return err
			}
			if users == "" {
				return usageError("--users is missing: a file of users' ids")
			}
			nodes, err := skewNodes(cmd, &source, count)
			if err != nil {
				return err
			}
			var ids []keystone.ID
			err = readIDs(users, cmd.InOrStdin(), func(id keystone.ID) error {
				id.Name, id.Bytes = termtext.Printable(id.Name), cmp.Or(id.Bytes, listBytes)
				ids = append(ids, id)
				return nil
			})
			if err != nil {
				return err
			}
			out, err := withPage(html, func() (report, error) { return keystone.NewSkew(ids, nodes, recipe) })
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), out)
			}
			return out.WriteSummary(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&users, "users", "", "a `file` of users' ids, names and bytes; - is the standard input")
	f.IntVar(&count, "servers", 0, "so many servers, made up: 10.0.0.1:11211 and so on")
	f.StringVar(&ringName, "ring", names[0], "the ring that is used now: "+strings.Join(names, "; "))
	f.Int64Var(&listBytes, "list-bytes", 100<<10, "bytes of a list of which the file says nothing")
	source.bind(cmd)
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&html, "html", "", "also write a page with plots to this `file`")
	return cmd
}

func findRecipe(name string) (keystone.Recipe, error) {
	for _, rec := range keystone.Recipes() {
		if rec.Name == name {
			return rec, nil
		}
	}
	return keystone.Recipe{}, usageError(fmt.Sprintf("--ring: there is no %q; --help lists them", name))
}

// skewNodes gives the servers that --servers or the others name.
func skewNodes(cmd *cobra.Command, source *serverSource, count int) ([]ring.Node, error) {
	switch {
	case cmd.Flags().Changed("servers") && source.given():
		return nil, usageError("--servers, --backends, -c and --admin exclude each other")
	case cmd.Flags().Changed("servers"):
		if count < 1 || count > keystone.MaxNodes {
			return nil, usageError(fmt.Sprintf("--servers is %d; 1 to %d is possible", count, keystone.MaxNodes))
		}
		return keystone.Nodes(count), nil
	}
	servers, _, err := source.load(cmd.Context())
	if err != nil {
		return nil, err
	}
	return nodesOf(servers)
}
