package ring

import (
	"crypto/md5"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// A keyHash is a 32-bit hash as libhashkit and twemproxy compute it on x86: several take a byte as a signed char, so that
// they differ from the published function for bytes from 0x80 up.
type keyHash func(key []byte) uint32

type namedHash struct {
	name string
	hash keyHash
}

// The key hashes by their names in twemproxy's configuration, and in pylibmc's behaviors. The first is the default.
// libmemcached's hsieh is not here: it is left out of the library as Debian and others build it.
var (
	twemproxyHashes = []namedHash{
		{"fnv1a_64", fnv1a64},
		{"one_at_a_time", oneAtATime},
		{"md5", md5Hash},
		{"crc16", crc16},
		{"crc32", crc32Upper},
		{"crc32a", crc32.ChecksumIEEE},
		{"fnv1_64", fnv164},
		{"fnv1_32", fnv132},
		{"fnv1a_32", fnv1a32},
		{"hsieh", hsieh},
		{"murmur", murmur2},
		{"jenkins", jenkins},
	}
	libmemcachedHashes = []namedHash{
		{"default", oneAtATime},
		{"one_at_a_time", oneAtATime},
		{"md5", md5Hash},
		{"crc", crc32Upper},
		{"fnv1_64", fnv164},
		{"fnv1a_64", fnv1a64},
		{"fnv1_32", fnv132},
		{"fnv1a_32", fnv1a32},
		{"murmur", murmur2},
		{"jenkins", jenkins},
	}
)

func findHash(hashes []namedHash, name string) (keyHash, error) {
	if name == "" {
		return hashes[0].hash, nil
	}
	names := make([]string, len(hashes))
	for i, h := range hashes {
		if h.name == name {
			return h.hash, nil
		}
		names[i] = h.name
	}
	return nil, unknown("Hash", name, names)
}

// signed is (uint32_t)(char)b where char is signed.
func signed(b byte) uint32 { return uint32(int32(int8(b))) }

func oneAtATime(key []byte) uint32 {
	h := uint32(0)
	for _, b := range key {
		h += signed(b)
		h += h << 10
		h ^= h >> 6
	}
	h += h << 3
	h ^= h >> 11
	return h + h<<15
}

func md5Hash(key []byte) uint32 {
	sum := md5.Sum(key)
	return binary.LittleEndian.Uint32(sum[:])
}

// crc15 takes the 15 bits of a crc32 that the memcached clients have always used.
func crc15(crc uint32) uint32 { return crc >> 16 & 0x7fff }

func crc32Upper(key []byte) uint32 { return crc15(crc32.ChecksumIEEE(key)) }

// The 64-bit FNV hashes are cut to their lower 32 bits, which depend on the lower 32 bits of basis and prime alone.
const (
	fnvBasis64 = 0x84222325
	fnvPrime64 = 0x1b3
	fnvBasis32 = 2166136261
	fnvPrime32 = 16777619
)

func fnv164(key []byte) uint32  { return fnv1(key, fnvBasis64, fnvPrime64) }
func fnv1a64(key []byte) uint32 { return fnv1a(key, fnvBasis64, fnvPrime64) }
func fnv132(key []byte) uint32  { return fnv1(key, fnvBasis32, fnvPrime32) }
func fnv1a32(key []byte) uint32 { return fnv1a(key, fnvBasis32, fnvPrime32) }

func fnv1(key []byte, h, prime uint32) uint32 {
	for _, b := range key {
		h = h*prime ^ signed(b)
	}
	return h
}

func fnv1a(key []byte, h, prime uint32) uint32 {
	for _, b := range key {
		h = (h ^ signed(b)) * prime
	}
	return h
}

// crc16Table is of the polynomial 0x1021 (CCITT). It is never written again.
var crc16Table = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			high := crc >> 15
			crc <<= 1
			if high == 1 {
				crc ^= 0x1021
			}
		}
		table[i] = crc
	}
	return table
}()

// crc16 is kept in 32 bits by twemproxy, which lets the bits that a crc16 shifts out stay above it.
func crc16(key []byte) uint32 {
	crc := uint32(0)
	for _, b := range key {
		crc = crc<<8 ^ uint32(crc16Table[byte(crc>>8)^b])
	}
	return crc
}

// hsieh is Paul Hsieh's SuperFastHash with seed 0.
func hsieh(key []byte) uint32 {
	if len(key) == 0 {
		return 0
	}
	h := uint32(0)
	for len(key) >= 4 {
		h += uint32(binary.LittleEndian.Uint16(key))
		h = h<<16 ^ uint32(binary.LittleEndian.Uint16(key[2:]))<<11 ^ h
		h += h >> 11
		key = key[4:]
	}
	switch len(key) {
	case 3:
		h += uint32(binary.LittleEndian.Uint16(key))
		h ^= h << 16
		h ^= signed(key[2]) << 18
		h += h >> 11
	case 2:
		h += uint32(binary.LittleEndian.Uint16(key))
		h ^= h << 11
		h += h >> 17
	case 1:
		h += uint32(key[0])
		h ^= h << 10
		h += h >> 1
	}
	h ^= h << 3
	h += h >> 5
	h ^= h << 4
	h += h >> 17
	h ^= h << 25
	return h + h>>6
}

// murmur2 is MurmurHash2 with a seed that libhashkit makes from the length.
func murmur2(key []byte) uint32 {
	const m = 0x5bd1e995
	n := uint32(len(key))
	h := 0xdeadbeef*n ^ n
	for len(key) >= 4 {
		k := binary.LittleEndian.Uint32(key) * m
		k ^= k >> 24
		h = h*m ^ k*m
		key = key[4:]
	}
	if len(key) > 0 {
		h = (h ^ lastWord(key)) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

// lastWord reads up to 4 bytes as a little-endian number.
func lastWord(b []byte) uint32 {
	word := uint32(0)
	for i, c := range b {
		word |= uint32(c) << (8 * i)
	}
	return word
}

// jenkins is Bob Jenkins' lookup3 with the initial value 13.
func jenkins(key []byte) uint32 {
	a := 0xdeadbeef + uint32(len(key)) + 13
	b, c := a, a
	for len(key) > 12 {
		a += binary.LittleEndian.Uint32(key)
		b += binary.LittleEndian.Uint32(key[4:])
		c += binary.LittleEndian.Uint32(key[8:])
		a, b, c = jenkinsMix(a, b, c)
		key = key[12:]
	}
	if len(key) == 0 {
		return c
	}
	var tail [12]byte
	copy(tail[:], key)
	a += binary.LittleEndian.Uint32(tail[:])
	b += binary.LittleEndian.Uint32(tail[4:])
	c += binary.LittleEndian.Uint32(tail[8:])
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	return (c ^ b) - bits.RotateLeft32(b, 24)
}

func jenkinsMix(a, b, c uint32) (uint32, uint32, uint32) {
	a = (a - c) ^ bits.RotateLeft32(c, 4)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 6)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 8)
	b += a
	a = (a - c) ^ bits.RotateLeft32(c, 16)
	c += b
	b = (b - a) ^ bits.RotateLeft32(a, 19)
	a += c
	c = (c - b) ^ bits.RotateLeft32(b, 4)
	b += a
	return a, b, c
}
