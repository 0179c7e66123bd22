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

// The value of an item under a copy's key is [copy] record*, numbers in network order. A stub, which is what a lease leaves, has nothing.
//
//	copy     4 magic, 1 kind, 8 cas, 4 incarnation, 4 length of the value, 1 length of the key, the key, the value
//	record   4 magic, 1 kind, 8 the number of a write that is under way
//
// Records are appended to whatever stands there. A copy that has anything behind it is locked, and is never a copy again: who takes
// records away drops it. Kinds 1 and 2 are those of a copy and of a lock set that nothing could be appended to.
const (
	copyMagic  = "\xb7mcr"
	kindCopy   = 3
	kindRecord = 4
	kindLen    = len(copyMagic) + 1
	copyHead   = kindLen + 8 + 4 + 4 + 1
	recordLen  = kindLen + 8
	maxKey     = 250
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
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(c.Value)))
	dst = append(dst, byte(len(key)))
	dst = append(dst, key...)
	return append(dst, c.Value...)
}

// DecodeCopy decodes the value of an item under key's copy key. The copy's Value points into value. It is not ok if the item is
// a stub, another key's copy, or locked: if it is, or has behind it, anything but a copy.
func DecodeCopy(value, key []byte) (c Copy, ok bool) {
	if n, ok := copyLen(value); !ok || n < len(value) {
		return Copy{}, false
	}
	return decode(value, key)
}

// decode is DecodeCopy of a value that begins with a copy, whatever is behind it.
func decode(value, key []byte) (c Copy, ok bool) {
	n, ok := copyLen(value)
	if !ok || int(value[copyHead-1]) != len(key) || !bytes.HasPrefix(value[copyHead:], key) {
		return Copy{}, false
	}
	return Copy{
		Unique:      binary.BigEndian.Uint64(value[kindLen:]),
		Incarnation: binary.BigEndian.Uint32(value[kindLen+8:]),
		Value:       value[copyHead+len(key) : n : n],
	}, true
}

// copyLen is how long the copy is that value begins with; not ok if it begins with none.
func copyLen(value []byte) (n int, ok bool) {
	if len(value) < copyHead || !isKind(value, kindCopy) {
		return 0, false
	}
	long := uint64(copyHead) + uint64(value[copyHead-1]) + uint64(binary.BigEndian.Uint32(value[copyHead-5:]))
	if long > uint64(len(value)) {
		return 0, false
	}
	return int(long), true
}

// KeyOf gives the key of the copy that an item's value begins with; it points into value. It is not ok if it begins with none.
func KeyOf(value []byte) (key []byte, ok bool) {
	if _, ok := copyLen(value); !ok {
		return nil, false
	}
	return value[copyHead : copyHead+int(value[copyHead-1])], true
}

func isKind(value []byte, kind byte) bool {
	return len(value) >= kindLen && string(value[:len(copyMagic)]) == copyMagic && value[kindLen-1] == kind
}

// A locks is the records of the writes that are under way, one behind the other. Each write has one, or several that mean the same.
type locks []byte

// lockSet gives the records in an item's value; it points into it. It is nil if there are none, or if any of it is neither a copy nor a
// record: nobody's lock is in what nobody wrote.
func lockSet(value []byte) locks {
	n, _ := copyLen(value)
	set := value[n:]
	if len(set)%recordLen != 0 {
		return nil
	}
	for l := set; len(l) > 0; l = l[recordLen:] {
		if !isKind(l, kindRecord) {
			return nil
		}
	}
	return locks(set)
}

// appendRecord appends the record of a write.
func appendRecord(dst []byte, id uint64) []byte {
	dst = append(dst, copyMagic...)
	dst = append(dst, kindRecord)
	return binary.BigEndian.AppendUint64(dst, id)
}

// first is the write whose record comes first.
func (l locks) first() uint64 { return binary.BigEndian.Uint64(l[kindLen:]) }

func (l locks) has(id uint64) bool {
	for ; len(l) > 0; l = l[recordLen:] {
		if l.first() == id {
			return true
		}
	}
	return false
}

func (l locks) len() int { return len(l) / recordLen }
