package replica

import (
	"bytes"
	"slices"
)

// A Keeper watches the guard of one home, and takes the next step when it is time. Every proxy has one for each of its
// backends, and any of them can take each step: each relies only on what it has seen itself for Rules.Wait, and stores with
// the cas number of what it has read, so of two that try one succeeds.
//
//	each Rules.Poll:  mg G v f c ─► Polled ─► Sight, for requests to look keys up in
//	                                  └─► Next, until it gives DoNothing:
//	                                       Add, Store ─► the home, on the conn that was polled; then poll again
//	                                       Clean      ─► Write.StartClean ─► Cleaned
//
// A Keeper has one owner. A Sight that it gave may be read by anybody.
type Keeper struct {
	rules *Rules
	sight Sight
	cas   uint64 // of the guard that sight shows
	conn  uint64 // on which it was read
	spent bool   // cas was used, or is none: wait for the next poll

	since int64  // when an answer first showed the guard's epoch
	seen  []seen // the guard's entries, in their order
	wants []want // sorted by hash
	likes []Hash // keys that this proxy wants to have copies, or to keep them; sorted
}

// seen is what is known of an entry beside what it says.
type seen struct {
	hash    Hash
	mark    uint64
	since   int64 // when an answer first showed it
	cleaned bool  // Prep: its copies were deleted, at least Rules.Wait after since
	beat    byte
	beaten  int64 // when an answer first showed that
}

// want is what should become of a key.
type want struct {
	hash   Hash
	copies int // 0: none
	reason Reason
}

// NewKeeper makes the keeper of a home that nobody has looked at.
func NewKeeper(r *Rules) *Keeper { return &Keeper{rules: r, spent: true} }

// Poll is how often a guard should be asked for, in nanoseconds: four times in a lease.
func (r *Rules) Poll() int64 { return r.Lease / 4 }

// Sight gives what was seen last.
func (k *Keeper) Sight() *Sight { s := k.sight; return &s }

// Polled takes the answer to mg G v f c that was asked for at sent. An answer that tells nothing changes nothing: what is
// known becomes old by itself.
func (k *Keeper) Polled(ans *Answer, sent, now int64) {
	k.spent = true
	if k.rules.Mutant == DatesByAnswer {
		sent = now
	}
	s, ok := SeenIn(ans, sent)
	if !ok || s.Sent < k.sight.Sent {
		return
	}
	if s.Kind != Readable || k.sight.Kind != Readable || s.Guard.Epoch != k.sight.Guard.Epoch || s.Incarnation != k.sight.Incarnation {
		k.since = now
	}
	old := k.seen
	k.seen = make([]seen, len(s.Guard.Keys))
	for i, e := range s.Guard.Keys {
		k.seen[i] = seen{hash: e.Hash, mark: e.Mark, since: now, beat: e.Beat, beaten: now}
		if j := slices.IndexFunc(old, func(o seen) bool { return o.hash == e.Hash && o.mark == e.Mark }); j >= 0 {
			k.seen[i] = old[j]
			if e.Beat != old[j].beat {
				k.seen[i].beat, k.seen[i].beaten = e.Beat, now
			}
		}
	}
	k.sight, k.cas, k.conn, k.spent = s, ans.CAS, ans.Conn, false
	k.wants = slices.DeleteFunc(k.wants, func(w want) bool { return k.fulfilled(&w) })
}

// fulfilled says whether there is nothing left to do for a want.
func (k *Keeper) fulfilled(w *want) bool {
	if k.sight.Kind != Readable {
		return false
	}
	at, found := k.sight.Guard.find(w.hash)
	if w.copies == 0 {
		return !found || k.sight.Guard.Keys[at].Phase == Drain
	}
	return found && k.sight.Guard.Keys[at].Phase != Drain
}

// Promote asks for copies of a key, 1..MaxCopies, until it has some or Demote or Release is called, and that it keep them until then. A key's copies stay as many as they
// were when it was promoted.
func (k *Keeper) Promote(h Hash, copies int) {
	if at, found := k.likesAt(h); !found {
		k.likes = slices.Insert(k.likes, at, h)
	}
	k.want(want{hash: h, copies: min(copies, k.rules.MaxCopies)})
}

// Demote asks that a key lose its copies. Of a key that has none it withdraws what Promote asked for.
func (k *Keeper) Demote(h Hash, why Reason) {
	k.Release(h)
	k.want(want{hash: h, reason: why})
}

// Release says that this proxy does not need the key to have copies any more. It loses them when no proxy does.
func (k *Keeper) Release(h Hash) {
	if at, found := k.likesAt(h); found {
		k.likes = slices.Delete(k.likes, at, at+1)
	}
	k.wants = slices.DeleteFunc(k.wants, func(w want) bool { return w.hash == h && w.copies > 0 })
}

func (k *Keeper) likesAt(h Hash) (at int, found bool) {
	return slices.BinarySearchFunc(k.likes, h, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
}

func (k *Keeper) want(w want) {
	at, found := slices.BinarySearchFunc(k.wants, w.hash, func(w want, h Hash) int { return bytes.Compare(w.hash[:], h[:]) })
	if found {
		k.wants = slices.Delete(k.wants, at, at+1)
	}
	k.wants = slices.Insert(k.wants, at, w) // what is fulfilled goes with the next poll; a step may be on its way now
}

// wanted gives what should become of a key, or nil.
func (k *Keeper) wanted(h Hash) *want {
	at, found := slices.BinarySearchFunc(k.wants, h, func(w want, h Hash) int { return bytes.Compare(w.hash[:], h[:]) })
	if !found {
		return nil
	}
	return &k.wants[at]
}

// waited says whether what was first shown at since has been there for T'. Then nobody relies any more on what was before.
func (k *Keeper) waited(since, now int64) bool {
	return now-since >= k.rules.Wait || k.rules.Mutant == SkipsWait
}

// Cleaned takes the end of a Clean step: ok if every host confirmed. If not, the key is demoted.
func (k *Keeper) Cleaned(s *Step, ok bool) {
	if !ok {
		k.Demote(s.Hash, Unreachable)
		return
	}
	for i := range k.seen {
		if k.seen[i].hash == s.Hash && k.seen[i].mark == s.Mark {
			k.seen[i].cleaned = true
		}
	}
}

// Failed takes a Clean, Add or Store step that was not carried out, or may not have been: the next poll shows. It is the same as
// no call at all after Add and Store, which are one to a poll anyway.
func (k *Keeper) Failed() { k.spent = true }
