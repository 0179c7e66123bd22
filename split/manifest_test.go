package split_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"mcproxy/protocol"
	"mcproxy/split"
)

// anyMax is a maxValue that no manifest is over.
const anyMax = split.MaxLength

// newGeneration draws a generation. Tests draw from a seeded source so that a failure can be repeated.
func newGeneration(r *rand.Rand) (gen split.Generation) {
	binary.BigEndian.PutUint64(gen[:], r.Uint64())
	binary.BigEndian.PutUint64(gen[8:], r.Uint64())
	return gen
}

// newValue gives n random bytes.
func newValue(r *rand.Rand, n int) []byte {
	value := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.BigEndian.PutUint64(value[i:], r.Uint64())
	}
	return value[:n:n]
}

// newManifest plans a value, and describes it.
func newManifest(t testing.TB, r *rand.Rand, value []byte, o split.Options) split.Manifest {
	t.Helper()
	g, err := split.Plan(len(value), o)
	if err != nil {
		t.Fatalf("Plan(%d, %+v): %v", len(value), o, err)
	}
	return split.NewManifest(newGeneration(r), g, value, r.Uint32())
}

// TestManifestBytes pins the format: what one version of the proxy wrote another must read.
func TestManifestBytes(t *testing.T) {
	value := bytes.Repeat([]byte("0123456789"), 100)
	g, err := split.Plan(len(value), split.Options{Chunk: 400, Servers: 2})
	if err != nil {
		t.Fatal(err)
	}
	gen := split.Generation{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	m := split.NewManifest(gen, g, value, 24)
	m.Unique = 258
	got := hex.EncodeToString(m.Append(nil))
	const want = "b76d6370" + "01" + "01" + "26c634deff2a65ff" +
		"000102030405060708090a0b0c0d0e0f" + "000003e8" + "000000fa" + "0004" + "0001" + "0002" + "00000018" + "8a3a907285a08a17" + "0000000000000102"
	if got != want {
		t.Errorf("manifest is\n%s, want\n%s", got, want)
	}
	if len(m.Append(nil)) != split.ManifestLen {
		t.Errorf("manifest has %d bytes, ManifestLen says %d", len(m.Append(nil)), split.ManifestLen)
	}
	if got, want := hex.EncodeToString(split.AppendWrapped(nil, []byte("ab"))), "b76d6370"+"01"+"02"+"0adda76954a227c1"+"6162"; got != want {
		t.Errorf("wrapped value is %s, want %s", got, want)
	}
}

func TestManifestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 3000 {
		o := split.Options{Chunk: 1 + r.IntN(4096), Copies: 1 + r.IntN(12), Servers: 1 + r.IntN(40)}
		m := newManifest(t, r, newValue(r, 1+r.IntN(30_000)), o)
		m.Unique = r.Uint64() >> r.IntN(65)
		b := m.Append([]byte("before"))[len("before"):]
		got, err := split.DecodeManifest(b, m.Length)
		if err != nil || got != m {
			t.Fatalf("DecodeManifest gives %+v, %v; want %+v", got, err, m)
		}
		if again := got.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("encoded again:\n%x, want\n%x", again, b)
		}
	}
}

// resealed gives a manifest with one field changed and a checksum that fits.
func resealed(item []byte, change func(body []byte)) []byte {
	item = slices.Clone(item)
	change(item[14:])
	return reseal(item)
}

// reseal sets an item's checksum, by the format's description and not by the code's own function.
func reseal(item []byte) []byte {
	d := xxhash.NewWithSeed(uint64(item[4])<<8 | uint64(item[5]))
	_, _ = d.Write(item[14:])
	binary.BigEndian.PutUint64(item[6:], d.Sum64())
	return item
}

func TestDecodeManifestRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	m := newManifest(t, r, newValue(r, 100_000), split.Options{Chunk: 1000, Copies: 2, Servers: 4})
	good := m.Append(nil)
	if m.Count != 100 || m.Chunk != 1000 {
		t.Fatalf("the table below needs 100 chunks of 1000 bytes, and has %+v", m.Geometry)
	}
	put16 := func(at int, v uint16) []byte {
		return resealed(good, func(b []byte) { binary.BigEndian.PutUint16(b[at:], v) })
	}
	put32 := func(at int, v uint32) []byte {
		return resealed(good, func(b []byte) { binary.BigEndian.PutUint32(b[at:], v) })
	}
	const length, chunk, count, copies, servers = 16, 20, 24, 26, 28
	for _, tt := range []struct {
		name string
		item []byte
		want error
	}{
		{"the manifest", good, nil},
		{"the same with its checksum set again", resealed(good, func([]byte) {}), nil},
		{"nothing", nil, split.ErrNoManifest},
		{"a client's text", []byte("hello, this is a client's value of some length, is it not?"), split.ErrNoManifest},
		{"a number", []byte("1"), split.ErrNoManifest},
		{"the head alone", good[:14], split.ErrDamaged},
		{"half a head", good[:13], split.ErrNoManifest},
		{"a wrapped value", split.AppendWrapped(nil, []byte("x")), split.ErrNoManifest},
		{"a byte missing", good[:len(good)-1], split.ErrDamaged},
		{"a byte missing, sealed", reseal(slices.Clone(good[:len(good)-1])), split.ErrBounds},
		{"a byte too many", append(slices.Clone(good), 0), split.ErrDamaged},
		{"a byte too many, sealed", reseal(append(slices.Clone(good), 0)), split.ErrBounds},
		{"a body of nothing, sealed", reseal(slices.Clone(good[:14])), split.ErrBounds},
		{"version 0", reseal(slices.Concat(good[:4], []byte{0}, good[5:])), split.ErrVersion},
		{"version 2", reseal(slices.Concat(good[:4], []byte{2}, good[5:])), split.ErrVersion},
		{"kind 0", reseal(slices.Concat(good[:5], []byte{0}, good[6:])), split.ErrNoManifest},
		{"kind 3", reseal(slices.Concat(good[:5], []byte{3}, good[6:])), split.ErrNoManifest},
		{"the other kind, not sealed", slices.Concat(good[:5], []byte{2}, good[6:]), split.ErrDamaged},
		{"length 0", put32(length, 0), split.ErrBounds},
		{"length a chunk longer", put32(length, 100_001), split.ErrBounds},
		{"length a chunk shorter", put32(length, 99_000), split.ErrBounds},
		{"length one shorter", put32(length, 99_999), nil}, // as good as any: the checksum of the value will tell
		{"length absurd", put32(length, 1<<32-1), split.ErrBounds},
		{"chunk 0", put32(chunk, 0), split.ErrBounds},
		{"chunk 1", put32(chunk, 1), split.ErrBounds},
		{"chunk absurd", put32(chunk, 1<<32-1), split.ErrBounds},
		{"count 0", put16(count, 0), split.ErrBounds},
		{"count 99", put16(count, 99), split.ErrBounds},
		{"count 101", put16(count, 101), split.ErrBounds},
		{"count absurd", put16(count, 1<<16-1), split.ErrBounds},
		{"copies 0", put16(copies, 0), split.ErrBounds},
		{"more copies than servers", put16(copies, 5), split.ErrBounds},
		{"servers 0", put16(servers, 0), split.ErrBounds},
		{"servers absurd", put16(servers, split.MaxServers+1), split.ErrBounds},
		{"too many items", resealed(good, func(b []byte) {
			binary.BigEndian.PutUint16(b[copies:], 164) // times 100 chunks
			binary.BigEndian.PutUint16(b[servers:], 200)
		}), split.ErrBounds},
		{"as many items as may be", resealed(good, func(b []byte) {
			binary.BigEndian.PutUint16(b[copies:], 163)
			binary.BigEndian.PutUint16(b[servers:], 200)
		}), nil},
		{"too many chunks", resealed(good, func(b []byte) {
			binary.BigEndian.PutUint32(b[length:], 4097*1000)
			binary.BigEndian.PutUint16(b[count:], 4097)
		}), split.ErrBounds},
		{"one chunk longer than the value", resealed(good, func(b []byte) {
			binary.BigEndian.PutUint32(b[length:], 999)
			binary.BigEndian.PutUint16(b[count:], 1)
		}), split.ErrBounds},
	} {
		if _, err := split.DecodeManifest(tt.item, anyMax); !errors.Is(err, tt.want) {
			t.Errorf("%s: DecodeManifest(%x) = %v, want %v", tt.name, tt.item, err, tt.want)
		}
		if got, err := split.Open(split.ReservedFlags, tt.item, anyMax); !errors.Is(err, tt.want) && got.Kind != split.Wrapped {
			t.Errorf("%s: Open(%x) = %v, want %v", tt.name, tt.item, err, tt.want)
		}
	}
	if _, err := split.DecodeManifest(good, 99_999); !errors.Is(err, split.ErrTooLarge) {
		t.Errorf("DecodeManifest of 100,000 bytes where 99,999 are allowed = %v, want %v", err, split.ErrTooLarge)
	}
}

// TestManifestBits: no bit of an item can change unnoticed.
func TestManifestBits(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	m := newManifest(t, r, newValue(r, 5000), split.Options{Chunk: 700, Servers: 3})
	for name, good := range map[string][]byte{
		"manifest": m.Append(nil), "wrapped": split.AppendWrapped(nil, newValue(r, 50)),
	} {
		for bit := range len(good) * 8 {
			bad := slices.Clone(good)
			bad[bit/8] ^= 1 << (bit % 8)
			if got, err := split.Open(split.ReservedFlags, bad, anyMax); err == nil {
				t.Errorf("%s with bit %d changed is taken for %+v", name, bit, got)
			}
		}
	}
}

func TestAppendPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Append of a manifest that nobody planned did not panic")
		}
	}()
	(&split.Manifest{}).Append(nil)
}

func TestNewManifestPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("NewManifest of a value that is not as long as planned did not panic")
		}
	}()
	split.NewManifest(split.Generation{}, split.Geometry{Length: 2, Chunk: 2, Count: 1, Copies: 1, Servers: 1}, []byte("x"), 0)
}

func TestOpen(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	m := newManifest(t, r, newValue(r, 5000), split.Options{Chunk: 700, Servers: 3})
	manifest := m.Append(nil)
	for _, tt := range []struct {
		name  string
		flags uint32
		item  []byte
		want  split.Stored
		err   error
	}{
		{"plain", 5, []byte("abc"), split.Stored{Kind: split.Plain, Flags: 5, Value: []byte("abc")}, nil},
		{"a manifest with other flags is a client's value", 5, manifest, split.Stored{Flags: 5, Value: manifest}, nil},
		{"manifest", split.ReservedFlags, manifest, split.Stored{Kind: split.Split, Flags: m.Flags, Manifest: m}, nil},
		{
			"a manifest's bytes stored by a client with the reserved flags", split.ReservedFlags,
			split.AppendWrapped(nil, manifest),
			split.Stored{Kind: split.Wrapped, Flags: split.ReservedFlags, Value: manifest},
			nil,
		},
		{
			"an empty wrapped value", split.ReservedFlags, split.AppendWrapped(nil, nil),
			split.Stored{Kind: split.Wrapped, Flags: split.ReservedFlags},
			nil,
		},
		{"reserved flags and a client's text", split.ReservedFlags, []byte("abc"), split.Stored{}, split.ErrNoManifest},
		{"appended to by one who goes around", split.ReservedFlags, append(slices.Clone(manifest), 'x'), split.Stored{}, split.ErrDamaged},
	} {
		got, err := split.Open(tt.flags, tt.item, anyMax)
		if !errors.Is(err, tt.err) || got.Kind != tt.want.Kind || got.Flags != tt.want.Flags ||
			!bytes.Equal(got.Value, tt.want.Value) || got.Manifest != tt.want.Manifest {
			t.Errorf("%s: Open = %+v, %v; want %+v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// TestWrapRoundTrip: what a client stores with the reserved flags comes back as it was, wrapped as often as you like.
func TestWrapRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for n := range 200 {
		value := newValue(r, n)
		item := split.AppendWrapped([]byte("before"), value)[len("before"):]
		if len(item) != n+split.WrapLen {
			t.Fatalf("%d bytes wrapped are %d, want %d more", n, len(item), split.WrapLen)
		}
		twice, err := split.Open(split.ReservedFlags, split.AppendWrapped(nil, item), anyMax)
		if err != nil || !bytes.Equal(twice.Value, item) {
			t.Fatalf("Open of a value wrapped twice = %x, %v; want %x", twice.Value, err, item)
		}
		once, err := split.Open(split.ReservedFlags, twice.Value, anyMax)
		if err != nil || !bytes.Equal(once.Value, value) || once.Kind != split.Wrapped {
			t.Fatalf("Open of a wrapped value = %+v, %v; want %x", once, err, value)
		}
	}
}

func TestStoredAs(t *testing.T) {
	for _, tt := range []struct {
		flags             uint32
		length, threshold int
		want              split.Kind
	}{
		{0, 0, 100, split.Plain},
		{0, 100, 100, split.Plain},
		{0, 101, 100, split.Split},
		{0, 1 << 30, 0, split.Plain}, // no threshold
		{split.ReservedFlags, 0, 100, split.Wrapped},
		{split.ReservedFlags, 100, 100, split.Wrapped},
		{split.ReservedFlags, 101, 100, split.Split}, // the manifest keeps the flags
		{split.ReservedFlags, 1 << 20, -1, split.Wrapped},
	} {
		if got := split.StoredAs(tt.flags, tt.length, tt.threshold); got != tt.want {
			t.Errorf("StoredAs(%#x, %d, %d) = %v, want %v", tt.flags, tt.length, tt.threshold, got, tt.want)
		}
	}
	if got := fmt.Sprint(split.Plain, split.Wrapped, split.Split, split.Kind(9)); got != "plain wrapped split Kind(9)" {
		t.Errorf("the kinds are called %q", got)
	}
}

func TestReserved(t *testing.T) {
	for _, flags := range []uint32{0, 1, 2, 4, 16, 24} { // those that Keystone's clients send
		if flags == split.ReservedFlags {
			t.Errorf("ReservedFlags are %#x, which clients use", flags)
		}
	}
	if !protocol.TextKey([]byte(split.ReservedPrefix)) {
		t.Errorf("ReservedPrefix %q cannot stand in a key", split.ReservedPrefix)
	}
	for key, want := range map[string]bool{
		split.ReservedPrefix: true, split.ReservedPrefix + "x": true, "~mcproxy": false, "~mcproxY.": false, "": false,
		"2d6cad476fdd468cd5142307ac89a6534277951e": false, "_lockrevocation-list": false, "tokens/b'YWJj=='": false,
		"x" + split.ReservedPrefix: false, split.ReservedPrefix + strings.Repeat("x", 241): true,
	} {
		if got := split.IsReserved([]byte(key)); got != want {
			t.Errorf("IsReserved(%q) = %v, want %v", key, got, want)
		}
	}
}

func TestChunkKey(t *testing.T) {
	gen := split.Generation{0xff, 15: 0x01}
	for _, tt := range []struct {
		index, copy int
		want        string
	}{
		{0, 0, "~mcproxy.c.ff000000000000000000000000000001.000.000"},
		{0x123, 0x3ff, "~mcproxy.c.ff000000000000000000000000000001.123.3ff"},
		{split.MaxChunks - 1, split.MaxServers - 1, "~mcproxy.c.ff000000000000000000000000000001.fff.3ff"},
	} {
		got := split.AppendChunkKey([]byte("get "), gen, tt.index, tt.copy)
		if string(got) != "get "+tt.want || len(tt.want) != split.ChunkKeyLen {
			t.Errorf("AppendChunkKey(%d, %d) = %q, want %q of %d bytes", tt.index, tt.copy, got, tt.want, split.ChunkKeyLen)
		}
		if key := got[4:]; !protocol.TextKey(key) || !split.IsReserved(key) {
			t.Errorf("key %q cannot be sent, or a client may use it", key)
		}
	}
	r := rand.New(rand.NewPCG(6, 6))
	seen := map[string]bool{}
	m := newManifest(t, r, newValue(r, split.MaxChunks), split.Options{Chunk: 1, Copies: 4, Servers: 8})
	for index := range m.Count {
		for c := range m.Copies {
			seen[string(m.AppendChunkKey(nil, index, c))] = true
		}
	}
	if len(seen) != split.MaxItems {
		t.Errorf("%d chunks times %d copies have %d names", m.Count, m.Copies, len(seen))
	}
}

// TestMark: chunks of one value and those of others hardly ever have the same mark, and its copies always.
func TestMark(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	seen := map[uint32]int{}
	for range 20 {
		m := newManifest(t, r, newValue(r, 1000), split.Options{Chunk: 1, Servers: 3})
		for index := range m.Count {
			seen[m.Mark(index)]++
		}
	}
	if len(seen) < 20_000-2 { // 0.05 collisions are expected
		t.Errorf("20,000 chunks have %d marks", len(seen))
	}
	m := newManifest(t, r, newValue(r, 1000), split.Options{Chunk: 500, Servers: 2})
	longer := m
	longer.Length++
	longer.Chunk++
	if m.Mark(0) == longer.Mark(0) || m.Mark(1) == m.Mark(0) {
		t.Errorf("marks %#x and %#x, of a longer chunk %#x: want all different", m.Mark(0), m.Mark(1), longer.Mark(0))
	}
}
