package ring_test

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"testing"

	"github.com/cespare/xxhash/v2"

	"mcproxy/ring"
)

// A reference is a recipe in its plainest form: the node of key among the live ones, -1 if there is none.
type reference func(key []byte, dead func(int) bool) int

// referenceCmemcache writes the list out and rehashes text, as python-memcached does.
func referenceCmemcache(nodes []ring.Node) reference {
	var list []int
	for i, n := range nodes {
		for range n.Weight {
			list = append(list, i)
		}
	}
	hash := func(text []byte) int {
		if h := int(crc32.ChecksumIEEE(text)>>16) & 0x7fff; h != 0 {
			return h
		}
		return 1
	}
	return func(key []byte, dead func(int) bool) int {
		h := hash(key)
		for i := range 10 {
			if node := list[h%len(list)]; !dead(node) {
				return node
			}
			h = hash([]byte(fmt.Sprint(h) + fmt.Sprint(i)))
		}
		return -1
	}
}

// referenceCircle looks at every point of the circle.
func referenceCircle(points map[uint32]int, hash func([]byte) uint32) reference {
	return func(key []byte, dead func(int) bool) int {
		h, best, bestWay := hash(key), -1, uint32(0)
		for at, node := range points {
			if way := at - h; !dead(node) && (best < 0 || way < bestWay) {
				best, bestWay = node, way
			}
		}
		return best
	}
}

// md5Points gives four points from each of count/4 strings for each node; nodes differ enough to have no point in common.
func md5Points(names []string, counts []int) map[uint32]int {
	points := map[uint32]int{}
	for i, name := range names {
		for k := range counts[i] / 4 {
			sum := md5.Sum(fmt.Appendf(nil, "%s-%d", name, k))
			for x := 0; x < 16; x += 4 {
				points[uint32(sum[x])|uint32(sum[x+1])<<8|uint32(sum[x+2])<<16|uint32(sum[x+3])<<24] = i
			}
		}
	}
	return points
}

func referenceFNV1a64(key []byte) uint32 {
	h := int32(-2078137563) // 0x84222325
	for _, b := range key {
		h = (h ^ int32(int8(b))) * 435
	}
	return uint32(h)
}

func referenceOneAtATime(key []byte) uint32 {
	var h uint32
	for _, b := range key {
		h += uint32(int8(b))
		h *= 1 + 1<<10
		h ^= h >> 6
	}
	h *= 1 + 1<<3
	h ^= h >> 11
	return h * (1 + 1<<15)
}

func referenceModula(n int) reference {
	return func(key []byte, dead func(int) bool) int {
		home := int(referenceOneAtATime(key) % uint32(n))
		for i := range n {
			if node := (home + i) % n; !dead(node) {
				return node
			}
		}
		return -1
	}
}

// referenceMurmur3 is MurmurHash3_x86_32 with seed 0 as its author writes it.
func referenceMurmur3(data []byte) uint32 {
	h, n := uint32(0), uint32(len(data))
	mix := func(k uint32) uint32 {
		k *= 0xcc9e2d51
		k = k<<15 | k>>17
		return k * 0x1b873593
	}
	for ; len(data) >= 4; data = data[4:] {
		h ^= mix(binary.LittleEndian.Uint32(data))
		h = h<<13 | h>>19
		h = h*5 + 0xe6546b64
	}
	var k uint32
	switch len(data) {
	case 3:
		k ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		k ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		k ^= uint32(data[0])
		h ^= mix(k)
	}
	h ^= n
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

func referenceRendezvous(names []string) reference {
	return func(key []byte, dead func(int) bool) int {
		best, bestScore := -1, uint32(0)
		for i, name := range names {
			if dead(i) {
				continue
			}
			score := referenceMurmur3([]byte(name + "-" + string(key)))
			if best < 0 || score > bestScore || score == bestScore && name > names[best] {
				best, bestScore = i, score
			}
		}
		return best
	}
}

// consistentCosts gives what each node asks for key's slot, in floating point.
func consistentCosts(nodes []ring.Node, key []byte) []float64 {
	spread := (xxhash.Sum64(key)>>46 + 1) * 0x9e3779b97f4a7c15
	costs := make([]float64, len(nodes))
	for i, n := range nodes {
		x := xxhash.Sum64String(n.Name) ^ spread
		x = (x ^ x>>33) * 0xff51afd7ed558ccd
		x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
		x ^= x >> 33
		costs[i] = -math.Log2(float64(x)/(1<<64)) / float64(n.Weight)
	}
	return costs
}

// checkConsistent: the node must be the cheapest of the live ones, to the precision of the table of logarithms.
func checkConsistent(t *testing.T, nodes []ring.Node, r ring.Ring, key []byte, dead func(int) bool) {
	t.Helper()
	costs := consistentCosts(nodes, key)
	least := math.Inf(1)
	for i, cost := range costs {
		if !dead(i) {
			least = min(least, cost)
		}
	}
	switch got := r.LookupAlive(key, dead); {
	case got < 0 && !math.IsInf(least, 1):
		t.Errorf("consistent: LookupAlive(%q) = %d, though a node lives", key, got)
	case got >= 0 && (dead(got) || costs[got] > least*(1+1e-3)+1e-9):
		t.Errorf("consistent: LookupAlive(%q) = %d with cost %g, the least is %g", key, got, costs[got], least)
	}
}

// FuzzLookup holds each ring against its reference, for any key and any set of dead nodes.
func FuzzLookup(f *testing.F) {
	nodes := []ring.Node{
		{Name: "a", Host: "10.0.0.1", Port: 11211, Weight: 5},
		{Name: "b", Host: "cache-2.example", Port: 11212, Weight: 7},
		{Name: "c", Host: "/run/memcached.sock", Weight: 11},
		{Name: "d", Host: "::1", Port: 1, Weight: 13},
	}
	twemproxyNames := []string{"10.0.0.1", "cache-2.example:11212", "/run/memcached.sock:", "::1:1"}
	libmemcachedNames := []string{"10.0.0.1", "cache-2.example:11212", "/run/memcached.sock:0", "::1:1"}
	rendezvousNames := []string{"10.0.0.1:11211", "cache-2.example:11212", "/run/memcached.sock", "::1:1"}
	weighted := []int{88, 124, 192, 228}
	unweighted := map[uint32]int{}
	for i, name := range libmemcachedNames {
		for k := range 100 {
			unweighted[referenceOneAtATime(fmt.Appendf(nil, "%s-%d", name, k))] = i
		}
	}
	md5Hash := func(key []byte) uint32 { sum := md5.Sum(key); return binary.LittleEndian.Uint32(sum[:]) }
	rings := []struct {
		ring ring.Ring
		want reference
	}{
		{mustNew(f, nodes, ring.Options{Kind: "cmemcache"}), referenceCmemcache(nodes)},
		{mustNew(f, nodes, ring.Options{Kind: "ketama"}), referenceCircle(md5Points(twemproxyNames, weighted), referenceFNV1a64)},
		{mustNew(f, nodes, ring.Options{Kind: "libmemcached"}), referenceModula(len(nodes))},
		{mustNew(f, nodes, ring.Options{Kind: "libmemcached", Distribution: "ketama"}), referenceCircle(unweighted, referenceOneAtATime)},
		{mustNew(f, nodes, ring.Options{Kind: "libmemcached", Distribution: "ketama_weighted"}), referenceCircle(md5Points(libmemcachedNames, weighted), md5Hash)},
		{mustNew(f, nodes, ring.Options{Kind: "rendezvous"}), referenceRendezvous(rendezvousNames)},
	}
	consistent := mustNew(f, nodes, ring.Options{})

	for i, key := range [][]byte{
		nil,
		[]byte("a"),
		[]byte("ob"),
		[]byte("6e49b86a7502dae881f3b9466ecbdfa4743c7eb9"),
		[]byte("caf\xc3\xa9"),
		bytes.Repeat([]byte{0xff}, 250),
		bytes.Repeat([]byte("key"), 1000),
	} {
		f.Add(key, uint8(i))
	}
	f.Fuzz(func(t *testing.T, key []byte, deadMask uint8) {
		given := bytes.Clone(key)
		for _, dead := range []func(int) bool{
			func(int) bool { return false },
			func(node int) bool { return deadMask>>node&1 == 1 },
		} {
			for _, r := range rings {
				if got, want := r.ring.LookupAlive(key, dead), r.want(key, dead); got != want {
					t.Errorf("%T: LookupAlive(%q, dead mask %b) = %d, want %d", r.ring, key, deadMask, got, want)
				}
				if got, again := r.ring.Lookup(key), r.ring.LookupAlive(key, func(int) bool { return false }); got != again || got < 0 || got >= len(nodes) {
					t.Errorf("%T: Lookup(%q) = %d, LookupAlive with all alive = %d", r.ring, key, got, again)
				}
			}
			checkConsistent(t, nodes, consistent, key, dead)
			if got, again := consistent.Lookup(key), consistent.LookupAlive(key, func(int) bool { return false }); got != again {
				t.Errorf("consistent: Lookup(%q) = %d, LookupAlive with all alive = %d", key, got, again)
			}
		}
		if !bytes.Equal(key, given) {
			t.Errorf("a lookup changed its key from %q to %q", given, key)
		}
	})
}

// TestRendezvousAgainstReference meets every length of key with every alignment of the words that it falls into.
func TestRendezvousAgainstReference(t *testing.T) {
	nodes := someNodes(9)
	names := make([]string, len(nodes))
	for i := range nodes {
		nodes[i].Host = "h23456789"[:i+1] // every alignment of the key
		names[i] = fmt.Sprintf("%s:%d", nodes[i].Host, nodes[i].Port)
	}
	r, want := mustNew(t, nodes, ring.Options{Kind: "rendezvous"}), referenceRendezvous(names)
	for length := range 300 {
		for seed := range byte(8) {
			key := bytes.Repeat([]byte{seed * 37, seed ^ 0xa5, 7, byte(length)}, 75)[:length]
			for _, dead := range []func(int) bool{deadSet(nil), deadSet([]int{int(seed)}), deadSet([]int{0, 2, 4, 8})} {
				if got, want := r.LookupAlive(key, dead), want(key, dead); got != want {
					t.Errorf("LookupAlive(%q) = %d, want %d", key, got, want)
				}
			}
		}
	}
}
