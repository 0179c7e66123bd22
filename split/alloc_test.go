//go:build !race

package split_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"mcproxy/split"
)

// TestNoAllocations: writing and reading a split value allocates nothing here, and no manifest, however absurd, makes
// anything be set aside.
func TestNoAllocations(t *testing.T) {
	r := rand.New(rand.NewPCG(40, 40))
	value := newValue(r, 580_000)
	gen := newGeneration(r)
	buf, key, item := make([]byte, len(value)), make([]byte, 0, 250), make([]byte, 0, 1000)
	manifest := newManifest(t, r, value, split.Options{Servers: 4, Copies: 2})
	absurd := resealed(manifest.Append(nil), func(b []byte) { binary.BigEndian.PutUint64(b[16:], 1<<64-1) })
	wrapped := split.AppendWrapped(nil, value)
	req := parse(t, "mg k v s c f t O1\r\n")
	line := []byte("VA 56 s56 c5 f3642017935 t-1 O1 W")
	var a split.Assembler

	for name, f := range map[string]func(){
		"planning and writing": func() {
			g, err := split.Plan(len(value), split.Options{Servers: 4, Copies: 2})
			if err != nil {
				t.Fatal(err)
			}
			m := split.NewManifest(gen, g, value, 3)
			for index := range m.Count {
				key = m.AppendChunkKey(key[:0], index, m.Copies-1)
				_, _ = m.Mark(index), m.Server(index, 0)
			}
			item = m.Append(item[:0])
		},
		"opening and joining": func() {
			stored, err := split.Open(split.ReservedFlags, manifest.Append(item[:0]), anyMax)
			if err != nil {
				t.Fatal(err)
			}
			m := stored.Manifest
			if err := a.Start(m, buf); err != nil {
				t.Fatal(err)
			}
			for index := range a.Missing() {
				if err := a.Add(index, m.Mark(index), piece(&m, value, index)); err != nil {
					t.Fatal(err)
				}
			}
			joined, err := a.Value()
			if err != nil {
				t.Fatal(err)
			}
			it := split.Item{Flags: stored.Flags, Unique: 9, Value: joined}
			item = it.AppendHead(item[:0], 0, key)
			item, _ = it.AppendMetaHead(item[:0], req, line)
			item = split.AppendMetaFlags(item[:0], req.MetaFlags, "fv")
		},
		"refusing": func() {
			if _, err := split.Open(split.ReservedFlags, absurd, anyMax); err == nil {
				t.Fatal("an absurd manifest was taken")
			}
			if _, err := split.Open(split.ReservedFlags, value, anyMax); err == nil {
				t.Fatal("a value was taken for a manifest")
			}
		},
		"unwrapping": func() {
			if _, err := split.Open(split.ReservedFlags, wrapped, anyMax); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}
