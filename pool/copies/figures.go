package copies

import (
	"iter"

	"mcproxy/replica"
)

// Figures count what a worker did for copies.
type Figures struct {
	Read     uint64 // reads answered by a copy
	Missed   uint64 // reads that found no copy where they looked, and went home
	Lost     uint64 // reads whose copy's backend did not answer in time, and went home
	Fills    uint64 // copies written
	Settled  uint64 // writes that were acknowledged when copies had been cleared, or the guard asked
	Asked    uint64 // of them: the guard was asked
	Clears   uint64 // copies cleared, or found cleared
	Locks    uint64 // copies' places locked
	Refused  uint64 // writes not acknowledged, because a copy could not be cleared or locked
	Polls    uint64 // guards asked for
	Unheard  uint64 // of them: not answered
	Steps    uint64 // guards stored
	Cleaned  uint64 // keys whose old copies were deleted before they got new ones
	Promoted uint64 // keys that got copies, by a step of this process
	Demoted  [Reasons]uint64
	Checked  uint64 // copies that were compared with the homes' items,
	Stale    uint64 // and were older than they may be
}

// Reasons are how many reasons there are for a demotion.
const Reasons = int(replica.Reasons)

// Demotions gives the keys that lost their copies, by reason, all of them.
func (f *Figures) Demotions() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for i, n := range f.Demoted {
			if !yield(replica.Reason(i).String(), n) {
				return
			}
		}
	}
}

// Add adds another worker's figures.
func (f *Figures) Add(o *Figures) {
	f.Read += o.Read
	f.Missed += o.Missed
	f.Lost += o.Lost
	f.Fills += o.Fills
	f.Settled += o.Settled
	f.Asked += o.Asked
	f.Clears += o.Clears
	f.Locks += o.Locks
	f.Refused += o.Refused
	f.Polls += o.Polls
	f.Unheard += o.Unheard
	f.Steps += o.Steps
	f.Cleaned += o.Cleaned
	f.Promoted += o.Promoted
	f.Checked += o.Checked
	f.Stale += o.Stale
	for i, n := range o.Demoted {
		f.Demoted[i] += n
	}
}
