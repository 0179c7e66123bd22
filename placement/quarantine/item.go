package quarantine

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cespare/xxhash/v2"
)

// Key is the item's.
const Key = "~mcproxy.quarantine"

// MaxHolders is how many proxies can be in the list. One more is not waited for.
const MaxHolders = 100

// A State is what the item says of its backend.
type State uint8

// The states.
const (
	Quarantine State = 1 + iota
	Handover
	Settled
)

func (s State) String() string {
	switch s {
	case Quarantine:
		return "quarantine"
	case Handover:
		return "handover"
	case Settled:
		return "settled"
	}
	return "invalid"
}

// A Holder is a proxy that was away.
type Holder struct {
	ID    uint64 // of the Member
	Beat  byte   // changes as long as the proxy lives
	Ready bool   // it could use the backend
}

// An Item is what stands on the backend.
type Item struct {
	State   State
	Epoch   uint64 // random, another for each change of State
	Holders []Holder
}

// Why a value is no Item.
var (
	ErrNoItem  = errors.New("quarantine: it is no item of the kind")
	ErrVersion = errors.New("quarantine: it is of another version")
	ErrDamaged = errors.New("quarantine: it is damaged")
)

// The value, numbers in network order:
//
//	 0   4  magic
//	 4   1  version
//	 5   1  state
//	 6   1  number of holders
//	 7   8  xxhash64 of what follows, with the two bytes before as its seed
//	15   8  epoch
//	23 10n  holders: 8 id, 1 beat, 1 ready
const (
	magic     = "\xb7mcq"
	version   = 1
	headLen   = len(magic) + 3 + 8
	itemLen   = headLen + 8
	holderLen = 10
)

// Append appends the item as a value of 23 bytes and 10 for each holder.
func (it *Item) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = append(dst, version, byte(it.State), byte(len(it.Holders)))
	dst = binary.BigEndian.AppendUint64(dst, 0)
	dst = binary.BigEndian.AppendUint64(dst, it.Epoch)
	for _, h := range it.Holders {
		dst = binary.BigEndian.AppendUint64(dst, h.ID)
		ready := byte(0)
		if h.Ready {
			ready = 1
		}
		dst = append(dst, h.Beat, ready)
	}
	value := dst[start:]
	binary.BigEndian.PutUint64(value[headLen-8:], sum(value))
	return dst
}

// Decode reads a value, of which it keeps nothing.
func Decode(value []byte) (Item, error) {
	if len(value) < headLen || !bytes.HasPrefix(value, []byte(magic)) {
		return Item{}, ErrNoItem
	}
	if value[len(magic)] != version {
		return Item{}, ErrVersion
	}
	n := int(value[len(magic)+2])
	it := Item{State: State(value[len(magic)+1])}
	if it.State < Quarantine || it.State > Settled || n > MaxHolders || len(value) != itemLen+n*holderLen || binary.BigEndian.Uint64(value[headLen-8:]) != sum(value) {
		return Item{}, ErrDamaged
	}
	it.Epoch = binary.BigEndian.Uint64(value[headLen:])
	for b := value[itemLen:]; len(b) > 0; b = b[holderLen:] {
		it.Holders = append(it.Holders, Holder{ID: binary.BigEndian.Uint64(b), Beat: b[8], Ready: b[9] != 0})
	}
	return it, nil
}

func sum(value []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(uint64(value[5])<<8 | uint64(value[6]))
	_, _ = d.Write(value[headLen:]) // never fails
	return d.Sum64()
}
