package hotkey

import "iter"

// Bounds of a Summary.
const (
	MinEntries = 32        // with fewer, a quarter of the names has no room for one key of MaxKey bytes
	MaxEntries = 1 << 15   // a slot's number, and one for none, have 16 bits
	MaxTotal   = 1<<48 - 1 // a word has 48 bits for a count
	MaxKey     = 250       // bytes of a key, as memcached has it
)

// An Observation is what Add adds to a key.
type Observation struct {
	Weight uint64 // what the summary ranks by
	Bytes  uint64 // of values
	Ops    uint32 // requests
	Size   uint32 // bytes of the value, as it was seen
	Write  bool   // Ops and Bytes are of writes
}

// An Entry is what a Summary, or a View of several, knows of one key.
//
// The true weight of the key is at most Count and at least Count-Err. The other figures are exact from the moment when the
// key was taken in; what was before is not in them, and weighs at most Err.
type Entry struct {
	Hash       uint64
	Key        []byte // empty if not known; it lies in the summary, and is valid until that is changed
	Count      uint64
	Err        uint64
	Reads      uint64 // requests
	Writes     uint64
	ReadBytes  uint64 // of values
	WriteBytes uint64
	Size       uint32 // bytes of the largest value seen
}

// Sure is the weight that the key has at least: Count-Err.
func (e *Entry) Sure() uint64 { return e.Count - e.Err }

// A Summary finds the keys of the greatest weight in a stream, by Space-Saving with weights (Metwally, Agrawal, El Abbadi:
// Efficient Computation of Frequent and Top-k Elements in Data Streams, 2005). It tracks m keys. One that it does not track
// takes the place of the lightest, and inherits its count as the error of its own. So with W the sum of all weights:
//
//	Count-Err <= true weight <= Count      of each key that is tracked
//	true weight <= Floor <= W/m            of each key that is not
//	Err <= W/m
//
// Keys are told apart by their hashes alone: keys of one hash are one key. The lightest is the winner of a tournament, so an
// update costs O(log m) whatever its weight is, and nothing is allocated after NewSummary.
//
// The memory, in bytes an entry, with m a power of two:
//
//	slots         56   what is known of a key, but for its count
//	tournament    10   count and slot, and who won at a node
//	index          6   two heads and a link
//	names         54   the keys' bytes; see names for what happens when keys are longer than that on the mean
//
// That is 126 bytes, and two summaries of 4,096 entries, as a Detector has, are 1,008 KiB.
//
// A Summary has one owner. It may be read by several while nobody changes it.
type Summary struct {
	total  uint64 // sum of all weights, at most MaxTotal; equals the sum of all counts
	used   int    // slots in use, the first ones
	slots  []slot
	counts tournament // is played only when all slots are in use
	index  index
	names  names
}

// A slot is a tracked key without its count, which lies in the tournament.
type slot struct {
	hash       uint64
	err        uint64
	readBytes  uint64
	writeBytes uint64
	reads      uint32
	writes     uint32
	size       uint32
	name       nameRef
}

// NewSummary makes an empty summary of m = entries keys, MinEntries..MaxEntries. seed decides where keys lie in its index,
// and nothing that shows; who does not know it cannot choose keys that collide there.
func NewSummary(entries int, seed uint64) *Summary {
	if entries < MinEntries || entries > MaxEntries {
		panic("hotkey: entries out of bounds")
	}
	return &Summary{
		slots:  make([]slot, entries),
		counts: newTournament(entries),
		index:  newIndex(entries, seed),
		names:  newNames(entries),
	}
}

// Reset makes s empty.
func (s *Summary) Reset() {
	s.total = 0
	s.used = 0
	s.index.reset()
	s.names.reset()
}

// Len is the number of keys tracked.
func (s *Summary) Len() int { return s.used }

// Total is W, the sum of all weights.
func (s *Summary) Total() uint64 { return s.total }

// Floor is the most that a key which is not tracked can weigh.
func (s *Summary) Floor() uint64 {
	if s.used < len(s.slots) {
		return 0
	}
	return s.counts.least() >> slotBits
}

// MemoryBytes is the size of all that s has allocated.
func (s *Summary) MemoryBytes() int {
	return summarySize + len(s.slots)*slotSize + len(s.names.arena) +
		len(s.counts.words)*8 + len(s.counts.winners)*2 + len(s.index.heads)*2 + len(s.index.next)*2
}

// Add adds o to a key. key is copied when it becomes tracked; it may be empty when it is not known, or longer than MaxKey,
// and then an entry stays without a name until an Add brings one. What would make Total more than MaxTotal is left out.
func (s *Summary) Add(hash uint64, key []byte, o Observation) {
	if o.Weight > MaxTotal-s.total {
		return
	}
	s.total += o.Weight
	i := s.index.find(hash, s.slots)
	switch {
	case i < 0:
		i = s.take(hash, o.Weight)
	case s.used < len(s.slots):
		s.counts.words[i] += o.Weight << slotBits
	default:
		s.counts.grow(i, s.counts.words[i]+o.Weight<<slotBits)
	}
	e := &s.slots[i]
	if o.Write {
		e.writes = addSat(e.writes, o.Ops)
		e.writeBytes += o.Bytes
	} else {
		e.reads = addSat(e.reads, o.Ops)
		e.readBytes += o.Bytes
	}
	e.size = max(e.size, o.Size)
	if e.name.len == 0 && len(key) > 0 {
		s.name(i, key)
	}
}

func addSat(a, b uint32) uint32 {
	sum := a + b
	if sum < a {
		return 1<<32 - 1
	}
	return sum
}

// take gives a key that is not tracked a slot: a free one, or the lightest key's.
func (s *Summary) take(hash, weight uint64) (i int) {
	if s.used < len(s.slots) {
		i = s.used
		s.used++
		s.slots[i] = slot{hash: hash}
		s.counts.words[i] = weight<<slotBits | uint64(i)
		if s.used == len(s.slots) {
			s.counts.play()
		}
	} else {
		lightest := s.counts.least()
		i = int(lightest & slotMask)
		e := &s.slots[i]
		s.index.remove(e.hash, i)
		// The name's room is kept: the new name mostly fits.
		*e = slot{hash: hash, err: lightest >> slotBits, name: nameRef{at: e.name.at, room: e.name.room}}
		s.counts.grow(i, lightest+weight<<slotBits)
	}
	s.index.insert(hash, i)
	return i
}

// Lookup finds a key that is tracked.
func (s *Summary) Lookup(hash uint64) (e Entry, ok bool) {
	i := s.index.find(hash, s.slots)
	if i >= 0 {
		s.entry(i, &e)
	}
	return e, i >= 0
}

// All gives every tracked key, in no order. The entry is valid until the next one.
func (s *Summary) All() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		var e Entry
		for i := range s.used {
			s.entry(i, &e)
			if !yield(&e) {
				return
			}
		}
	}
}

func (s *Summary) entry(i int, e *Entry) {
	from := &s.slots[i]
	*e = Entry{
		Hash: from.hash, Key: s.names.bytes(from.name),
		Count: s.count(i), Err: from.err,
		Reads: uint64(from.reads), Writes: uint64(from.writes),
		ReadBytes: from.readBytes, WriteBytes: from.writeBytes,
		Size: from.size,
	}
}

// count is the count of the key in slot i.
func (s *Summary) count(i int) uint64 { return s.counts.words[i] >> slotBits }
