package workload

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// A keyPicker chooses the number of the next key, 0 to n-1. Those with state belong to one stream; at is the time since the
// run's start.
type keyPicker interface {
	pick(r *rand.Rand, at time.Duration) int
}

// uniformKeys picks every key equally often.
type uniformKeys struct{ n int }

func (u uniformKeys) pick(r *rand.Rand, _ time.Duration) int { return r.IntN(u.n) }

// sequentialKeys walks through the keys, round and round. The streams of several conns interleave: conn i of c starts at i
// and goes on by c.
type sequentialKeys struct{ n, next, by int }

func (s *sequentialKeys) pick(*rand.Rand, time.Duration) int {
	k := s.next % s.n
	s.next = (s.next + s.by) % s.n
	return k
}

// viralKeys picks one key with a fixed share of all picks, and leaves the others to rest (which may pick it too).
type viralKeys struct {
	key   int
	share float64
	rest  keyPicker
}

func (v viralKeys) pick(r *rand.Rand, at time.Duration) int {
	if r.Float64() < v.share {
		return v.key
	}
	return v.rest.pick(r, at)
}

// zipfRanks draws ranks 1 to n, where rank k has a probability proportional to k^-theta, for any theta > 0. It is the
// rejection-inversion of Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
// distributions", ACM TOMACS 6 (1996): exact, without a table, with fewer than 1.2 tries a draw.
type zipfRanks struct {
	n                  float64
	theta              float64
	hX1, hN, threshold float64
}

func newZipfRanks(n int, theta float64) zipfRanks {
	z := zipfRanks{n: float64(n), theta: theta}
	z.hX1 = z.integral(1.5) - 1
	z.hN = z.integral(z.n + 0.5)
	z.threshold = 2 - z.inverse(z.integral(2.5)-z.density(2))
	return z
}

func (z *zipfRanks) rank(r *rand.Rand) int {
	for {
		u := z.hN + r.Float64()*(z.hX1-z.hN)
		x := z.inverse(u)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.threshold || u >= z.integral(k+0.5)-z.density(k) {
			return int(k)
		}
	}
}

// density is x^-theta; integral and inverse are its integral and that one's inverse.
func (z *zipfRanks) density(x float64) float64 { return math.Exp(-z.theta * math.Log(x)) }

func (z *zipfRanks) integral(x float64) float64 {
	log := math.Log(x)
	t := (1 - z.theta) * log
	if math.Abs(t) > 1e-8 {
		return math.Expm1(t) / t * log
	}
	return (1 + t/2) * log
}

func (z *zipfRanks) inverse(x float64) float64 {
	t := max(x*(1-z.theta), -1)
	if math.Abs(t) > 1e-8 {
		return math.Exp(math.Log1p(t) / t * x)
	}
	return math.Exp((1 - t/2) * x)
}

// A scatter is a bijection of 0 to n-1 that tears neighbours apart, so that a key's rank says nothing of its number.
type scatter struct{ n, by, from uint64 }

func newScatter(n int, seed uint64) scatter {
	s := scatter{n: uint64(n), from: mix64(seed) % uint64(n)}
	s.by = max(uint64(float64(n)*0.6180339887), 1)
	for gcd(s.by, s.n) != 1 {
		s.by++
	}
	return s
}

// key gives the key of a rank that counts from 0. n is below 2^31, so the product fits.
func (s scatter) key(rank int) int { return int((uint64(rank)*s.by + s.from) % s.n) }

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// zipfKeys picks keys by Zipf's law, the ranks scattered over the keys.
type zipfKeys struct {
	ranks   zipfRanks
	scatter scatter
}

func (z *zipfKeys) pick(r *rand.Rand, _ time.Duration) int { return z.scatter.key(z.ranks.rank(r) - 1) }

// hotSwapKeys is Zipf's law over ranks whose hottest change hands: every period, the swap hottest ranks go to keys that were
// among the coldest, and theirs go cold.
type hotSwapKeys struct {
	ranks   zipfRanks
	scatter scatter
	swap    int // how many, at most half of the keys
	every   time.Duration
}

// pick exchanges rank r < swap with a rank of the epoch's own block at the cold end; epoch 0 exchanges nothing, and the
// blocks repeat when the cold half is used up.
func (h *hotSwapKeys) pick(r *rand.Rand, at time.Duration) int {
	rank := h.ranks.rank(r) - 1
	n, epoch := int(h.ranks.n), int(at/h.every)
	if epoch == 0 {
		return h.scatter.key(rank)
	}
	block := n - h.swap*(1+(epoch-1)%max(n/2/h.swap, 1))
	switch {
	case rank < h.swap:
		rank += block
	case rank >= block && rank < block+h.swap:
		rank -= block
	}
	return h.scatter.key(rank)
}

// keyNames writes a key's text: prefix, and the number in decimal, filled up with zeros to the key's length. A key has the
// same text in every stream and every run with the same seed. It belongs to one stream.
type keyNames struct {
	listed  []string // keys that have other texts; nil: none
	prefix  string
	digits  int // at least so many, so that the numbers of all keys fit
	lengths sizePicker
	seed    uint64
	pcg     *rand.PCG // seeded anew for each key, as r's source
	r       *rand.Rand
}

func newKeyNames(opts *Options, prefix string, lengths sizePicker) keyNames {
	pcg := &rand.PCG{}
	return keyNames{
		prefix: prefix, digits: len(strconv.Itoa(opts.Keys - 1)), lengths: lengths, seed: opts.Seed, pcg: pcg, r: rand.New(pcg),
	}
}

func (k *keyNames) append(dst []byte, index int) []byte {
	if k.listed != nil {
		return append(dst, k.listed[index]...)
	}
	length, ok := k.lengths.(fixedSize)
	if !ok {
		// A key's length is drawn by a generator of the key's own.
		k.pcg.Seed(k.seed, mix64(uint64(index)))
		length = fixedSize(k.lengths.pick(k.r))
	}
	dst = append(dst, k.prefix...)
	width := max(min(int(length), maxKeyLen)-len(k.prefix), k.digits)
	start := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := start + width - 1; index > 0; i-- {
		dst[i] = '0' + byte(index%10)
		index /= 10
	}
	return dst
}

// mix64 is the finalizer of splitmix64: a bijection after which near numbers have nothing in common.
func mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
