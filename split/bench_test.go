package split_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"mcproxy/split"
)

// What every request pays in a pool that splits: one look at its key, and one at the flags that come back.

func BenchmarkIsReserved(b *testing.B) {
	key := []byte("2d6cad476fdd468cd5142307ac89a6534277951e")
	b.ReportAllocs()
	for b.Loop() {
		if split.IsReserved(key) {
			b.Fatal("reserved")
		}
	}
}

func BenchmarkOpenPlain(b *testing.B) {
	value := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if s, err := split.Open(5, value, anyMax); err != nil || s.Kind != split.Plain {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenManifest(b *testing.B) {
	r := rand.New(rand.NewPCG(50, 50))
	m := newManifest(b, r, newValue(r, 580_000), split.Options{Servers: 4})
	item := m.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := split.Open(split.ReservedFlags, item, anyMax); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{100_000, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := rand.New(rand.NewPCG(51, 51))
			value, gen := newValue(r, n), newGeneration(r)
			buf := make([]byte, 0, 250)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				g, err := split.Plan(n, split.Options{Servers: 4})
				if err != nil {
					b.Fatal(err)
				}
				m := split.NewManifest(gen, g, value, 0)
				for index := range m.Count {
					buf = m.AppendChunkKey(buf[:0], index, 0)
					_, _ = m.Mark(index), m.Server(index, 0)
				}
				buf = m.Append(buf[:0])
			}
		})
	}
}

// BenchmarkJoin has copy for a rival: the least that joining can cost.
func BenchmarkJoin(b *testing.B) {
	for _, n := range []int{100_000, 1 << 20} {
		r := rand.New(rand.NewPCG(52, 52))
		value, buf := newValue(r, n), make([]byte, n)
		m := newManifest(b, r, value, split.Options{Servers: 4})
		b.Run(fmt.Sprint("assembler/", n), func(b *testing.B) {
			var a split.Assembler
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if err := a.Start(m, buf); err != nil {
					b.Fatal(err)
				}
				for index := range m.Count {
					if err := a.Add(index, m.Mark(index), piece(&m, value, index)); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := a.Value(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprint("copy/", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				copy(buf, value)
			}
		})
	}
}
