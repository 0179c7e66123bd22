package hotkey_test

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"

	"mcproxy/hotkey"
)

const dots = "..........................................................................................................................." +
	"..................................................................................................................................."

// longName is a key of n bytes, 16..264, made of its number.
func longName(key uint64, n int) []byte {
	name := make([]byte, 0, n)
	name = append(name, dots[:16]...)
	for i := 15; key > 0; i, key = i-1, key>>4 {
		name[i] = "0123456789abcdef"[key&15]
	}
	return append(name, dots[:n-16]...)
}

// isLongName reports whether name is longName of a key of that hash.
func isLongName(name []byte, hash uint64) bool {
	digits := bytes.TrimLeft(name[:16], ".")
	key, err := strconv.ParseUint("0"+string(digits), 16, 64)
	return err == nil && hashOf(key) == hash && bytes.Equal(name, longName(key, len(name)))
}

// TestNamesOfUsualKeys: keys of up to 50 bytes, Keystone's among them, all keep their names, whatever comes and goes.
func TestNamesOfUsualKeys(t *testing.T) {
	for _, c := range []struct {
		name   string
		length func(key uint64) int
	}{
		{"40", func(uint64) int { return 40 }},
		{"50", func(uint64) int { return 50 }},
		{"16 to 64", func(key uint64) int { return 16 + int(key%49) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, s := rand.New(rand.NewPCG(1, 2)), hotkey.NewSummary(4096, 3)
			for range 100_000 {
				key := r.Uint64N(50_000)
				s.Add(hashOf(key), longName(key, c.length(key)), observe(1, 0, false))
			}
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			for e := range s.All() {
				if !isLongName(e.Key, e.Hash) {
					t.Fatalf("entry %x has the name %q", e.Hash, e.Key)
				}
			}
		})
	}
}

// TestNamesOfLongestKeys: of keys of 250 bytes not all names have room; those that stand out have theirs.
func TestNamesOfLongestKeys(t *testing.T) {
	const m, hot, steps = 4096, 200, 300_000
	for _, c := range []struct {
		name  string
		bytes int
		cold  func(r *rand.Rand, i int) uint64
	}{
		{"uniform", 0, func(r *rand.Rand, _ int) uint64 { return hot + r.Uint64N(1_000_000) }},
		{"all tracked", 0, func(r *rand.Rand, _ int) uint64 { return hot + r.Uint64N(m-hot) }},
		{"large values", 1 << 24, func(r *rand.Rand, _ int) uint64 { return hot + r.Uint64N(1_000_000) }},
		{"rotating", 0, func(_ *rand.Rand, i int) uint64 { return hot + uint64(i%5000) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, s := rand.New(rand.NewPCG(1, 2)), hotkey.NewSummary(m, 3)
			for i := range steps {
				key := c.cold(r, i)
				if i%4 == 0 { // the hot ones have 0.125 % each, five times the mean entry's share
					key = r.Uint64N(hot)
				}
				s.Add(hashOf(key), longName(key, hotkey.MaxKey), observe(1, c.bytes, false))
			}
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			named := 0
			for e := range s.All() {
				if len(e.Key) == 0 {
					continue
				}
				named++
				if len(e.Key) != hotkey.MaxKey || !isLongName(e.Key, e.Hash) {
					t.Fatalf("entry %x has the name %q", e.Hash, e.Key)
				}
			}
			for key := range uint64(hot) {
				if e, ok := s.Lookup(hashOf(key)); !ok || !bytes.Equal(e.Key, longName(key, hotkey.MaxKey)) {
					t.Errorf("hot key %d: tracked %v, named %q, count %d", key, ok, e.Key, e.Count)
				}
			}
			t.Logf("%d of %d entries have names", named, s.Len())
			if named < hot || named > 4096*54/(3+hotkey.MaxKey) {
				t.Errorf("%d entries have names, want at least %d, and no more than there is room for", named, hot)
			}
		})
	}
}

// TestNamesOfAllLengths mixes lengths from none to too long, in small summaries, where there is least room.
func TestNamesOfAllLengths(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := hotkey.NewSummary(hotkey.MinEntries+int(seed), seed)
		lengths := map[uint64]int{}
		for i := range 20_000 {
			key := r.Uint64N(100)
			if _, ok := lengths[key]; !ok {
				lengths[key] = 16 + r.IntN(240)
			}
			name := longName(key, lengths[key])
			if r.IntN(5) == 0 {
				name = nil
			}
			s.Add(hashOf(key), name, observe(r.IntN(3), r.IntN(1<<r.IntN(20)), false))
			if i%100 != 0 {
				continue
			}
			if err := s.Check(); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, i, err)
			}
			for e := range s.All() {
				if len(e.Key) > 0 && (len(e.Key) > hotkey.MaxKey || !isLongName(e.Key, e.Hash)) {
					t.Fatalf("seed %d, step %d: entry %x has the name %q", seed, i, e.Hash, e.Key)
				}
			}
		}
	}
}

func TestNameComesLater(t *testing.T) {
	s := hotkey.NewSummary(hotkey.MinEntries, 1)
	for _, c := range []struct{ given, want string }{
		{"", ""},
		{string(bytes.Repeat([]byte{'x'}, hotkey.MaxKey+1)), ""},
		{"first", "first"},
		{"other", "first"},
	} {
		s.Add(1, []byte(c.given), observe(1, 0, false))
		if e, _ := s.Lookup(1); string(e.Key) != c.want {
			t.Errorf("after Add with key %q the entry has the name %q, want %q", c.given, e.Key, c.want)
		}
	}
}

func TestSummaryBounds(t *testing.T) {
	s := hotkey.NewSummary(hotkey.MinEntries, 1)
	s.Add(1, []byte("a"), hotkey.Observation{Weight: hotkey.MaxTotal - 1, Ops: 1<<32 - 1})
	s.Add(1, []byte("a"), hotkey.Observation{Weight: 2, Ops: 7}) // would go over MaxTotal
	s.Add(1, []byte("a"), hotkey.Observation{Weight: 1, Ops: 7}) // goes up to it; Ops stay at their most
	if e, _ := s.Lookup(1); s.Total() != hotkey.MaxTotal || e.Count != hotkey.MaxTotal || e.Reads != 1<<32-1 {
		t.Errorf("total %d, entry %+v, want %d and %d reads", s.Total(), e, uint64(hotkey.MaxTotal), uint32(1<<32-1))
	}
	for i := range uint64(100) {
		s.Add(2+i, nil, hotkey.Observation{})
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	s.Reset()
	if s.Len() != 0 || s.Total() != 0 || s.Floor() != 0 {
		t.Errorf("after Reset: %d entries, total %d, floor %d", s.Len(), s.Total(), s.Floor())
	}
	if e, ok := s.Lookup(1); ok {
		t.Errorf("after Reset, Lookup(1) gives %+v", e)
	}
	for _, entries := range []int{-1, 0, hotkey.MinEntries - 1, hotkey.MaxEntries + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewSummary(%d) does not panic", entries)
				}
			}()
			hotkey.NewSummary(entries, 1)
		}()
	}
	big := hotkey.NewSummary(hotkey.MaxEntries, 1)
	for i := range uint64(hotkey.MaxEntries + 1000) {
		big.Add(hashOf(i), nameOf(i), observe(1, int(i%50), false))
	}
	if err := big.Check(); err != nil {
		t.Errorf("with MaxEntries: %v", err)
	}
}
