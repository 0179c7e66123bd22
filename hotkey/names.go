package hotkey

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// names hold the bytes of a summary's keys, one behind the other in a fixed arena. A key that takes another's slot takes
// its room as well, if it fits; so keys of one length never move anything. Otherwise it goes to the end, and when there is
// no end left, those in use are moved together.
//
// When they alone nearly fill the arena (all slots in use, and keys of different lengths and more than 44 bytes on the
// mean), the lightest entries lose their names, and only entries heavier than those take new ones. With keys of 250 bytes
// that leaves a name to the heaviest 15 % at most. No key is lost by that, only its name, and it gets one when it is seen heavier.
type names struct {
	arena []byte // records: slot (2 bytes), room (1 byte), room bytes
	used  int    // bytes of arena before its end
	bar   int    // the weight class that an entry must have at least to take a name; 0 until the arena was full
}

// A nameRef is where the name of a slot lies.
type nameRef struct {
	at   uint32 // of its record
	room uint8  // bytes there; 0 is no record
	len  uint8  // bytes in use; 0 is no name
}

const (
	nameBytes  = 54 // of the arena, an entry
	nameHeader = 3

	slotSize    = int(unsafe.Sizeof(slot{}))
	summarySize = int(unsafe.Sizeof(Summary{}))
)

func newNames(entries int) names { return names{arena: make([]byte, nameBytes*entries)} }

func (n *names) reset() { n.used, n.bar = 0, 0 }

func (n *names) bytes(r nameRef) []byte {
	from := int(r.at) + nameHeader
	return n.arena[from : from+int(r.len) : from+int(r.len)]
}

// name gives slot i, which has none, the name key.
func (s *Summary) name(i int, key []byte) {
	n, ref := &s.names, &s.slots[i].name
	if len(key) > MaxKey || n.bar > 0 && weightClass(s.count(i)) < n.bar {
		return
	}
	if len(key) > int(ref.room) {
		if n.used+nameHeader+len(key) > len(n.arena) && !s.makeRoom(i) {
			return
		}
		ref.at, ref.room = uint32(n.used), uint8(len(key))
		binary.LittleEndian.PutUint16(n.arena[n.used:], uint16(i))
		n.arena[n.used+2] = ref.room
		n.used += nameHeader + len(key)
	}
	ref.len = uint8(len(key))
	copy(n.arena[int(ref.at)+nameHeader:], key)
}

// makeRoom moves the names together and, if they still take more than 7/8 of the arena, takes the lightest entries' names
// until they take 3/4. It reports whether slot i may still have a name. Either way at least an eighth is free, more than
// one key at the least number of entries, and so the work is spread over all the names that go there.
func (s *Summary) makeRoom(i int) bool {
	n := &s.names
	s.pack()
	if n.used > len(n.arena)/8*7 || len(n.arena)-n.used < nameHeader+MaxKey {
		s.dropNames(len(n.arena) / 4 * 3)
		s.pack()
	}
	return n.bar == 0 || weightClass(s.count(i)) >= n.bar
}

// pack moves the records in use to the front, and cuts their rooms to what is used.
func (s *Summary) pack() {
	n, to := &s.names, 0
	for from := 0; from < n.used; {
		i := binary.LittleEndian.Uint16(n.arena[from:])
		size := nameHeader + int(n.arena[from+2])
		// A slot that moved to another record, or has lost its name, has left this one.
		if ref := &s.slots[i].name; int(i) < s.used && ref.room > 0 && int(ref.at) == from {
			if ref.len == 0 {
				*ref = nameRef{}
			} else {
				copy(n.arena[to:], n.arena[from:from+nameHeader+int(ref.len)])
				n.arena[to+2] = ref.len
				ref.at, ref.room = uint32(to), ref.len
				to += nameHeader + int(ref.len)
			}
		}
		from += size
	}
	n.used = to
}

// dropNames takes names from the lightest entries until the rest fit into limit bytes.
func (s *Summary) dropNames(limit int) {
	var sizes [weightClasses]int
	for i := range s.used {
		if l := int(s.slots[i].name.len); l > 0 {
			sizes[weightClass(s.count(i))] += nameHeader + l
		}
	}
	cut, left := weightClasses-1, limit
	for ; cut > 0 && sizes[cut] <= left; cut-- {
		left -= sizes[cut]
	}
	// Those of class cut keep theirs while there is room; those above it all do.
	for i := range s.used {
		ref := &s.slots[i].name
		if ref.len == 0 {
			continue
		}
		class, size := weightClass(s.count(i)), nameHeader+int(ref.len)
		if class == cut && size <= left {
			left -= size
		} else if class <= cut {
			ref.len = 0
		}
	}
	s.names.bar = max(s.names.bar, cut+1)
}

// weightClass orders counts roughly: eight classes for each power of two.
func weightClass(count uint64) int {
	if count < 8 {
		return int(count)
	}
	length := bits.Len64(count)
	return (length-3)*8 + int(count>>(length-4)&7)
}

// weightClasses is the number of classes that a count of up to MaxTotal can have.
const weightClasses = (48-3)*8 + 8
