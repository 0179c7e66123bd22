package replica

// lock takes an answer on the way to a lock set with our id on a host:
//
//	LockRead ─► nothing there ─► LockAdd ──┬─► locked
//	   ▲    └─► anything ─► LockStore ─────┤
//	   └──────── it changed meanwhile ─────┘
func (w *Write) lock(a *Ask, ans *Answer) {
	bit := uint32(1) << a.Host
	next := Ask{Host: a.Host, TTL: lockTTL}
	switch {
	case ans.Result == NoAnswer, ans.Result == Unsent, ans.Result == Refused, ans.Result == Unsupported:
		w.failed |= bit
		return
	case a.Do != DoLockRead && ans.Result == Done:
		w.locked |= bit
		return
	case a.Do != DoLockRead:
		w.again(a.Host)
		return
	case ans.Result == Missing:
		next.Do, next.Value = DoLockAdd, locks(nil).with(nil, w.id)
	default:
		set := lockSet(ans.Value)
		if w.rules.Mutant == LocksAlone {
			set = nil
		}
		if set.len() >= MaxLocks {
			w.failed |= bit
			return
		}
		next.Do, next.CAS, next.Conn, next.Value = DoLockStore, ans.CAS, ans.Conn, set.with(nil, w.id)
	}
	w.script.ask(next)
}

// release takes an answer on the way to a host that is clear: without a copy, a lease or our lock. A lock set that is others'
// may stay: as long as it stands nobody reads a copy, and the last of them deletes it.
func (w *Write) release(a *Ask, ans *Answer) {
	bit := uint32(1) << a.Host
	next := Ask{Host: a.Host, CAS: ans.CAS, Conn: ans.Conn}
	switch {
	case ans.Result == NoAnswer, ans.Result == Unsent, ans.Result == Refused:
		w.failed |= bit
		return
	case ans.Result == Missing, ans.Result == Done, ans.Result == Unsupported:
		w.clear(bit)
		return
	case a.Do != DoLockRead:
		w.again(a.Host)
		return
	}
	set := lockSet(ans.Value)
	switch {
	case set.has(w.id) && set.len() > 1:
		next.Do, next.TTL, next.Value = DoLockStore, lockTTL, set.without(nil, w.id)
	case set.has(w.id), set.len() == 0:
		next.Do = DoLockDelete
	default:
		w.clear(bit)
		return
	}
	w.script.ask(next)
}

func (w *Write) clear(bit uint32) {
	w.cleared |= bit
	w.locked &^= bit
}

// again reads a lock set anew that changed between its read and our store.
func (w *Write) again(host int) {
	if w.tries++; w.tries > maxTries {
		w.failed |= 1 << host
		return
	}
	w.script.ask(Ask{Do: DoLockRead, Host: host})
}
