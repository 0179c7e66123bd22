package split

import (
	"iter"
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// An Assembler joins the chunks of one value in a buffer of the caller's. It is used for one value after the other: Start
// begins each. It allocates nothing, and is not safe for use by several goroutines at once.
type Assembler struct {
	manifest Manifest
	buf      []byte                 // the value's Length bytes; a chunk's place holds nothing of use until its bit is set
	have     [MaxChunks / 64]uint64 // a bit a chunk
	left     int                    // bits of chunks that are not set
}

// Start begins a value. buf must have at least m.Length bytes and belongs to the assembler until Value was called, or
// Start again. What came before is forgotten. The error is ErrBounds for a manifest that did not come from this package, or
// ErrBuffer; then no value is begun.
func (a *Assembler) Start(m Manifest, buf []byte) error {
	*a = Assembler{}
	if err := m.check(MaxLength); err != nil {
		return err
	}
	if len(buf) < m.Length {
		return ErrBuffer
	}
	a.manifest, a.buf, a.left = m, buf[:m.Length:m.Length], m.Count
	return nil
}

// Add takes one chunk: flags and value of the item that was read under one of its names. The value is copied into its place
// (unless it is there already, see Place) and not kept. A chunk that is there already is left as it is, and that is no error. The
// error is ErrForeign or ErrLength, and the chunk is not taken: it may still come from another copy.
func (a *Assembler) Add(index int, flags uint32, value []byte) error {
	if index < 0 || index >= a.manifest.Count || flags != a.manifest.Mark(index) {
		return ErrForeign
	}
	place := a.Place(index)
	if len(value) != len(place) {
		return ErrLength
	}
	if a.Has(index) {
		return nil
	}
	if &place[0] != &value[0] {
		copy(place, value)
	}
	a.have[index/64] |= 1 << (index % 64)
	a.left--
	return nil
}

// Place is where chunk index goes, in the buffer given to Start. Who reads a chunk straight from a socket into it spares a
// copy, and calls Add with it. A place whose chunk was added must not be written to. index is 0..Count-1.
func (a *Assembler) Place(index int) []byte {
	from, to := a.manifest.Bounds(index)
	return a.buf[from:to:to]
}

// Has says whether chunk index, 0..Count-1, was added.
func (a *Assembler) Has(index int) bool { return a.have[index/64]&(1<<(index%64)) != 0 }

// Left is how many chunks are missing.
func (a *Assembler) Left() int { return a.left }

// Missing gives the chunks that were not added, in ascending order.
func (a *Assembler) Missing() iter.Seq[int] {
	return func(yield func(int) bool) {
		for word := 0; word*64 < a.manifest.Count; word++ {
			unset := ^a.have[word]
			for unset != 0 {
				index := word*64 + bits.TrailingZeros64(unset)
				if index >= a.manifest.Count || !yield(index) {
					return
				}
				unset &= unset - 1
			}
		}
	}
}

// Value gives the joined value, in the buffer given to Start. The error is ErrIncomplete, or ErrChecksum: then at least one
// of the chunks is wrong and nobody knows which, so all of them have to be read again, after Start.
func (a *Assembler) Value() ([]byte, error) {
	if a.left > 0 || a.buf == nil {
		return nil, ErrIncomplete
	}
	if xxhash.Sum64(a.buf) != a.manifest.Checksum {
		return nil, ErrChecksum
	}
	return a.buf, nil
}
