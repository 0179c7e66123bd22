package ring

import (
	"fmt"
	"slices"
	"strings"
)

// A Node is one place for keys.
type Node struct {
	Name   string // identifies the node and labels it in figures; not empty, unique within a ring
	Named  bool   // Name was configured, not derived from the address: ketama hashes a configured name instead of the address
	Host   string // as configured: "10.0.0.1", "::1", "cache1", or a unix socket's path; the compatible recipes hash it
	Port   int    // 1..65535, 0 for a unix socket
	Weight int    // share of the keys relative to the other nodes, 1..MaxWeight
}

// Options choose a recipe. The zero value is the consistent ring. An option that the recipe does not have must be zero.
type Options struct {
	Kind         string // "" or "consistent", "cmemcache", "ketama", "libmemcached", "rendezvous"
	Hash         string // key hash of ketama and libmemcached by its name there; "" is the recipe's default
	HashTag      string // ketama: "" or two bytes such as "{}"; only what stands between them is hashed
	Distribution string // libmemcached: "" or "modula", "ketama", "ketama_weighted"
	NoOrOne      bool   // cmemcache: hash 0 stays 0, as in python-memcached 1.60 and later; before, it became 1
}

// A Ring places keys on nodes. It is immutable and safe for concurrent use, nothing it does allocates, and it keeps no
// reference to a key. A key may hold any bytes and have any length.
type Ring interface {
	// Lookup gives the index (into New's nodes) of the node that key belongs on.
	Lookup(key []byte) int
	// Hash gives the recipe's hash of key, for people to compare with what other programs say.
	Hash(key []byte) uint64
	// LookupAlive is Lookup among the nodes for which dead answers false, by the recipe's own rule for a dead node. Keys
	// whose node is alive stay where they are. It is -1 if the recipe finds none. dead may be called several times for a
	// node, and must give the same answer each time.
	LookupAlive(key []byte, dead func(node int) bool) int
}

// Bounds of what New accepts.
const (
	MaxNodes  = 1<<16 - 1 // an owner is kept in 16 bits
	MaxWeight = 1 << 24   // the largest weight that twemproxy's float32 arithmetic holds exactly
)

// An Error says which part of New's arguments is wrong, so that a caller can name the place it came from.
type Error struct {
	Node   int    // index of the node at fault, -1 if none is
	Field  string // field of Node or of Options at fault, "" if there are no nodes at all or too many
	Reason string // what is wrong, and what is allowed
}

func (e *Error) Error() string {
	switch {
	case e.Node >= 0:
		return fmt.Sprintf("ring: node %d: %s: %s", e.Node, e.Field, e.Reason)
	case e.Field != "":
		return fmt.Sprintf("ring: %s: %s", e.Field, e.Reason)
	}
	return "ring: " + e.Reason
}

// A recipe is one value of Options.Kind.
type recipe struct {
	kind    string
	takes   []string // fields of Options besides Kind that it has
	ordered bool     // placement depends on the order of the nodes
	build   func([]Node, Options) (Ring, error)
}

// recipes lists all kinds; the first is the default.
func recipes() []recipe {
	return []recipe{
		{kind: "consistent", build: newConsistent},
		{kind: "cmemcache", build: newCmemcache, takes: []string{"NoOrOne"}, ordered: true},
		{kind: "ketama", build: newKetama, takes: []string{"Hash", "HashTag"}},
		{kind: "libmemcached", build: newLibmemcached, takes: []string{"Hash", "Distribution"}, ordered: true},
		{kind: "rendezvous", build: newRendezvous},
	}
}

// New builds the ring that opts ask for. The ring keeps no reference to nodes. An error is always an *Error.
func New(nodes []Node, opts Options) (Ring, error) {
	if err := checkNodes(nodes); err != nil {
		return nil, err
	}
	rec, err := findRecipe(opts.Kind)
	if err != nil {
		return nil, err
	}
	if err := checkOptions(rec, opts); err != nil {
		return nil, err
	}
	return rec.build(nodes, opts)
}

func findRecipe(kind string) (recipe, error) {
	all := recipes()
	if kind == "" {
		return all[0], nil
	}
	names := make([]string, len(all))
	for i, rec := range all {
		if rec.kind == kind {
			return rec, nil
		}
		names[i] = rec.kind
	}
	return recipe{}, unknown("Kind", kind, names)
}

func checkNodes(nodes []Node) error {
	if len(nodes) == 0 {
		return &Error{Node: -1, Reason: "no nodes; at least one is needed"}
	}
	if len(nodes) > MaxNodes {
		return &Error{Node: -1, Reason: fmt.Sprintf("%d nodes; at most %d are possible", len(nodes), MaxNodes)}
	}
	seen := make(map[string]int, len(nodes))
	for i, n := range nodes {
		if n.Name == "" {
			return &Error{Node: i, Field: "Name", Reason: "is empty"}
		}
		if first, dup := seen[n.Name]; dup {
			return &Error{Node: i, Field: "Name", Reason: fmt.Sprintf("duplicate name %q, which node %d has", n.Name, first)}
		}
		seen[n.Name] = i
		if n.Weight < 1 || n.Weight > MaxWeight {
			return &Error{Node: i, Field: "Weight", Reason: fmt.Sprintf("weight of %q is %d; 1..%d is allowed", n.Name, n.Weight, MaxWeight)}
		}
		if n.Port < 0 || n.Port > 65535 {
			return &Error{Node: i, Field: "Port", Reason: fmt.Sprintf("port of %q is %d; 0..65535 is allowed", n.Name, n.Port)}
		}
	}
	return nil
}

func checkOptions(rec recipe, opts Options) error {
	given := []struct {
		field string
		set   bool
	}{
		{"Hash", opts.Hash != ""},
		{"HashTag", opts.HashTag != ""},
		{"Distribution", opts.Distribution != ""},
		{"NoOrOne", opts.NoOrOne},
	}
	for _, o := range given {
		if !o.set || slices.Contains(rec.takes, o.field) {
			continue
		}
		reason := fmt.Sprintf("the %s ring has no such option", rec.kind)
		if len(rec.takes) > 0 {
			reason += "; it has " + strings.Join(rec.takes, ", ")
		}
		return &Error{Node: -1, Field: o.field, Reason: reason}
	}
	return nil
}

// needHosts refuses a node without the host that its recipe hashes.
func needHosts(nodes []Node, needs func(Node) bool) error {
	for i, n := range nodes {
		if n.Host == "" && needs(n) {
			return &Error{Node: i, Field: "Host", Reason: fmt.Sprintf("is empty in %q; this ring hashes it", n.Name)}
		}
	}
	return nil
}

func unknown(field, value string, allowed []string) *Error {
	return &Error{Node: -1, Field: field, Reason: fmt.Sprintf("unknown value %q; one of %s is allowed", value, strings.Join(allowed, ", "))}
}
