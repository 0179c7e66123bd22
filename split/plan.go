package split

import "cmp"

// Bounds of a split value. A manifest past one of them is an error.
const (
	MaxChunks  = 4096          // chunks of a value
	MaxItems   = 16384         // chunks times copies
	MaxServers = 1024          // backends that a value is spread over
	MaxChunk   = 1<<20 - 1<<10 // bytes of a chunk: with key and header an item of memcached's default limit
	MaxLength  = 1 << 30       // bytes of a value
)

// Options say how values are divided. Zero fields take the defaults named here.
type Options struct {
	Chunk    int // bytes of a chunk at most, 1..MaxChunk; 64 KiB. More only if the value would have over MaxChunks.
	MaxValue int // bytes of a value at most, 1..MaxLength; 64 MiB
	Copies   int // copies of each chunk, >= 1; 1. Fewer if there are fewer servers, or the items would be over MaxItems.
	Servers  int // backends to spread over, 1..MaxServers
}

// WithDefaults gives o with its zero fields set; Servers has no default.
func (o Options) WithDefaults() Options {
	o.Chunk = cmp.Or(o.Chunk, 64<<10)
	o.MaxValue = cmp.Or(o.MaxValue, 64<<20)
	o.Copies = cmp.Or(o.Copies, 1)
	return o
}

// A Geometry says how a value is divided and over how many servers it is spread.
type Geometry struct {
	Length  int // bytes of the value, 1..MaxLength
	Chunk   int // bytes of each chunk but the last, which may be shorter
	Count   int // chunks: Length over Chunk, rounded up
	Copies  int // of each chunk, 1..Servers, on different servers
	Servers int // backends when it was written
}

// Plan divides a value of length bytes. The chunks are of one size (the last is a few bytes shorter), and if that makes none
// smaller than a quarter of o.Chunk, there are as many as give each server the same number; otherwise a server has at most one more than
// another. The error is ErrTooLarge, or ErrBounds for an empty value or options out of bounds.
func Plan(length int, o Options) (Geometry, error) {
	o = o.WithDefaults()
	if o.Chunk < 1 || o.Chunk > MaxChunk || o.MaxValue < 1 || o.MaxValue > MaxLength ||
		o.Copies < 1 || o.Servers < 1 || o.Servers > MaxServers || length < 1 {
		return Geometry{}, ErrBounds
	}
	if length > o.MaxValue {
		return Geometry{}, ErrTooLarge
	}
	count := min(divideUp(length, o.Chunk), MaxChunks)
	copies := min(o.Copies, o.Servers, MaxItems/count)
	step := o.Servers / gcd(o.Servers, copies) // so many chunks give each server the same number of items
	if even := divideUp(count, step) * step; even <= MaxChunks && even*copies <= MaxItems && length/even >= max(1, o.Chunk/4) {
		count = even
	}
	chunk := divideUp(length, count)
	return Geometry{
		Length: length, Chunk: chunk, Count: divideUp(length, chunk),
		Copies: copies, Servers: o.Servers,
	}, nil
}

// Bounds gives where chunk index lies in the value: value[from:to]. index is 0..Count-1.
func (g *Geometry) Bounds(index int) (from, to int) {
	from = index * g.Chunk
	return from, min(from+g.Chunk, g.Length)
}

// Size is the length of chunk index in bytes, at least 1. index is 0..Count-1.
func (g *Geometry) Size(index int) int {
	from, to := g.Bounds(index)
	return to - from
}

// Spread is the number of the server, 0..Servers-1, for a copy of chunk index if the first copy of the first chunk is on
// server start: the items go round the servers one by one. So the copies of a chunk are on different servers, and no server
// has more than one item more than another.
func (g *Geometry) Spread(start, index, copy int) int {
	return (start + index*g.Copies + copy) % g.Servers
}

// check says what is wrong with numbers that came from outside; nil means that they can be relied on. It trusts none of
// them and multiplies only what it has bounded.
func (g *Geometry) check(maxValue int) error {
	switch {
	case g.Length < 1 || g.Length > MaxLength,
		g.Chunk < 1 || g.Chunk > MaxChunk || g.Chunk > g.Length,
		g.Count < 1 || g.Count > MaxChunks || g.Count != divideUp(g.Length, g.Chunk),
		g.Servers < 1 || g.Servers > MaxServers,
		g.Copies < 1 || g.Copies > g.Servers || g.Count*g.Copies > MaxItems:
		return ErrBounds
	case g.Length > maxValue:
		return ErrTooLarge
	}
	return nil
}

// Oversized says whether a value of length bytes is to be split for its size. No value is if threshold (bytes) is not
// positive.
func Oversized(length, threshold int) bool { return threshold > 0 && length > threshold }

// CopiesFor says how many copies let a key cost each server at most tau times what the mean server bears: cost*n/(tau*total),
// rounded up, at least 1, and at most n and most. cost is the key's and total all keys' (any unit), n how many servers
// there are.
func CopiesFor(cost, total float64, n int, tau float64, most int) int {
	limit := max(1, min(n, most, MaxServers))
	want := cost * float64(n) / (tau * total)
	if !(want > 1) { // NaN too: no cost at all
		return 1
	}
	if want >= float64(limit) {
		return limit
	}
	whole := int(want)
	if float64(whole) < want {
		whole++
	}
	return whole
}

func divideUp(a, b int) int { return (a + b - 1) / b }

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
