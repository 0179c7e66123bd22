package history

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What is wrong with the bytes of a value.
var (
	ErrTorn    = errors.New("not the bytes that were written")
	ErrCrossed = errors.New("bytes that were written for another key")
)

// MinPiece is the least length of a piece, in bytes.
const MinPiece = 24

const pieceMagic = 0x9e3779b9

// AppendPiece appends a value of so many bytes (MinPiece at least) to dst: its length, key and ID, and bytes that follow from
// them, each word another. Values that are joined by append stay readable, piece by piece.
func AppendPiece(dst []byte, key string, id ID, length int) []byte {
	owner := keyNumber(key)
	dst = binary.LittleEndian.AppendUint32(dst, pieceMagic)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(length))
	dst = binary.LittleEndian.AppendUint64(dst, owner)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id))
	word := mix(owner ^ uint64(id))
	for rest := length - MinPiece; rest > 0; rest -= 8 {
		word = mix(word)
		if rest < 8 {
			var last [8]byte
			binary.LittleEndian.PutUint64(last[:], word)
			return append(dst, last[:rest]...)
		}
		dst = binary.LittleEndian.AppendUint64(dst, word)
	}
	return dst
}

// Decode gives the IDs of the pieces that a value of key consists of. Every byte is compared with what was written: it fails
// with ErrTorn or ErrCrossed.
func Decode(key string, value []byte) ([]ID, error) {
	owner := keyNumber(key)
	var ids []ID
	for at := 0; at < len(value) || at == 0; {
		rest := value[at:]
		if len(rest) < MinPiece || binary.LittleEndian.Uint32(rest) != pieceMagic {
			return ids, fmt.Errorf("%w: no piece at byte %d of %d", ErrTorn, at, len(value))
		}
		length := int(binary.LittleEndian.Uint32(rest[4:]))
		if length < MinPiece || length > len(rest) {
			return ids, fmt.Errorf("%w: a piece of %d bytes at byte %d of %d", ErrTorn, length, at, len(value))
		}
		if binary.LittleEndian.Uint64(rest[8:]) != owner {
			return ids, fmt.Errorf("%w, at byte %d of %d", ErrCrossed, at, len(value))
		}
		id := ID(binary.LittleEndian.Uint64(rest[16:]))
		if n := firstWrong(rest[MinPiece:length], owner^uint64(id)); n >= 0 {
			return ids, fmt.Errorf("%w: byte %d of %d is wrong, in piece %x", ErrTorn, at+MinPiece+n, len(value), uint64(id))
		}
		ids = append(ids, id)
		at += length
	}
	return ids, nil
}

// Owner is what the bytes of a key's values begin from: DecodePiece wants it, for who reads a key often.
func Owner(key string) uint64 { return keyNumber(key) }

// DecodePiece gives the ID of a value that is one piece, whole, and that key's whose Owner it is. If it is not ok, Decode says what the
// value is. It allocates nothing.
func DecodePiece(owner uint64, value []byte) (id ID, ok bool) {
	if len(value) < MinPiece || binary.LittleEndian.Uint32(value) != pieceMagic || int(binary.LittleEndian.Uint32(value[4:])) != len(value) ||
		binary.LittleEndian.Uint64(value[8:]) != owner {
		return 0, false
	}
	id = ID(binary.LittleEndian.Uint64(value[16:]))
	return id, firstWrong(value[MinPiece:], owner^uint64(id)) < 0
}

// firstWrong is where the first word begins that is not what was written, or -1.
func firstWrong(fill []byte, start uint64) int {
	word := mix(start)
	at := 0
	for ; len(fill)-at >= 8; at += 8 {
		word = mix(word)
		if binary.LittleEndian.Uint64(fill[at:]) != word {
			return at
		}
	}
	word = mix(word)
	for i, c := range fill[at:] {
		if c != byte(word>>(8*i)) {
			return at
		}
	}
	return -1
}

// mix is the finalizer of splitmix64: no two words have one image.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// keyNumber is FNV-1a, 64 bits.
func keyNumber(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return h
}
