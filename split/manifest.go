package split

import (
	"bytes"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// A Manifest describes one split value. Manifests of one write are equal (==), those of two are not. What NewManifest and
// DecodeManifest give can be relied on; a Manifest filled by hand cannot.
type Manifest struct {
	Generation Generation
	Geometry
	Checksum uint64 // xxhash64 of the whole value
	Flags    uint32 // the client's own
	// Unique is the cas number by which clients know the value, if a proxy put the manifest in the place of an item that had it; 0: they
	// know it by the manifest's own.
	Unique uint64
}

// NewManifest describes a value whose Geometry Plan gave. value has g.Length bytes; another length panics.
func NewManifest(gen Generation, g Geometry, value []byte, flags uint32) Manifest {
	if len(value) != g.Length {
		panic("split: value is not as long as planned")
	}
	return Manifest{Generation: gen, Geometry: g, Checksum: xxhash.Sum64(value), Flags: flags}
}

// Server is the number of the server, 0..Servers-1, that a copy of chunk index is on. Values begin on servers that their
// generations draw, so many values spread too.
func (m *Manifest) Server(index, copy int) int {
	return m.Spread(int(xxhash.Sum64(m.Generation[:])%uint64(m.Servers)), index, copy)
}

// An item with ReservedFlags, numbers in network order:
//
//	 0  4  magic. Its first byte begins no number and no text: incr and decr of a manifest are memcached's own error
//	 4  1  version
//	 5  1  kind: manifest or wrapped
//	 6  8  xxhash64 of what follows, with version and kind as its seed
//	14     a manifest's fields (16 generation, 4 length, 4 chunk, 2 count, 2 copies, 2 servers, 4 flags, 8 checksum,
//	       8 cas number), or the wrapped value
const (
	magic        = "\xb7mcp"
	version      = 1
	kindManifest = 1
	kindWrapped  = 2

	headLen = len(magic) + 2 + 8
)

// ManifestLen is the length in bytes of every manifest.
const ManifestLen = headLen + len(Generation{}) + 4 + 4 + 2 + 2 + 2 + 4 + 8 + 8

// WrapLen is how many bytes longer a wrapped value is than the client's.
const WrapLen = headLen

// Append appends the manifest as the value of an item whose client flags are ReservedFlags. A manifest out of bounds
// panics: neither NewManifest nor DecodeManifest gave it.
func (m *Manifest) Append(dst []byte) []byte {
	if m.check(MaxLength) != nil {
		panic("split: manifest is out of bounds")
	}
	start := len(dst)
	dst = appendHead(dst, kindManifest)
	dst = append(dst, m.Generation[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.Length))
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.Chunk))
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Count))
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Copies))
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Servers))
	dst = binary.BigEndian.AppendUint32(dst, m.Flags)
	dst = binary.BigEndian.AppendUint64(dst, m.Checksum)
	dst = binary.BigEndian.AppendUint64(dst, m.Unique)
	seal(dst[start:])
	return dst
}

// DecodeManifest decodes the value of an item whose client flags are ReservedFlags, all of it. The manifest's Length is at
// most maxValue: so many bytes may be set aside for it.
//
// The error is ErrNoManifest (a wrapped value too), ErrVersion, ErrDamaged, ErrBounds or ErrTooLarge.
func DecodeManifest(value []byte, maxValue int) (Manifest, error) {
	kind, body, err := openHead(value)
	if err != nil {
		return Manifest{}, err
	}
	if kind != kindManifest {
		return Manifest{}, ErrNoManifest
	}
	return decodeBody(body, maxValue)
}

// decodeBody decodes what follows a manifest's head.
func decodeBody(body []byte, maxValue int) (Manifest, error) {
	if len(body) != ManifestLen-headLen {
		return Manifest{}, ErrBounds
	}
	m := Manifest{Generation: Generation(body[:16])}
	body = body[16:]
	m.Length = int(binary.BigEndian.Uint32(body))
	m.Chunk = int(binary.BigEndian.Uint32(body[4:]))
	m.Count = int(binary.BigEndian.Uint16(body[8:]))
	m.Copies = int(binary.BigEndian.Uint16(body[10:]))
	m.Servers = int(binary.BigEndian.Uint16(body[12:]))
	m.Flags = binary.BigEndian.Uint32(body[14:])
	m.Checksum = binary.BigEndian.Uint64(body[18:])
	m.Unique = binary.BigEndian.Uint64(body[26:])
	if err := m.check(maxValue); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// appendHead appends a head without its checksum, which seal fills in.
func appendHead(dst []byte, kind byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, version, kind)
	return binary.BigEndian.AppendUint64(dst, 0)
}

func seal(item []byte) {
	binary.BigEndian.PutUint64(item[headLen-8:], bodySum(item[len(magic)+1], item[headLen:]))
}

// openHead checks the head and the checksum, and gives what follows.
func openHead(item []byte) (kind byte, body []byte, err error) {
	if len(item) < headLen || !bytes.HasPrefix(item, []byte(magic)) {
		return 0, nil, ErrNoManifest
	}
	if item[len(magic)] != version {
		return 0, nil, ErrVersion
	}
	kind, body = item[len(magic)+1], item[headLen:len(item):len(item)]
	if kind != kindManifest && kind != kindWrapped {
		return 0, nil, ErrNoManifest
	}
	if binary.BigEndian.Uint64(item[headLen-8:]) != bodySum(kind, body) {
		return 0, nil, ErrDamaged
	}
	return kind, body, nil
}

func bodySum(kind byte, body []byte) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(version<<8 | uint64(kind))
	_, _ = d.Write(body) // never fails
	return d.Sum64()
}
