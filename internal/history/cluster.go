package history

import "fmt"

// A cluster is one write with all reads that found its value, or one delete.
type cluster struct {
	write *Op
	reads []*Op
	prior *cluster // what must stand directly before it: the value that a Swap replaced, or an Append extended
	next  *cluster // what has this one for its prior

	effective bool // it was acknowledged, or seen
}

// clusters sorts out one key's history. Writes of which nobody knows that they had an effect are not in list: they may have had
// none. maybe are those of them that may have brought a value to where there was none. violations are what needs no look at the
// order of things.
func clusters(ops []Op) (list, maybe []*cluster, violations []Violation) {
	c := clustering{writes: map[ID]*cluster{}}
	for i := range ops {
		op := &ops[i]
		switch {
		case op.Kind == Read:
			continue
		case op.Kind == Delete:
			if op.Outcome == Done {
				list = append(list, &cluster{write: op, effective: true})
			}
			continue
		case op.ID == 0 || c.writes[op.ID] != nil:
			c.wrong("a write without an ID of its own: the history itself is wrong", op)
			continue
		}
		w := &cluster{write: op, effective: op.Outcome == Done}
		c.writes[op.ID] = w
		c.order = append(c.order, w)
	}
	for i := range ops {
		if ops[i].Kind == Read {
			c.read(&ops[i])
		}
	}
	for _, w := range c.order {
		if w.effective {
			c.expectation(w)
		}
	}
	for _, w := range c.order {
		switch {
		case w.effective:
			list = append(list, w)
		case w.write.Kind == Write && w.write.Needs != Presence && w.write.Outcome != Refused:
			maybe = append(maybe, w)
		}
	}
	return list, maybe, c.violations
}

type clustering struct {
	writes     map[ID]*cluster
	order      []*cluster // all of writes, as the history has them
	violations []Violation
}

func (c *clustering) wrong(what string, ops ...*Op) {
	v := Violation{Key: ops[0].Key, What: what}
	for _, op := range ops {
		v.Ops = append(v.Ops, *op)
	}
	c.violations = append(c.violations, v)
}

// read puts a read to the write that it saw, and learns from a value of several pieces what was appended to what.
func (c *clustering) read(op *Op) {
	var before *cluster
	for i, id := range op.Pieces {
		w := c.writes[id]
		switch {
		case w == nil:
			c.wrong(fmt.Sprintf("finds %x, which nobody has written", uint64(id)), op)
			return
		case w.write.Outcome == Refused:
			c.wrong("finds a value that was refused", w.write, op)
			return
		case op.Return < w.write.Call:
			c.wrong("finds a value before it was written", w.write, op)
			return
		case (w.write.Kind == Append) != (i > 0):
			c.wrong("finds pieces that cannot stand so", w.write, op)
			return
		}
		w.effective = true
		if before != nil {
			c.follows(w, before, op)
		}
		before = w
	}
	if before != nil {
		before.reads = append(before.reads, op)
	}
}

// follows notes that w stands directly behind prior. op shows it, and may be nil.
func (c *clustering) follows(w, prior *cluster, op *Op) {
	involved := []*Op{prior.write, w.write}
	if op != nil {
		involved = append(involved, op)
	}
	switch {
	case w.prior == prior:
	case w.prior != nil:
		c.wrong("one piece stands behind two different values", append(involved, w.prior.write)...)
	case prior.next != nil:
		c.wrong("two writes have replaced or extended one value", append(involved, prior.next.write)...)
	default:
		w.prior, prior.next = prior, w
	}
}

// expectation puts an effective swap behind the value that it replaced, which was therefore there.
func (c *clustering) expectation(w *cluster) {
	for w.write.Kind == Swap && w.write.Expect != 0 && w.prior == nil {
		prior := c.writes[w.write.Expect]
		if prior == nil {
			c.wrong("has replaced a value that nobody has written", w.write)
			return
		}
		if prior.write.Outcome == Refused {
			c.wrong("has replaced a value that was refused", prior.write, w.write)
			return
		}
		c.follows(w, prior, nil)
		prior.effective = true
		if w.prior == nil {
			return
		}
		w = prior
	}
}

// first is the operation of the cluster that surely ended first.
func (w *cluster) first() *Op {
	best := w.write
	for _, r := range w.reads {
		if r.ends() < best.ends() {
			best = r
		}
	}
	return best
}

// last is the operation of the cluster that was called last.
func (w *cluster) last() *Op {
	best := w.write
	for _, r := range w.reads {
		if r.Call > best.Call {
			best = r
		}
	}
	return best
}
