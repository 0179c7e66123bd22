// Package buffer recycles byte slices within one event loop.
//
// A Pool has one owner and no lock. Idle conns hold no buffer: whoever has bytes to keep takes a slice, and gives it back
// as soon as it is empty. What a burst needed is let go again by Trim.
package buffer

import "math/bits"

const (
	minShift = 9  // the smallest class: 512 bytes
	maxShift = 22 // the largest class: 4 MiB; longer slices have lengths of their own, see getLarge
	classes  = maxShift - minShift + 1
)

// A Pool keeps free slices by size class (powers of two, 512 bytes to 4 MiB), and longer ones. The zero value keeps nothing that is put
// back; set Limit.
type Pool struct {
	// Limit is the most bytes kept for reuse.
	Limit int

	free [classes][][]byte
	low  [classes]int // the fewest free slices of the class since the last Trim: nobody needed those
	kept int          // bytes in free and large

	large    [][]byte // free slices over 4 MiB, in whole MiB
	largeLow int      // as low

	dropped uint64 // bytes left to the garbage collector
}

// Get gives an empty slice with room for at least n bytes.
func (p *Pool) Get(n int) []byte {
	c := classFor(n)
	if c >= classes {
		return p.getLarge(n)
	}
	if k := len(p.free[c]); k > 0 {
		b := p.free[c][k-1]
		p.free[c][k-1] = nil
		p.free[c] = p.free[c][:k-1]
		p.low[c] = min(p.low[c], k-1)
		p.kept -= cap(b)
		return b
	}
	return make([]byte, 0, 1<<(c+minShift))
}

const mebibyte = 1 << 20

// getLarge is Get for more than the classes have. A free slice must not be much larger than what is asked for.
func (p *Pool) getLarge(n int) []byte {
	best := -1
	for i, b := range p.large {
		if cap(b) >= n && cap(b) <= n+n/4+mebibyte && (best < 0 || cap(b) < cap(p.large[best])) {
			best = i
		}
	}
	if best < 0 {
		return make([]byte, 0, (n+mebibyte-1)/mebibyte*mebibyte)
	}
	b := p.large[best]
	last := len(p.large) - 1
	p.large[best] = p.large[last]
	p.large[last] = nil
	p.large = p.large[:last]
	p.largeLow = min(p.largeLow, last)
	p.kept -= cap(b)
	return b
}

// Put takes a slice back; nobody may use it afterwards. nil is fine.
func (p *Pool) Put(b []byte) {
	n := cap(b)
	if n > 1<<maxShift && n%mebibyte == 0 && p.kept+n <= p.Limit {
		p.large = append(p.large, b[:0])
		p.kept += n
		return
	}
	if n < 1<<minShift || n > 1<<maxShift || n&(n-1) != 0 || p.kept+n > p.Limit {
		p.dropped += uint64(n)
		return
	}
	c := bits.Len(uint(n)) - 1 - minShift
	p.free[c] = append(p.free[c], b[:0])
	p.kept += n
}

// Grow gives b with room for n more bytes; b itself may have been put back.
func (p *Pool) Grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	grown := append(p.Get(max(len(b)+n, min(2*cap(b), len(b)+n+1<<20))), b...)
	p.Put(b)
	return grown
}

// Append appends data to b, growing it from the pool.
func (p *Pool) Append(b, data []byte) []byte {
	return append(p.Grow(b, len(data)), data...)
}

// Trim lets go of the slices that nobody needed since the last Trim, and gives how many bytes are still kept. Call it
// now and then.
func (p *Pool) Trim() int {
	for c := range p.free {
		drop := min(p.low[c], len(p.free[c]))
		keep := len(p.free[c]) - drop
		// The oldest lie at the front and are the coldest, but the order does not matter to the owner.
		for i := keep; i < len(p.free[c]); i++ {
			p.kept -= cap(p.free[c][i])
			p.dropped += uint64(cap(p.free[c][i]))
			p.free[c][i] = nil
		}
		p.free[c] = p.free[c][:keep]
		p.low[c] = keep
	}
	keep := len(p.large) - min(p.largeLow, len(p.large))
	for i := keep; i < len(p.large); i++ {
		p.kept -= cap(p.large[i])
		p.dropped += uint64(cap(p.large[i]))
		p.large[i] = nil
	}
	p.large = p.large[:keep]
	p.largeLow = keep
	return p.kept
}

// Dropped is how many bytes were ever left to the garbage collector.
func (p *Pool) Dropped() uint64 { return p.dropped }

func classFor(n int) int {
	if n <= 1<<minShift {
		return 0
	}
	return bits.Len(uint(n-1)) - minShift
}
