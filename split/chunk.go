package split

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/cespare/xxhash/v2"
)

// A Generation names one write of one value: 128 bits from a cryptographic source, which the caller draws. Who does not
// know it cannot name the chunks.
type Generation [16]byte

// ChunkKeyLen is the length in bytes of every chunk's key.
const ChunkKeyLen = len(chunkPrefix) + 2*len(Generation{}) + len(".iii.ccc")

const chunkPrefix = ReservedPrefix + "c."

// AppendChunkKey appends the key of a copy of a chunk: ~mcproxy.c.<generation>.<index>.<copy>, all in hex digits. index is
// 0..MaxChunks-1, copy 0..MaxServers-1.
func AppendChunkKey(dst []byte, gen Generation, index, copy int) []byte {
	dst = append(dst, chunkPrefix...)
	dst = hex.AppendEncode(dst, gen[:])
	dst = append(dst, '.', hexDigit(index>>8), hexDigit(index>>4), hexDigit(index))
	return append(dst, '.', hexDigit(copy>>8), hexDigit(copy>>4), hexDigit(copy))
}

func hexDigit(v int) byte { return "0123456789abcdef"[v&15] }

// Mark gives the client flags of a chunk's item, the same for all its copies: a hash of generation, index and length. So a
// chunk says which one it is without a byte in its value, which is a piece of the client's value as it stands: it is sent from
// where the client's bytes lie and joined by one copy. A reader compares mark and length, and knows at once that an answer is
// another chunk's or was cut short. 32 bits are enough, for they guard against faults, not forgers (a forger would
// have to know the generation), and what slips through fails the value's 64-bit checksum.
func (m *Manifest) Mark(index int) uint32 {
	var b [len(m.Generation) + 8]byte
	copy(b[:], m.Generation[:])
	binary.BigEndian.PutUint32(b[16:], uint32(index))
	binary.BigEndian.PutUint32(b[20:], uint32(m.Size(index)))
	h := xxhash.Sum64(b[:])
	return uint32(h ^ h>>32)
}

// AppendChunkKey appends the key of a copy of one of the value's chunks.
func (m *Manifest) AppendChunkKey(dst []byte, index, copy int) []byte {
	return AppendChunkKey(dst, m.Generation, index, copy)
}
