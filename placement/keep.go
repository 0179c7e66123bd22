package placement

import (
	"slices"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/epoll"
	"mcproxy/placement/quarantine"
)

const (
	gatherPerTurn = 256                    // strays that are noted in one turn of the loop
	gatherShare   = 0.5                    // of a backend's journal that strays may fill; the rest is for its own failures
	gatherAgain   = 100 * time.Millisecond // until a journal that is full is tried again
)

// A batch is strays of one backend that lie on one node.
type batch struct {
	home, node int
	keys       []string
}

// Keep has loop look after the table: call it once, from the loop, before the table is used.
func (t *Table) Keep(loop *epoll.Loop) {
	t.alarm = loop.NewAlarm(t)
	t.keeping.Store(loop)
	if t.onDown == OnDownFail {
		for _, b := range t.backends {
			b.SetLease(backend.NoLease)
		}
		return
	}
	for i := range t.backends {
		g := t.newGate(i)
		if t.former != nil {
			g.succeed(t.former)
		}
		t.gates = append(t.gates, g)
	}
	t.former = nil
	for _, g := range t.gates {
		g.keep(loop)
	}
	t.wake(1)
}

// Retire ends the table's work: nobody places keys by it any more, but for requests that are under way. What was written elsewhere goes into
// the journals of the backends where it lies, at once; so another table can put backends out, or another process. It returns when
// that is done. Call it from another goroutine than a loop's, while the loop that keeps the table runs or after its end.
func (t *Table) Retire() {
	loop := t.keeping.Load()
	if loop == nil {
		return
	}
	done := make(chan struct{})
	if !loop.Post(func() {
		t.retire(loop.Now)
		close(done)
	}) {
		t.retire(loop.Kernel.Now())
		return
	}
	<-done
}

func (t *Table) retire(now int64) {
	t.retired = true
	for _, g := range t.gates {
		g.close()
	}
	t.view.Store(t.newView(make([]bool, len(t.backends)))) // none is out, and writes under way will see that it is another view
	for i := range t.backends {
		t.gather(i)
	}
	for _, m := range t.moving {
		for _, key := range m.keys {
			b := t.Backend(m.node)
			if !b.Regret([]byte(key), now, 1) {
				b.Overflow()
			}
			b.Unstray(key)
			t.lies(m.home, m.node, key)
		}
	}
	t.moving = nil
	t.alarm.Remove()
}

// Changed has the table look at its backends' states. Any goroutine may call it.
func (t *Table) Changed() {
	if t.onDown == OnDownFail {
		return
	}
	loop := t.keeping.Load()
	if loop == nil || !t.kicked.CompareAndSwap(false, true) {
		return
	}
	loop.Post(func() {
		t.kicked.Store(false)
		t.look()
	})
}

// look puts backends out that went down, and lets those back that are up. A backend whose strays are not all noted where they lie
// cannot be put out.
func (t *Table) look() {
	if t.onDown == OnDownFail || t.retired {
		return
	}
	out := make([]bool, len(t.backends))
	copy(out, t.Out())
	n := 0
	var back []int
	for i := range t.backends {
		up := t.gates[i].serves()
		switch {
		case up:
			t.waits[i] = 0
		case t.waits[i] == 0:
			t.last++
			t.waits[i] = t.last
		}
		if up && out[i] {
			out[i] = false
			back = append(back, i)
		}
		if out[i] {
			n++
		}
	}
	changed := len(back) > 0
	for ; n < t.maxDown; n++ {
		i := t.nextDown(out, back)
		if i < 0 {
			break
		}
		out[i], changed = true, true
	}
	if !changed {
		return
	}
	t.moves.Add(1)
	if n == 0 {
		t.view.Store(nil)
	} else {
		t.view.Store(t.newView(out))
	}
	t.holdAway()
	for _, i := range back {
		t.gather(i)
	}
}

// nextDown gives the backend that has been down longest without being out; -1: there is none.
func (t *Table) nextDown(out []bool, back []int) int {
	next := -1
	for i, place := range t.waits {
		switch {
		case place == 0 || out[i] || slices.Contains(back, i) || t.isMoving(i):
		case next < 0 || place < t.waits[next]:
			next = i
		}
	}
	return next
}

func (t *Table) isMoving(home int) bool {
	return slices.ContainsFunc(t.moving, func(b batch) bool { return b.home == home })
}

// gather has the strays of a backend that came back deleted where they lie.
func (t *Table) gather(home int) {
	for node, keys := range t.strays[home].take() {
		if t.Mutant == LeavesStrays {
			continue
		}
		b := batch{home: home, node: node}
		for k := range keys {
			b.keys = append(b.keys, k)
		}
		slices.Sort(b.keys) // a simulation is repeatable
		t.moving = append(t.moving, b)
	}
	slices.SortFunc(t.moving, func(a, b batch) int {
		if a.home != b.home {
			return a.home - b.home
		}
		return a.node - b.node
	})
	t.wake(1) // at the end of this turn, or of the next
}

// wake has Expire called at a Loop time.
func (t *Table) wake(at int64) {
	if at != 0 {
		t.alarm.Set(at)
	}
}

// Expire does what is due.
func (t *Table) Expire(now int64) (next int64) {
	if t.retired {
		return 0
	}
	for _, g := range t.gates {
		if at := g.turn(now); at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	if at := t.deliver(now); at != 0 && (next == 0 || at < next) {
		next = at
	}
	return next
}

// deliver notes strays in the journals of the backends where they lie, some in each turn.
func (t *Table) deliver(now int64) (next int64) {
	left := gatherPerTurn
	for i := range t.moving {
		m := &t.moving[i]
		b := t.Backend(m.node)
		for len(m.keys) > 0 && left > 0 && b.Regret([]byte(m.keys[0]), now, gatherShare) {
			b.Unstray(m.keys[0])
			t.lies(m.home, m.node, m.keys[0])
			m.keys = m.keys[1:]
			left--
		}
	}
	whole := len(t.moving)
	t.moving = slices.DeleteFunc(t.moving, func(m batch) bool { return len(m.keys) == 0 })
	if len(t.moving) < whole {
		t.Changed() // who waits to be put out can be, perhaps
	}
	switch {
	case len(t.moving) == 0:
		return 0
	case left == 0:
		return now + 1
	}
	return now + int64(gatherAgain)
}

// Figures tell how often the view changed, how many strays of each backend there are that are not noted where they lie, and which
// backends are out (nil: none).
func (t *Table) Figures() (moves uint64, strays []int, out []bool) {
	for i := range t.strays {
		strays = append(strays, t.strays[i].count())
	}
	return t.moves.Load(), strays, t.Out()
}

// Standing says where the keys of a backend are looked for, as all proxies have agreed; Alone where they need not.
func (t *Table) Standing(node int) quarantine.Standing {
	if t.onDown == OnDownFail {
		return quarantine.Alone
	}
	return quarantine.Standing(t.stands[node].Load())
}

// Divided is how often other proxies took a backend for away while this one used it.
func (t *Table) Divided() uint64 { return t.divided.Load() }
