package history

import (
	"fmt"
	"math"
	"slices"
)

// A Stream checks while operations run, in memory that does not grow with their number, that no read returns a value that
// was written before another write began which was acknowledged, or seen by another read, before this read began; and that
// no read returns a value that was refused, or that nobody has written.
//
// It is exact as long as a key has few writes at a time. What it had to forget it does not judge, and counts as Unjudged.
//
// It is not safe for concurrent use. Begin belongs before the operation's first byte is sent, End behind its answer.
type Stream struct {
	// Strict makes a write that was answered with a failure count as acknowledged: what it was to replace must not come
	// back, though the write itself may be seen or not. A proxy alone promises that; two do not.
	Strict bool
	// Unordered lets reads go back in time: that a read has seen a write says nothing to later reads, only its acknowledgement does.
	Unordered bool

	Reads    uint64 // that ended, and found a value
	Unjudged uint64
	// Late counts reads of a write that was answered with a failure before another one began, which was acknowledged before
	// the read began: the failed write took effect later than the acknowledged one.
	Late uint64

	keys map[string]*Register
}

const (
	keepOver = 64   // values of a key that are known to be over
	keepLate = 4096 // values of a key whose writes failed, and that nobody has seen
)

// A Register is what a Stream knows of one key. Who reads a key often keeps it, and needs no Op for each read: Floor and Found.
type Register struct {
	floor int64 // the latest call of a write that is known to have had its effect

	live []written // under way, or may be seen by a read that begins now
	late []written // of those, what ended without effect so far, and may have one yet
	over []written // must not be seen, the latest last
	// A read of an ID that is in no list is a violation if it began after all that was dropped from over was over, and if
	// nothing was dropped from the others.
	forgotten int64
	blind     bool
}

type written struct {
	id       ID
	call     int64
	seen     int64 // when it surely had had its effect; MaxInt64 as long as nothing tells
	answered int64 // Failed: when; else MaxInt64
	refused  bool
}

// Register gives the register of a key, the same each time. It is used under the same lock as the Stream.
func (s *Stream) Register(key string) *Register {
	r := s.keys[key]
	if r == nil {
		if s.keys == nil {
			s.keys = map[string]*Register{}
		}
		r = &Register{floor: math.MinInt64, forgotten: math.MinInt64}
		s.keys[key] = r
	}
	return r
}

// Begin notes that op, whose Call is set, is about to be sent.
func (s *Stream) Begin(op *Op) {
	r := s.Register(op.Key)
	op.floor = r.floor
	if op.ID == 0 {
		return
	}
	r.live = append(r.live, written{id: op.ID, call: op.Call, seen: math.MaxInt64, answered: math.MaxInt64})
}

// End notes that op has its answer, Return and Outcome, and says what is wrong with it, or "".
func (s *Stream) End(op *Op) string {
	r := s.Register(op.Key)
	if op.Kind == Read {
		if len(op.Pieces) == 0 {
			return ""
		}
		return s.Found(r, Sighting{ID: op.value(), Floor: op.floor, Call: op.Call, Return: op.Return})
	}
	return s.wrote(r, op)
}

func (s *Stream) wrote(r *Register, op *Op) string {
	list, i := r.find(op.ID)
	var w written
	if list != nil {
		w = (*list)[i]
	}
	switch {
	case op.Outcome == Done:
		if list != nil {
			(*list)[i].seen = min(w.seen, op.Return)
		}
	case op.Outcome == Refused:
		if list == &r.live {
			w.refused = true
			r.live = slices.Delete(r.live, i, i+1)
			r.end(w, op.Return)
		}
		if list != nil && w.seen != math.MaxInt64 {
			return "refused, and yet its value was read before"
		}
		return ""
	case list == &r.live && w.seen == math.MaxInt64:
		if op.Outcome == Failed {
			w.answered = op.Return
		}
		r.live = slices.Delete(r.live, i, i+1)
		if len(r.late) == keepLate {
			r.late = slices.Delete(r.late, 0, 1)
			r.blind = true
		}
		r.late = append(r.late, w)
	}
	if op.Outcome == Done || op.Outcome == Failed && s.Strict && op.Needs != Absence {
		r.raise(op.Call, op.Return)
	}
	return ""
}

// A Sighting is a read that found a value: which, the Floor of its key's Register when it was called, and when that was, and when it
// returned.
type Sighting struct {
	ID                  ID
	Floor, Call, Return int64
}

// Floor is what a read that is called now must not be older than.
func (r *Register) Floor() int64 { return r.floor }

// Found judges a read that found a value, and says what is wrong with it, or "".
func (s *Stream) Found(r *Register, at Sighting) string {
	s.Reads++
	if list, i := r.find(at.ID); list != nil {
		w := &(*list)[i]
		switch {
		case w.refused:
			return fmt.Sprintf("finds %x, which was refused", uint64(at.ID))
		case w.seen < at.Floor:
			return fmt.Sprintf("STALE: finds %x, which was there at %.6f; a later write, called at %.6f, had had its effect when this read began",
				uint64(at.ID), float64(w.seen)/1e9, float64(at.Floor)/1e9)
		case w.answered < at.Floor:
			s.Late++
		}
		w.seen = min(w.seen, at.Return)
		call := w.call
		if list == &r.late {
			r.live = append(r.live, *w)
			r.late = slices.Delete(r.late, i, i+1)
		}
		if !s.Unordered {
			r.raise(call, at.Return)
		}
		return ""
	}
	if r.blind || at.Call <= r.forgotten {
		s.Unjudged++
		return ""
	}
	return fmt.Sprintf("finds %x, which nobody has written, or which was over long ago", uint64(at.ID))
}

// find gives the list that holds id, and where; nil if none does.
func (r *Register) find(id ID) (list *[]written, i int) {
	if id == 0 {
		return nil, 0
	}
	for _, list := range [...]*[]written{&r.live, &r.over, &r.late} {
		for i := len(*list) - 1; i >= 0; i-- {
			if (*list)[i].id == id {
				return list, i
			}
		}
	}
	return nil, 0
}

// raise notes at time now that a write called at floor has had its effect. What had its effect before that call is over.
func (r *Register) raise(floor, now int64) {
	r.floor = max(r.floor, floor)
	kept := r.live[:0]
	for _, w := range r.live {
		if w.seen < r.floor {
			r.end(w, now)
		} else {
			kept = append(kept, w)
		}
	}
	r.live = kept
}

// end notes a value that no read that begins after now may see.
func (r *Register) end(w written, now int64) {
	if len(r.over) == keepOver {
		r.over = slices.Delete(r.over, 0, 1)
		r.forgotten = now // it was over by then
	}
	r.over = append(r.over, w)
}
