package chunks

import (
	"bytes"

	"mcproxy/hotkey"
	"mcproxy/internal/keybook"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/split"
)

// An Ahead reads the chunks of the manifest that a hot key had last, while the item is being read at home. If that turns out to be
// the same manifest the value is there after one round trip; if not, what was read ahead is of no use. Chunks never change, so it does
// not matter when they were read: it is the manifest that says whether they are the key's value now.
//
//	get ─┬─► chunks of the remembered manifest ───────────────┐
//	     └─► item at home ─► the same manifest: keep ─► value ◄┘
//	                         anything else:     drop
type Ahead struct {
	s        *Splitter
	o        *steps.Op
	key      []byte
	manifest split.Manifest
	then     func(o *steps.Op, first reading) // set by keep
	dropped  bool
	parked   bool // the op waits for keep or drop
}

// A reading is what came of reading a value's chunks.
type reading struct {
	value []byte
	how   fetched
}

// A memory is the last manifest that a key was seen with.
type memory struct {
	key      []byte
	manifest split.Manifest
}

// hot gives the hot keys now, and forgets the manifests of those that are hot no more.
func (s *Splitter) hot() *keybook.HotSet {
	hot := s.host.Hot()
	if hot != s.hotSeen {
		s.hotSeen = hot
		for h := range s.memories {
			if hot == nil || !hot.Has(h) {
				delete(s.memories, h)
			}
		}
	}
	return hot
}

// remember notes a hot key's manifest.
func (s *Splitter) remember(key []byte, m *split.Manifest) {
	hot := s.hot()
	if hot == nil {
		return
	}
	h := hotkey.Hash(key)
	if !hot.Has(h) {
		return
	}
	before, ok := s.memories[h]
	if !ok || !bytes.Equal(before.key, key) {
		before.key = bytes.Clone(key)
	}
	s.memories[h] = memory{before.key, *m}
}

// Forget is for a key that has no manifest any more.
func (s *Splitter) Forget(key []byte) {
	if len(s.memories) > 0 {
		delete(s.memories, hotkey.Hash(key))
	}
}

// ReadAhead reads the chunks of a key's remembered manifest; nil if there is none. The item must be asked for in the same turn or
// later, and then the ahead is kept or dropped.
func (s *Splitter) ReadAhead(key []byte, affinity uint32) *Ahead {
	if len(s.memories) == 0 || s.hot() == nil {
		return nil
	}
	m, ok := s.memories[hotkey.Hash(key)]
	if !ok || !bytes.Equal(m.key, key) {
		return nil
	}
	claim, ok := s.runner.Purse.Try(m.manifest.Length)
	if !ok { // first come, first served: what may be of no use does not wait
		return nil
	}
	a := &Ahead{s: s, key: m.key, manifest: m.manifest}
	s.runner.RunBy(affinity, s.loop.Now+int64(s.runner.Timeout), func(o *steps.Op) {
		a.o = o
		o.Hold(m.manifest.Length, claim)
		f := &fetching{s: s, o: o, m: &a.manifest, ahead: a, lost: missing}
		value, how := f.run()
		if a.wait() {
			a.then(o, reading{value, how})
		}
	})
	return a
}

// wait waits until it is known whether what was read ahead is of use, and says so.
func (a *Ahead) wait() bool {
	if a.then == nil && !a.dropped {
		a.parked = true
		a.o.Expect()
		a.o.Wait()
	}
	return !a.dropped
}

// matches says whether an item is what was read ahead.
func (a *Ahead) matches(it *split.Stored) bool {
	if a == nil || it.Kind != split.Split {
		return false
	}
	return it.Manifest == a.manifest || a.s.shared.Mutant == TrustsMemory
}

// keep has then called, in the ahead's own op, when the chunks were read. The item has taken up to one timeout; another is left.
func (a *Ahead) keep(then func(o *steps.Op, first reading)) {
	a.s.figures.AheadKept++
	a.then = then
	a.o.Deadline = a.s.loop.Now + int64(a.s.runner.Timeout)
	a.wake()
}

// Drop lets the ahead end, unless it was kept. a may be nil.
func (a *Ahead) Drop() {
	if a == nil || a.then != nil || a.dropped {
		return
	}
	a.s.figures.AheadDropped++
	a.dropped = true
	a.wake()
}

func (a *Ahead) wake() {
	if a.parked {
		a.parked = false
		a.o.Ended()
	}
}

// DropFor drops the ahead for an item that is no manifest, or for a miss: the key's is forgotten.
func (a *Ahead) DropFor(r *protocol.Response) {
	if a == nil {
		return
	}
	if r.Status == protocol.StatusMiss || r.Status == protocol.StatusHit {
		a.s.Forget(a.key)
	}
	a.Drop()
}

// AddSplit adds the hot keys whose values stand in chunks, as far as the worker has seen them: to copies of each chunk, by
// hotkey.Hash.
func (s *Splitter) AddSplit(to map[uint64]int) {
	s.hot()
	for h, m := range s.memories {
		to[h] = max(to[h], m.manifest.Copies)
	}
}

// Remembers says whether it remembers any manifest.
func (s *Splitter) Remembers() bool { return len(s.memories) > 0 }

// Key is the key whose chunks are read.
func (a *Ahead) Key() []byte { return a.key }
