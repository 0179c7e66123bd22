package split_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"mcproxy/split"
)

func TestPlan(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	for _, tt := range []struct {
		name   string
		length int
		o      split.Options
		want   split.Geometry
		err    error
	}{
		{"one byte", 1, split.Options{Servers: 1}, split.Geometry{Length: 1, Chunk: 1, Count: 1, Copies: 1, Servers: 1}, nil},
		{
			"a token list on two servers: as many chunks on each", 580_000,
			split.Options{Servers: 2},
			split.Geometry{Length: 580_000, Chunk: 58_000, Count: 10, Copies: 1, Servers: 2},
			nil,
		},
		{
			"a little over the threshold, eight servers: no crumbs", 70 * kib,
			split.Options{Servers: 8},
			split.Geometry{Length: 70 * kib, Chunk: 35 * kib, Count: 2, Copies: 1, Servers: 8},
			nil,
		},
		{
			"chunks of a quarter are no crumbs", 128 * kib,
			split.Options{Servers: 8},
			split.Geometry{Length: 128 * kib, Chunk: 16 * kib, Count: 8, Copies: 1, Servers: 8},
			nil,
		},
		{
			"a hot value of a few KB: one chunk, copied", 6000,
			split.Options{Servers: 8, Copies: 3},
			split.Geometry{Length: 6000, Chunk: 6000, Count: 1, Copies: 3, Servers: 8},
			nil,
		},
		{
			"more copies than servers", 6000,
			split.Options{Servers: 4, Copies: 9},
			split.Geometry{Length: 6000, Chunk: 6000, Count: 1, Copies: 4, Servers: 4},
			nil,
		},
		{
			"copies on all servers: nothing to even out", 580_000,
			split.Options{Servers: 4, Copies: 4},
			split.Geometry{Length: 580_000, Chunk: 64_445, Count: 9, Copies: 4, Servers: 4},
			nil,
		},
		{
			"two copies, four servers: an even number of chunks", 580_000,
			split.Options{Servers: 4, Copies: 2},
			split.Geometry{Length: 580_000, Chunk: 58_000, Count: 10, Copies: 2, Servers: 4},
			nil,
		},
		{
			"the largest value", 64 * mib,
			split.Options{Servers: 4},
			split.Geometry{Length: 64 * mib, Chunk: 64 * kib, Count: 1024, Copies: 1, Servers: 4},
			nil,
		},
		{"past it", 64*mib + 1, split.Options{Servers: 4}, split.Geometry{}, split.ErrTooLarge},
		{
			"chunks too small for the value grow", 1 << 30,
			split.Options{Servers: 4, Chunk: 1, MaxValue: 1 << 30, Copies: 9},
			split.Geometry{Length: 1 << 30, Chunk: 256 * kib, Count: 4096, Copies: 4, Servers: 4},
			nil,
		},
		{
			"copies times chunks are bounded", 64 * mib,
			split.Options{Servers: 100, Copies: 100},
			split.Geometry{Length: 64 * mib, Chunk: 64 * kib, Count: 1024, Copies: 16, Servers: 100},
			nil,
		},
		{"nothing", 0, split.Options{Servers: 4}, split.Geometry{}, split.ErrBounds},
		{"no servers", 1, split.Options{}, split.Geometry{}, split.ErrBounds},
		{"too many servers", 1, split.Options{Servers: 1025}, split.Geometry{}, split.ErrBounds},
		{"negative copies", 1, split.Options{Servers: 1, Copies: -1}, split.Geometry{}, split.ErrBounds},
		{"negative chunk", 1, split.Options{Servers: 1, Chunk: -1}, split.Geometry{}, split.ErrBounds},
		{"a chunk that is no item", 1, split.Options{Servers: 1, Chunk: 1 << 20}, split.Geometry{}, split.ErrBounds},
		{"a value past all bounds", 1, split.Options{Servers: 1, MaxValue: 1<<30 + 1}, split.Geometry{}, split.ErrBounds},
	} {
		got, err := split.Plan(tt.length, tt.o)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: Plan(%d, %+v) = %+v, %v; want %+v, %v", tt.name, tt.length, tt.o, got, err, tt.want, tt.err)
		}
	}
}

// TestPlanHolds: any plan covers the value exactly once, is one that a manifest may hold, and puts copies of a chunk on
// different servers and at most one item more on one server than on another.
func TestPlanHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 3000 {
		o := split.Options{
			Chunk:    1 + r.IntN(1<<r.IntN(20)),
			MaxValue: 1 << 30,
			Copies:   1 + r.IntN(1<<r.IntN(11)),
			Servers:  1 + r.IntN(1<<r.IntN(11)),
		}
		length := 1 + r.IntN(1<<r.IntN(31))
		g, err := split.Plan(length, o)
		if err != nil {
			t.Fatalf("Plan(%d, %+v): %v", length, o, err)
		}
		m := split.Manifest{Generation: newGeneration(r), Geometry: g}
		if again, err := split.DecodeManifest(m.Append(nil), anyMax); err != nil || again != m {
			t.Fatalf("Plan(%d, %+v) = %+v, which is decoded as %+v, %v", length, o, g, again, err)
		}
		if g.Chunk > o.Chunk && g.Count < split.MaxChunks/2 {
			t.Fatalf("Plan(%d, %+v) = %+v: chunks larger than asked for", length, o, g)
		}
		end := 0
		load := make([]int, g.Servers)
		for index := range g.Count {
			from, to := g.Bounds(index)
			if from != end || to <= from || g.Size(index) != to-from {
				t.Fatalf("Plan(%d, %+v) = %+v: chunk %d is %d to %d, behind %d", length, o, g, index, from, to, end)
			}
			end = to
			seen := map[int]bool{}
			for c := range g.Copies {
				server := m.Server(index, c)
				load[server]++
				seen[server] = true
			}
			if len(seen) != g.Copies {
				t.Fatalf("%+v: %d copies of chunk %d are on %d servers", g, g.Copies, index, len(seen))
			}
		}
		if end != length {
			t.Fatalf("Plan(%d, %+v) = %+v: the chunks end at %d", length, o, g, end)
		}
		if least, most := bounds(load); most-least > 1 {
			t.Fatalf("%+v: one server has %d items and another %d", g, most, least)
		}
	}
}

func bounds(load []int) (least, most int) {
	least = math.MaxInt
	for _, n := range load {
		least, most = min(least, n), max(most, n)
	}
	return least, most
}

// TestBalance: one large value on few servers, and many values of any size on any number, load all servers alike, in bytes.
func TestBalance(t *testing.T) {
	for _, tt := range []struct {
		name            string
		servers, copies int
		values          int
		least, most     int // bytes of a value
		want            float64
	}{
		{"one token list, two servers", 2, 1, 1, 580_000, 580_000, 1.0001},
		{"three token lists, two servers", 2, 1, 3, 200_000, 900_000, 1.001},
		{"one of 100 KB, four servers", 4, 1, 1, 100_000, 100_000, 1.001},
		{"one of 1 MB, eight servers", 8, 1, 1, 1 << 20, 1 << 20, 1.001},
		{"values a little over the threshold, 8 servers", 8, 1, 20_000, 64 << 10, 80 << 10, 1.04},
		{"values of a few KB in one chunk, 16 servers", 16, 1, 20_000, 4 << 10, 8 << 10, 1.09},
		{"copies of those, 16 servers", 16, 3, 20_000, 4 << 10, 8 << 10, 1.06},
		{"values of any size, 7 servers", 7, 2, 2000, 1, 4 << 20, 1.02},
	} {
		r := rand.New(rand.NewPCG(9, 9))
		load := make([]int, tt.servers)
		total := 0
		for range tt.values {
			length := tt.least + r.IntN(tt.most-tt.least+1)
			g, err := split.Plan(length, split.Options{Servers: tt.servers, Copies: tt.copies})
			if err != nil {
				t.Fatal(err)
			}
			m := split.Manifest{Generation: newGeneration(r), Geometry: g}
			for index := range m.Count {
				for c := range m.Copies {
					load[m.Server(index, c)] += m.Size(index)
					total += m.Size(index)
				}
			}
		}
		_, most := bounds(load)
		got := float64(most) * float64(tt.servers) / float64(total)
		t.Logf("%s: the busiest server has %.4f of the mean", tt.name, got)
		if got > tt.want {
			t.Errorf("%s: the busiest server has %.4f of the mean, want at most %.4f", tt.name, got, tt.want)
		}
	}
}

// TestStart: generations that differ in any one byte begin on different servers as often as chance has it.
func TestStart(t *testing.T) {
	const servers = 8
	var load [servers]int
	m := split.Manifest{Geometry: split.Geometry{Length: 1, Chunk: 1, Count: 1, Copies: 1, Servers: servers}}
	for at := range m.Generation {
		for v := range 256 {
			m.Generation = split.Generation{}
			m.Generation[at] = byte(v)
			load[m.Server(0, 0)]++
		}
	}
	const mean = 16 * 256 / servers
	for server, n := range load {
		if n < mean*8/10 || n > mean*12/10 {
			t.Errorf("server %d begins %d values, the mean is %d", server, n, mean)
		}
	}
}

func TestOversized(t *testing.T) {
	for _, tt := range []struct {
		length, threshold int
		want              bool
	}{
		{0, 0, false},
		{1, 0, false},
		{1, -1, false},
		{100, 100, false},
		{101, 100, true},
		{0, 1, false},
		{math.MaxInt, 1, true},
	} {
		if got := split.Oversized(tt.length, tt.threshold); got != tt.want {
			t.Errorf("Oversized(%d, %d) = %v, want %v", tt.length, tt.threshold, got, tt.want)
		}
	}
}

func TestCopiesFor(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, tt := range []struct {
		cost, total float64
		n           int
		tau         float64
		most        int
		want        int
	}{
		{1, 100, 4, 0.05, 9, 1},  // 0.8
		{5, 100, 2, 0.1, 9, 1},   // 1 exactly
		{5.1, 100, 2, 0.1, 9, 2}, // 1.02
		{10, 100, 8, 0.25, 9, 4}, // 3.2
		{50, 100, 4, 0.05, 9, 4}, // 40, at most n
		{50, 100, 64, 0.05, 9, 9},
		{50, 100, 64, 0.05, 0, 1},
		{50, 100, 0, 0.05, 9, 1},
		{0, 100, 4, 0.05, 9, 1},
		{0, 0, 4, 0.05, 9, 1},   // nothing was seen
		{1, 0, 4, 0.05, 9, 4},   // all that was seen is this key
		{1, 100, 4, 0, 9, 4},    // no share is small enough
		{-1, 100, 4, 0.1, 9, 1}, // no cost
		{nan, 1, 4, 0.1, 9, 1},
		{inf, 1, 4, 0.1, 9, 4},
		{inf, inf, 4, 0.1, 9, 1},
		{1e300, 1e-300, 1 << 20, 1e-300, 1 << 20, split.MaxServers},
	} {
		if got := split.CopiesFor(tt.cost, tt.total, tt.n, tt.tau, tt.most); got != tt.want {
			t.Errorf("CopiesFor(%v, %v, %d, %v, %d) = %d, want %d", tt.cost, tt.total, tt.n, tt.tau, tt.most, got, tt.want)
		}
	}
}

// TestCopiesForIsEnough: with so many copies no server bears more than its share of the key, and with one fewer it would.
func TestCopiesForIsEnough(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	for range 10_000 {
		total, n, tau := 1+r.Float64()*1e9, 1+r.IntN(100), 0.01+r.Float64()
		cost := total * r.Float64()
		got := split.CopiesFor(cost, total, n, tau, 100)
		share := tau * total / float64(n)
		if got < n && cost/float64(got) > share*(1+1e-9) {
			t.Fatalf("CopiesFor(%v, %v, %d, %v) = %d: %v a server, want at most %v", cost, total, n, tau, got, cost/float64(got), share)
		}
		if got > 1 && cost/float64(got-1) < share*(1-1e-9) {
			t.Fatalf("CopiesFor(%v, %v, %d, %v) = %d, and one fewer is enough", cost, total, n, tau, got)
		}
	}
}
