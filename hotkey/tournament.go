package hotkey

import "math/bits"

// A word is a count and the slot it is of, so that words compare as counts do, no two are equal, and each says whose it is.
const (
	slotBits = 16
	slotMask = 1<<slotBits - 1
)

// A tournament knows the least of many words: each node of a binary tree names the slot that won there. A word that grows
// plays again where it had won, and nowhere else. The way up is known beforehand, so that the processor may load all of its
// opponents at once; in a heap it learns where to go on only by comparing the children that it has just loaded. Words and
// winners of 4,096 slots are 40 KiB and stay in the first-level cache.
type tournament struct {
	words   []uint64 // by slot; a power of two
	winners []uint16 // by node: the root is 1, the children of p are 2p and 2p+1, the leaves' nodes are len(words)+slot
}

func newTournament(slots int) tournament {
	size := 1 << bits.Len(uint(slots-1))
	t := tournament{words: make([]uint64, size), winners: make([]uint16, size)}
	for i := range t.words {
		t.words[i] = MaxTotal<<slotBits | uint64(i) // those past the last slot: they never win
	}
	return t
}

// play finds every node's winner.
func (t *tournament) play() {
	size := len(t.words)
	for p := size - 1; p >= size/2; p-- {
		slot := uint16(2*p - size)
		if t.words[slot|1] < t.words[slot] {
			slot |= 1
		}
		t.winners[p] = slot
	}
	for p := size/2 - 1; p > 0; p-- {
		t.winners[p] = uint16(min(t.words[t.winners[2*p]], t.words[t.winners[2*p+1]]) & slotMask)
	}
}

// least is the least word.
func (t *tournament) least() uint64 { return t.words[t.winners[1]] }

// grow makes slot's word greater.
func (t *tournament) grow(slot int, word uint64) {
	words, winners := t.words, t.winners
	words[slot] = word
	p := (len(words) + slot) >> 1
	if int(winners[p]) != slot {
		return
	}
	best := min(word, words[slot^1])
	winners[p] = uint16(best)
	for p > 1 {
		other := winners[p^1]
		p >>= 1
		if int(winners[p]) != slot {
			return
		}
		best = min(best, words[other])
		winners[p] = uint16(best)
	}
}
