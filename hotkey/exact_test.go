package hotkey_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"mcproxy/hotkey"
)

// opBytes is what a request without bytes weighs in streams of these tests, so that an observation's weight follows from
// its other figures, and what an entry knows can be held against its count.
const opBytes = 10

func weigh(ops, bytes uint64) uint64 { return opBytes*ops + bytes }

// A truth is what really happened to a key.
type truth struct {
	weight, reads, writes, readBytes, writeBytes uint64
	size                                         uint32
}

// exact is what a summary is held against: a map without bounds.
type exact map[uint64]*truth

func (x exact) add(hash uint64, o hotkey.Observation) {
	t := x[hash]
	if t == nil {
		t = &truth{}
		x[hash] = t
	}
	t.weight += o.Weight
	if o.Write {
		t.writes += uint64(o.Ops)
		t.writeBytes += o.Bytes
	} else {
		t.reads += uint64(o.Ops)
		t.readBytes += o.Bytes
	}
	t.size = max(t.size, o.Size)
}

// A summed is a Summary or a View.
type summed struct {
	entries      []hotkey.Entry
	total, floor uint64
}

func ofSummary(s *hotkey.Summary) summed {
	r := summed{total: s.Total(), floor: s.Floor()}
	for e := range s.All() {
		r.entries = append(r.entries, *e)
	}
	return r
}

func ofView(v *hotkey.View) summed { return summed{v.Entries, v.Total, v.Floor} }

// check holds every promise about got: against the truth, and against W/m.
func (x exact) check(got summed, m int) error {
	total := uint64(0)
	for _, t := range x {
		total += t.weight
	}
	if got.total != total {
		return fmt.Errorf("total %d, want %d", got.total, total)
	}
	if got.floor > total/uint64(m) {
		return fmt.Errorf("floor %d is over W/m = %d/%d", got.floor, total, m)
	}
	tracked := map[uint64]bool{}
	for _, e := range got.entries {
		if tracked[e.Hash] {
			return fmt.Errorf("key %x is there twice", e.Hash)
		}
		tracked[e.Hash] = true
		t := x[e.Hash]
		if t == nil {
			return fmt.Errorf("key %x was never added", e.Hash)
		}
		if e.Err > e.Count || e.Sure() > t.weight || t.weight > e.Count {
			return fmt.Errorf("key %x: count %d, err %d, true weight %d", e.Hash, e.Count, e.Err, t.weight)
		}
		if e.Err > total/uint64(m) {
			return fmt.Errorf("key %x: err %d is over W/m = %d/%d", e.Hash, e.Err, total, m)
		}
		if known := weigh(e.Reads+e.Writes, e.ReadBytes+e.WriteBytes); known != e.Sure() {
			return fmt.Errorf("key %x: its figures weigh %d, want count-err = %d", e.Hash, known, e.Sure())
		}
		if e.Reads > t.reads || e.Writes > t.writes || e.ReadBytes > t.readBytes || e.WriteBytes > t.writeBytes || e.Size > t.size {
			return fmt.Errorf("key %x: %+v is more than the truth %+v", e.Hash, e, *t)
		}
		if e.Err == 0 {
			if all := (truth{e.Count, e.Reads, e.Writes, e.ReadBytes, e.WriteBytes, e.Size}); all != *t {
				return fmt.Errorf("key %x has no error: %+v, want %+v", e.Hash, all, *t)
			}
		}
	}
	for hash, t := range x {
		if !tracked[hash] && t.weight > got.floor {
			return fmt.Errorf("key %x is not tracked and weighs %d, over the floor %d", hash, t.weight, got.floor)
		}
	}
	return nil
}

// A stream gives the key and the observation of step i of n, for a summary of m entries.
type stream struct {
	name string
	next func(r *rand.Rand, i, n, m int) (key uint64, o hotkey.Observation)
}

func observe(ops, bytes int, write bool) hotkey.Observation {
	return hotkey.Observation{
		Weight: weigh(uint64(ops), uint64(bytes)), Ops: uint32(ops), Bytes: uint64(bytes), Size: uint32(bytes), Write: write,
	}
}

// streams are loads of many shapes; those from "rotating" on are made to be hard.
func streams() []stream {
	one := func(r *rand.Rand) hotkey.Observation { return observe(1, r.IntN(200), r.IntN(10) == 0) }
	heavyTail := func(r *rand.Rand) hotkey.Observation {
		return observe(1, int(min(1e9, 10/(r.Float64()+1e-9))), r.IntN(2) == 0)
	}
	z07, z099, z15 := newZipf(20_000, 0.7), newZipf(20_000, 0.99), newZipf(20_000, 1.5)
	return []stream{
		{"one key", func(r *rand.Rand, _, _, _ int) (uint64, hotkey.Observation) { return 7, one(r) }},
		{"fewer keys than entries", func(r *rand.Rand, _, _, m int) (uint64, hotkey.Observation) {
			return r.Uint64N(uint64(m)), one(r)
		}},
		{"uniform", func(r *rand.Rand, _, _, _ int) (uint64, hotkey.Observation) { return r.Uint64N(20_000), one(r) }},
		{"all different", func(r *rand.Rand, i, _, _ int) (uint64, hotkey.Observation) { return uint64(i), one(r) }},
		{"zipf 0.7", func(r *rand.Rand, _, _, _ int) (uint64, hotkey.Observation) { return uint64(z07.pick(r)), one(r) }},
		{"zipf 0.99", func(r *rand.Rand, _, _, _ int) (uint64, hotkey.Observation) { return uint64(z099.pick(r)), one(r) }},
		{"zipf 1.5", func(r *rand.Rand, _, _, _ int) (uint64, hotkey.Observation) { return uint64(z15.pick(r)), one(r) }},
		{"zipf, sizes with a heavy tail", func(r *rand.Rand, _, _, _ int) (uint64, hotkey.Observation) {
			return uint64(z099.pick(r)), heavyTail(r)
		}},
		{"uniform, sizes with a heavy tail", func(r *rand.Rand, _, _, _ int) (uint64, hotkey.Observation) {
			return r.Uint64N(20_000), heavyTail(r)
		}},

		{"rotating, one key too many", func(_ *rand.Rand, i, _, m int) (uint64, hotkey.Observation) {
			return uint64(i % (m + 1)), observe(1, 0, false)
		}},
		{"rotating, twice too many", func(_ *rand.Rand, i, _, m int) (uint64, hotkey.Observation) {
			return uint64(i % (2 * m)), observe(1, 0, false)
		}},
		{"growing", func(_ *rand.Rand, i, _, m int) (uint64, hotkey.Observation) {
			return uint64(i % (3 * m)), observe(1, i, false)
		}},
		{"shrinking", func(_ *rand.Rand, i, n, m int) (uint64, hotkey.Observation) {
			return uint64(i % (3 * m)), observe(1, n-i, false)
		}},
		{"giants, then crumbs", func(r *rand.Rand, i, n, m int) (uint64, hotkey.Observation) {
			if i < m {
				return uint64(i), observe(1, 1_000_000, false)
			}
			return r.Uint64N(uint64(n)), observe(1, 0, true)
		}},
		{"crumbs, then giants", func(r *rand.Rand, i, n, _ int) (uint64, hotkey.Observation) {
			if i < n/2 {
				return r.Uint64N(uint64(n)), observe(1, 0, true)
			}
			return uint64(n + i%100), observe(1, 1_000_000, false)
		}},
		{"comes back as soon as it is gone", func(_ *rand.Rand, i, n, m int) (uint64, hotkey.Observation) {
			if i%(m+2) == 0 {
				return 0, observe(3, 5, false)
			}
			return uint64(1 + i%n), observe(1, 0, false)
		}},
		{"nothing at all", func(r *rand.Rand, _, _, m int) (uint64, hotkey.Observation) {
			return r.Uint64N(uint64(2 * m)), observe(0, r.IntN(2), false)
		}},
	}
}

// TestSummaryAgainstExact holds summaries of several sizes against the truth, again and again while a stream goes by.
func TestSummaryAgainstExact(t *testing.T) {
	const n = 20_000
	for _, c := range streams() {
		t.Run(c.name, func(t *testing.T) {
			for _, m := range []int{hotkey.MinEntries, 100, 1024} { // 100 leaves leaves of the tournament empty
				for seed := range uint64(2) {
					r, x := rand.New(rand.NewPCG(seed, 1)), exact{}
					s := hotkey.NewSummary(m, seed)
					for i := range n {
						key, o := c.next(r, i, n, m)
						s.Add(hashOf(key), nameOf(key), o)
						x.add(hashOf(key), o)
						if i%10_000 != 9999 && i != m-1 && i != m {
							continue
						}
						if err := s.Check(); err != nil {
							t.Fatalf("m %d, seed %d, after %d: %v", m, seed, i+1, err)
						}
						if err := x.check(ofSummary(s), m); err != nil {
							t.Fatalf("m %d, seed %d, after %d: %v", m, seed, i+1, err)
						}
						checkNames(t, s)
					}
				}
			}
		})
	}
}

// TestMergeAgainstExact deals streams out to workers, in ways that are easy and hard for a merge, and holds the view of all
// against the truth of all.
func TestMergeAgainstExact(t *testing.T) {
	const n, m = 20_000, 128
	for _, deal := range []struct {
		name   string
		worker func(r *rand.Rand, i int, key uint64) int
	}{
		{"at random", func(r *rand.Rand, _ int, _ uint64) int { return r.IntN(4) }},
		{"by key", func(_ *rand.Rand, _ int, key uint64) int { return int(key & 3) }},
		{"one after the other", func(_ *rand.Rand, i int, _ uint64) int { return i * 4 / n }},
		{"nearly all to one", func(r *rand.Rand, _ int, _ uint64) int { return max(0, r.IntN(1000)-996) }},
		{"all to one", func(*rand.Rand, int, uint64) int { return 2 }},
	} {
		t.Run(deal.name, func(t *testing.T) {
			var merger hotkey.Merger // is used again and again, as a coordinator does
			for _, c := range streams() {
				r, x := rand.New(rand.NewPCG(5, 6)), exact{}
				var windows []*hotkey.Window
				for worker := range 4 {
					windows = append(windows, &hotkey.Window{Summary: hotkey.NewSummary(m, uint64(worker)), From: 0, To: 1})
				}
				for i := range n {
					key, o := c.next(r, i, n, m)
					windows[deal.worker(r, i, key)].Summary.Add(hashOf(key), nameOf(key), o)
					x.add(hashOf(key), o)
				}
				v := merger.Merge(windows)
				if err := x.check(ofView(v), m); err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				for i := range v.Entries {
					if got := v.Lookup(v.Entries[i].Hash); got != &v.Entries[i] {
						t.Fatalf("%s: Lookup(%x) gives %p, want entry %d", c.name, v.Entries[i].Hash, got, i)
					}
				}
				if got := v.Lookup(hashOf(1 << 60)); got != nil {
					t.Fatalf("%s: Lookup of a key that was never there gives %+v", c.name, got)
				}
			}
		})
	}
}

// nameOf is a key of 16 to 46 bytes.
func nameOf(key uint64) []byte { return longName(key, 16+int(key%31)) }

// checkNames finds entries that have no name, or another's.
func checkNames(t *testing.T, s *hotkey.Summary) {
	t.Helper()
	for e := range s.All() {
		if len(e.Key) == 0 || !isLongName(e.Key, e.Hash) {
			t.Fatalf("entry %x has the name %q", e.Hash, e.Key)
		}
	}
}
