package keystone

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"mcproxy/internal/webpage"
	"mcproxy/ring"
)

// A Skew says on which server each user's token list stands, and how evenly that fills the servers.
type Skew struct {
	Ring         string        `json:"ring"`
	Servers      []SkewServer  `json:"servers"`
	BytesMaxMean float64       `json:"bytes_max_mean"`
	Users        []SkewUser    `json:"users"` // the largest lists first
	Alternatives []Alternative `json:"alternatives"`
}

// A SkewServer is one server's part.
type SkewServer struct {
	Server string `json:"server"`
	Users  int    `json:"users"`
	Bytes  int64  `json:"bytes"`
}

// A SkewUser is one user's list.
type SkewUser struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Key    string `json:"key"`
	Hash   uint64 `json:"hash"`
	Server string `json:"server"`
	Bytes  int64  `json:"bytes"`
}

// An Alternative is what another ring or number of servers would give.
type Alternative struct {
	Ring         string  `json:"ring"`
	Servers      int     `json:"servers"`
	Busiest      int64   `json:"busiest_bytes"`
	Mean         int64   `json:"mean_bytes"`
	BytesMaxMean float64 `json:"bytes_max_mean"`
}

// MaxNodes is the largest number of servers that skews are computed for.
const MaxNodes = 1000

// NewSkew places the users' lists on nodes by a recipe, and compares with the others and with fewer and more servers.
func NewSkew(users []ID, nodes []ring.Node, recipe Recipe) (*Skew, error) {
	if len(nodes) > MaxNodes {
		return nil, fmt.Errorf("%d servers; at most %d are possible", len(nodes), MaxNodes)
	}
	r, err := ring.New(nodes, recipe.Options)
	if err != nil {
		return nil, fmt.Errorf("ring %s: %w", recipe.Name, err)
	}
	s := &Skew{Ring: recipe.Name, Users: []SkewUser{}}
	for _, n := range nodes {
		s.Servers = append(s.Servers, SkewServer{Server: n.Name})
	}
	for _, u := range users {
		key := UserKey(u.ID)
		at := r.Lookup([]byte(key))
		s.Servers[at].Users++
		s.Servers[at].Bytes += u.Bytes
		s.Users = append(s.Users, SkewUser{ID: u.ID, Name: u.Name, Key: key, Hash: r.Hash([]byte(key)), Server: nodes[at].Name, Bytes: u.Bytes})
	}
	slices.SortStableFunc(s.Users, func(a, b SkewUser) int { return cmp.Compare(b.Bytes, a.Bytes) })
	now, err := alternative(users, nodes, recipe)
	if err != nil {
		return nil, err
	}
	s.BytesMaxMean = now.BytesMaxMean
	return s, s.compare(users, nodes, recipe)
}

// compare fills in the alternatives.
func (s *Skew) compare(users []ID, nodes []ring.Node, recipe Recipe) error {
	add := func(nodes []ring.Node, rec Recipe) error {
		a, err := alternative(users, nodes, rec)
		s.Alternatives = append(s.Alternatives, a)
		return err
	}
	for _, rec := range Recipes() {
		if err := add(nodes, rec); err != nil {
			return err
		}
	}
	var counts []int
	for _, n := range []int{len(nodes) - 1, len(nodes) + 1, len(nodes) + 2, 2 * len(nodes)} {
		if n >= 2 && !slices.Contains(counts, n) {
			counts = append(counts, n)
		}
	}
	for _, n := range counts {
		if err := add(resized(nodes, n), recipe); err != nil {
			return err
		}
	}
	return nil
}

// alternative computes how even one arrangement is.
func alternative(users []ID, nodes []ring.Node, recipe Recipe) (Alternative, error) {
	r, err := ring.New(nodes, recipe.Options)
	if err != nil {
		return Alternative{}, fmt.Errorf("ring %s with %d servers: %w", recipe.Name, len(nodes), err)
	}
	bytes := make([]int64, len(nodes))
	sum := int64(0)
	for _, u := range users {
		bytes[r.Lookup([]byte(UserKey(u.ID)))] += u.Bytes
		sum += u.Bytes
	}
	a := Alternative{Ring: recipe.Name, Servers: len(nodes), Busiest: slices.Max(bytes), Mean: sum / int64(len(nodes)), BytesMaxMean: 1}
	if sum > 0 {
		a.BytesMaxMean = math.Round(1000*float64(a.Busiest)*float64(len(nodes))/float64(sum)) / 1000
	}
	return a, nil
}

// Nodes makes up n servers: 10.0.0.1:11211 and so on.
func Nodes(n int) []ring.Node { return resized(nil, n) }

// resized gives n servers: of nodes as many as there are, and made-up ones behind them.
func resized(nodes []ring.Node, n int) []ring.Node {
	out := slices.Clone(nodes[:min(n, len(nodes))])
	for i := len(out); i < n; i++ {
		host := fmt.Sprintf("10.0.%d.%d", (i+1)/256, (i+1)%256)
		out = append(out, ring.Node{Name: host + ":11211", Host: host, Port: 11211, Weight: 1})
	}
	return out
}

func bytesText(n int64) string { return webpage.Bytes(float64(n)) }

// maxShown is how many users people are shown.
const maxShown = 30

func (s *Skew) tables() []webpage.Table {
	users := webpage.Table{Title: "Users", Head: []string{"USER", "NAME", "KEY", "HASH", "SERVER", "BYTES"}}
	for i := range s.Users {
		u := &s.Users[i]
		if i == maxShown && len(s.Users) > maxShown+1 {
			users.Rows = append(users.Rows, []string{fmt.Sprintf("and %d more", len(s.Users)-i), "", "", "", "", ""})
			break
		}
		users.Rows = append(users.Rows, []string{u.ID, cmp.Or(u.Name, "-"), u.Key, fmt.Sprint(u.Hash), u.Server, bytesText(u.Bytes)})
	}
	servers := webpage.Table{Title: "Servers", Head: []string{"SERVER", "USERS", "BYTES", ""}}
	most := int64(1)
	for _, one := range s.Servers {
		most = max(most, one.Bytes)
	}
	for _, one := range s.Servers {
		const width = 40
		bar := strings.Repeat("#", int(one.Bytes*width/most))
		servers.Rows = append(servers.Rows, []string{one.Server, fmt.Sprint(one.Users), bytesText(one.Bytes), bar})
	}
	others := webpage.Table{Title: "Other rings, and other numbers of servers", Head: []string{"RING", "SERVERS", "BUSIEST", "MEAN", "BUSIEST/MEAN"}}
	for _, a := range s.Alternatives {
		others.Rows = append(others.Rows, []string{a.Ring, fmt.Sprint(a.Servers), bytesText(a.Busiest), bytesText(a.Mean), fmt.Sprintf("%.3f", a.BytesMaxMean)})
	}
	return []webpage.Table{users, servers, others}
}

// WriteSummary writes the skew for people.
func (s *Skew) WriteSummary(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d token lists on %d servers, ring %s: the busiest has %.3f times the mean's bytes\n", len(s.Users), len(s.Servers), s.Ring, s.BytesMaxMean)
	for _, t := range s.tables() {
		fmt.Fprintf(&b, "\n%s\n\n", t.Title)
		w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
		for _, row := range append([][]string{t.Head}, t.Rows...) {
			fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
		}
		_ = w.Flush() // to memory
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// WriteHTML writes the skew as a page.
func (s *Skew) WriteHTML(out io.Writer) error {
	p := webpage.Page{
		Maker: "mcproxy keystone skew", Title: fmt.Sprintf("%d token lists on %d servers", len(s.Users), len(s.Servers)),
		Lead: []string{fmt.Sprintf("ring %s: the busiest server has %.3f times the mean's bytes", s.Ring, s.BytesMaxMean)},
	}
	var names []string
	var bytes []float64
	for _, one := range s.Servers {
		names, bytes = append(names, one.Server), append(bytes, float64(one.Bytes))
	}
	p.AddBars("Bytes of token lists on each server", names, bytes, func(v, percent float64) string {
		return fmt.Sprintf("%s (%.1f %%)", webpage.Bytes(v), percent)
	})
	names, bytes = nil, nil
	for _, a := range s.Alternatives {
		names, bytes = append(names, fmt.Sprintf("%s, %d servers", a.Ring, a.Servers)), append(bytes, a.BytesMaxMean)
	}
	p.AddBars("Busiest over mean, by ring and number of servers", names, bytes, func(v, _ float64) string { return fmt.Sprintf("%.3f", v) })
	p.Tables = s.tables()
	return p.Write(out)
}
