package pool_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"mcproxy/pool/copies"
)

// A checker judges the history of a pair.
//
// Promised, for each key: a value that is read is exactly one that was written (or one that appends made), with its own flags; the
// requests that were answered can be put into an order, each between its begin and its end, in which they make sense; those that
// failed, or were never answered, took effect at one moment after their begin, or never. So no read is older than a write
// that was acknowledged before it began. A wasGone makes sense always, for memcached forgets, but in a run without faults it does not.
// Beyond that, whose write failed in a proxy never gets an older value from that proxy afterwards, and the failed write's own value does not
// replace what that proxy was asked to write later: the journal's promise.
type checker struct {
	strict bool // nothing was forgotten
	ops    []*pairOp
	tokens map[string]*pairOp
}

// check gives what is wrong with a history, or "".
func (w *pair) check() string {
	c := checker{strict: w.plan.faults == 0, ops: w.history, tokens: make(map[string]*pairOp, len(w.history))}
	for _, o := range c.ops {
		if o.token != "" {
			c.tokens[o.token] = o
		}
	}
	for _, o := range c.ops {
		patient := w.plan.away != nil || w.plan.copy != nil && w.plan.copy.patient
		if limit := 2*250*time.Millisecond + 10*time.Millisecond; !patient && o.end != 0 && o.ended-o.began > int64(limit) {
			return fmt.Sprintf("a client waited %v: %v", time.Duration(o.ended-o.began), o)
		}
		if wrong := c.whole(o); wrong != "" {
			return wrong
		}
	}
	if wrong := c.uniques(); wrong != "" && !w.plan.recounts {
		return wrong
	}
	byKey := slices.Clone(c.ops)
	slices.SortStableFunc(byKey, func(a, b *pairOp) int { return cmp.Compare(a.key, b.key) })
	for len(byKey) > 0 {
		n := slices.IndexFunc(byKey, func(o *pairOp) bool { return o.key != byKey[0].key })
		if n < 0 {
			n = len(byKey)
		}
		if wrong := c.stale(byKey[:n]); wrong != "" {
			return wrong
		}
		if wrong := c.outlived(byKey[:n]); wrong != "" {
			return wrong
		}
		if !w.plan.recounts && !c.ordered(w.forward(byKey[:n])) { // else a swap may put what belongs to one item in the place of another
			return fmt.Sprintf("no order of the requests of key %c makes sense", byKey[0].key)
		}
		byKey = byKey[n:]
	}
	return ""
}

// forward gives the requests of a key that must make sense in one order: all, unless reads of copies may go back in time. Then those are left
// out.
func (w *pair) forward(ops []*pairOp) []*pairOp {
	if c := w.plan.copy; c == nil || c.mode == copies.Strict && c.gentle {
		return ops
	}
	return slices.DeleteFunc(slices.Clone(ops), func(o *pairOp) bool { return o.effect == reads && strings.HasPrefix(o.line, "get") })
}

// parts gives the writes that made a value; nil: it is none.
func (c *checker) parts(value string) (ops []*pairOp) {
	for value != "" {
		end := strings.IndexByte(value, '>') + 1
		o := c.tokens[value[:end]]
		if o == nil || (o.effect == appends) != (len(ops) > 0) {
			return nil
		}
		ops = append(ops, o)
		value = value[end:]
	}
	return ops
}

// whole says what is wrong with an answer taken by itself.
func (c *checker) whole(o *pairOp) string {
	if o.outcome == senseless || o.outcome == exists && o.effect != swaps {
		return fmt.Sprintf("no answer to the request: %v", o)
	}
	if o.outcome != wasThere {
		return ""
	}
	parts := c.parts(o.value)
	if parts == nil {
		return fmt.Sprintf("nobody wrote this value: %v", o)
	}
	for _, p := range parts {
		if p.key != o.key || p.start > o.end {
			return fmt.Sprintf("another key's value, or a later one: %v", o)
		}
	}
	if parts[0].flags != o.flags {
		return fmt.Sprintf("flags %d of another value: %v", o.flags, o)
	}
	return ""
}

// uniques says where a cas number stood for two values.
func (c *checker) uniques() string {
	type name struct {
		key    byte
		unique uint64
	}
	values := make(map[name]*pairOp)
	for _, o := range c.ops {
		if o.unique == 0 || o.outcome != wasThere && (o.outcome != done || o.effect != sets && o.effect != adds) {
			continue
		}
		at := name{o.key, o.unique}
		if first := values[at]; first != nil && first.result() != o.result() {
			return fmt.Sprintf("one cas number, two values:\n%v\n%v", first, o)
		}
		values[at] = o
	}
	return ""
}

// result is the value that a request read or put there.
func (o *pairOp) result() string {
	if o.outcome == wasThere {
		return o.value
	}
	return o.token
}

// stale gives the first read of a value that an acknowledged write had replaced before, or one that failed in the same process.
func (c *checker) stale(ops []*pairOp) string {
	for _, r := range ops {
		if r.outcome != wasThere {
			continue
		}
		parts := c.parts(r.value)
		for _, o := range ops {
			if o.end == 0 || o.end >= r.start || slices.Contains(parts, o) || !o.replaced(parts, r) {
				continue
			}
			if over := func(s *pairOp) bool { return s.overBefore(o) }; slices.IndexFunc(parts, func(s *pairOp) bool { return !over(s) }) < 0 {
				return fmt.Sprintf("stale:\n%v\nwas replaced by\n%v\nand still read by\n%v", parts[len(parts)-1], o, r)
			}
		}
	}
	return ""
}

// outlived gives the first read of a value whose time was over.
func (c *checker) outlived(ops []*pairOp) string {
	for _, r := range ops {
		if r.outcome != wasThere {
			continue
		}
		parts := c.parts(r.value)
		limit := parts[0].until()
		for _, o := range ops {
			if o.effect == touches && o.start < r.end {
				limit = max(limit, o.until())
			}
		}
		grace := int64(time.Second) * int64(1+2*len(parts[1:])) // memcached counts whole seconds, and each append asks for what is left
		if limit < math.MaxInt64-grace && r.began > limit+grace {
			return fmt.Sprintf("outlived its time, %s: %v", clock(limit), r)
		}
	}
	return ""
}

// until is when an item that a request stored or touched expires, at the latest.
func (o *pairOp) until() int64 {
	if o.end == 0 || o.outcome == unknown || o.ttl == 0 {
		return math.MaxInt64
	}
	return o.ended + int64(o.ttl)*int64(time.Second)
}

// replaced says whether a write that has ended leaves nothing of the value of those parts for a later read.
func (o *pairOp) replaced(parts []*pairOp, r *pairOp) bool {
	switch {
	case o.effect == reads || o.effect == touches:
		return false
	case o.outcome == done || o.effect == deletes && o.outcome == wasGone:
		return true
	case o.effect == adds || o.effect == appends || !o.failed || o.proc != r.proc:
		return false
	case strings.Contains(o.answer, "timed out"):
		return true
	}
	// If it was turned away because of an earlier failed write, that one's delete may have been carried out already: then what
	// another process wrote in between stays.
	return !slices.ContainsFunc(parts, func(s *pairOp) bool { return s.proc != o.proc })
}

// overBefore says whether a write had its effect, if any, before another request began.
func (o *pairOp) overBefore(later *pairOp) bool {
	return o.end != 0 && o.end < later.start && (o.outcome == done || o.failed && o.proc == later.proc)
}

// ordered says whether an order of one key's requests makes sense.
func (c *checker) ordered(ops []*pairOp) bool {
	open := 0
	for _, o := range ops {
		if o.outcome == unknown && !o.idle(c.strict) {
			open++
		}
	}
	m := register{strict: c.strict}
	operations := make([]porcupine.Operation, 0, len(ops))
	for _, o := range ops {
		op := porcupine.Operation{Input: o, Call: int64(o.start), Return: int64(o.end)}
		if o.outcome == unknown {
			if o.idle(c.strict) {
				continue
			}
			if open > 3 && !c.seen(o) { // an order of so many is not to be searched for
				m.wild = true
				continue
			}
			op.Return = math.MaxInt64
		}
		operations = append(operations, op)
	}
	return porcupine.CheckOperations(porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) { return m.step(state.(string), input.(*pairOp)) },
	}, operations)
}

// idle says whether a request whose outcome is unknown explains no answer to another.
func (o *pairOp) idle(strict bool) bool {
	return o.effect == reads || o.effect == touches || o.effect == deletes && !strict
}

// seen says whether somebody read what a write put there.
func (c *checker) seen(o *pairOp) bool {
	return slices.ContainsFunc(c.ops, func(r *pairOp) bool { return r.outcome == wasThere && strings.Contains(r.value, o.token) })
}

// A register is what one key does: a value, or none ("").
type register struct {
	strict bool // it forgets nothing
	wild   bool // there are writes of which nobody knows whether they took effect, and nobody read the values: at any time there may be one
}

// unseen is a value of which only is known that nobody read it.
const unseen = "?"

// step says whether a request, with the answer that it got, makes sense when the key has a value, and what it has then.
func (m *register) step(value string, o *pairOp) (ok bool, after string) {
	absent := value == ""
	present := !absent || m.wild
	switch o.outcome {
	case wasThere:
		return value == o.value, value
	case wasGone:
		if o.effect == deletes {
			return absent || !m.strict, ""
		}
		return absent || !m.strict, value
	case refused: // of adds there is a value, of the others there is none
		return o.effect == adds && present || o.effect != adds && (absent || !m.strict), value
	case exists:
		return !absent && value != o.expect || m.wild, value
	}
	after = o.token
	ok = true
	switch o.effect {
	case adds:
		ok = absent || !m.strict
	case replaces:
		ok = present
	case appends:
		if ok, after = present, value+o.token; absent {
			after = unseen
		}
	case swaps:
		ok = value == o.expect
	case deletes:
		ok, after = present, ""
	case touches:
		ok, after = present, value
	}
	if o.outcome == unknown && !ok { // it found what it could not change
		return true, value
	}
	return ok, after
}

func (o *pairOp) String() string {
	answer := "nothing"
	if o.end != 0 {
		answer = fmt.Sprintf("%q at %s", o.answer, clock(o.ended))
	}
	return fmt.Sprintf("%s client %d through %v: %q heard %s", clock(o.began), o.client, o.proc, o.line, answer)
}

func clock(at int64) string { return fmt.Sprintf("%.6fs", float64(at)/1e9) }

// story tells a run.
func (w *pair) story() string {
	lines := make([]note, 0, len(w.history)+len(w.notes))
	for _, o := range w.history {
		lines = append(lines, note{o.began, o.String()})
	}
	for _, n := range w.notes {
		lines = append(lines, note{n.at, clock(n.at) + " * " + n.text})
	}
	slices.SortStableFunc(lines, func(a, b note) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	fmt.Fprintf(&b, "%d servers, %d workers a proxy, %d faults\n", w.plan.servers, w.plan.workers, w.plan.faults)
	for i, cfg := range w.plan.configs {
		fmt.Fprintf(&b, "proxy%d: coalescing %v, on_error %v, split %+v\n", i+1, cfg.Coalesce, cfg.OnError, cfg.Split)
	}
	for i, n := range lines {
		if i > 0 && n.text == lines[i-1].text {
			continue // a request of several keys
		}
		b.WriteString(n.text + "\n")
	}
	return b.String()
}
