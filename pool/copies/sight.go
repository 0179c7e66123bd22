package copies

import (
	"slices"

	"mcproxy/hotkey"
	"mcproxy/replica"
)

// A Sight is what a backend's guard said when it was last asked, made ready for the data path. It does not change.
type Sight struct {
	replica.Sight
	until int64  // Kernel.Elapsed up to which it holds
	plain bool   // no key of the backend has copies
	table *table // nil: no key is named
}

// A table is the keys that a guard names. It does not change.
type table struct {
	filter  [4]uint64 // a bit for each key
	entries []entry   // in the guard's order
	active  bool      // some may be read elsewhere
}

// An entry is one of them.
type entry struct {
	replica.Entry
	short uint64 // hotkey.Hash
	name  []byte // of its copies
	hosts []int  // the backends that can have one
}

// newSight makes a sight ready. before is the last one: what has not changed is taken over.
func (s *Shared) newSight(node int, seen *replica.Sight, before *Sight) *Sight {
	next := &Sight{Sight: *seen}
	next.until, next.plain = seen.Plain(&s.rules)
	if seen.Kind != replica.Readable || len(seen.Guard.Keys) == 0 {
		return next
	}
	if before.Kind == replica.Readable && before.Guard.Epoch == seen.Guard.Epoch && before.table != nil {
		next.table = before.table
		return next
	}
	t := &table{entries: make([]entry, len(seen.Guard.Keys))}
	for i, e := range seen.Guard.Keys {
		t.entries[i] = entry{
			Entry: e, short: e.Hash.Short(), name: replica.AppendCopyKey(nil, e.Hash),
			hosts: replica.AppendHosts(nil, e.Hash, s.names, node),
		}
		t.filter[e.Hash.Short()>>6&3] |= 1 << (e.Hash.Short() & 63)
		t.active = t.active || e.Phase == replica.Active
	}
	next.table = t
	return next
}

// find gives the entry of a key; nil: it has none. short is hotkey.Hash of it.
func (t *table) find(key []byte, short uint64) *entry {
	if t.filter[short>>6&3]&(1<<(short&63)) == 0 {
		return nil
	}
	at, found := slices.BinarySearchFunc(t.entries, short, func(e entry, short uint64) int {
		switch {
		case e.short < short:
			return -1
		case e.short > short:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	h := replica.HashOf(key)
	for ; at < len(t.entries) && t.entries[at].short == short; at++ {
		if t.entries[at].Hash == h {
			return &t.entries[at]
		}
	}
	return nil
}

func shortOf(key []byte) uint64 { return hotkey.Hash(key) }
