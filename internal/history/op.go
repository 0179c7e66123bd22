package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// An ID names what one write wrote, among all writes of a history. 0 names none.
type ID uint64

// Kind is what an operation does to its key.
type Kind uint8

const (
	Read   Kind = iota // any retrieval
	Write              // writes a value, whatever was there: set, and add and replace if they did it
	Swap               // writes a value in the place of the one named by Expect: cas
	Append             // adds a piece behind the value that is there
	Delete             // takes the value away: delete, and flush_all for each key
)

// Outcome is how an operation ended.
type Outcome uint8

const (
	Done    Outcome = iota // acknowledged
	Refused                // answered: it changed nothing
	Failed                 // answered, with a failure: it may take effect from its call on, once, or never
	Lost                   // not answered: the same
)

// Needs is what a write must find under its key.
type Needs uint8

// A write that was acknowledged has found what it needs. Search looks at Presence; absence proves nothing, since a cache forgets.
const (
	Anything Needs = iota
	Presence       // a value: replace, append
	Absence        // none, so that it never replaces one: add
)

// Op is one operation on one key. A Read that found nothing needs no Op: a miss never contradicts.
type Op struct {
	Client  int
	Key     string
	Verb    string // as it was sent, for people
	Kind    Kind
	Outcome Outcome
	Needs   Needs

	ID     ID     // what a write writes
	Expect ID     // Swap: the value that it was to replace; 0 if that is not known, and then it is a Write
	Pieces []ID   // Read: what it found, see Decode; none is a miss
	CAS    uint64 // the item's number, for people

	Call   int64
	Return int64 // of writes that Failed or were Lost: when that was known

	floor int64 // Stream: at the call
}

// value is the ID of what a Read found.
func (op *Op) value() ID {
	if len(op.Pieces) == 0 {
		return 0
	}
	return op.Pieces[len(op.Pieces)-1]
}

// String is the operation in a line.
func (op *Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%.6f, %.6f] client %d %s %s", float64(op.Call)/1e9, float64(op.Return)/1e9, op.Client, op.Verb, op.Key)
	if op.ID != 0 {
		fmt.Fprintf(&b, " writes %x", uint64(op.ID))
	}
	if op.Expect != 0 {
		fmt.Fprintf(&b, " in place of %x", uint64(op.Expect))
	}
	if op.Kind == Read {
		fmt.Fprintf(&b, " finds %x", op.Pieces)
	} else {
		b.WriteString([...]string{" done", " refused", " failed", " lost"}[op.Outcome])
	}
	if op.CAS != 0 {
		fmt.Fprintf(&b, " cas %d", op.CAS)
	}
	return b.String()
}

// ends is when the operation surely has had its effect, if it has one at all.
func (op *Op) ends() int64 {
	if op.Kind != Read && op.Outcome >= Failed {
		return math.MaxInt64
	}
	return op.Return
}

// A Violation is what cannot be, with the operations that show it.
type Violation struct {
	Key  string
	What string
	Ops  []Op
}

// String is the violation with its operations, in several lines.
func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", v.Key, v.What)
	for i := range v.Ops {
		b.WriteString("\n    ")
		b.WriteString(v.Ops[i].String())
	}
	return b.String()
}

// ByKey divides a history by keys, each part in the order of the calls.
func ByKey(ops []Op) map[string][]Op {
	keys := map[string][]Op{}
	for _, op := range ops {
		keys[op.Key] = append(keys[op.Key], op)
	}
	for _, list := range keys {
		slices.SortStableFunc(list, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	}
	return keys
}

// Around picks from one key's history the operations that v names and at most n others that ran at the same time or
// between them, in the order of their calls.
func Around(ops []Op, v Violation, n int) []Op {
	from, to := int64(math.MaxInt64), int64(math.MinInt64)
	for i := range v.Ops {
		from, to = min(from, v.Ops[i].Call), max(to, v.Ops[i].Return)
	}
	named := func(op *Op) bool {
		return slices.ContainsFunc(v.Ops, func(o Op) bool {
			return o.Client == op.Client && o.Call == op.Call && o.Kind == op.Kind && o.ID == op.ID
		})
	}
	var list []Op
	for i := range ops {
		if op := &ops[i]; op.Return >= from && op.Call <= to && (named(op) || n > 0) {
			if !named(op) {
				n--
			}
			list = append(list, *op)
		}
	}
	return list
}
