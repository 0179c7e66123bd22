package ring_test

import (
	"fmt"
	"reflect"
	"testing"

	"mcproxy/ring"
)

func TestKetamaPointCounts(t *testing.T) {
	for _, tt := range []struct{ weights, want []int }{
		{[]int{1}, []int{160}},
		{[]int{1, 1}, []int{160, 160}},
		{[]int{1, 2}, []int{104, 212}},
		{[]int{5, 7, 11, 13}, []int{88, 124, 192, 228}},
		{[]int{1, 100000}, []int{0, 316}},
	} {
		nodes := someNodes(len(tt.weights), tt.weights...)
		total := 0
		for _, w := range tt.weights {
			total += w
		}
		for i, w := range tt.weights {
			if got := ring.KetamaCount(w, total, len(nodes)); got != tt.want[i] {
				t.Errorf("weights %v: node %d has %d points, want %d", tt.weights, i, got, tt.want[i])
			}
		}
		for _, opts := range []ring.Options{{Kind: "ketama"}, {Kind: "libmemcached", Distribution: "ketama_weighted"}} {
			at, owners := ring.Points(mustNew(t, nodes, opts))
			got := make([]int, len(nodes))
			for i, node := range owners {
				got[node]++
				if i > 0 && at[i] < at[i-1] {
					t.Fatalf("%+v: points %d and %d are not in order", opts, i-1, i)
				}
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, weights %v: %v points, want %v", opts, tt.weights, got, tt.want)
			}
		}
	}
	for _, n := range []int{1, 3, 24} {
		at, _ := ring.Points(mustNew(t, someNodes(n, 1, 5), ring.Options{Kind: "libmemcached", Distribution: "ketama"}))
		if len(at) != 100*n {
			t.Errorf("unweighted ketama of %d nodes has %d points, want %d", n, len(at), 100*n)
		}
	}
}

// TestKetamaEqualWeights: for some numbers of nodes float32 rounds 40 times four points down to 39, in twemproxy too.
func TestKetamaEqualWeights(t *testing.T) {
	for n := 1; n <= 100; n++ {
		if got := ring.KetamaCount(1, n, n); got != 160 && got != 156 {
			t.Errorf("%d equal nodes have %d points each, want 160, or 156 where the arithmetic rounds down", n, got)
		}
	}
}

func TestKetamaFirstPoints(t *testing.T) {
	for _, tt := range []struct {
		node ring.Node
		want []uint32
	}{
		{ring.Node{Name: "a", Host: "10.0.0.1", Port: 11211, Weight: 1}, []uint32{0x2194783c, 0x36d6a85b, 0xf1edf592, 0x40a9b8cf}},
		{ring.Node{Name: "b", Host: "10.0.0.1", Port: 11212, Weight: 1}, []uint32{0x04fc7f31, 0x411ff463, 0xc39b9e9c, 0x573af44a}},
		{ring.Node{Name: "10.0.0.1", Named: true, Host: "h", Port: 1, Weight: 1}, []uint32{0x2194783c, 0x36d6a85b, 0xf1edf592, 0x40a9b8cf}},
	} {
		if got := ring.KetamaPoints(tt.node)[:4]; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%+v: first points %08x, want %08x", tt.node, got, tt.want)
		}
	}
}

func TestKeyHashes(t *testing.T) {
	// What libhashkit gives for each key; twemproxy's are the same functions.
	keys := []string{"", "foo", "key1", "caf\xc3\xa9", "\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}
	want := map[string][]uint64{
		"one_at_a_time": {0x0, 0x238678dd, 0xbef4dc2c, 0xd99c709e, 0xceb94bdc, 0x225b9e0d},
		"md5":           {0xd98c1dd4, 0xdb18bdac, 0x94d6adc2, 0xe47f1107, 0xdbfa0a2a, 0x1ef910de},
		"crc":           {0x0, 0xc73, 0x2c5c, 0x18ad, 0x7f41, 0x72d6},
		"fnv1_64":       {0x84222325, 0x6ba13533, 0xca70ddf7, 0x8a06fef1, 0x87859a26, 0xf9bd817c},
		"fnv1a_64":      {0x84222325, 0xfed9d577, 0x5cbda787, 0xcef6bb89, 0xb997bdb0, 0xf4225762},
		"fnv1_32":       {0x811c9dc5, 0x408f5e13, 0x84153697, 0xd682f171, 0xcddecf06, 0xecd369fc},
		"fnv1a_32":      {0x811c9dc5, 0xa9f37ed7, 0x374a6a67, 0x7572c049, 0x7176dbb0, 0x27f93302},
		"murmur":        {0x0, 0xc4e0338f, 0x3e978ab6, 0xda11981f, 0xfba9e03a, 0x7defff4},
		"jenkins":       {0xdeadbefc, 0x99f84f99, 0xd312a707, 0xcb6225ad, 0xc9b46658, 0x902665b2},
	}
	check := func(opts ring.Options, want []uint64) {
		t.Helper()
		r := mustNew(t, someNodes(2), opts)
		for i, key := range keys {
			if got := r.Hash([]byte(key)); got != want[i] {
				t.Errorf("%+v: Hash(%q) = %08x, want %08x", opts, key, got, want[i])
			}
		}
	}
	for name, hashes := range want {
		check(ring.Options{Kind: "libmemcached", Hash: name}, hashes)
		check(ring.Options{Kind: "libmemcached", Hash: name, Distribution: "ketama"}, hashes)
		check(ring.Options{Kind: "libmemcached", Hash: name, Distribution: "ketama_weighted"}, hashes)
		if name == "crc" {
			name = "crc32"
		}
		check(ring.Options{Kind: "ketama", Hash: name}, hashes)
	}
	check(ring.Options{Kind: "ketama"}, want["fnv1a_64"])
	check(ring.Options{Kind: "libmemcached"}, want["one_at_a_time"])
	check(ring.Options{Kind: "libmemcached", Hash: "default"}, want["one_at_a_time"])
	check(ring.Options{Kind: "libmemcached", Distribution: "ketama"}, want["one_at_a_time"])
	check(ring.Options{Kind: "libmemcached", Distribution: "ketama_weighted"}, want["md5"])
	if got := mustNew(t, someNodes(2), ring.Options{Kind: "ketama", Hash: "crc32a"}).Hash([]byte("foo")); got != 0x8c736521 {
		t.Errorf("crc32a of foo is %08x, want 8c736521", got)
	}
}

func TestHashTag(t *testing.T) {
	r := mustNew(t, someNodes(5), ring.Options{Kind: "ketama", HashTag: "{}"})
	plain := mustNew(t, someNodes(5), ring.Options{Kind: "ketama"})
	same := mustNew(t, someNodes(5), ring.Options{Kind: "ketama", HashTag: "||"})
	for _, tt := range []struct {
		r            ring.Ring
		key, decides string
	}{
		{r, "user{42}name", "42"},
		{r, "{42}", "42"},
		{r, "{42", "{42"},
		{r, "42}", "42}"},
		{r, "}{42}", "42"},
		{r, "a{}b", "a{}b"},
		{r, "a{}{b}", "a{}{b}"},
		{r, "a{{b}}", "{b"},
		{r, "a{b}{c}", "b"},
		{r, "", ""},
		{same, "a|b|c", "b"},
		{same, "a||b|c", "a||b|c"},
		{same, "a|b", "a|b"},
		{plain, "user{42}name", "user{42}name"},
	} {
		key, decides := []byte(tt.key), []byte(tt.decides)
		if got, want := tt.r.Hash(key), plain.Hash(decides); got != want {
			t.Errorf("Hash(%q) = %08x, want the hash of %q, %08x", key, got, decides, want)
		}
		if got, want := tt.r.Lookup(key), plain.Lookup(decides); got != want {
			t.Errorf("Lookup(%q) = %d, want that of %q, %d", key, got, decides, want)
		}
	}
}

// collidingPair finds names, of different lengths, of which the first in twemproxy's order is not the first by bytes, and
// which have a point in common.
func collidingPair(t testing.TB) (short, long string, at uint32) {
	t.Helper()
	owners := map[uint32]string{}
	for i := range 3000 {
		for _, name := range []string{fmt.Sprintf("z%d", i), fmt.Sprintf("node-%d", i)} {
			for _, at := range ring.KetamaPoints(ring.Node{Name: name, Named: true, Weight: 1}) {
				if other, taken := owners[at]; taken && other[0] != name[0] {
					if len(other) > len(name) {
						other, name = name, other
					}
					return other, name, at
				}
				owners[at] = name
			}
		}
	}
	t.Fatal("no two names have a point in common")
	return "", "", 0
}

// TestKetamaEqualPoints: twemproxy sorts its servers by the length of their names first, and of equal points the one of the
// first server counts.
func TestKetamaEqualPoints(t *testing.T) {
	short, long, at := collidingPair(t)
	a := ring.Node{Name: short, Named: true, Weight: 1}
	b := ring.Node{Name: long, Named: true, Weight: 1}
	for _, nodes := range [][]ring.Node{{a, b}, {b, a}} {
		points, owners := ring.Points(mustNew(t, nodes, ring.Options{Kind: "ketama"}))
		found := 0
		for i := range points {
			if points[i] != at {
				continue
			}
			want := []string{short, long}[found]
			if got := nodes[owners[i]].Name; got != want {
				t.Errorf("point %08x: %s comes as number %d, want %s", at, got, found, want)
			}
			found++
		}
		if found != 2 {
			t.Errorf("point %08x is there %d times, want 2", at, found)
		}
	}
}
