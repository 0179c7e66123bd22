package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 99)) }

// TestZipfShares compares how often each rank comes with rank^-theta, within five standard deviations, and the slope of
// the whole in the log-log plot with -theta.
func TestZipfShares(t *testing.T) {
	const n, draws = 10_000, 2_000_000
	for _, theta := range []float64{0.5, 0.99, 1, 1.2, 2} {
		t.Run(fmt.Sprint(theta), func(t *testing.T) {
			z := newZipfRanks(n, theta)
			counts := make([]float64, n+1)
			r := source(7)
			for range draws {
				counts[z.rank(r)]++
			}
			sum := 0.0
			for k := 1; k <= n; k++ {
				sum += math.Pow(float64(k), -theta)
			}
			for k := 1; k <= n; k = k*5/4 + 1 {
				p := math.Pow(float64(k), -theta) / sum
				want, sigma := draws*p, math.Sqrt(draws*p*(1-p))
				if math.Abs(counts[k]-want) > 5*sigma+1 {
					t.Errorf("rank %d came %.0f times, want %.0f ± %.0f", k, counts[k], want, 5*sigma)
				}
			}
			// Least squares over the ranks that came often enough for their count to be near the mean.
			var xs, ys []float64
			for k := 1; k <= n && draws*math.Pow(float64(k), -theta)/sum > 400; k++ {
				xs, ys = append(xs, math.Log(float64(k))), append(ys, math.Log(counts[k]))
			}
			if got := slope(xs, ys); len(xs) < 20 || math.Abs(got+theta) > 0.03 {
				t.Errorf("slope over %d ranks = %.4f, want %.2f", len(xs), got, -theta)
			}
		})
	}
}

func slope(xs, ys []float64) float64 {
	var sx, sy, sxx, sxy float64
	n := float64(len(xs))
	for i := range xs {
		sx, sy, sxx, sxy = sx+xs[i], sy+ys[i], sxx+xs[i]*xs[i], sxy+xs[i]*ys[i]
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

func TestZipfOfFewKeys(t *testing.T) {
	for _, n := range []int{1, 2, 3} {
		z := newZipfRanks(n, 0.99)
		r := source(1)
		seen := map[int]bool{}
		for range 1000 {
			seen[z.rank(r)] = true
		}
		for k := range seen {
			if k < 1 || k > n {
				t.Errorf("of %d ranks: %d", n, k)
			}
		}
		if len(seen) != n {
			t.Errorf("of %d ranks only %d came", n, len(seen))
		}
	}
}

func TestScatterIsABijection(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 97, 1000, 65536} {
		for seed := range uint64(3) {
			s := newScatter(n, seed)
			seen := make([]bool, n)
			for rank := range n {
				k := s.key(rank)
				if k < 0 || k >= n || seen[k] {
					t.Fatalf("n %d, seed %d: rank %d goes to key %d, outside or taken", n, seed, rank, k)
				}
				seen[k] = true
			}
		}
	}
	s := newScatter(maxKeys, 3)
	if k := s.key(maxKeys - 1); k < 0 || k >= maxKeys {
		t.Errorf("the last of %d ranks goes to key %d", maxKeys, k)
	}
}

// picks counts what a picker gives at a moment.
func picks(keys keyPicker, n, draws int, at time.Duration) []int {
	counts := make([]int, n)
	r := source(5)
	for range draws {
		counts[keys.pick(r, at)]++
	}
	return counts
}

func testMix(t *testing.T, change func(*Options)) *mix {
	t.Helper()
	opts := Default()
	change(&opts)
	if err := opts.Check(); err != nil {
		t.Fatal(err)
	}
	m, err := newMix(&opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestUniformKeys(t *testing.T) {
	const n, draws = 1000, 1_000_000
	m := testMix(t, func(c *Options) { c.Keys = n })
	chi := 0.0
	for _, count := range picks(m.keyPicker(0), n, draws, 0) {
		d := float64(count) - draws/n
		chi += d * d / (draws / n)
	}
	// Chi squared of 999 degrees of freedom is 999 ± 45; five times that is out.
	if math.Abs(chi-(n-1)) > 5*math.Sqrt(2*(n-1)) {
		t.Errorf("chi squared of %d keys = %.0f", n, chi)
	}
}

func TestViralKeyHasItsShare(t *testing.T) {
	const n, draws, share = 1000, 400_000, 0.3
	for _, dist := range []string{"uniform", "zipf"} {
		m := testMix(t, func(c *Options) { c.Keys, c.Viral, c.KeyDist = n, share, dist })
		base := testMix(t, func(c *Options) { c.Keys, c.KeyDist = n, dist })
		viral := m.scatter.key(0)
		counts := picks(m.keyPicker(0), n, draws, 0)
		plain := picks(base.keyPicker(0), n, draws, 0)
		for _, key := range []int{viral, m.scatter.key(1), m.scatter.key(500)} {
			p := (1 - share) * float64(plain[key]) / draws
			if key == viral {
				p += share
			}
			want, sigma := draws*p, math.Sqrt(2*draws*p)
			if math.Abs(float64(counts[key])-want) > 5*sigma {
				t.Errorf("%s: key %d came %d times, want %.0f ± %.0f", dist, key, counts[key], want, 5*sigma)
			}
		}
	}
}

// hottest gives the keys that were picked most, in any order.
func hottest(counts []int, n int) map[int]bool {
	order := make([]int, len(counts))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return counts[b] - counts[a] })
	set := map[int]bool{}
	for _, k := range order[:n] {
		set[k] = true
	}
	return set
}

// TestHotSwapExchangesTheHottest: in each period other keys are the hottest, no key is lost, all other keys keep their rank,
// and the law over the ranks stays Zipf's.
func TestHotSwapExchangesTheHottest(t *testing.T) {
	const n, swap, draws = 2000, 200, 1_000_000
	m := testMix(t, func(c *Options) {
		c.Keys, c.KeyDist, c.SwapKeys, c.SwapEvery, c.Zipf = n, "hot-swap", swap, 10*time.Second, 1.2
	})
	keys := m.keyPicker(0).(*hotSwapKeys)
	first := picks(keys, n, draws, 9*time.Second)
	before := hottest(first, swap/4)
	topShare := func(counts []int) int { // of the ten hottest
		sorted := slices.Sorted(slices.Values(counts))
		sum := 0
		for _, c := range sorted[n-10:] {
			sum += c
		}
		return sum
	}
	for epoch := 1; epoch <= 7; epoch++ { // the sixth begins the blocks again
		counts := picks(keys, n, draws, time.Duration(epoch)*10*time.Second)
		now := hottest(counts, swap/4)
		for k := range now {
			if before[k] {
				t.Errorf("epoch %d: key %d is still among the hottest", epoch, k)
			}
		}
		if a, b := topShare(first), topShare(counts); math.Abs(float64(a-b)) > 5*math.Sqrt(2*float64(a)) {
			t.Errorf("epoch %d: the ten hottest keys have %d picks of %d, want %d", epoch, b, draws, a)
		}
		// The same draws with one exchange: every key outside of the two blocks has the very same count.
		changed := 0
		for k := range counts {
			if counts[k] != first[k] {
				changed++
			}
		}
		if changed == 0 || changed > 2*swap {
			t.Errorf("epoch %d: %d keys are picked otherwise, want at most %d", epoch, changed, 2*swap)
		}
		before = now
	}
}

func TestSequentialKeysWalkInOrder(t *testing.T) {
	const n, conns = 10, 3
	m := testMix(t, func(c *Options) { c.Keys, c.KeyDist, c.Conns = n, "sequential", conns })
	var pickers [conns]keyPicker
	for i := range pickers {
		pickers[i] = m.keyPicker(i)
	}
	for i := range 4 * n {
		if got := pickers[i%conns].pick(nil, 0); got != i%n {
			t.Fatalf("pick %d = key %d, want %d", i, got, i%n)
		}
	}
}

func TestKeyNamesAreDifferentAndLast(t *testing.T) {
	for _, size := range []string{"1", "16", "5-60", "etc", "250"} {
		names := testMix(t, func(c *Options) { c.Keys, c.KeySize = 20_000, size }).stream(0).names
		seen := map[string]int{}
		for i := range 20_000 {
			name := string(names.append(nil, i))
			if other, taken := seen[name]; taken {
				t.Fatalf("key-size %s: keys %d and %d are both %q", size, other, i, name)
			}
			seen[name] = i
			if again := string(names.append([]byte("x"), i)); again != "x"+name {
				t.Fatalf("key-size %s: key %d is %q and then %q", size, i, name, again)
			}
			if len(name) > maxKeyLen || len(name) < len("mcb:")+5 {
				t.Fatalf("key-size %s: key %q has %d bytes", size, name, len(name))
			}
		}
	}
	names := testMix(t, func(c *Options) { c.KeySize = "16" }).stream(0).names
	if got, want := string(names.append(nil, 4711)), "mcb:000000004711"; got != want {
		t.Errorf("key 4711 = %q, want %q", got, want)
	}
}
