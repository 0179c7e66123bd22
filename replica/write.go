package replica

import "math/bits"

// An Outcome says how a write ended.
type Outcome uint8

// The outcomes.
const (
	Pending     Outcome = iota
	Acked               // the client gets the home's answer
	Failed              // the home gave no answer: the write may have been carried out, or may be later
	NotWritten          // nothing was changed, and nothing will be: a copy's host could not be locked, or nothing was sent
	Unconfirmed         // the home did it, and a copy could not be cleared: SERVER_ERROR
)

// A Write is the write path of one request of one key, as steps: send what Next gives until it gives no more, wait, give
// each answer to Answer, and so on until Outcome is not Pending.
//
//	          strict, and perhaps replicated
//	Start ──────────► lock every host ─────────┐
//	  └───────────────────────────────► home's answer ──► settle ◄──────────────────────┐
//	                                                         │                           │
//	  ┌── still known what it began with, or asked since: ◄──┴──► else ask the guard ────┤
//	  ▼                                                                                  │
//	every host that may have a copy is clear? ── no ──► clear, or take the own lock out ─┘
//	  └── yes: Acked
//
// Invariant 5: Acked is reached only when every copy that may be read was cleared after the home had applied the write.
type Write struct {
	rules  *Rules
	id     uint64
	target Target
	view   View
	script script

	locked  uint32 // hosts with our lock
	cleared uint32 // hosts that were cleared after the home's answer
	failed  uint32 // hosts that could not be
	asked   bool   // the guard, after the home's answer: view is what it said then
	holds   []hold // by host; nil: nothing was locked
	crowded bool   // a host has more locks than there should be
	roll    *Roll  // nil: every lock is thought to be a living write's
	tries   int    // hosts that changed between two requests
	done    Outcome
	ended   Outcome // what done will be when the locks are released
}

// script is what machines have in common: what to send next, and how much is on its way.
type script struct {
	stage stage
	queue []Ask
	open  int
}

type stage uint8

const (
	idle stage = iota
	locking
	writing
	asking
	clearing  // then settle again
	releasing // then ended is the outcome
	cleaning  // a Keeper's
	copying   // a Read's
	reading
	filling
	over
)

func (s *script) ask(a Ask) { s.queue = append(s.queue, a) }

// Next gives the next request to send, if there is one.
func (s *script) Next() (a Ask, ok bool) {
	if len(s.queue) == 0 {
		return Ask{}, false
	}
	a = s.queue[0]
	s.queue = s.queue[:copy(s.queue, s.queue[1:])]
	s.open++
	return a, true
}

// waits says whether answers are missing, or requests are unsent.
func (s *script) waits() bool { return s.open > 0 || len(s.queue) > 0 }

// maxTries is how often a host may change under one write's hands before it gives up: each time another write got on.
const maxTries = 4 * MaxLocks

// A Target is the key that a request is for.
type Target struct {
	Key   []byte // nobody changes it while the request lasts; a Write needs none
	Hash  Hash
	Hosts int // backends that can hold copies: what AppendHosts gave, 0..MaxCopies
}

// Start begins the write of a key with that view. id is a random number but 0, in strict mode no other write's.
func (w *Write) Start(r *Rules, id uint64, t Target, v View, now int64) {
	*w = Write{rules: r, id: id, target: t, view: v}
	if !v.Fresh(now) {
		w.view.Phase = Unknown
	}
	if mask := w.view.mask(t.Hosts); r.Mode == Strict && mask != 0 {
		w.holds = make([]hold, t.Hosts)
		w.each(mask, w.locking())
		w.script.stage = locking
		return
	}
	w.toHome()
}

// StartWritten is for a write of a key that was None in a fresh view, so that it was sent to the home like any other, and
// changed something there. It is Acked at once unless the view has become old.
func (w *Write) StartWritten(r *Rules, id uint64, t Target, v View, now int64) {
	*w = Write{rules: r, id: id, target: t, view: v}
	w.settle(now)
}

// StartClean begins to delete what stands on the first copies hosts of a key, as a Clean step asks for. It is Acked when every
// host confirmed. Lock sets stay: no copy is read while they stand, and their owners delete them. (A clean may come late, when
// the key is active already.)
func (w *Write) StartClean(r *Rules, t Target, copies int) {
	*w = Write{rules: r, target: t, ended: Acked}
	w.script.stage = cleaning
	w.each(1<<min(copies, t.Hosts)-1, w.clearing())
	if !w.script.waits() {
		w.end(Acked)
	}
}

// Know has the write know the locks of writes that have died, which it takes out with its own. Call it after a Start.
func (w *Write) Know(r *Roll) { w.roll = r }

// Next gives the next request to send, if there is one.
func (w *Write) Next() (Ask, bool) { return w.script.Next() }

// Outcome is Pending until the write has ended.
func (w *Write) Outcome() Outcome { return w.done }

// Demote says whether the key should be demoted, and why: a copy's host is unreachable, or has too many locks.
func (w *Write) Demote() (why Reason, ok bool) {
	if w.failed != 0 {
		return Unreachable, true
	}
	return Crowded, w.crowded
}

// all has a bit for each host.
func (w *Write) all() uint32 { return 1<<w.target.Hosts - 1 }

func (w *Write) each(mask uint32, do Do) {
	for ; mask != 0; mask &= mask - 1 {
		w.script.ask(w.first(do, bits.TrailingZeros32(mask)))
	}
}

func (w *Write) toHome() {
	w.script.ask(Ask{Do: DoHome, Host: Home})
	w.script.stage = writing
}

func (w *Write) end(o Outcome) {
	w.done = o
	w.script.stage = over
}

// Answer takes the answer to a request that Next gave.
func (w *Write) Answer(a *Ask, ans *Answer, now int64) {
	w.script.open--
	switch w.script.stage {
	case locking:
		w.lock(a, ans, now)
	case writing:
		w.written(ans, now)
		return
	case asking:
		// What was asked for after the home's answer needs no freshness: whoever puts a copy up after that reads it from
		// the home after that.
		w.asked = true
		w.view = View{Phase: Unknown}
		if s, ok := SeenIn(ans, now); ok {
			w.view = s.Look(w.rules, w.target.Hash, now)
		}
		w.settle(now)
		return
	case clearing, releasing, cleaning:
		w.release(a, ans, now)
	}
	if !w.script.waits() {
		w.step(now)
	}
}

// step goes on when all that was sent has been answered.
func (w *Write) step(now int64) {
	switch w.script.stage {
	case locking:
		if w.failed != 0 {
			w.leave(NotWritten)
			return
		}
		w.toHome()
	case clearing:
		w.settle(now)
	case releasing:
		w.end(w.ended)
	case cleaning:
		if w.failed != 0 {
			w.ended = Unconfirmed
		}
		w.end(w.ended)
	}
}

// written goes on after the home's answer.
func (w *Write) written(ans *Answer, now int64) {
	switch ans.Result {
	case Unsent:
		w.leave(NotWritten)
	case Unchanged:
		w.leave(Acked)
	case NoAnswer:
		// It may be carried out later. Strict: the locks stay, so that no copy is put up meanwhile, and go when their time is
		// up. Safe: copies need not outlive what may have changed, though nobody is promised that.
		if w.rules.Mode == Strict {
			w.end(Failed)
			return
		}
		w.ended = Failed
		w.script.stage = releasing
		if w.each(w.view.mask(w.target.Hosts), DoClear); !w.script.waits() {
			w.end(Failed)
		}
	default:
		w.settle(now)
	}
}

// leave takes the own locks out, and ends.
func (w *Write) leave(o Outcome) {
	if w.locked == 0 {
		w.end(o)
		return
	}
	w.ended = o
	w.script.stage = releasing
	w.free(w.locked)
}

// settle acknowledges the write if nobody can read a copy that is older, and else does what is missing for it.
func (w *Write) settle(now int64) {
	if w.rules.Mutant == LeavesLocks && w.locked != 0 {
		w.end(Acked)
		return
	}
	if w.failed != 0 {
		w.end(Unconfirmed)
		return
	}
	if !w.known(now) {
		w.script.ask(Ask{Do: DoGuard, Host: Home})
		w.script.stage = asking
		return
	}
	missing := (w.view.mask(w.target.Hosts) | w.locked) &^ w.cleared
	switch {
	case missing != 0:
		w.script.stage = clearing
		if do := w.clearing(); do == DoLockRead {
			w.free(missing)
		} else {
			w.each(missing, do)
		}
	case w.view.Foreign:
		w.failed |= w.all() // and others' hosts, which nobody knows
		w.end(Unconfirmed)
	default:
		w.end(Acked)
	}
}

// known is the check before the acknowledgement: the write relies on a view that still holds, or on one that was asked for after
// the home's answer, or on none, because every host is clear. So a copy that is put up by those who know more than it is made of
// what the home has after the write.
func (w *Write) known(now int64) bool {
	return w.view.Fresh(now) || w.asked || w.target.Hosts > 0 && w.cleared == w.all() || w.rules.Mutant == TrustsStart
}

func (w *Write) clearing() Do {
	switch {
	case w.rules.Mutant == UpdatesCopies && w.script.stage == clearing:
		return DoOverwrite
	case w.rules.Mode == Strict:
		return DoLockRead
	}
	return DoClear
}
