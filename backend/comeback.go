package backend

import (
	"slices"
	"time"

	"mcproxy/protocol"
)

// A backend that was down and answers probes again has missed writes. What must be done before it is used is here:
//
//	probes answered, for as long as its flapping asks for ─► OnReturnHold, or the journal overflowed: held, until Release
//	                     ─► OnReturnFlush: flush_all ─► the journal's deletes ─► up
//
// Writes go on being missed meanwhile, so the journal need not be empty in the end: what it owed when the backend had proved itself
// must be paid, and what came later keeps its keys blocked, one by one.

const (
	flapWithin = int64(time.Minute) // down again so soon after it was used again: it flaps
	freeFlaps  = 3                  // so often in a row that is nothing
	firstDamp  = time.Second        // how long it must answer then; twice as long each time, up to Options.Damping
)

// A flush is the flush_all of a backend that comes back.
type flush struct {
	done   int    // confirmed
	sent   bool   // and not answered
	at     int64  // when the next is due
	lost   uint64 // Backend.Lost when the last was sent
	before uint64 // and when the one before was
}

// wentDown keeps book of flapping when a backend is not used any more.
func (k *keeper) wentDown(now int64) {
	if k.cameUp != 0 && now-k.cameUp < flapWithin {
		k.flaps++
	} else {
		k.flaps = 0
	}
	k.cameUp, k.calm = 0, 0
}

// damping is how long the backend must answer probes before it is used again.
func (k *keeper) damping() time.Duration {
	if k.flaps < freeFlaps {
		return 0
	}
	return min(firstDamp<<min(k.flaps-freeFlaps, 16), k.b.Options().Damping)
}

// mustHold holds a backend that comes back, if it is to be held.
func (k *keeper) mustHold() bool {
	o := k.b.Options().OnReturn
	switch {
	case o != OnReturnFlush && k.b.Overflowed():
		return k.b.transition(StateDown, StateHeld, ErrOverflow)
	case o == OnReturnHold && !k.b.release.Load():
		return k.b.transition(StateDown, StateHeld, ErrReturned)
	}
	return false
}

// comeBack has the backend used again if nothing stands in the way any more.
func (k *keeper) comeBack(now int64) (next int64) {
	if k.b.Options().OnReturn == OnReturnFlush {
		if next, flushed := k.flushed(now); !flushed {
			return next
		}
	}
	if k.old > 0 || slices.ContainsFunc(k.debts, func(d *debt) bool { return d.due <= now && d.taken <= k.provedAt }) {
		return 0 // an answer will bring the keeper back, or pay says when
	}
	k.proved, k.out, k.flush = false, false, flush{}
	k.wait = 0
	k.cameUp = now
	k.b.release.Store(false)
	k.b.transition(StateDown, StateUp, nil)
	return 0
}

// flushed says whether flush_all was carried out, and sends it if not. When the journal overflowed, writes that it does not name may
// still lie in a dead conn, so that a second one follows after Settle.
func (k *keeper) flushed(now int64) (next int64, done bool) {
	f := &k.flush
	lost := k.b.Lost()
	switch {
	case f.sent:
		return 0, false
	case k.b.release.Load(), f.done > 0 && !k.b.Overflowed():
		return 0, true
	case f.done > 1 && lost == f.lost && lost == f.before:
		k.b.journal.forgive(lost)
		return 0, true
	case now < f.at:
		return f.at, false
	}
	cn, err := k.pipe.conn(0)
	if err != nil {
		k.proved = false
		return now + int64(k.b.Options().ProbeInterval), false
	}
	f.sent, f.lost, f.before = true, lost, f.lost
	k.pipe.sendInternal(cn, (*flushing)(k), appendFlush, int64(k.b.Options().StallTimeout))
	return 0, false
}

func appendFlush(dst []byte) ([]byte, protocol.Verb) {
	return append(dst, "flush_all\r\n"...), protocol.FlushAll
}

// flushing owns the keeper's flush_all.
type flushing keeper

func (f *flushing) Answer(_ *Call, r *protocol.Response, _ []byte) error {
	k := (*keeper)(f)
	k.flush.sent = false
	if r.Status == protocol.StatusOK {
		k.flush.done++
		k.flush.at = k.loop.Now + int64(k.b.Options().Settle)
	} else { // it is not allowed there (memcached -F)
		k.proved = false
		k.b.transition(StateDown, StateHeld, ErrNoFlush)
	}
	k.b.kick()
	return nil
}

func (f *flushing) Fail(*Call, []byte, *Error) {
	k := (*keeper)(f)
	k.flush.sent, k.proved = false, false
	k.b.kick()
}
