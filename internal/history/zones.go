package history

import (
	"cmp"
	"slices"
)

// A block is a value with what replaced or extended it, and so on: writes between which no other can stand. One that nothing
// is known of is a block of one.
//
// Its zone lies between the end of the operation that ended first and the call of the one that was called last. If that is
// the right way round (forward), then the block holds the register all that time; else (backward) some moment between the
// two belongs to all of its operations, and the block can stand there.
type block struct {
	first, last *Op
	ended       int64 // of first
	began       int64 // of last
}

func (b *block) forward() bool { return b.ended < b.began }

// Zones finds out whether the operations on one key, in the order of their calls, can be explained as those on one register
// that forgets at will: whether each can be given a moment between its call and its return, such that every read finds what was
// written last, and every Swap what it was to replace. It takes time n log n. It returns what cannot be, nil if all can.
//
// That is the zone algorithm of Gibbons and Korach (Testing Shared Memories, SIAM Journal on Computing 26:4, 1997, section 4), for
// values that are written once each: two values whose zones are both forward must not overlap, and no backward zone may lie
// within a forward one. Here a block of writes that must stand together takes a value's place, which changes nothing of its
// proof, once the block's own order is found to be possible.
func Zones(ops []Op) []Violation {
	clusters, _, violations := clusters(ops)
	var forward, backward []*block
	chained := 0
	for _, w := range clusters {
		if w.prior != nil {
			chained++
			continue
		}
		b, wrong := newBlock(w)
		violations = append(violations, wrong...)
		if b.forward() {
			forward = append(forward, b)
		} else {
			backward = append(backward, b)
		}
		for w = w.next; w != nil; w = w.next {
			chained--
		}
	}
	if chained != 0 {
		violations = append(violations, Violation{Key: ops[0].Key, What: "values have replaced each other in a circle"})
	}
	return append(violations, conflicts(forward, backward)...)
}

// newBlock is the block that begins with w. Its order is impossible if an operation of a later value ended before one of an
// earlier value began.
func newBlock(w *cluster) (*block, []Violation) {
	b := &block{first: w.first(), last: w.last()}
	latest := b.last // call of the values so far
	var violations []Violation
	for ; w != nil; w = w.next {
		first, last := w.first(), w.last()
		if w.prior != nil && first.ends() < latest.Call {
			violations = append(violations, Violation{
				Key: latest.Key, What: "a value was there after another that replaced it", Ops: []Op{*w.prior.write, *w.write, *first, *latest},
			})
		}
		if first.ends() < b.first.ends() {
			b.first = first
		}
		if last.Call > latest.Call {
			latest = last
		}
	}
	b.last, b.ended, b.began = latest, b.first.ends(), latest.Call
	return b, violations
}

// conflicts finds zones that exclude each other.
func conflicts(forward, backward []*block) (violations []Violation) {
	slices.SortFunc(forward, func(a, b *block) int { return cmp.Compare(a.ended, b.ended) })
	clash := func(what string, a, b *block) {
		violations = append(violations, Violation{Key: a.first.Key, What: what, Ops: []Op{*a.first, *a.last, *b.first, *b.last}})
	}
	var longest *block // of those so far, the one whose zone ends last
	var reach []*block // by index in forward: longest
	for _, b := range forward {
		if longest != nil && b.ended < longest.began {
			clash("two values have taken turns", longest, b)
		}
		if longest == nil || b.began > longest.began {
			longest = b
		}
		reach = append(reach, longest)
	}
	for _, b := range backward {
		n, _ := slices.BinarySearchFunc(forward, b.began, func(f *block, t int64) int { return cmp.Compare(f.ended, t) })
		// The n zones before that begin before b's does.
		if n > 0 && b.ended < reach[n-1].began {
			clash("a value was there before and after another write", reach[n-1], b)
		}
	}
	return violations
}
