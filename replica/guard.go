package replica

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// A State is how far a guard, and all keys of its home with it, can be relied on.
type State uint8

// The states of a guard.
const (
	// Recov: the guard was added, perhaps in the place of one that was lost. Copies may still be read by those who saw that one,
	// so every key of the home counts as replicated.
	Recov State = 1 + iota
	// Normal: the table says which keys are replicated.
	Normal
	// Disputed: proxies with different rings share the backends. The table only shrinks; the item has a lifetime, and
	// when it is gone the guard begins anew.
	Disputed
)

// A Phase is how far the replication of one key is.
type Phase uint8

// The phases of a key. Only None, Prep, Active and Drain stand in guards (None as no entry).
const (
	None   Phase = iota // one item, on the home
	Prep                // writers clear copies, nobody reads them
	Active              // writers clear copies, readers may read them
	Drain               // writers clear copies; some readers may not know yet that they must not read them
	// Unknown: the key may be in any phase. Who writes clears whatever could be a copy, who reads asks the home.
	Unknown
)

func (p Phase) String() string {
	switch p {
	case None:
		return "none"
	case Prep:
		return "prep"
	case Active:
		return "active"
	case Drain:
		return "drain"
	case Unknown:
		return "unknown"
	}
	return "invalid"
}

// An Epoch names one value of one guard: 128 bits from a cryptographic source, new for every change.
type Epoch [16]byte

// mark names the changes that come with an epoch.
func (e Epoch) mark() uint64 { return binary.BigEndian.Uint64(e[:]) }

// An Entry is one replicated key.
type Entry struct {
	Hash   Hash
	Mark   uint64 // the first eight bytes of the epoch with which the phase began
	Phase  Phase  // Prep, Active or Drain
	Copies int    // 1..MaxCopies
	Beat   byte   // changes as long as a proxy wants the key to have copies
}

// A Guard is the item on each backend that says which of the keys whose home is there are replicated. It is the only
// authority. Nobody writes to the Keys of a guard once it was decoded or encoded.
type Guard struct {
	State State
	Epoch Epoch
	Ring  uint64  // Rules.Ring of the proxies that promote keys
	Keys  []Entry // sorted by Hash, which are all different; at most MaxKeys; none if State is Recov
}

// A guard's value, numbers in network order:
//
//	 0   4  magic. Its first byte begins no number and no text
//	 4   1  version
//	 5   1  state
//	 6   1  number of keys
//	 7   8  xxhash64 of what follows, with the three bytes before as its seed
//	15  16  epoch
//	31   8  ring
//	39 27n  keys: 16 hash, 8 mark, 1 phase, 1 copies, 1 beat
const (
	guardMagic   = "\xb7mcg"
	guardVersion = 1
	guardHead    = len(guardMagic) + 3 + 8
	guardLen     = guardHead + len(Epoch{}) + 8
	entryLen     = len(Hash{}) + 8 + 3
)

// Append appends the guard as an item's value, of 39 bytes and 27 for each key. A guard out of bounds panics: neither a
// Keeper nor DecodeGuard gave it.
func (g *Guard) Append(dst []byte) []byte {
	if g.check() != nil {
		panic("replica: guard is out of bounds")
	}
	start := len(dst)
	dst = append(dst, guardMagic...)
	dst = append(dst, guardVersion, byte(g.State), byte(len(g.Keys)))
	dst = binary.BigEndian.AppendUint64(dst, 0)
	dst = append(dst, g.Epoch[:]...)
	dst = binary.BigEndian.AppendUint64(dst, g.Ring)
	for i := range g.Keys {
		e := &g.Keys[i]
		dst = append(dst, e.Hash[:]...)
		dst = binary.BigEndian.AppendUint64(dst, e.Mark)
		dst = append(dst, byte(e.Phase), byte(e.Copies), e.Beat)
	}
	item := dst[start:]
	binary.BigEndian.PutUint64(item[guardHead-8:], guardSum(item))
	return dst
}

// DecodeGuard decodes an item's value, all of it; nothing of it is kept. The error is ErrNoGuard, ErrVersion, ErrDamaged or
// ErrBounds.
func DecodeGuard(value []byte) (Guard, error) {
	if len(value) < guardHead || !bytes.HasPrefix(value, []byte(guardMagic)) {
		return Guard{}, ErrNoGuard
	}
	if value[len(guardMagic)] != guardVersion {
		return Guard{}, ErrVersion
	}
	if binary.BigEndian.Uint64(value[guardHead-8:]) != guardSum(value) {
		return Guard{}, ErrDamaged
	}
	count := int(value[len(guardMagic)+2])
	if len(value) != guardLen+count*entryLen {
		return Guard{}, ErrBounds
	}
	g := Guard{
		State: State(value[len(guardMagic)+1]),
		Epoch: Epoch(value[guardHead:]),
		Ring:  binary.BigEndian.Uint64(value[guardLen-8:]),
	}
	for b := value[guardLen:]; len(b) > 0; b = b[entryLen:] {
		g.Keys = append(g.Keys, Entry{
			Hash: Hash(b), Mark: binary.BigEndian.Uint64(b[len(Hash{}):]),
			Phase: Phase(b[entryLen-3]), Copies: int(b[entryLen-2]), Beat: b[entryLen-1],
		})
	}
	if err := g.check(); err != nil {
		return Guard{}, err
	}
	return g, nil
}

func guardSum(item []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(uint64(item[4])<<16 | uint64(item[5])<<8 | uint64(item[6]))
	_, _ = d.Write(item[guardHead:]) // never fails
	return d.Sum64()
}

// check is ErrBounds for a guard that cannot be.
func (g *Guard) check() error {
	if g.State < Recov || g.State > Disputed || len(g.Keys) > MaxKeys || g.State == Recov && len(g.Keys) > 0 {
		return ErrBounds
	}
	for i := range g.Keys {
		e := &g.Keys[i]
		if e.Phase < Prep || e.Phase > Drain || e.Copies < 1 || e.Copies > MaxCopies {
			return ErrBounds
		}
		if i > 0 && bytes.Compare(g.Keys[i-1].Hash[:], e.Hash[:]) >= 0 {
			return ErrBounds
		}
	}
	return nil
}

// find gives the place of h's entry, or where it would be.
func (g *Guard) find(h Hash) (at int, found bool) {
	return slices.BinarySearchFunc(g.Keys, h, func(e Entry, h Hash) int { return bytes.Compare(e.Hash[:], h[:]) })
}

// with gives g with an entry in the place of the one of its key, or without one if the phase is None. g stays as it was.
func (g *Guard) with(e Entry) Guard {
	next := *g
	at, found := g.find(e.Hash)
	end := at
	if found {
		end++
	}
	next.Keys = make([]Entry, 0, len(g.Keys)+1)
	next.Keys = append(next.Keys, g.Keys[:at]...)
	if e.Phase != None {
		next.Keys = append(next.Keys, e)
	}
	next.Keys = append(next.Keys, g.Keys[end:]...)
	return next
}
