package split_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"mcproxy/split"
)

// piece is chunk index of a value, as a server has it.
func piece(m *split.Manifest, value []byte, index int) []byte {
	from, to := m.Bounds(index)
	return value[from:to]
}

func missing(a *split.Assembler) []int { return slices.Collect(a.Missing()) }

// TestAssemblerAnyOrder: chunks in any order, some more than once, give the value, and at each step the assembler knows
// what it has.
func TestAssemblerAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	var a split.Assembler // one for all: Start forgets
	for range 200 {
		value := newValue(r, 1+r.IntN(2000))
		m := newManifest(t, r, value, split.Options{Chunk: 1 + r.IntN(100), Servers: 1 + r.IntN(9)})
		buf := make([]byte, m.Length+r.IntN(3))
		if err := a.Start(m, buf); err != nil {
			t.Fatal(err)
		}
		had := map[int]bool{}
		order := append(r.Perm(m.Count), r.Perm(m.Count)...)
		for _, index := range order {
			var left []int
			for i := range m.Count {
				if !had[i] {
					left = append(left, i)
				}
			}
			if got := missing(&a); !slices.Equal(got, left) || a.Left() != len(left) || a.Has(index) != had[index] {
				t.Fatalf("missing are %v (%d), want %v", got, a.Left(), left)
			}
			if _, err := a.Value(); len(left) > 0 && !errors.Is(err, split.ErrIncomplete) {
				t.Fatalf("Value with %d chunks missing: %v, want %v", len(left), err, split.ErrIncomplete)
			}
			if err := a.Add(index, m.Mark(index), piece(&m, value, index)); err != nil {
				t.Fatalf("Add(%d): %v", index, err)
			}
			had[index] = true
		}
		got, err := a.Value()
		if err != nil || !bytes.Equal(got, value) {
			t.Fatalf("Value gives %d bytes, %v; want the value's %d", len(got), err, len(value))
		}
		if &got[0] != &buf[0] || cap(got) != m.Length {
			t.Fatal("the value is not in the caller's buffer, or may be appended to there")
		}
	}
}

func TestAssemblerRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	value := newValue(r, 1050)
	o := split.Options{Chunk: 100, Servers: 1}
	m, other := newManifest(t, r, value, o), newManifest(t, r, value, o)
	var a split.Assembler
	if err := a.Start(m, make([]byte, 1050)); err != nil {
		t.Fatal(err)
	}
	first, last := piece(&m, value, 0), piece(&m, value, m.Count-1)
	for _, tt := range []struct {
		name  string
		index int
		flags uint32
		chunk []byte
		want  error
	}{
		{"no such chunk", m.Count, m.Mark(0), first, split.ErrForeign},
		{"no such chunk, below", -1, m.Mark(0), first, split.ErrForeign},
		{"another index's", 1, m.Mark(0), first, split.ErrForeign},
		{"another generation's", 0, other.Mark(0), first, split.ErrForeign},
		{"a plain item", 0, 0, first, split.ErrForeign},
		{"a manifest", 0, split.ReservedFlags, m.Append(nil), split.ErrForeign},
		{"cut short", 0, m.Mark(0), first[:len(first)-1], split.ErrLength},
		{"empty", 0, m.Mark(0), nil, split.ErrLength},
		{"too long", 0, m.Mark(0), value[:m.Chunk+1], split.ErrLength},
		{"the last, as long as the others", m.Count - 1, m.Mark(m.Count - 1), first, split.ErrLength},
	} {
		if err := a.Add(tt.index, tt.flags, tt.chunk); !errors.Is(err, tt.want) {
			t.Errorf("%s: Add = %v, want %v", tt.name, err, tt.want)
		}
	}
	if len(last) == len(first) {
		t.Error("the table needs a last chunk that is shorter")
	}
	if a.Left() != m.Count {
		t.Errorf("%d chunks are missing after %d refusals of %d", a.Left(), 10, m.Count)
	}
}

func TestAssemblerChecksum(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	value := newValue(r, 1000)
	m := newManifest(t, r, value, split.Options{Chunk: 100, Servers: 2})
	var a split.Assembler
	for bit := range 8000 {
		if err := a.Start(m, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		bad := slices.Clone(value)
		bad[bit/8] ^= 1 << (bit % 8)
		for index := range m.Count {
			if err := a.Add(index, m.Mark(index), piece(&m, bad, index)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := a.Value(); !errors.Is(err, split.ErrChecksum) || got != nil {
			t.Fatalf("bit %d changed: Value gives %d bytes and %v, want %v", bit, len(got), err, split.ErrChecksum)
		}
	}
}

// TestAssemblerFirstStays: a second copy of a chunk, even a wrong one, does not touch what is there.
func TestAssemblerFirstStays(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 14))
	value := newValue(r, 300)
	m := newManifest(t, r, value, split.Options{Chunk: 100, Servers: 2})
	var a split.Assembler
	if err := a.Start(m, make([]byte, 300)); err != nil {
		t.Fatal(err)
	}
	for _, v := range [][]byte{value, make([]byte, 300)} {
		for index := range m.Count {
			if err := a.Add(index, m.Mark(index), piece(&m, v, index)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, err := a.Value(); err != nil || !bytes.Equal(got, value) {
		t.Errorf("Value = %v: the second copies were taken", err)
	}
}

// TestAssemblerInPlace: a chunk that was read straight into its place is taken as it is.
func TestAssemblerInPlace(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 15))
	value := newValue(r, 777)
	m := newManifest(t, r, value, split.Options{Chunk: 100, Servers: 2})
	var a split.Assembler
	if err := a.Start(m, make([]byte, 777)); err != nil {
		t.Fatal(err)
	}
	for index := range m.Count {
		place := a.Place(index)
		if len(place) != m.Size(index) || cap(place) != m.Size(index) {
			t.Fatalf("Place(%d) has %d of %d bytes, want %d", index, len(place), cap(place), m.Size(index))
		}
		copy(place, piece(&m, value, index))
		if err := a.Add(index, m.Mark(index), place); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := a.Value(); err != nil || !bytes.Equal(got, value) {
		t.Errorf("Value = %v", err)
	}
}

func TestAssemblerStart(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 16))
	value := newValue(r, 300)
	m := newManifest(t, r, value, split.Options{Chunk: 100, Servers: 2})
	var a split.Assembler
	unusable := func(when string) {
		t.Helper()
		if err := a.Add(0, m.Mark(0), piece(&m, value, 0)); !errors.Is(err, split.ErrForeign) {
			t.Errorf("Add %s: %v, want %v", when, err, split.ErrForeign)
		}
		if _, err := a.Value(); !errors.Is(err, split.ErrIncomplete) {
			t.Errorf("Value %s: %v, want %v", when, err, split.ErrIncomplete)
		}
		if got := missing(&a); len(got) != 0 {
			t.Errorf("Missing %s: %v", when, got)
		}
	}
	unusable("before Start")
	if err := a.Start(m, make([]byte, 300)); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(m, make([]byte, 299)); !errors.Is(err, split.ErrBuffer) {
		t.Errorf("Start with a buffer too small: %v, want %v", err, split.ErrBuffer)
	}
	unusable("after a Start that failed")
	absurd := m
	absurd.Count = 1 << 40
	if err := a.Start(absurd, make([]byte, 300)); !errors.Is(err, split.ErrBounds) {
		t.Errorf("Start with an absurd count: %v, want %v", err, split.ErrBounds)
	}
	unusable("after an absurd count")
}

// TestMissingStops: the list may be left early.
func TestMissingStops(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 17))
	m := newManifest(t, r, newValue(r, 200), split.Options{Chunk: 1, Servers: 2})
	var a split.Assembler
	if err := a.Start(m, make([]byte, 200)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for index := range a.Missing() {
		if n++; index == 99 {
			break
		}
	}
	if n != 100 {
		t.Errorf("%d chunks up to number 99, want 100", n)
	}
}
