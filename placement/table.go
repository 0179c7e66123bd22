package placement

import (
	"fmt"
	"slices"
	"sync/atomic"

	"mcproxy/backend"
	"mcproxy/internal/epoll"
	"mcproxy/placement/quarantine"
	"mcproxy/ring"
)

// OnDown says where the keys of a backend that is down are looked for.
type OnDown uint8

// The values of OnDown.
const (
	OnDownFail   OnDown = iota // "fail": nowhere; calls fail at once
	OnDownEject                // "eject": on the ring's next backend
	OnDownGutter               // "gutter": in a spare pool
)

func (o OnDown) String() string {
	switch o {
	case OnDownFail:
		return "fail"
	case OnDownEject:
		return "eject"
	case OnDownGutter:
		return "gutter"
	}
	return fmt.Sprintf("OnDown(%d)", uint8(o))
}

// A Table places the keys of a pool.
type Table struct {
	// Immutable after New, but for spare, which is set before the table is used.
	ring     ring.Ring
	backends []*backend.Backend
	onDown   OnDown
	maxDown  int    // so many backends are out at most
	spare    *Table // OnDownGutter's

	// For tests alone; set them before the table is used.
	Mutant Mutant
	Rule   quarantine.Mutant
	Random func() uint64 // nil: crypto/rand

	notify func(Event) // immutable; nil: nobody is told
	former *Table      // whose place it takes; nil: nobody's, or it has

	away    atomic.Int64         // until which Kernel.Elapsed view holds
	stands  []atomic.Uint32      // by backend: its quarantine.Standing
	divided atomic.Uint64        // how often other proxies judged otherwise
	view    atomic.Pointer[View] // nil: nobody is out
	strays  []strays             // by the backend whose keys they are
	kicked  atomic.Bool          // look will come
	moves   atomic.Uint64        // changes of the view
	keeping atomic.Pointer[epoll.Loop]

	// Owned by keeping.
	alarm   *epoll.Alarm
	gates   []*gate // by backend; none if keys do not move
	retired bool
	waits   []int64 // by backend: its place in the row of those that went down; 0: it is up
	last    int64   // the last place given
	moving  []batch // strays that are not in a journal yet
}

// New makes the table of a pool whose ring places keys on backends. maxDown of them are out at most; what goes down beyond that
// fails as with OnDownFail, so that the rest is not flooded. 0: half of them.
func New(r ring.Ring, backends []*backend.Backend, onDown OnDown, maxDown int) *Table {
	if maxDown == 0 {
		maxDown = max(1, len(backends)/2)
	}
	if onDown == OnDownEject { // somebody must be there to stand in
		maxDown = min(maxDown, len(backends)-1)
	}
	t := &Table{ring: r, backends: backends, onDown: onDown, maxDown: maxDown}
	t.strays = make([]strays, len(backends))
	t.waits = make([]int64, len(backends))
	t.stands = make([]atomic.Uint32, len(backends))
	for i, b := range backends {
		t.strays[i].limit, t.strays[i].t = b.Options().JournalLimit, t
		if onDown != OnDownFail && !b.Kept() { // it is new, and nobody has asked the other proxies yet
			b.SetLease(backend.LeaseEnded)
		}
	}
	return t
}

// Succeed says whose place the table takes, at the latest when that is retired: what was agreed with other proxies goes on. nil: nobody's.
func (t *Table) Succeed(former *Table) { t.former = former }

// SetNotify has notify told of what proxies agree upon, from the loop that keeps the table; it must not block. Call it before Keep.
func (t *Table) SetNotify(notify func(Event)) { t.notify = notify }

// SetSpare names the table of the pool that stands in, for OnDownGutter.
func (t *Table) SetSpare(spare *Table) { t.spare = spare }

// Spared says whether SetSpare was called.
func (t *Table) Spared() bool { return t.spare != nil }

// Nodes is how many values a Spot's node can have: the pool's backends, then those of the spare pool.
func (t *Table) Nodes() int {
	if t.spare == nil {
		return len(t.backends)
	}
	return len(t.backends) + len(t.spare.backends)
}

// Backend gives the backend of a node.
func (t *Table) Backend(node int) *backend.Backend {
	if n := len(t.backends); node >= n {
		return t.spare.backends[node-n]
	}
	return t.backends[node]
}

// A View is which backends are out, at a moment. It is immutable.
type View struct {
	t    *Table
	out  []bool              // by backend
	dead func(node int) bool // out, as the ring asks for it
	n    int                 // how many are out
}

func (t *Table) newView(out []bool) *View {
	v := &View{t: t, out: out}
	v.dead = func(node int) bool { return v.out[node] }
	for _, o := range out {
		if o {
			v.n++
		}
	}
	return v
}

// Out gives which backends are out now, by their index; nil: none is.
func (t *Table) Out() []bool {
	if v := t.view.Load(); v != nil {
		return v.out
	}
	return nil
}

// A Spot is where a key is to be looked for now.
type Spot struct {
	Node int   // index of a backend, see Table.Backend
	view *View // nil: it is the ring's node for the key
}

// Spot places a key.
func (t *Table) Spot(key []byte) Spot {
	node := t.ring.Lookup(key)
	if v := t.view.Load(); v != nil && v.out[node] {
		return v.standIn(key, node)
	}
	return Spot{Node: node}
}

// standIn places a key whose node is out. If the ring has none for it, it stays there, where calls fail.
func (v *View) standIn(key []byte, home int) Spot {
	t := v.t
	if t.onDown == OnDownGutter {
		return Spot{Node: len(t.backends) + t.spare.ring.Lookup(key), view: v}
	}
	if node := t.ring.LookupAlive(key, v.dead); node >= 0 {
		return Spot{Node: node, view: v}
	}
	return Spot{Node: home}
}

// Current says whether the spot is still where the key is looked for.
func (t *Table) Current(s Spot, key []byte) bool { return t.Spot(key) == s }

// Away says whether the spot is a stand-in's.
func (s Spot) Away() bool { return s.view != nil }

// Spare says whether it is in the spare pool.
func (s Spot) Spare() bool { return s.view != nil && s.Node >= len(s.view.t.backends) }

// Leave notes, at the Loop time now, that a key is going to be written at a stand-in: it becomes a stray there some day, and has to be
// deleted on the backends that are passed over. It is false if that cannot be noted: then the key must not be written, and the
// backend that it belongs on will be held.
func (s Spot) Leave(key []byte, now int64) bool {
	v := s.view
	noted := true
	if v.t.Mutant == LeavesNoNote {
		return true
	}
	v.passed(key, func(node int) {
		b := v.t.backends[node]
		if !v.t.strays[node].add(s.Node, key) || !b.Owe(key, now) {
			b.Overflow()
			noted = false
		}
	})
	return noted
}

// passed calls fn for each backend that a key is not looked for on because it is out, in the ring's order.
func (v *View) passed(key []byte, fn func(node int)) {
	node := v.t.ring.Lookup(key)
	if v.n == 1 || v.t.onDown == OnDownGutter {
		fn(node)
		return
	}
	var tried []int
	for node >= 0 && v.out[node] {
		fn(node)
		tried = append(tried, node)
		node = v.t.ring.LookupAlive(key, func(n int) bool {
			return slices.Contains(tried, n)
		})
	}
}

// Arrived is called when a write to a stand-in was carried out, before its client hears of it. If the view has changed meanwhile the
// key may be read elsewhere already, and what was written is a stray.
func (s Spot) Arrived(key []byte, now int64) {
	t := s.view.t
	if t.view.Load() == s.view {
		return
	}
	if b := t.Backend(s.Node); !b.Regret(key, now, 1) {
		b.Overflow()
	}
}
