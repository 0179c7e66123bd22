package pool_test

import (
	"time"

	"mcproxy/internal/simnet"
	"mcproxy/pool/copies"
	"mcproxy/replica"
)

// A stage is a scene for a rule that chance breaks too seldom: what happens, in which order; when is the seed's choice. Nothing else
// happens in such a run but that clients read.
type stage func(w *pair, a scene)

// A scene is a key, and who plays: the first process suffers, the other writes.
type scene struct {
	strike
	lease time.Duration
}

// begin has the key get copies, and the scene begin when they have been read for a while.
func (play stage) begin(w *pair) {
	c := w.plan.copy
	key := []byte{keyName(0)}
	a := scene{strike{writes, 0, 1, key, w.procs[0].shared.Ring.Lookup(key)}, c.lease}
	a.server = a.home
	w.provoke(a.strike)
	w.promote(a)
	w.when(a.strike, 1000, active, func() { w.net.After(c.lease, func() { play(w, a) }) })
}

func active(p replica.Phase) bool { return p == replica.Active }
func none(p replica.Phase) bool   { return p == replica.None }
func prep(p replica.Phase) bool   { return p == replica.Prep }

func (w *pair) wish(a scene) copies.Wish {
	return copies.Wish{Key: a.key, Home: a.home, Copies: w.plan.servers - 1, Forced: true}
}

func (w *pair) promote(a scene) { w.procs[1].shared.Copies().Promote(w.wish(a)) }

func (w *pair) demote(a scene) { w.procs[1].shared.Copies().Demote(w.wish(a), replica.Cooled) }

// within has something happen at any time in a part of a lease.
func (a scene) within(w *pair, part float64, do func()) {
	w.net.After(time.Duration(w.net.Rand.Int64N(int64(part*float64(a.lease)))), do)
}

// far makes the way back from the home to the first process longer, by a part of a lease.
func (a scene) far(w *pair, part float64) {
	d := time.Duration(part * float64(a.lease) * (0.5 + w.net.Rand.Float64()/2))
	for _, wk := range w.procs[0].workers {
		w.net.Slow(wk.loop, simnet.Slowness{Server: w.servers[a.home], From: d, Until: w.net.Now() + 12*int64(a.lease)})
	}
}

// seesLate: what the first process hears of the guard is old when it comes, and meanwhile the key loses its copies and is written.
func seesLate(w *pair, a scene) {
	a.far(w, 1.4)
	a.within(w, 2, func() {
		w.demote(a)
		w.when(a.strike, 8, none, func() { w.provoke(a.strike) })
	})
}

// leasesLate: reads of copies reach their servers when the key has lost its copies, and is about to get them again. The first process,
// which still knows of no copies when it writes, cleans too when it learns of them; so what it sends there takes long.
func leasesLate(w *pair, a scene) {
	for i, s := range w.servers {
		if i == a.home {
			continue
		}
		s.Pause()
		for _, wk := range w.procs[0].workers {
			w.net.Slow(wk.loop, simnet.Slowness{Server: s, To: 2 * a.lease, Until: w.net.Now() + 12*int64(a.lease)})
		}
	}
	resume := func() {
		for _, s := range w.servers {
			s.Resume()
		}
	}
	w.demote(a)
	w.when(a.strike, 6, none, func() {
		w.promote(a)
		w.await(a.strike, 6, prep, func() {
			resume()
			first := a.strike
			first.proc = 0
			w.net.After(time.Millisecond, func() { a.within(w, 0.2, func() { w.provoke(first) }) })
		})
	})
	w.net.After(6*a.lease, resume)
}

// leasesEnd: a copy's server is started again while a lease of it is out, and gives another with the same number.
func leasesEnd(w *pair, a scene) {
	a.far(w, 0.8)
	w.provoke(a.strike)
	a.within(w, 0.5, func() {
		for i, s := range w.servers {
			if i != a.home {
				s.Kill()
				s.Start()
			}
		}
		a.within(w, 0.1, func() { w.provoke(a.strike) })
	})
}

// stalls: the first process stops in the midst of a turn, and meanwhile the key loses its copies and is written.
func stalls(w *pair, a scene) {
	for _, wk := range w.procs[0].workers {
		w.net.StallNext(wk.loop, 2*a.lease+time.Duration(w.net.Rand.Int64N(int64(a.lease))))
	}
	w.demote(a)
	w.when(a.strike, 8, none, func() { w.provoke(a.strike) })
}
