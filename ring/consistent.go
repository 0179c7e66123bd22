package ring

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// The consistent ring cuts the space of key hashes into 2^slotBits equal slots, and each slot belongs to the node that
// bids most for it (rendezvous hashing, weighted). A node's bid for a slot depends on its own name and weight and on the
// slot alone. So the order of the nodes is nothing, a new node takes slots from all others and no slot moves between
// them, a node that goes leaves its slots to the next best bidders, and looking a key up is one hash and one load.
//
//	seed(node)       = xxhash64(name)
//	bid(node, slot)  = mix64(seed ^ (slot+1) * 0x9e3779b97f4a7c15), read as a fraction of 2^64
//	cost(node, slot) = -log2(bid) / weight, and the lowest cost wins
//	slot of a key    = the top slotBits bits of xxhash64(key)
//
// The count of slots is fixed, because changing it would move keys. A node with 1/n of the weight has 1/n of the slots to
// within sqrt(n/2^slotBits): 0.8 % for 16 nodes, 2 % for 100, 6 % for 1,000.
const slotBits = 18

// A bidder is a node as the slots see it.
type bidder struct {
	seed   uint64 // distinct within a ring, so that no two bids for a slot are equal
	weight uint64
	node   int
}

type consistent struct {
	owners []uint16 // node of each slot; one slot alone if there is one node
	shift  uint     // a key's hash >> shift is its slot

	bidders []bidder  // by weight, then by name: the order settles equal costs
	logs    *logTable // nil if all weights are equal
}

func newConsistent(nodes []Node, _ Options) (Ring, error) {
	r := &consistent{bidders: bidders(nodes), owners: make([]uint16, 1), shift: 64}
	if len(nodes) == 1 {
		return r, nil
	}
	if r.bidders[0].weight != r.bidders[len(nodes)-1].weight {
		r.logs = newLogTable()
	}
	r.owners, r.shift = make([]uint16, 1<<slotBits), 64-slotBits
	for slot := range r.owners {
		r.owners[slot] = uint16(r.winner(uint64(slot), nil))
	}
	return r, nil
}

// bidders gives each node a seed of its own. Two names whose hashes collide are told apart in the order of the names, so
// that every process settles them alike.
func bidders(nodes []Node) []bidder {
	order := make([]int, len(nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(nodes[a].Name, nodes[b].Name) })
	taken := make(map[uint64]bool, len(nodes))
	all := make([]bidder, 0, len(nodes))
	for _, i := range order {
		seed := xxhash.Sum64String(nodes[i].Name)
		for taken[seed] {
			seed = mix64(seed + 1)
		}
		taken[seed] = true
		all = append(all, bidder{seed: seed, weight: uint64(nodes[i].Weight), node: i})
	}
	slices.SortStableFunc(all, func(a, b bidder) int { return cmp.Compare(a.weight, b.weight) })
	return all
}

func (r *consistent) Lookup(key []byte) int { return int(r.owners[xxhash.Sum64(key)>>r.shift]) }

func (r *consistent) Hash(key []byte) uint64 { return xxhash.Sum64(key) }

// LookupAlive gives what Lookup would give in a ring of the live nodes alone.
func (r *consistent) LookupAlive(key []byte, dead func(node int) bool) int {
	slot := xxhash.Sum64(key) >> r.shift
	if node := int(r.owners[slot]); !dead(node) {
		return node
	}
	return r.winner(slot, dead)
}

// winner gives the node with the lowest cost for slot, or -1 if all are dead. dead may be nil. Among nodes of one weight
// the highest bid has the lowest cost, so that a logarithm is taken once a weight only.
func (r *consistent) winner(slot uint64, dead func(node int) bool) int {
	spread := (slot + 1) * 0x9e3779b97f4a7c15
	best, bestCost, bestWeight := -1, uint64(0), uint64(0)
	for i := 0; i < len(r.bidders); {
		weight, top, topBid := r.bidders[i].weight, -1, uint64(0)
		for ; i < len(r.bidders) && r.bidders[i].weight == weight; i++ {
			b := &r.bidders[i]
			if dead != nil && dead(b.node) {
				continue
			}
			if bid := mix64(b.seed ^ spread); top < 0 || bid > topBid {
				top, topBid = b.node, bid
			}
		}
		if r.logs == nil {
			return top
		}
		if top < 0 {
			continue
		}
		// cost/weight < bestCost/bestWeight; a cost has 38 bits, a weight 25.
		if cost := r.logs.cost(topBid); best < 0 || cost*bestWeight < bestCost*weight {
			best, bestCost, bestWeight = top, cost, weight
		}
	}
	return best
}

// mix64 is the finalizer of murmur3: a bijection of which every output bit depends on every input bit.
func mix64(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

const logBits = 12

// A logTable has log2(1 + i/2^logBits) in units of 2^-32, in integers throughout: math.Log2 differs between processors in
// its last bit, and two proxies of different make must not disagree about a slot.
type logTable [1<<logBits + 1]uint64

func newLogTable() *logTable {
	t := new(logTable)
	for i := range t[:1<<logBits] {
		x := uint64(1)<<63 + uint64(i)<<(63-logBits) // 1 <= x < 2, in units of 2^-63
		for range 32 {
			// Squaring doubles the logarithm; its whole part is the next bit.
			x, _ = bits.Mul64(x, x)
			t[i] = t[i]<<1 | x>>63
			if x>>63 == 0 {
				x <<= 1
			}
		}
	}
	t[1<<logBits] = 1 << 32
	return t
}

// cost is -log2(bid/2^64) in units of 2^-32, by interpolation: at most 64, falling as bid grows, and exact to 1 part in
// 5,000 however small it is.
func (t *logTable) cost(bid uint64) uint64 {
	bid |= 1
	zeros := bits.LeadingZeros64(bid)
	m := bid << zeros
	i := m << 1 >> (64 - logBits)
	rest := m << (1 + logBits) >> 32
	log := t[i] + (t[i+1]-t[i])*rest>>32
	return uint64(zeros+1)<<32 - log
}
