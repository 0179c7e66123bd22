package hotkey_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"mcproxy/hotkey"
)

// A load is the hashes of a stream of requests, made before the clock runs. They lie side by side, and a request's key is
// made of its hash in one place: the proxy has just read the key and hashed it, so both are in the nearest cache.
type load []uint64

const loadMask = 1<<20 - 1

func newLoad(pick func(*rand.Rand) int) load {
	l, rng := make(load, loadMask+1), rand.New(rand.NewPCG(1, 2))
	for i := range l {
		l[i] = hashOf(uint64(pick(rng)))
	}
	return l
}

func uniform(keys int) load {
	return newLoad(func(r *rand.Rand) int { return r.IntN(keys) })
}

func zipf(keys int, s float64) load { return newLoad(newZipf(keys, s).pick) }

// hashOf is 64 well spread bits of i (a bijection).
func hashOf(i uint64) uint64 {
	i = (i ^ i>>31) * 0x7fb5d329728ea185
	i = (i ^ i>>27) * 0x81dadef4bc2dd44d
	return i ^ i>>33
}

// BenchmarkSummaryAdd is what one update costs, with keys of 40 bytes.
func BenchmarkSummaryAdd(b *testing.B) {
	for _, c := range []struct {
		name string
		load load
	}{
		{"uniform 1M", uniform(1_000_000)},
		{"zipf 0.99 1M", zipf(1_000_000, 0.99)},
		{"tracked", uniform(2000)},
		{"one key", uniform(1)},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := hotkey.NewSummary(4096, 1)
			o := hotkey.Observation{Weight: 21_000, Ops: 16, Bytes: 1600, Size: 100}
			key := make([]byte, 40)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				hash := c.load[i&loadMask]
				binary.LittleEndian.PutUint64(key, hash)
				s.Add(hash, key, o)
			}
		})
	}
	b.Run("uniform 1M, 20 to 60 bytes", func(b *testing.B) {
		s, l := hotkey.NewSummary(4096, 1), uniform(1_000_000)
		o := hotkey.Observation{Weight: 21_000, Ops: 16, Bytes: 1600, Size: 100}
		key := make([]byte, 60)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			hash := l[i&loadMask]
			binary.LittleEndian.PutUint64(key, hash)
			s.Add(hash, key[:20+hash%41], o)
		}
	})
}

// BenchmarkObserve is what a request costs, picked or not. "nothing" is the loop without it.
func BenchmarkObserve(b *testing.B) {
	uniformLoad, zipfLoad := uniform(1_000_000), zipf(1_000_000, 0.99)
	for _, c := range []struct {
		name   string
		load   load
		sample int // Config.SampleCost; 0 is never
		bytes  int
	}{
		{"never picked", uniformLoad, 0, 100},
		{"always picked", uniformLoad, 1, 100_000},
		{"uniform 100 B", uniformLoad, 16, 100},
		{"uniform 1 KiB", uniformLoad, 16, 1024},
		{"uniform 4 KiB", uniformLoad, 16, 4096},
		{"zipf 100 B", zipfLoad, 16, 100},
		{"zipf 1 KiB", zipfLoad, 16, 1024},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := hotkey.NewDetector(hotkey.Config{SampleCost: max(1, c.sample)}, 1, 0)
			if c.sample == 0 {
				d.NeverPick()
			}
			key := make([]byte, 40)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				hash := c.load[i&loadMask]
				binary.LittleEndian.PutUint64(key, hash)
				d.Observe(hash, key, hotkey.Read, c.bytes)
				if i&(1<<17-1) == 1<<17-1 { // a window at half a million requests a second
					d.Freeze(int64(i) * 1_000_000_000)
					d.Release()
				}
			}
		})
	}
	b.Run("nothing", func(b *testing.B) {
		key := make([]byte, 40)
		for i := 0; b.Loop(); i++ {
			binary.LittleEndian.PutUint64(key, uniformLoad[i&loadMask])
		}
	})
}

// BenchmarkUpdate is what the coordinator does for each window of four workers.
func BenchmarkUpdate(b *testing.B) {
	for _, c := range []struct {
		name string
		load load
	}{{"uniform", uniform(1_000_000)}, {"zipf", zipf(1_000_000, 0.99)}} {
		b.Run(c.name, func(b *testing.B) {
			var windows []*hotkey.Window
			key := make([]byte, 40)
			for worker := range 4 {
				s := hotkey.NewSummary(4096, uint64(worker))
				for _, hash := range c.load[worker*20_000:][:20_000] {
					binary.LittleEndian.PutUint64(key, hash)
					s.Add(hash, key, hotkey.Observation{Weight: 21_000, Ops: 16})
				}
				windows = append(windows, &hotkey.Window{Summary: s, To: 250_000_000})
			}
			var m hotkey.Merger
			tracker := hotkey.NewTracker(hotkey.Config{})
			b.ReportAllocs()
			for b.Loop() {
				tracker.Update(m.Merge(windows), 8)
			}
		})
	}
}
