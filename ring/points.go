package ring

import (
	"cmp"
	"slices"
)

// A point on the circle of 32-bit hashes: the keys from the point before it up to and with it belong to its node.
type point struct {
	at   uint32
	node uint16
}

// points is a circle, ready to be searched.
type points struct {
	sorted []point
	// starts[h>>shift] is the index of the first point at or after the first hash of that bucket, len(sorted) if there is
	// none. There are at least as many buckets as points, so a search looks at about one.
	starts []uint32
	shift  uint
	nodes  int
}

// newPoints sorts all, which is not empty. Equal points keep their order, and the first of them has the keys.
func newPoints(all []point, nodes int) points {
	slices.SortStableFunc(all, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	p := points{sorted: all, shift: 32, nodes: nodes}
	for p.shift > 0 && 1<<(32-p.shift) < len(all) {
		p.shift--
	}
	p.starts = make([]uint32, 1<<(32-p.shift))
	next := 0
	for bucket := range p.starts {
		for next < len(all) && uint64(all[next].at) < uint64(bucket)<<p.shift {
			next++
		}
		p.starts[bucket] = uint32(next)
	}
	return p
}

// find gives the index in sorted of the first point at or after h, going round past the last.
func (p *points) find(h uint32) int {
	i := int(p.starts[h>>p.shift])
	for i < len(p.sorted) && p.sorted[i].at < h {
		i++
	}
	if i == len(p.sorted) {
		return 0
	}
	return i
}

func (p *points) lookup(h uint32) int { return int(p.sorted[p.find(h)].node) }

// alive gives the node of the first point at or after h whose node lives; if no live node has a point, the first live
// node; if none lives, -1.
func (p *points) alive(h uint32, dead func(node int) bool) int {
	start := p.find(h)
	if node := int(p.sorted[start].node); !dead(node) {
		return node
	}
	live := firstLive(0, p.nodes, dead)
	if live < 0 {
		return -1 // do not walk the whole circle to learn that
	}
	for i := range p.sorted {
		at := start + i
		if at >= len(p.sorted) {
			at -= len(p.sorted)
		}
		if node := int(p.sorted[at].node); !dead(node) {
			return node
		}
	}
	return live
}

// firstLive gives the first live node of n, counting from start and going round, or -1.
func firstLive(start, n int, dead func(node int) bool) int {
	for i := range n {
		node := start + i
		if node >= n {
			node -= n
		}
		if !dead(node) {
			return node
		}
	}
	return -1
}
