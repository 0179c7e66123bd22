package ring

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"strconv"
)

// rendezvous is pymemcache's HashClient (RendezvousHash in rendezvous.py): each node has a score for the key, murmur3_32
// with seed 0 over node + "-" + key, and the highest wins; of equal scores the greatest node string. There are no weights:
// Node.Weight is ignored. A dead node is left out, which is what the library does once it has given a server up.
//
// The library hashes the characters of a str. For the keys that it takes by default, which are ASCII, those are the bytes.
type rendezvous struct {
	// groups[r] are the nodes whose string, with the "-", is r bytes longer than a multiple of 4: to them the key's bytes
	// fall into murmur3's words alike, so these words are mixed once for all of the group.
	groups [4][]contender
	nodes  []uint16 // by rank
}

// A contender is a node with the part of its score that does not depend on the key.
type contender struct {
	state  uint32 // murmur3's state after the whole words of the node's string
	rest   uint32 // the bytes left over, little endian
	length uint32 // of the node's string in bytes
	rank   uint16 // among the node strings in ascending order
}

func newRendezvous(nodes []Node, _ Options) (Ring, error) {
	if err := needHosts(nodes, func(Node) bool { return true }); err != nil {
		return nil, err
	}
	r := &rendezvous{nodes: make([]uint16, len(nodes))}
	for i := range nodes {
		r.nodes[i] = uint16(i)
	}
	slices.SortStableFunc(r.nodes, func(a, b uint16) int {
		return cmp.Compare(rendezvousName(nodes[a]), rendezvousName(nodes[b]))
	})
	for rank, i := range r.nodes {
		text := []byte(rendezvousName(nodes[i]) + "-")
		c := contender{length: uint32(len(text)), rank: uint16(rank)}
		for len(text) >= 4 {
			c.state = murmur3Add(c.state, murmur3Word(binary.LittleEndian.Uint32(text)))
			text = text[4:]
		}
		c.rest = lastWord(text)
		r.groups[len(text)] = append(r.groups[len(text)], c)
	}
	return r, nil
}

func rendezvousName(n Node) string {
	if n.Port == 0 {
		return n.Host
	}
	return n.Host + ":" + strconv.Itoa(n.Port)
}

func (r *rendezvous) Lookup(key []byte) int {
	return int(r.nodes[uint16(r.best(key, nil))])
}

// Hash is the winner's score.
func (r *rendezvous) Hash(key []byte) uint64 { return r.best(key, nil) >> 16 }

func (r *rendezvous) LookupAlive(key []byte, dead func(node int) bool) int {
	if node := r.Lookup(key); !dead(node) {
		return node
	}
	if firstLive(0, len(r.nodes), dead) < 0 {
		return -1
	}
	return int(r.nodes[uint16(r.best(key, dead))])
}

// maxWords bounds the words mixed ahead: enough for memcached's longest key.
const maxWords = 64

// best gives the highest score and the rank of its node, in the upper and the lower 16 bits of the lower 48. dead may be
// nil; one node must live.
func (r *rendezvous) best(key []byte, dead func(node int) bool) uint64 {
	best := uint64(0)
	var words [maxWords]uint32
	for rest, group := range r.groups {
		if len(group) == 0 {
			continue
		}
		head := (4 - rest) % 4 // bytes of the key that complete a node's last word
		whole := (len(key) - head) / 4
		if len(key) < head || whole > maxWords {
			best = max(best, r.bestSlow(key, rest, dead))
			continue
		}
		first := lastWord(key[:head]) << (8 * rest)
		body := key[head:]
		for i := range whole {
			words[i] = murmur3Word(binary.LittleEndian.Uint32(body[4*i:]))
		}
		last := murmur3Word(lastWord(body[4*whole:]))
		for i := range group {
			c := &group[i]
			if dead != nil && dead(int(r.nodes[c.rank])) {
				continue
			}
			h := c.state
			if rest > 0 {
				h = murmur3Add(h, murmur3Word(c.rest|first))
			}
			for _, w := range words[:whole] {
				h = murmur3Add(h, w)
			}
			h = murmur3Final(h^last, c.length+uint32(len(key)))
			best = max(best, uint64(h)<<16|uint64(c.rank))
		}
	}
	return best
}

// bestSlow is best for one group and a key of any length.
func (r *rendezvous) bestSlow(key []byte, rest int, dead func(node int) bool) uint64 {
	best := uint64(0)
	for _, c := range r.groups[rest] {
		if dead != nil && dead(int(r.nodes[c.rank])) {
			continue
		}
		h, word, fill := c.state, c.rest, rest
		for _, b := range key {
			word |= uint32(b) << (8 * fill)
			if fill++; fill == 4 {
				h = murmur3Add(h, murmur3Word(word))
				word, fill = 0, 0
			}
		}
		h = murmur3Final(h^murmur3Word(word), c.length+uint32(len(key)))
		best = max(best, uint64(h)<<16|uint64(c.rank))
	}
	return best
}

// The steps of MurmurHash3_x86_32: a word's own mixing, adding it to the state, and the end. The mixing of 0 is 0, so a
// missing last word need not be told from one of zeros.
func murmur3Word(word uint32) uint32 {
	return bits.RotateLeft32(word*0xcc9e2d51, 15) * 0x1b873593
}

func murmur3Add(h, word uint32) uint32 {
	return bits.RotateLeft32(h^word, 13)*5 + 0xe6546b64
}

func murmur3Final(h, length uint32) uint32 {
	h ^= length
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}
