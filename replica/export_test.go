package replica

import (
	"encoding/binary"
	"slices"
)

// SetMutant breaks a rule.
func (r *Rules) SetMutant(m Mutant) { r.Mutant = m }

// Machines are explored by value: an explorer copies one, gives the copy an answer, and asks what it has become.

// Clone copies a keeper.
func (k *Keeper) Clone() *Keeper {
	c := *k
	c.seen, c.wants = slices.Clone(k.seen), slices.Clone(k.wants)
	return &c
}

// Clone copies a write.
func (w *Write) Clone() *Write {
	c := *w
	c.script.queue, c.holds = slices.Clone(w.script.queue), slices.Clone(w.holds)
	return &c
}

// Clone copies a read.
func (r *Read) Clone() *Read {
	c := *r
	c.script.queue = slices.Clone(r.script.queue)
	return &c
}

// age is how long ago at is, or most if that is less: older ones make no difference.
func age(now, at, most int64) byte { return byte(min(now-at, most) + 100) }

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Forget drops what the keeper was asked to do.
func (k *Keeper) Forget() { k.wants = nil }

// Encode appends all that makes a difference for what the keeper does from now on. g is the guard that the home has, the zero
// Guard for none; current says that the keeper's next store can succeed. Marks and epochs that the home has no more never
// come again, so they are all the same.
func (k *Keeper) Encode(dst []byte, now int64, g *Guard, current bool) []byte {
	s := &k.sight
	fresh := now-s.Sent < k.rules.Lease && s.Kind != Unseen
	dst = append(dst, flag(fresh), flag(current))
	if fresh {
		dst = append(dst, byte(s.Incarnation), byte(k.rules.Lease-(now-s.Sent)))
	}
	if fresh || current {
		dst = append(dst, byte(s.Kind), byte(s.Guard.State), byte(s.Guard.Ring), byte(len(s.Guard.Keys)))
		for i := range s.Guard.Keys {
			dst = append(dst, byte(s.Guard.Keys[i].Phase))
		}
	}
	if s.Guard.Epoch == g.Epoch && g.State == Recov {
		dst = append(dst, 'e', age(now, k.since, k.rules.Wait))
	}
	for i, e := range s.Guard.Keys {
		if at, found := g.find(e.Hash); found && g.Keys[at].Mark == e.Mark {
			dst = append(dst, 'm', age(now, k.seen[i].since, k.rules.Wait), flag(k.seen[i].cleaned))
		}
	}
	for _, w := range k.wants {
		dst = append(dst, 'w', byte(w.copies))
	}
	return dst
}

// Numbers gives the epochs' marks and the guards' incarnations that the keeper remembers.
func (k *Keeper) Numbers(mark, incarnation func(uint64)) {
	incarnation(uint64(k.sight.Incarnation))
	mark(k.sight.Guard.Epoch.mark())
	for _, e := range k.sight.Guard.Keys {
		mark(e.Mark)
	}
}

// CAS gives the cas number that the keeper may store with, and its conn; ok if it has one.
func (k *Keeper) CAS() (cas, conn uint64, ok bool) { return k.cas, k.conn, !k.spent }

// A Naming says which cas numbers are still good, on which conns: what it makes of two that are not is the same.
type Naming func(cas, conn uint64) byte

func (s *script) encode(dst []byte, name Naming) []byte {
	dst = append(dst, byte(s.stage), byte(s.open), byte(len(s.queue)))
	for i := range s.queue {
		a := &s.queue[i]
		dst = append(dst, byte(a.Do), byte(a.Host), name(a.CAS, a.Conn), byte(len(a.Value)))
		dst = append(dst, a.Value...)
	}
	return dst
}

func (v *View) encode(dst []byte, now int64) []byte {
	return append(dst, byte(v.Phase), byte(v.Copies), byte(max(v.Until-now, 0)), byte(v.Incarnation), flag(v.Foreign))
}

// Encode appends all that makes a difference for what the write does from now on.
func (w *Write) Encode(dst []byte, now int64, name Naming) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(w.id))
	dst = w.view.encode(dst, now)
	dst = append(dst, byte(w.locked), byte(w.cleared), byte(w.failed), flag(w.asked), byte(w.done), byte(w.ended))
	for _, h := range w.holds {
		dst = append(dst, name(h.cas, h.conn), byte(len(h.others)))
		dst = append(dst, h.others...)
	}
	return w.script.encode(dst, name)
}

// Fresh says whether what the write began with still holds.
func (w *Write) Fresh(now int64) bool { return w.view.Fresh(now) }

// CASes gives the cas numbers that the write may still send, each with its conn.
func (w *Write) CASes(use func(cas, conn uint64)) {
	w.script.cases(use)
	for _, h := range w.holds {
		use(h.cas, h.conn)
	}
}

func (s *script) cases(use func(cas, conn uint64)) {
	for i := range s.queue {
		use(s.queue[i].CAS, s.queue[i].Conn)
	}
}

// Encode appends all that makes a difference for what the read does from now on.
func (r *Read) Encode(dst []byte, name Naming) []byte {
	dst = append(dst, flag(r.won), byte(r.source), byte(r.view.Incarnation))
	if r.won {
		dst = append(dst, byte(r.lease.Host), name(r.lease.CAS, r.lease.Conn))
	}
	return r.script.encode(dst, name)
}

// CASes gives the cas numbers that the read may still send, each with its conn.
func (r *Read) CASes(use func(cas, conn uint64)) {
	if r.won {
		use(r.lease.CAS, r.lease.Conn)
	}
}

// Incarnation is the one that the read's copy would carry.
func (r *Read) Incarnation() uint32 { return r.view.Incarnation }
