package ring

import (
	"hash/crc32"
	"strconv"
)

// Tries before python-memcached gives up on a key (Client._SERVER_RETRIES).
const cmemcacheTries = 10

// cmemcache is python-memcached's Client._get_server with cmemcache_hash: each node stands in a list as often as its
// weight says, and 15 bits of the key's crc32 choose the entry. A dead node is passed over by hashing the decimal digits of
// the last hash and of the number of the try, so keys with one hash share all their tries.
type cmemcache struct {
	list  []uint16 // never longer than there are hashes
	orOne bool     // hash 0 becomes 1
}

func newCmemcache(nodes []Node, opts Options) (Ring, error) {
	r := &cmemcache{orOne: !opts.NoOrOne}
	for i, n := range nodes {
		// Entries past the greatest hash are never reached: hash % length is the hash itself then.
		for range min(n.Weight, 1<<15-len(r.list)) {
			r.list = append(r.list, uint16(i))
		}
	}
	return r, nil
}

func (r *cmemcache) hash(crc uint32) uint32 {
	h := crc15(crc)
	if h == 0 && r.orOne {
		return 1
	}
	return h
}

func (r *cmemcache) pick(h uint32) int { return int(r.list[h%uint32(len(r.list))]) }

func (r *cmemcache) Lookup(key []byte) int { return r.pick(r.hash(crc32.ChecksumIEEE(key))) }

func (r *cmemcache) Hash(key []byte) uint64 { return uint64(r.hash(crc32.ChecksumIEEE(key))) }

// LookupAlive rehashes as the library does; 10 tries may miss a live node, and then there is none for this key.
func (r *cmemcache) LookupAlive(key []byte, dead func(node int) bool) int {
	h := r.hash(crc32.ChecksumIEEE(key))
	for try := range cmemcacheTries {
		if node := r.pick(h); !dead(node) {
			return node
		}
		var buf [8]byte // five digits of a hash and one of the try
		digits := strconv.AppendUint(buf[:0], uint64(h), 10)
		h = r.hash(crcDigits(strconv.AppendUint(digits, uint64(try), 10)))
	}
	return -1
}

// crcDigits is crc32.ChecksumIEEE for a few bytes on the stack, which that function would move to the heap.
func crcDigits(digits []byte) uint32 {
	crc := ^uint32(0)
	for _, b := range digits {
		crc = crc32.IEEETable[byte(crc)^b] ^ crc>>8
	}
	return ^crc
}
