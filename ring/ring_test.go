package ring_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mcproxy/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// someNodes makes n nodes with distinct names and addresses and the given weights in turn.
func someNodes(n int, weights ...int) []ring.Node {
	nodes := make([]ring.Node, n)
	for i := range nodes {
		host := fmt.Sprintf("10.0.%d.%d", i/250, i%250)
		nodes[i] = ring.Node{Name: host + ":11212", Host: host, Port: 11212, Weight: 1}
		if len(weights) > 0 {
			nodes[i].Weight = weights[i%len(weights)]
		}
	}
	return nodes
}

// everyKind is each recipe with each of its distributions, once.
func everyKind() map[string]ring.Options {
	return map[string]ring.Options{
		"consistent":                   {},
		"cmemcache":                    {Kind: "cmemcache"},
		"ketama":                       {Kind: "ketama"},
		"ketama md5":                   {Kind: "ketama", Hash: "md5"},
		"ketama tag":                   {Kind: "ketama", HashTag: "{}"},
		"libmemcached modula":          {Kind: "libmemcached"},
		"libmemcached ketama":          {Kind: "libmemcached", Distribution: "ketama"},
		"libmemcached ketama_weighted": {Kind: "libmemcached", Distribution: "ketama_weighted"},
		"rendezvous":                   {Kind: "rendezvous"},
	}
}

// testKeys makes n different keys of the kinds that Keystone sends, the same in every run.
func testKeys(n int) [][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	keys := make([][]byte, n)
	for i := range keys {
		switch i % 4 {
		case 0:
			keys[i] = fmt.Appendf(nil, "%016x%016x%08x", rnd.Uint64(), rnd.Uint64(), rnd.Uint32())
		case 1:
			keys[i] = fmt.Appendf(nil, "_lockusertokens-%032d", i)
		case 2:
			keys[i] = fmt.Appendf(nil, "tokens/%d", i)
		case 3:
			keys[i] = fmt.Appendf(nil, "k%d", i)
		}
	}
	return keys
}

func TestNewRefuses(t *testing.T) {
	ok := someNodes(2)
	change := func(f func(n *ring.Node)) []ring.Node {
		nodes := someNodes(2)
		f(&nodes[1])
		return nodes
	}
	tests := []struct {
		name  string
		nodes []ring.Node
		opts  ring.Options
		node  int
		field string
		says  string
	}{
		{"no nodes", nil, ring.Options{}, -1, "", "no nodes"},
		{"too many nodes", make([]ring.Node, ring.MaxNodes+1), ring.Options{}, -1, "", "at most 65535"},
		{"empty name", change(func(n *ring.Node) { n.Name = "" }), ring.Options{}, 1, "Name", "empty"},
		{"duplicate name", change(func(n *ring.Node) { n.Name = ok[0].Name }), ring.Options{}, 1, "Name", `duplicate name "10.0.0.0:11212", which node 0 has`},
		{"weight 0", change(func(n *ring.Node) { n.Weight = 0 }), ring.Options{}, 1, "Weight", "is 0; 1..16777216"},
		{"weight -1", change(func(n *ring.Node) { n.Weight = -1 }), ring.Options{}, 1, "Weight", "is -1;"},
		{"weight too large", change(func(n *ring.Node) { n.Weight = ring.MaxWeight + 1 }), ring.Options{}, 1, "Weight", "is 16777217;"},
		{"port too large", change(func(n *ring.Node) { n.Port = 65536 }), ring.Options{}, 1, "Port", "0..65535"},
		{"negative port", change(func(n *ring.Node) { n.Port = -1 }), ring.Options{}, 1, "Port", "is -1;"},
		{"ketama without host", change(func(n *ring.Node) { n.Host = "" }), ring.Options{Kind: "ketama"}, 1, "Host", "empty"},
		{"libmemcached without host", change(func(n *ring.Node) { n.Host = "" }), ring.Options{Kind: "libmemcached", Distribution: "ketama"}, 1, "Host", "empty"},
		{"rendezvous without host", change(func(n *ring.Node) { n.Host = "" }), ring.Options{Kind: "rendezvous"}, 1, "Host", "empty"},
		{"unknown kind", ok, ring.Options{Kind: "maglev"}, -1, "Kind", `unknown value "maglev"; one of consistent, cmemcache, ketama, libmemcached, rendezvous is allowed`},
		{"unknown ketama hash", ok, ring.Options{Kind: "ketama", Hash: "crc"}, -1, "Hash", `unknown value "crc"; one of fnv1a_64, `},
		{"unknown libmemcached hash", ok, ring.Options{Kind: "libmemcached", Hash: "hsieh"}, -1, "Hash", `unknown value "hsieh"; one of default, `},
		{"unknown distribution", ok, ring.Options{Kind: "libmemcached", Distribution: "random"}, -1, "Distribution", "one of modula, ketama, ketama_weighted"},
		{"tag of one byte", ok, ring.Options{Kind: "ketama", HashTag: "{"}, -1, "HashTag", "has 1 bytes; two are needed"},
		{"tag of three bytes", ok, ring.Options{Kind: "ketama", HashTag: "{:}"}, -1, "HashTag", "has 3 bytes"},
		{"consistent with hash", ok, ring.Options{Hash: "md5"}, -1, "Hash", "the consistent ring has no such option"},
		{"cmemcache with hash", ok, ring.Options{Kind: "cmemcache", Hash: "crc32"}, -1, "Hash", "the cmemcache ring has no such option; it has NoOrOne"},
		{"ketama with distribution", ok, ring.Options{Kind: "ketama", Distribution: "modula"}, -1, "Distribution", "it has Hash, HashTag"},
		{"ketama with NoOrOne", ok, ring.Options{Kind: "ketama", NoOrOne: true}, -1, "NoOrOne", "no such option"},
		{"libmemcached with tag", ok, ring.Options{Kind: "libmemcached", HashTag: "{}"}, -1, "HashTag", "it has Hash, Distribution"},
		{"rendezvous with hash", ok, ring.Options{Kind: "rendezvous", Hash: "md5"}, -1, "Hash", "the rendezvous ring has no such option"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ring.New(tt.nodes, tt.opts)
			var got *ring.Error
			if r != nil || !errors.As(err, &got) {
				t.Fatalf("New(%+v) = %v, %v, want nil and a *ring.Error", tt.opts, r, err)
			}
			if got.Node != tt.node || got.Field != tt.field || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("New(%+v): node %d, field %q, %q; want node %d, field %q, with %q", tt.opts, got.Node, got.Field, err, tt.node, tt.field, tt.says)
			}
		})
	}
}

func TestNamedNodeNeedsNoHost(t *testing.T) {
	nodes := []ring.Node{{Name: "a", Named: true, Weight: 1}, {Name: "b", Named: true, Weight: 1}}
	for _, opts := range []ring.Options{{}, {Kind: "cmemcache"}, {Kind: "ketama"}, {Kind: "libmemcached"}} {
		mustNew(t, nodes, opts)
	}
}

func TestOneNodeHasAllKeys(t *testing.T) {
	alive := func(int) bool { return false }
	dead := func(int) bool { return true }
	for name, opts := range everyKind() {
		r := mustNew(t, someNodes(1, 3), opts)
		for _, key := range testKeys(1000) {
			if a, b, c := r.Lookup(key), r.LookupAlive(key, alive), r.LookupAlive(key, dead); a != 0 || b != 0 || c != -1 {
				t.Fatalf("%s: Lookup(%q) = %d, LookupAlive = %d, and %d with the node dead; want 0, 0, -1", name, key, a, b, c)
			}
		}
	}
}

// TestOrderIsNothing holds for the recipes that know nodes by name or address, not by their place in a list.
func TestOrderIsNothing(t *testing.T) {
	for _, opts := range []ring.Options{{}, {Kind: "ketama"}, {Kind: "rendezvous"}, {Kind: "libmemcached", Distribution: "ketama_weighted"}} {
		nodes := someNodes(20, 1, 2, 5)
		r := mustNew(t, nodes, opts)
		for seed := range uint64(3) {
			shuffled := append([]ring.Node(nil), nodes...)
			rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			other := mustNew(t, shuffled, opts)
			for _, key := range testKeys(5000) {
				if a, b := nodes[r.Lookup(key)].Name, shuffled[other.Lookup(key)].Name; a != b {
					t.Fatalf("%+v: %q is on %s, and on %s if the nodes are listed in another order", opts, key, a, b)
				}
			}
		}
	}
}

// TestDeadNodes kills more and more nodes: a key moves only off a dead node, and only to a live one.
func TestDeadNodes(t *testing.T) {
	const n = 12
	keys := testKeys(3000)
	for name, opts := range everyKind() {
		r := mustNew(t, someNodes(n, 1, 2, 3), opts)
		order := rand.New(rand.NewPCG(9, 9)).Perm(n)
		for gone := 0; gone <= n; gone++ {
			dead := deadSet(order[:gone])
			for _, key := range keys {
				home, got := r.Lookup(key), r.LookupAlive(key, dead)
				switch {
				case !dead(home) && got != home:
					t.Fatalf("%s: LookupAlive(%q, dead %v) = %d, but its node %d lives", name, key, order[:gone], got, home)
				case got >= 0 && dead(got):
					t.Fatalf("%s: LookupAlive(%q, dead %v) = %d, which is dead", name, key, order[:gone], got)
				case got < 0 && gone < n && opts.Kind != "cmemcache":
					t.Fatalf("%s: LookupAlive(%q, dead %v) = %d, though nodes live", name, key, order[:gone], got)
				case got >= 0 && gone == n:
					t.Fatalf("%s: LookupAlive(%q, all dead) = %d", name, key, got)
				}
			}
		}
	}
}

// TestDeadNodeIsAbsentNode holds where a node that is left out of the list moves no other node's keys.
func TestDeadNodeIsAbsentNode(t *testing.T) {
	for _, opts := range []ring.Options{{}, {Kind: "rendezvous"}, {Kind: "libmemcached", Distribution: "ketama"}} {
		nodes := someNodes(8, 3, 1)
		r := mustNew(t, nodes, opts)
		without := mustNew(t, append(append([]ring.Node(nil), nodes[:2]...), nodes[4:]...), opts)
		for _, key := range testKeys(5000) {
			want := without.Lookup(key)
			if want >= 2 {
				want += 2
			}
			if got := r.LookupAlive(key, deadSet([]int{2, 3})); got != want {
				t.Fatalf("%+v: LookupAlive(%q, dead 2 and 3) = %d, but a ring without them says %d", opts, key, got, want)
			}
		}
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	keys := testKeys(64)
	keys = append(keys, make([]byte, 250), []byte("tag{inner}more"), []byte{0x80, 0xff}, nil)
	down := map[int]bool{0: true, 2: true, 5: true}
	dead := func(node int) bool { return down[node] }
	for name, opts := range everyKind() {
		r := mustNew(t, someNodes(10, 1, 4), opts)
		i := 0
		if n := testing.AllocsPerRun(1000, func() {
			key := keys[i%len(keys)]
			i++
			r.Lookup(key)
			r.Hash(key)
			r.LookupAlive(key, dead)
		}); n != 0 {
			t.Errorf("%s: %v allocations a lookup, want 0", name, n)
		}
	}
}

func TestFingerprint(t *testing.T) {
	base := someNodes(3, 1, 2, 5)
	swapped := []ring.Node{base[2], base[0], base[1]}
	for name, opts := range everyKind() {
		want := ring.Fingerprint(base, opts)
		if got := ring.Fingerprint(append([]ring.Node(nil), base...), opts); got != want {
			t.Errorf("%s: the same ring has fingerprints %x and %x", name, want, got)
		}
		ordered := opts.Kind == "cmemcache" || opts.Kind == "libmemcached"
		if same := ring.Fingerprint(swapped, opts) == want; same == ordered {
			t.Errorf("%s: nodes in another order, same fingerprint: %v, want %v", name, same, !ordered)
		}
		for field, change := range map[string]func(n *ring.Node){
			"Name":   func(n *ring.Node) { n.Name = "x" },
			"Named":  func(n *ring.Node) { n.Named = true },
			"Host":   func(n *ring.Node) { n.Host = "x" },
			"Port":   func(n *ring.Node) { n.Port++ },
			"Weight": func(n *ring.Node) { n.Weight++ },
		} {
			nodes := append([]ring.Node(nil), base...)
			change(&nodes[1])
			if ring.Fingerprint(nodes, opts) == want {
				t.Errorf("%s: another %s, same fingerprint", name, field)
			}
		}
		if ring.Fingerprint(base[:2], opts) == want {
			t.Errorf("%s: a node less, same fingerprint", name)
		}
	}
	prints := map[uint64]string{}
	for name, opts := range everyKind() {
		fp := ring.Fingerprint(base, opts)
		if other, dup := prints[fp]; dup {
			t.Errorf("%s and %s have the same fingerprint", name, other)
		}
		prints[fp] = name
	}
	if ring.Fingerprint(base, ring.Options{}) != ring.Fingerprint(base, ring.Options{Kind: "consistent"}) {
		t.Error("the default kind has another fingerprint than consistent")
	}
}
