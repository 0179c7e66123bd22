package keybook

// A HotKey is one key of a HotSet.
type HotKey struct {
	Hash   uint64 // hotkey.Hash of it
	Copies int    // of the chunks of its value, which is spread for its heat; 0: it is not
}

// A HotSet is the keys of a pool that are hot. It is immutable; nil is the empty set.
type HotSet struct {
	keys   map[uint64]int // hash to copies
	spread bool           // some have copies
}

// NewHotSet makes a set of keys; without any it is nil.
func NewHotSet(keys []HotKey) *HotSet {
	if len(keys) == 0 {
		return nil
	}
	s := &HotSet{keys: make(map[uint64]int, len(keys))}
	for _, k := range keys {
		s.keys[k.Hash] = k.Copies
		s.spread = s.spread || k.Copies > 0
	}
	return s
}

// Has says whether a key is hot; hash is hotkey.Hash of it.
func (s *HotSet) Has(hash uint64) bool {
	if s == nil {
		return false
	}
	_, ok := s.keys[hash]
	return ok
}

// Spread says whether any key's value is to be spread.
func (s *HotSet) Spread() bool { return s != nil && s.spread }

// Copies is a hot key's HotKey.Copies; 0 for other keys.
func (s *HotSet) Copies(hash uint64) int { return s.keys[hash] }
