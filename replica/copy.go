package replica

import (
	"bytes"
	"encoding/binary"
)

// A Copy is the item of a home on another backend. Its client flags are the item's own.
type Copy struct {
	Unique      uint64 // the home's cas number
	Incarnation uint32 // of the home's guard, when the copy was made
	Value       []byte
}

// The values of items under a copy's key, numbers in network order. A stub, which is what a lease leaves, has none.
//
//	copy   4 magic, 1 kind, 8 cas, 4 incarnation, 1 length of the key, the key, the value
//	lock   4 magic, 1 kind, 8 for each owner
const (
	copyMagic = "\xb7mcr"
	kindCopy  = 1
	kindLock  = 2
	kindLen   = len(copyMagic) + 1
	copyHead  = kindLen + 8 + 4 + 1
	maxKey    = 250
)

// CopyOverhead is how many bytes longer a copy of an item with that key is than the item's value.
func CopyOverhead(key []byte) int { return copyHead + len(key) }

// Append appends the copy of key's item as the value of an item; key has 1..250 bytes.
func (c *Copy) Append(dst, key []byte) []byte {
	if len(key) == 0 || len(key) > maxKey {
		panic("replica: key of a copy is out of bounds")
	}
	dst = append(dst, copyMagic...)
	dst = append(dst, kindCopy)
	dst = binary.BigEndian.AppendUint64(dst, c.Unique)
	dst = binary.BigEndian.AppendUint32(dst, c.Incarnation)
	dst = append(dst, byte(len(key)))
	dst = append(dst, key...)
	return append(dst, c.Value...)
}

// DecodeCopy decodes the value of an item under key's copy key. The copy's Value points into value. It is not ok if the item is
// a stub, a lock, or another key's copy.
func DecodeCopy(value, key []byte) (c Copy, ok bool) {
	if len(value) < copyHead || !isKind(value, kindCopy) || int(value[copyHead-1]) != len(key) ||
		!bytes.HasPrefix(value[copyHead:], key) {
		return Copy{}, false
	}
	return Copy{
		Unique:      binary.BigEndian.Uint64(value[kindLen:]),
		Incarnation: binary.BigEndian.Uint32(value[kindLen+8:]),
		Value:       value[copyHead+len(key) : len(value) : len(value)],
	}, true
}

// KeyOf gives the key of the copy that is an item's value; it points into value. It is not ok if the value is no copy.
func KeyOf(value []byte) (key []byte, ok bool) {
	if len(value) < copyHead || !isKind(value, kindCopy) || len(value) < copyHead+int(value[copyHead-1]) {
		return nil, false
	}
	return value[copyHead : copyHead+int(value[copyHead-1])], true
}

func isKind(value []byte, kind byte) bool {
	return len(value) >= kindLen && bytes.HasPrefix(value, []byte(copyMagic)) && value[kindLen-1] == kind
}

// A locks is the set of the writes that are under way, as the value of an item: nil if there is none.
type locks []byte

// lockSet gives the lock set in value, an item's; it points into it.
func lockSet(value []byte) locks {
	if !isKind(value, kindLock) || (len(value)-kindLen)%8 != 0 {
		return nil
	}
	return locks(value[kindLen:])
}

func (l locks) has(id uint64) bool {
	for ; len(l) > 0; l = l[8:] {
		if binary.BigEndian.Uint64(l) == id {
			return true
		}
	}
	return false
}

// with appends the lock set as a value, with id in it.
func (l locks) with(dst []byte, id uint64) []byte {
	dst = l.without(dst, id)
	return binary.BigEndian.AppendUint64(dst, id)
}

// without appends the lock set as a value, without id.
func (l locks) without(dst []byte, id uint64) []byte {
	dst = append(dst, copyMagic...)
	dst = append(dst, kindLock)
	for ; len(l) > 0; l = l[8:] {
		if binary.BigEndian.Uint64(l) != id {
			dst = append(dst, l[:8]...)
		}
	}
	return dst
}

func (l locks) len() int { return len(l) / 8 }
