package hotkey

import (
	"math"
	"math/rand/v2"
)

// A Sampler picks requests with a probability that grows with their cost, and says how many each picked one stands for.
//
// Cost goes by in a countdown drawn from an exponential distribution of a given mean, and the request that takes it below
// zero is picked. That distribution has no memory: whatever went before, a request of cost c is picked with probability
// p = 1-exp(-c/mean), so no rhythm of the requests (pipelines, batches, clients in step) can hide a key or show it too
// often, as it can from who picks every Nth. A figure divided by p is right on the mean.
//
// Costs are whole bytes, and the countdown is rounded down to whole bytes: that makes it geometric, whose tail at whole
// numbers is the exponential's, so that p above is exact.
//
// A Sampler has one owner.
type Sampler struct {
	countdown int64
	mean      float64
	rng       rand.PCG
	exp       *rand.Rand // of rng

	// Few costs come often: a request's, and those of values of one size. Each has a place that its hash names.
	known [8]knownCost
}

// A knownCost is 1/p of a cost.
type knownCost struct {
	cost  int64
	times float64 // 0 before the first
}

// NewSampler makes a sampler that picks one request each mean bytes of cost. Samplers of different seeds pick different
// requests.
func NewSampler(mean int64, seed uint64) *Sampler {
	s := &Sampler{}
	s.start(mean, seed)
	return s
}

func (s *Sampler) start(mean int64, seed uint64) {
	*s = Sampler{mean: float64(mean), rng: *rand.NewPCG(seed, mixSeed(seed))}
	s.exp = rand.New(&s.rng)
	s.draw()
}

// Skip counts a request of cost bytes, at least 0, and reports whether it is not picked. After it has said no, Take must be
// called before the next Skip.
func (s *Sampler) Skip(cost int64) bool {
	s.countdown -= cost
	return s.countdown >= 0
}

// Take gives what the figures of the request just picked, of cost bytes, are to be multiplied by: times = 1/p, at least 1.
// dither is a random number of [0, 1): times·x + dither, rounded down, is a whole number and times·x on the mean.
func (s *Sampler) Take(cost int64) (times, dither float64) {
	known := &s.known[uint64(cost)*0x9e3779b97f4a7c15>>61]
	if cost != known.cost || known.times == 0 {
		*known = knownCost{cost, 1 / -math.Expm1(-float64(cost)/s.mean)}
	}
	s.draw()
	return known.times, s.uniform()
}

func (s *Sampler) draw() { s.countdown = int64(s.exp.ExpFloat64() * s.mean) }

func (s *Sampler) uniform() float64 { return float64(s.rng.Uint64()>>11) / (1 << 53) }
