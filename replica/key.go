package replica

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/cespare/xxhash/v2"

	"mcproxy/split"
)

// A Hash stands for a key in guards and in the names of copies. Its first eight bytes are the key's xxhash64 in network order,
// which the data path has anyway. Two keys with the same Hash harm nobody: each copy carries its key, and what one of them
// clears the other only loses.
type Hash [16]byte

// secondSeed makes the second half of a Hash independent of the first.
const secondSeed = 0x6d63_7265_706c_6963

// HashOf gives a key's hash.
func HashOf(key []byte) Hash {
	var h Hash
	binary.BigEndian.PutUint64(h[:], xxhash.Sum64(key))
	var d xxhash.Digest
	d.ResetWithSeed(secondSeed)
	_, _ = d.Write(key) // never fails
	binary.BigEndian.PutUint64(h[8:], d.Sum64())
	return h
}

// GuardKey is the key of the guard on every backend.
const GuardKey = split.ReservedPrefix + "guard"

const copyPrefix = split.ReservedPrefix + "r."

// CopyKeyLen is the length in bytes of every copy's key.
const CopyKeyLen = len(copyPrefix) + 2*len(Hash{})

// AppendCopyKey appends the key under which the copies of h's key stand, the same on all backends: ~mcproxy.r.<hash in hex>.
func AppendCopyKey(dst []byte, h Hash) []byte {
	dst = append(dst, copyPrefix...)
	return hex.AppendEncode(dst, h[:])
}

// AppendHosts appends the numbers of the backends that can hold copies of h's key, at most MaxCopies, in the order in which
// they do: a key with two copies has them on the first two. It is the rendezvous order (highest random weight first) of all
// but home. servers[i] is a hash of backend i's name, so that the order does not depend on how a list is sorted. The cost is
// that of len(servers) hashes.
func AppendHosts(dst []int, h Hash, servers []uint64, home int) []int {
	var scores [MaxCopies]uint64
	start := len(dst)
	for i, name := range servers {
		if i == home {
			continue
		}
		score := weigh(h, name)
		n := len(dst) - start
		at := n
		for at > 0 && (scores[at-1] < score || scores[at-1] == score && servers[dst[start+at-1]] < name) {
			at--
		}
		if at == MaxCopies {
			continue
		}
		if n < MaxCopies {
			dst = append(dst, 0)
			n++
		}
		copy(dst[start+at+1:start+n], dst[start+at:])
		copy(scores[at+1:n], scores[at:])
		dst[start+at], scores[at] = i, score
	}
	return dst
}

func weigh(h Hash, name uint64) uint64 {
	var b [len(h) + 8]byte
	copy(b[:], h[:])
	binary.BigEndian.PutUint64(b[len(h):], name)
	return xxhash.Sum64(b[:])
}

// Short is the first half of a hash: the key's xxhash64.
func (h Hash) Short() uint64 { return binary.BigEndian.Uint64(h[:]) }
