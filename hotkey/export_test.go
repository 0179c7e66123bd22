package hotkey

import (
	"encoding/binary"
	"fmt"
	"math"
)

// NeverPick makes d pick no request any more.
func (d *Detector) NeverPick() { d.sampler.countdown = math.MaxInt64 }

// Active is the window that d fills.
func (d *Detector) Active() *Window { return d.active }

// Check holds s against the invariants of its parts.
func (s *Summary) Check() error {
	sum, chained := uint64(0), 0
	for i := range s.used {
		if got := s.index.find(s.slots[i].hash, s.slots); got != i {
			return fmt.Errorf("slot %d: the index finds %d for its hash", i, got)
		}
		if got := int(s.counts.words[i] & slotMask); got != i {
			return fmt.Errorf("slot %d: its word is of slot %d", i, got)
		}
		if s.slots[i].err > s.count(i) {
			return fmt.Errorf("slot %d: error %d, count %d", i, s.slots[i].err, s.count(i))
		}
		sum += s.count(i)
	}
	if sum != s.total {
		return fmt.Errorf("counts add up to %d, weights to %d", sum, s.total)
	}
	for _, at := range s.index.heads {
		for ; at != 0; at = s.index.next[at-1] {
			if chained++; chained > s.used {
				return fmt.Errorf("more than %d slots in the index's chains", s.used)
			}
		}
	}
	if chained != s.used {
		return fmt.Errorf("%d slots in the index's chains, want %d", chained, s.used)
	}
	if s.used == len(s.slots) {
		if err := s.counts.check(); err != nil {
			return err
		}
	}
	return s.checkNames()
}

func (t *tournament) check() error {
	size := len(t.words)
	winner := func(node int) uint64 {
		if node >= size {
			return t.words[node-size]
		}
		return t.words[t.winners[node]]
	}
	for p := 1; p < size; p++ {
		if want := min(winner(2*p), winner(2*p+1)); winner(p) != want {
			return fmt.Errorf("node %d: word %x won, want %x", p, winner(p), want)
		}
	}
	return nil
}

// checkNames finds names that lie outside the records, or in another's.
func (s *Summary) checkNames() error {
	n := &s.names
	owner := map[int]int{} // offset of a record to its slot
	at := 0
	for at < n.used {
		owner[at] = int(binary.LittleEndian.Uint16(n.arena[at:]))
		at += nameHeader + int(n.arena[at+2])
	}
	if at != n.used || at > len(n.arena) {
		return fmt.Errorf("records of names end at %d, want %d of %d", at, n.used, len(n.arena))
	}
	for i := range s.used {
		ref := s.slots[i].name
		if ref.len > ref.room {
			return fmt.Errorf("slot %d: name of %d bytes in a room of %d", i, ref.len, ref.room)
		}
		if ref.room == 0 {
			continue
		}
		if got, ok := owner[int(ref.at)]; !ok || got != i || n.arena[ref.at+2] != ref.room {
			return fmt.Errorf("slot %d: its name's record at %d is of slot %d (there: %v), with room %d, want %d",
				i, ref.at, got, ok, n.arena[ref.at+2], ref.room)
		}
	}
	return nil
}

// Tracked is the number of keys that t keeps.
func (t *Tracker) Tracked() int { return len(t.keys) }
