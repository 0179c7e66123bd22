package replica_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"mcproxy/replica"
)

// FuzzDecodeGuard: whatever stands under the guard's key, it is refused, or is exactly what its parts encode to, with numbers
// within the bounds. The second argument has the bytes tried with a checksum that fits, so that the bounds are met.
func FuzzDecodeGuard(f *testing.F) {
	for _, n := range []int{0, 1, 3, replica.MaxKeys} {
		g := newGuard(n)
		f.Add(g.Append(nil), false)
		f.Add(g.Append(nil), true)
	}
	f.Add([]byte("\xb7mcg"), true)
	f.Add([]byte(nil), true)
	f.Fuzz(func(t *testing.T, value []byte, sealed bool) {
		if sealed && len(value) >= 15 {
			value = seal(slices.Clone(value))
		}
		before := slices.Clone(value)
		g, err := replica.DecodeGuard(value)
		if !bytes.Equal(value, before) {
			t.Fatal("the item was written to")
		}
		if err != nil {
			if g.State != 0 || g.Keys != nil {
				t.Fatalf("%v, and %+v", err, g)
			}
			return
		}
		if got := g.Append(nil); !bytes.Equal(got, value) {
			t.Fatalf("%x is decoded and encoded again as %x", value, got)
		}
		if g.State < replica.Recov || g.State > replica.Disputed || len(g.Keys) > replica.MaxKeys {
			t.Fatalf("%+v is out of bounds", g)
		}
		r := replica.Rules{Ring: g.Ring}.WithDefaults()
		s := replica.Sight{Kind: replica.Readable, Guard: g}
		for i, e := range g.Keys {
			if e.Copies < 1 || e.Copies > replica.MaxCopies || e.Phase < replica.Prep || e.Phase > replica.Drain {
				t.Fatalf("key %d: %+v is out of bounds", i, e)
			}
			if v := s.Look(&r, e.Hash, 0); v.Phase != e.Phase || v.Copies != e.Copies {
				t.Fatalf("Look(%x) = %+v, and the entry is %+v", e.Hash, v, e)
			}
		}
	})
}

// FuzzDecodeCopy: whatever stands under a copy's key, it is refused, or is exactly what its parts encode to.
func FuzzDecodeCopy(f *testing.F) {
	c := replica.Copy{Unique: 1 << 60, Incarnation: 7, Value: []byte("value")}
	f.Add(c.Append(nil, []byte("key")), []byte("key"))
	f.Add(c.Append(nil, []byte("key")), []byte("ke"))
	f.Add(append(c.Append(nil, []byte("key")), lockOf(1)...), []byte("key"))
	f.Add(lockOf(1, 2), []byte("k"))
	f.Add([]byte(nil), []byte("k"))
	f.Fuzz(func(t *testing.T, value, key []byte) {
		if len(key) == 0 || len(key) > 250 {
			return
		}
		got, ok := replica.DecodeCopy(value, key)
		if !ok {
			return
		}
		if again := got.Append(nil, key); !bytes.Equal(again, value) {
			t.Fatalf("%x is decoded and encoded again as %x", value, again)
		}
		if len(value) != replica.CopyOverhead(key)+len(got.Value) {
			t.Fatalf("%d bytes, %d of value, overhead %d", len(value), len(got.Value), replica.CopyOverhead(key))
		}
		for behind := range append(slices.Clone(value), lockOf(1)...)[len(value):] {
			long := append(slices.Clone(value), lockOf(1)[:behind+1]...)
			if _, ok := replica.DecodeCopy(long, key); ok {
				t.Fatalf("%x is a copy with %d bytes of a lock behind it", value, behind+1)
			}
		}
	})
}

// newGuard makes a guard with n keys.
func newGuard(n int) replica.Guard {
	g := replica.Guard{State: replica.Normal, Epoch: replica.Epoch{9, 8, 7}, Ring: 77}
	for i := range n {
		e := replica.Entry{Mark: uint64(i) << 50, Phase: replica.Prep + replica.Phase(i%3), Copies: 1 + i%replica.MaxCopies}
		binary.BigEndian.PutUint32(e.Hash[:], uint32(i))
		g.Keys = append(g.Keys, e)
	}
	return g
}

// seal gives a guard's value the checksum that fits: what the format says, said a second time.
func seal(value []byte) []byte {
	var d xxhash.Digest
	d.ResetWithSeed(uint64(value[4])<<16 | uint64(value[5])<<8 | uint64(value[6]))
	_, _ = d.Write(value[15:])
	binary.BigEndian.PutUint64(value[7:], d.Sum64())
	return value
}
