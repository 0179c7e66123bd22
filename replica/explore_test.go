package replica_test

import (
	"fmt"
	"hash/maphash"
	"strings"

	"mcproxy/replica"
)

// moves calls yield with each world that can follow, and what happens on the way there. The order is the same every time.
func (w *world) moves(yield func(who int, what string, next *world)) {
	to := func(who int, what string, change func(n *world)) {
		n := *w
		change(&n)
		yield(who, what, &n)
	}
	to(nobody, "tick", func(n *world) { n.now++ })
	for i := range w.procs {
		w.keep(i, to)
		w.writing(i, to)
		w.reading(i, to)
	}
	if w.late > 0 && w.mayApply(nil) {
		to(nobody, "a late write is applied", func(n *world) { n.late--; n.apply() })
	}
	w.fail(to)
}

const nobody = -1

type adder func(who int, what string, change func(n *world))

// fail has things go wrong outside the proxies.
func (w *world) fail(to adder) {
	if w.budget == 0 {
		return
	}
	if w.faults.guard > 0 && w.guard.there {
		to(nobody, "guard lost", func(n *world) { n.faults.guard--; n.budget--; n.guard = item{} })
	}
	if w.faults.home > 0 {
		to(nobody, "home restarted", func(n *world) {
			n.faults.home--
			n.budget--
			n.guard, n.present, n.late = item{}, false, 0
			n.homeLife++
			for i := range n.procs {
				// A request that was not carried out never will be; neither has an answer.
				if p := &n.procs[i]; p.write != nil && (p.way == sent || p.way == isApplied) {
					p.way, p.answer = isApplied, replica.Answer{Result: replica.NoAnswer}
				}
			}
		})
	}
	if w.faults.host > 0 {
		to(nobody, "host restarted", func(n *world) { n.faults.host--; n.budget--; n.hostLife++; n.copy = item{} })
	}
	if w.faults.evicted > 0 && w.copy.there {
		to(nobody, "copy evicted", func(n *world) { n.faults.evicted--; n.budget--; n.copy = item{} })
	}
	if w.faults.late == 0 {
		return
	}
	for i := range w.procs {
		if w.procs[i].write == nil {
			continue
		}
		to(i, "dies in its write", func(n *world) {
			n.faults.late--
			n.budget--
			p := &n.procs[i]
			n.late += bit(p.way == sent)
			p.write, p.lock = nil, nil
		})
		if w.procs[i].way == sent {
			to(i, "waits for the home no more", func(n *world) {
				n.faults.late--
				n.budget--
				n.late++
				p := &n.procs[i]
				p.way, p.answer = isApplied, replica.Answer{Result: replica.NoAnswer}
			})
		}
	}
}

// keep is what proxy i does to the guard.
func (w *world) keep(i int, to adder) {
	p := &w.procs[i]
	if p.polled == nil {
		to(i, "polls", func(n *world) {
			p := &n.procs[i]
			p.polled = &polled{n.readGuard(), n.now}
			if !w.v.polls || i == 0 {
				p.hear(n.now)
			}
		})
	} else {
		to(i, "hears of the guard", func(n *world) { n.procs[i].hear(n.now) })
	}
	if p.clean != nil {
		to(i, "cleans", func(n *world) { n.cleans(i) })
		return
	}
	if !w.current(p.keeper) || !w.v.does(i, 'k') {
		return
	}
	s := p.keeper.Sight()
	listed := len(s.Guard.Keys) > 0
	normal := s.Kind == replica.Readable && s.Guard.State == replica.Normal
	switch {
	case normal && !listed:
		to(i, "promotes", func(n *world) {
			n.change(i, func(k *replica.Keeper) { k.Promote(target.Hash, 1) })
		})
		return
	case normal && s.Guard.Keys[0].Phase != replica.Drain:
		to(i, "demotes", func(n *world) {
			n.change(i, func(k *replica.Keeper) { k.Demote(target.Hash, replica.Cooled) })
		})
	}
	epoch, incarnation := w.numbers()
	if p.keeper.Clone().Next(epoch, incarnation, w.now).Deed != replica.DoNothing {
		to(i, "steps", func(n *world) { n.change(i, func(*replica.Keeper) {}) })
	}
}

func (p *proc) hear(now int64) {
	p.keeper = p.keeper.Clone()
	p.keeper.Polled(&p.polled.answer, p.polled.sent, now)
	p.polled = nil
}

// change has proxy i take the next step with its guard, after it wants something else.
func (w *world) change(i int, want func(k *replica.Keeper)) {
	p := &w.procs[i]
	p.keeper = p.keeper.Clone()
	want(p.keeper)
	epoch, incarnation := w.numbers()
	switch s := p.keeper.Next(epoch, incarnation, w.now); s.Deed {
	case replica.Store:
		w.storeGuard(&s.Ask)
	case replica.Clean:
		p.clean, p.cleanStep = new(replica.Write), s
		p.clean.StartClean(w.rules, target, s.Copies)
		if w.v.mode == replica.Safe {
			w.cleans(i) // one that comes late only deletes, as an eviction does
		}
	}
	p.keeper.Forget()
}

// cleans has proxy i go on with its clean.
func (w *world) cleans(i int) {
	p := &w.procs[i]
	p.clean = p.clean.Clone()
	w.do(i, p.clean)
	if o := p.clean.Outcome(); o != replica.Pending {
		p.keeper = p.keeper.Clone()
		p.keeper.Cleaned(&p.cleanStep, o == replica.Acked)
		p.clean, p.cleanStep = nil, replica.Step{}
	}
}

// do sends one request of a machine's to the host of copies, and gives it the answer. Of a lock it does one command.
func (w *world) do(i int, m *replica.Write) {
	p := &w.procs[i]
	if p.lock == nil && m == p.write {
		if a, ok := m.Clone().Next(); ok && (a.Do == replica.DoLock || a.Do == replica.DoLockAlone) {
			m.Next()
			p.lock = &locking{a, 0, w.hostLife}
		}
	}
	if p.lock != nil && m == p.write {
		l := *p.lock
		ans, last := w.locks(&l)
		l.done++
		p.lock = &l
		if last {
			p.lock = nil
			m.Answer(&l.ask, &ans, w.now)
		}
		return
	}
	a, ok := m.Next()
	if !ok {
		w.trouble = "a machine that has not ended asks for nothing"
		return
	}
	var ans replica.Answer
	if a.Do == replica.DoGuard {
		ans = w.readGuard()
	} else {
		ans = w.host(&a, p)
	}
	m.Answer(&a, &ans, w.now)
}

// mayApply says whether B's condition lets the home do a write now.
func (w *world) mayApply(m *replica.Write) bool { return !w.v.checkB || m != nil && m.Fresh(w.now) }

// writing is what proxy i does about its write.
func (w *world) writing(i int, to adder) {
	p := &w.procs[i]
	switch {
	case p.write == nil:
		if int(w.writes) < w.v.writes && w.v.does(i, 'w') {
			to(i, "begins a write", func(n *world) {
				p := &n.procs[i]
				n.writes++
				p.write, p.way, p.number = new(replica.Write), notSent, 0
				v := p.keeper.Sight().Look(n.rules, target.Hash, n.now)
				p.write.Start(n.rules, uint64(n.writes), target, v, n.now)
				p.send()
			})
		}
	case p.way == sent:
		if w.mayApply(p.write) {
			to(i, "has its write applied", func(n *world) {
				p := &n.procs[i]
				p.answer, p.way = n.apply(), isApplied
				p.number = n.applied
			})
		}
	case p.way == isApplied:
		to(i, "hears of its write", func(n *world) {
			p := &n.procs[i]
			p.write, p.way = p.write.Clone(), settled
			p.write.Answer(&replica.Ask{Do: replica.DoHome, Host: replica.Home}, &p.answer, n.now)
			p.answer = replica.Answer{}
			n.written(i)
		})
	default:
		to(i, "goes on with its write", func(n *world) {
			p := &n.procs[i]
			p.write = p.write.Clone()
			n.do(i, p.write)
			p.send()
			n.written(i)
		})
	}
}

// send puts a write's request to the home on its way, if it comes next: one that waits there is like one that waits here.
func (p *proc) send() {
	if a, ok := p.write.Clone().Next(); ok && a.Do == replica.DoHome {
		p.write.Next()
		p.way = sent
	}
}

// written ends a write of proxy i that has an outcome.
func (w *world) written(i int) {
	p := &w.procs[i]
	switch p.write.Outcome() {
	case replica.Pending:
		return
	case replica.Acked:
		w.acked = max(w.acked, p.number)
	}
	p.write, p.way, p.number = nil, notSent, 0
}

// reading is what proxy i does about its read.
func (w *world) reading(i int, to adder) {
	p := &w.procs[i]
	if p.read != nil {
		to(i, "goes on with its read", func(n *world) { n.reads(i) })
		return
	}
	if !w.v.does(i, 'r') {
		return
	}
	if w.v.checkB && w.present && w.applied > w.seen {
		to(i, "reads the home", func(n *world) { n.seen = n.applied })
	}
	if v := p.keeper.Sight().Look(w.rules, target.Hash, w.now); v.MayRead(w.now) {
		to(i, "begins to read the copy", func(n *world) {
			p := &n.procs[i]
			p.read, p.floor = new(replica.Read), n.acked
			if n.v.checkB {
				p.floor = max(n.acked, n.seen)
			}
			p.read.Start(n.rules, target, v, 0, n.now)
		})
	}
}

func (w *world) reads(i int) {
	p := &w.procs[i]
	p.read = p.read.Clone()
	a, ok := p.read.Next()
	if !ok {
		w.trouble = "a read that has not ended asks for nothing"
		return
	}
	var ans replica.Answer
	if a.Do == replica.DoHome {
		ans = w.readHome()
	} else {
		ans = w.host(&a, p)
	}
	before := p.read.Source()
	p.read.Answer(&a, &ans)
	if before == replica.Nowhere && p.read.Source() != replica.Nowhere {
		w.given(i, &ans)
		p.floor = 0
	}
	if next := p.read.Clone(); p.read.Source() != replica.Nowhere {
		if _, more := next.Next(); !more {
			p.read, p.floor = nil, 0
		}
	}
}

// given checks what a read of proxy i gives its client.
func (w *world) given(i int, home *replica.Answer) {
	p := &w.procs[i]
	number := w.applied
	if p.read.Source() == replica.FromCopy {
		c, _ := p.read.Copy()
		number = c.Value[0]
	} else if home.Result != replica.Hit {
		return // a miss is always allowed
	}
	if number < p.floor {
		w.wrong = fmt.Sprintf("a read gives write %d, and began after %d", number, p.floor)
	}
	if w.v.checkB {
		w.seen = max(w.seen, number)
	}
}

// exploration is what explore found.
type exploration struct {
	states  int
	depth   int
	whole   bool // every world that can be reached was
	copies  int  // worlds in which a copy stands
	wrong   string
	trouble bool
	trace   []string
}

// explore visits every world that v allows, the near ones first, until one breaks the promise. Of worlds visited it keeps 128
// bits of a hash.
func explore(v *variant) exploration {
	type node struct {
		parent int32
		move   int16
	}
	seeds := [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	visited := map[[2]uint64]struct{}{}
	var nodes []node
	var e exploration
	var buf []byte
	start := newWorld(v)
	level := []*world{start}
	ids := []int32{0}
	nodes = append(nodes, node{-1, 0})
	for len(level) > 0 {
		var next []*world
		var nextIDs []int32
		for at, w := range level {
			move := int16(-1)
			w.moves(func(_ int, _ string, n *world) {
				move++
				if e.wrong != "" {
					return
				}
				buf = n.encode(buf[:0])
				sum := [2]uint64{maphash.Bytes(seeds[0], buf), maphash.Bytes(seeds[1], buf)}
				if _, old := visited[sum]; old && n.wrong+n.trouble == "" {
					return
				}
				visited[sum] = struct{}{}
				nodes = append(nodes, node{ids[at], move})
				next, nextIDs = append(next, n), append(nextIDs, int32(len(nodes)-1))
				if _, ok := replica.DecodeCopy(n.copy.value, key); ok && n.copy.there {
					e.copies++
				}
				if n.wrong+n.trouble != "" {
					e.wrong, e.trouble = n.wrong+n.trouble, n.trouble != ""
				}
			})
			if e.wrong != "" || len(nodes) > v.most {
				break
			}
		}
		e.states, e.depth = len(nodes), e.depth+1
		if e.wrong != "" || e.states > v.most {
			break
		}
		level, ids = next, nextIDs
	}
	e.whole = e.wrong == "" && e.states <= v.most
	if e.wrong != "" {
		var path []int16
		for id := int32(len(nodes) - 1); id > 0; id = nodes[id].parent {
			path = append(path, nodes[id].move)
		}
		e.trace = replay(start, path)
	}
	return e
}

// take gives the world after a move.
func (w *world) take(move string) *world {
	var taken *world
	w.moves(func(who int, what string, n *world) {
		if said(who, what) == move {
			taken = n
		}
	})
	if taken == nil {
		panic("no such move: " + move)
	}
	return taken
}

func said(who int, what string) string {
	if who == nobody {
		return what
	}
	return fmt.Sprint(who, " ", what)
}

// replay says what happens on a path, of which the last move comes first.
func replay(w *world, path []int16) []string {
	var trace []string
	for at := len(path) - 1; at >= 0; at-- {
		move := int16(-1)
		var taken *world
		w.moves(func(who int, what string, n *world) {
			if move++; move == path[at] {
				trace, taken = append(trace, said(who, what)), n
			}
		})
		w = taken
	}
	return trace
}

func (e *exploration) String() string {
	return fmt.Sprintf("%d states, depth %d, %d with a copy, all: %v, %s\n\t%s", e.states, e.depth, e.copies, e.whole, e.wrong,
		strings.Join(e.trace, "\n\t"))
}
