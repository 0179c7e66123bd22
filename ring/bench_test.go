package ring_test

import (
	"fmt"
	"testing"

	"mcproxy/ring"
)

func BenchmarkLookup(b *testing.B) {
	for _, kind := range benchKinds() {
		for _, n := range []int{4, 100} {
			b.Run(fmt.Sprintf("%s/nodes=%d", kind.name, n), func(b *testing.B) {
				r := mustNew(b, someNodes(n), kind.opts)
				keys := benchKeys()
				i, sum := 0, 0
				b.ReportAllocs()
				for b.Loop() {
					sum += r.Lookup(keys[i&(len(keys)-1)])
					i++
				}
				sink = sum
			})
		}
	}
}

func BenchmarkLookupAlive(b *testing.B) {
	dead := func(node int) bool { return node&1 == 0 }
	for _, kind := range benchKinds() {
		b.Run(kind.name+"/nodes=100/dead=50", func(b *testing.B) {
			r := mustNew(b, someNodes(100), kind.opts)
			keys := benchKeys()
			i, sum := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				sum += r.LookupAlive(keys[i&(len(keys)-1)], dead)
				i++
			}
			sink = sum
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for _, kind := range benchKinds() {
		for _, n := range []int{4, 100} {
			b.Run(fmt.Sprintf("%s/nodes=%d", kind.name, n), func(b *testing.B) {
				nodes := someNodes(n)
				for b.Loop() {
					mustNew(b, nodes, kind.opts)
				}
			})
		}
	}
}

var sink int

type benchKind struct {
	name string
	opts ring.Options
}

func benchKinds() []benchKind {
	return []benchKind{
		{"consistent", ring.Options{}},
		{"cmemcache", ring.Options{Kind: "cmemcache"}},
		{"ketama", ring.Options{Kind: "ketama"}},
		{"ketama_md5", ring.Options{Kind: "ketama", Hash: "md5"}},
		{"libmemcached_modula", ring.Options{Kind: "libmemcached"}},
		{"libmemcached_ketama", ring.Options{Kind: "libmemcached", Distribution: "ketama"}},
		{"libmemcached_ketama_weighted", ring.Options{Kind: "libmemcached", Distribution: "ketama_weighted"}},
		{"rendezvous", ring.Options{Kind: "rendezvous"}},
	}
}

// benchKeys are 40 hex digits, as Keystone's are; so many that a ring is not in the nearest cache by chance.
func benchKeys() [][]byte {
	keys := make([][]byte, 1<<14)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "%040x", uint64(i)*0x9e3779b97f4a7c15)
	}
	return keys
}
