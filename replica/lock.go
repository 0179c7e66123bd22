package replica

import "math/bits"

// A hold is what stood on a host when our lock had come there.
type hold struct {
	cas, conn uint64 // 0: not known
	others    locks  // of other writes; nil: there were none
}

// lock takes an answer on the way to a lock on a host. A lock is held if our record was seen there, whatever happened between the
// commands of DoLock.
//
//	Lock ─► our record is there ─────────────────────────► locked
//	 ▲ └──► something is, but not our record ─► LockStore ─┴─┐
//	 └───── nothing is, or it changed meanwhile ─────────────┘
func (w *Write) lock(a *Ask, ans *Answer, now int64) {
	bit := uint32(1) << a.Host
	switch {
	case a.Do == DoLockStore && ans.Result == Done:
		w.locked |= bit
	case a.Do == DoLockStore && ans.Result == Unsent:
		w.again(a.Host, w.locking())
	case ans.Result == NoAnswer, ans.Result == Unsent, ans.Result == Refused, ans.Result == Unsupported:
		w.failed |= bit
	case a.Do != DoLockStore && ans.Result == Hit:
		set := lockSet(ans.Value)
		others := w.roll.living(set, w.id, now)
		w.crowded = w.crowded || others.len() >= MaxLocks
		if !set.has(w.id) && w.rules.Mutant != TrustsLock { // the item came between, or has no room
			all := appendRecord(others, w.id)
			w.script.ask(Ask{Do: DoLockStore, Host: a.Host, CAS: ans.CAS, Conn: ans.Conn, TTL: LockTTL, Value: all})
			return
		}
		w.locked |= bit
		w.holds[a.Host] = hold{ans.CAS, ans.Conn, others}
	default:
		w.again(a.Host, w.locking())
	}
}

// locking is how a host is locked.
func (w *Write) locking() Do {
	if w.rules.Mutant == LocksAlone {
		return DoLockAlone
	}
	return DoLock
}

// free asks for hosts to be cleared: by what was seen when they were locked, or else after a look.
func (w *Write) free(mask uint32) {
	for ; mask != 0; mask &= mask - 1 {
		host := bits.TrailingZeros32(mask)
		if w.rules.Mutant == ClearsLocks {
			w.script.ask(Ask{Do: DoClear, Host: host})
			continue
		}
		h := hold{}
		if w.holds != nil {
			h, w.holds[host] = w.holds[host], hold{}
		}
		if h.cas == 0 {
			w.script.ask(Ask{Do: DoLockRead, Host: host})
			continue
		}
		w.takeOut(host, h)
	}
}

// takeOut takes our lock out of what stands on a host, and drops all but other writes' records; the last deletes the item.
func (w *Write) takeOut(host int, h hold) {
	a := Ask{Do: DoLockDelete, Host: host, CAS: h.cas, Conn: h.conn}
	if len(h.others) > 0 {
		a.Do, a.TTL, a.Value = DoLockStore, LockTTL, h.others
	}
	w.script.ask(a)
}

// release takes an answer on the way to a host that is clear: without our lock, and without a copy or a lease unless others' locks
// are there: as long as they stand nobody reads a copy or puts one up, and the last of them deletes all.
func (w *Write) release(a *Ask, ans *Answer, now int64) {
	bit := uint32(1) << a.Host
	switch {
	case ans.Result == Unsent && (a.Do == DoLockDelete || a.Do == DoLockStore): // the conn is gone, but others may be there
		w.again(a.Host, DoLockRead)
		return
	case ans.Result == NoAnswer, ans.Result == Unsent, ans.Result == Refused:
		w.failed |= bit
		return
	case ans.Result == Missing, ans.Result == Done, ans.Result == Unsupported:
		w.clear(bit)
		return
	case a.Do != DoLockRead:
		w.again(a.Host, DoLockRead)
		return
	}
	set := lockSet(ans.Value)
	if set.len() > 0 && !set.has(w.id) {
		w.clear(bit)
		return
	}
	w.takeOut(a.Host, hold{ans.CAS, ans.Conn, w.roll.living(set, w.id, now)})
}

func (w *Write) clear(bit uint32) {
	w.cleared |= bit
	w.locked &^= bit
}

// again begins anew with a host where something changed between two requests.
func (w *Write) again(host int, do Do) {
	if w.tries++; w.tries > maxTries {
		w.failed |= 1 << host
		return
	}
	w.script.ask(w.first(do, host))
}

// first is the first request to a host.
func (w *Write) first(do Do, host int) Ask {
	a := Ask{Do: do, Host: host}
	if do == DoLock || do == DoLockAlone {
		a.TTL, a.Value = LockTTL, appendRecord(nil, w.id)
	}
	return a
}

// A Roll remembers which writes' locks were seen, and since when. Writes that die leave theirs, and those of others that come renew it with
// their own; so a lock that was first seen a lock's lifetime ago is taken out by who sees it. It belongs to one loop, and is of all keys.
type Roll struct {
	since map[uint64]int64 // by the write's number
}

// maxRoll is how many writes a Roll remembers.
const maxRoll = 1024

// living gives the locks in a set that are not of one write, and of none that is known to have died.
func (r *Roll) living(set locks, but uint64, now int64) locks {
	var others locks
	for l := set; len(l) > 0; l = l[recordLen:] {
		if id := l.first(); id != but && !r.dead(id, now) {
			others = append(others, l[:recordLen]...)
		}
	}
	return others
}

// dead says whether a lock has outlived the write that it is of.
func (r *Roll) dead(id uint64, now int64) bool {
	if r == nil {
		return false
	}
	since, known := r.since[id]
	if known {
		return now-since > LockTTL*second
	}
	if r.since == nil || len(r.since) >= maxRoll {
		r.since = make(map[uint64]int64) // those that still stand begin anew
	}
	r.since[id] = now
	return false
}
