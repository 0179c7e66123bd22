package keystone

import (
	"fmt"

	"mcproxy/ring"
)

// A Recipe is a ring that some client or proxy places keys by.
type Recipe struct {
	Name    string // as proxy.toml would have it
	Of      string // who places keys so
	Options ring.Options
}

// Recipes lists the rings that a Keystone's keys may stand by.
func Recipes() []Recipe {
	return []Recipe{
		{"cmemcache", "python-memcached up to 1.59", ring.Options{Kind: "cmemcache"}},
		{"cmemcache, or_one = false", "python-memcached from 1.60 on", ring.Options{Kind: "cmemcache", NoOrOne: true}},
		{"rendezvous", "pymemcache's HashClient", ring.Options{Kind: "rendezvous"}},
		{"libmemcached", "pylibmc", ring.Options{Kind: "libmemcached"}},
		{"libmemcached, distribution = ketama", "pylibmc with ketama", ring.Options{Kind: "libmemcached", Distribution: "ketama"}},
		{"libmemcached, distribution = ketama_weighted", "pylibmc with ketama_weighted", ring.Options{Kind: "libmemcached", Distribution: "ketama_weighted"}},
		{"ketama", "twemproxy", ring.Options{Kind: "ketama"}},
		{"consistent", "mcproxy, unless told otherwise", ring.Options{Kind: "consistent"}},
	}
}

// A Placement says where a key stands by one ring.
type Placement struct {
	Ring   string `json:"ring"`
	Of     string `json:"of"`
	Hash   uint64 `json:"hash"`
	Server string `json:"server"`
	Index  int    `json:"index"` // 0 for the first server
}

// Place gives a key's place by each recipe.
func Place(key string, nodes []ring.Node, recipes []Recipe) ([]Placement, error) {
	var out []Placement
	for _, rec := range recipes {
		r, err := ring.New(nodes, rec.Options)
		if err != nil {
			return nil, fmt.Errorf("ring %s: %w", rec.Name, err)
		}
		at := r.Lookup([]byte(key))
		out = append(out, Placement{Ring: rec.Name, Of: rec.Of, Hash: r.Hash([]byte(key)), Server: nodes[at].Name, Index: at})
	}
	return out, nil
}

// Hash gives the hash that python-memcached up to 1.59 has of a key.
func Hash(key string) uint64 {
	r, err := ring.New([]ring.Node{{Name: "any", Host: "any", Weight: 1}}, ring.Options{Kind: "cmemcache"})
	if err != nil {
		panic(err) // one node is a ring
	}
	return r.Hash([]byte(key))
}
