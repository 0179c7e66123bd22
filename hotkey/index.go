package hotkey

import "math/bits"

// An index finds the slot of a hash. It is a hash table with a chain for each of at least 2m heads, so nearly half of the
// searches for a key that is not there end at an empty head, and a key that comes goes to the front without a search. Its
// 48 KiB for 4,096 slots hold no hashes: those are compared in the slots.
type index struct {
	heads []uint16 // by the upper bits of the mixed hash: the chain's first slot + 1; 0 is none
	next  []uint16 // by slot: the slot behind it in its chain + 1
	shift uint8    // from a mixed hash to its head
	mix   uint64   // odd and secret
}

func newIndex(slots int, seed uint64) index {
	width := bits.Len(uint(2*slots - 1))
	return index{
		heads: make([]uint16, 1<<width),
		next:  make([]uint16, slots),
		shift: uint8(64 - width),
		mix:   mixSeed(seed) | 1,
	}
}

func (x *index) reset() { clear(x.heads) }

func (x *index) head(hash uint64) *uint16 { return &x.heads[hash*x.mix>>(x.shift&63)] }

// find gives the slot of hash, or -1.
func (x *index) find(hash uint64, slots []slot) int {
	for at := *x.head(hash); at != 0; at = x.next[at-1] {
		if slots[at-1].hash == hash {
			return int(at) - 1
		}
	}
	return -1
}

// insert adds slot i, whose hash is not there.
func (x *index) insert(hash uint64, i int) {
	head := x.head(hash)
	x.next[i] = *head
	*head = uint16(i + 1)
}

// remove takes out slot i, whose hash is there.
func (x *index) remove(hash uint64, i int) {
	at := x.head(hash)
	for int(*at) != i+1 {
		at = &x.next[*at-1]
	}
	*at = x.next[i]
}

// mixSeed spreads a seed over 64 bits (splitmix64's output function).
func mixSeed(seed uint64) uint64 {
	seed += 0x9e3779b97f4a7c15
	seed = (seed ^ seed>>30) * 0xbf58476d1ce4e5b9
	seed = (seed ^ seed>>27) * 0x94d049bb133111eb
	return seed ^ seed>>31
}
