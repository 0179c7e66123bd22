package replica

// A Deed is what a Step does.
type Deed uint8

// The deeds.
const (
	DoNothing Deed = iota // until the next poll
	Clean                 // a Write with StartClean for Hash and Copies; then Keeper.Cleaned
	Store                 // send Ask to the home (DoGuardAdd or DoGuardStore); then poll
)

// A Step is what a Keeper does next.
type Step struct {
	Deed    Deed
	Ask     Ask      // Store
	Changes []Change // what a Store does to keys, if it succeeds
	Hash    Hash     // Clean
	Copies  int
	Mark    uint64
}

// A Change is the step of one key from a phase to the next.
type Change struct {
	Hash     Hash
	From, To Phase
	Copies   int
	Reason   Reason // To is Drain or None, and From was not Drain: why
}

// Next gives the next step. epoch is new and random, and used if the step stores; so is incarnation, used if a guard is
// added.
func (k *Keeper) Next(epoch Epoch, incarnation uint32, now int64) Step {
	if k.spent {
		return Step{}
	}
	recov := Guard{State: Recov, Epoch: epoch, Ring: k.rules.Ring}
	switch k.sight.Kind {
	case Lost:
		// Invariant 6: a guard that vanished comes back only through Recov.
		if k.rules.Mutant == SkipsRecov {
			recov.State = Normal
		}
		k.spent = true
		return Step{Deed: Store, Ask: Ask{Do: DoGuardAdd, Host: Home, Flags: incarnation, Value: recov.Append(nil)}}
	case Broken:
		return k.store(&recov, incarnation, nil)
	case Readable:
		return k.next(epoch, now)
	}
	return Step{}
}

// store is the step that puts a guard in the place of the one that was seen.
func (k *Keeper) store(g *Guard, incarnation uint32, changes []Change) Step {
	k.spent = true
	a := Ask{Do: DoGuardStore, Host: Home, CAS: k.cas, Conn: k.conn, Flags: incarnation, Value: g.Append(nil)}
	if g.State == Disputed {
		a.TTL = disputeTTL
	}
	return Step{Deed: Store, Ask: a, Changes: changes}
}

// next is the step from a guard that can be read.
func (k *Keeper) next(epoch Epoch, now int64) Step {
	old := &k.sight.Guard
	g := *old
	g.Epoch = epoch
	if old.State == Recov {
		if !k.waited(k.since, now) {
			return Step{}
		}
		g.State, g.Ring = Normal, k.rules.Ring
		return k.store(&g, k.sight.Incarnation, nil)
	}
	if s, found := k.clean(now); found {
		return s
	}
	foreign := k.sight.Foreign(k.rules)
	if foreign && old.State == Normal {
		g.State = Disputed
	}
	var changes []Change
	renewed := false
	for i := range old.Keys {
		e := old.Keys[i]
		to, why := k.after(i, g.State, now)
		if to != e.Phase {
			changes = append(changes, Change{Hash: e.Hash, From: e.Phase, To: to, Copies: e.Copies, Reason: why})
			e.Phase, e.Mark = to, epoch.mark()
			g = g.with(e)
		} else if k.renews(i, now) {
			e.Beat++
			g = g.with(e)
			renewed = true
		}
	}
	for _, w := range k.wants {
		if _, found := old.find(w.hash); !found && w.copies > 0 && g.State == Normal && len(g.Keys) < MaxKeys {
			e := Entry{Hash: w.hash, Mark: epoch.mark(), Phase: Prep, Copies: w.copies}
			if k.rules.Mutant == SkipsPrep {
				e.Phase = Active
			}
			changes = append(changes, Change{Hash: e.Hash, To: e.Phase, Copies: e.Copies})
			g = g.with(e)
		}
	}
	if len(changes) == 0 && !renewed && g.State == old.State {
		return Step{}
	}
	return k.store(&g, k.sight.Incarnation, changes)
}

// after gives the phase that follows for the guard's i-th key, or the same.
//
//	     wanted            waited, cleaned             unwanted         waited
//	None ──────► Prep ─────────────────────► Active ──────────► Drain ────────► None
//	               └── unwanted: nobody reads copies yet ───────────────────────► None
func (k *Keeper) after(i int, state State, now int64) (Phase, Reason) {
	e, s := &k.sight.Guard.Keys[i], &k.seen[i]
	w := k.wanted(e.Hash)
	unwanted, why := w != nil && w.copies == 0, Mismatched
	if unwanted {
		why = w.reason
	}
	if !unwanted && e.Phase == Active && k.disowned(i, now) {
		unwanted, why = true, Disowned
	}
	unwanted = unwanted || state == Disputed
	switch {
	case e.Phase == Prep && unwanted:
		return None, why
	case e.Phase == Prep && k.waited(s.since, now) && (s.cleaned || k.rules.Mutant == SkipsClean):
		return Active, 0
	case e.Phase == Active && unwanted && k.rules.Mutant == SkipsDrain:
		return None, why
	case e.Phase == Active && unwanted:
		return Drain, why
	case e.Phase == Drain && k.waited(s.since, now):
		return None, 0
	}
	return e.Phase, 0
}

// renews says whether it is time to say that the guard's i-th key is wanted.
func (k *Keeper) renews(i int, now int64) bool {
	e := &k.sight.Guard.Keys[i]
	_, liked := k.likesAt(e.Hash)
	return liked && e.Phase != Drain && now-k.seen[i].beaten >= k.rules.Renew
}

// disowned says that nobody seems to want the guard's i-th key any more.
func (k *Keeper) disowned(i int, now int64) bool {
	_, liked := k.likesAt(k.sight.Guard.Keys[i].Hash)
	return !liked && now-k.seen[i].beaten >= disowned*k.rules.Renew
}

// clean is the step that deletes what an earlier activation left of a key that waits in Prep. Invariant 3: that is after the
// wait, when every write that may clear nothing has ended, and before the key becomes active.
func (k *Keeper) clean(now int64) (Step, bool) {
	if k.rules.Mutant == SkipsClean || k.sight.Foreign(k.rules) {
		return Step{}, false
	}
	for i := range k.sight.Guard.Keys {
		e, s := &k.sight.Guard.Keys[i], &k.seen[i]
		if w := k.wanted(e.Hash); e.Phase != Prep || s.cleaned || w != nil && w.copies == 0 {
			continue
		}
		if k.waited(s.since, now) || k.rules.Mutant == CleansEarly {
			return Step{Deed: Clean, Hash: e.Hash, Copies: e.Copies, Mark: e.Mark}, true
		}
	}
	return Step{}, false
}
