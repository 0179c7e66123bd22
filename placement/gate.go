package placement

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/epoll"
	"mcproxy/placement/quarantine"
	"mcproxy/protocol"
)

// A gate is the process's part in the agreement of all proxies on one backend of a table: package quarantine says what is agreed. It asks
// the backend for the item all the time, on a conn of its own, and the loop that keeps the table owns it.
//
//	alarm ─► poll ─┬─► answer ─► the member's step ─┬─► none ─► wait for the alarm
//	          ▲    └─► no answer: another conn      └─► store ─┐
//	          └────────────────────────────────────────────────┘
//	what follows from it: the backend's lease, and Table.look
type gate struct {
	t      *Table
	node   int
	b      *backend.Backend
	pipe   *backend.Pipeline
	rules  quarantine.Rules
	member *quarantine.Member

	busy    bool  // a poll or a step is under way
	refused int   // steps that the backend would not store, one after the other
	next    int64 // Loop time of the next poll
	sent    int64 // Kernel.Elapsed when the last was sent
	skew    int64 // Kernel.Elapsed beyond Kernel.Now

	standing quarantine.Standing
	until    int64 // and how long it lasts, by Kernel.Elapsed

	handover uint64    // that was seen; 0: there is none
	drained  int64     // Loop time from which on nothing is under way that was sent elsewhere before it
	lying    []lyingAt // what was written elsewhere, and may not have been deleted there yet
}

// lyingAt is a key that lies where it does not belong.
type lyingAt struct {
	b   *backend.Backend
	key string
}

// mostRefused is how often a backend may refuse to store the item before it counts as unable to.
const mostRefused = 20

// lyingPerLook is how many of them are looked at in one turn of the loop.
const lyingPerLook = 2048

func (t *Table) newGate(node int) *gate {
	b := t.backends[node]
	g := &gate{t: t, node: node, b: b}
	g.rules.Patience = patience(b)
	g.rules.Mutant = t.Rule
	keys, _ := b.Journal()
	g.member = quarantine.NewMember(&g.rules, t.random()|1, keys > 0 || b.Overflowed())
	if b.Lease() == backend.NoLease {
		b.SetLease(backend.LeaseEnded)
	}
	return g
}

// random draws what names things.
func (t *Table) random() uint64 {
	if t.Random != nil {
		return t.Random()
	}
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return binary.BigEndian.Uint64(b[:])
}

// keep begins to poll.
func (g *gate) keep(loop *epoll.Loop) {
	g.pipe = backend.NewQuery(g.b, loop)
	g.skew = loop.Kernel.Elapsed() - loop.Kernel.Now()
	g.busy, g.next = false, 0
}

// succeed takes over what the gate of the same backend in another table knew.
func (g *gate) succeed(former *Table) {
	for _, o := range former.gates {
		if o.b == g.b {
			g.member, g.lying, g.skew = o.member, o.lying, o.skew
			g.member.Succeed(&g.rules)
		}
	}
}

// serves says whether the backend's keys are looked for on it, or nowhere.
func (g *gate) serves() bool {
	if g.standing == quarantine.Alone {
		return g.b.State() == backend.StateUp
	}
	return g.standing != quarantine.Away
}

// close ends the polls. What is known stays with the member, for a gate that succeeds this one.
func (g *gate) close() {
	if g.pipe != nil {
		g.pipe.Close()
	}
}

// turn does what is due, and gives when to look again.
func (g *gate) turn(now int64) (next int64) {
	g.refresh()
	if !g.busy && now >= g.next {
		g.poll(now)
	}
	if g.busy {
		return 0
	}
	return g.next
}

// elapsed is the time by which it is judged how old knowledge is.
func (g *gate) elapsed() int64 {
	k := g.t.keeping.Load().Kernel
	elapsed := k.Elapsed()
	if skew := elapsed - k.Now(); skew-g.skew > int64(time.Millisecond) { // less is between the two readings
		g.member.Skipped(skew - g.skew)
		g.skew = skew
	}
	return elapsed
}

// refresh has everybody know what follows from what is known now.
func (g *gate) refresh() {
	was := g.standing
	g.standing, g.until = g.member.Standing(g.elapsed())
	lease := backend.LeaseEnded
	switch g.standing {
	case quarantine.Home:
		lease = g.until
	case quarantine.Alone:
		lease = backend.NoLease
	}
	g.b.SetLease(lease)
	if g.member.Divided() {
		g.t.divided.Add(1)
		g.t.tell(g, true)
	}
	g.t.stands[g.node].Store(uint32(g.standing))
	if g.standing != was {
		g.t.tell(g, false)
		g.t.look()
	}
	g.t.holdAway()
}

func (g *gate) request(verb protocol.Verb, flags []byte, value []byte) *protocol.Request {
	key := []byte(quarantine.Key)
	req := &protocol.Request{Verb: verb, Key: key, RawKey: key, MetaFlags: flags, ValueLen: -1}
	if verb == protocol.MetaSet {
		req.Value, req.ValueLen = value, len(value)
	}
	return req
}

// poll asks for the item.
func (g *gate) poll(now int64) {
	g.next = now + g.rules.Poll()
	g.sent = g.elapsed()
	g.busy = true
	if err := g.pipe.Query((*asked)(g), g.request(protocol.MetaGet, []byte("v c"), nil), 0, g.rules.Patience); err != nil {
		g.failed()
	}
}

// failed takes a poll without an answer. The next goes on another conn: what is lost on this one may be sent again late.
func (g *gate) failed() {
	g.member.Failed(g.sent, g.elapsed())
	g.again()
}

// again has the next poll go on another conn.
func (g *gate) again() {
	loop := g.t.keeping.Load()
	loop.Post(func() {
		if g.t.retired {
			return
		}
		g.pipe.HangUp()
		g.busy = false
		g.t.wake(g.turn(loop.Now))
	})
}

// asked waits for the item.
type asked gate

// Answer takes it.
func (a *asked) Answer(c *backend.Call, r *protocol.Response, _ []byte) error {
	g := (*gate)(a)
	ans := quarantine.Answer{Result: quarantine.Refused, Conn: c.ConnID()}
	switch r.Status {
	case protocol.StatusHit, protocol.StatusOK:
		ans.Result, ans.Value, ans.CAS = quarantine.Found, r.Value, casOf(r.Line)
	case protocol.StatusMiss, protocol.StatusNotFound:
		ans.Result = quarantine.Missing
	case protocol.StatusError, protocol.StatusClientError:
		ans.Result = quarantine.Unable
	}
	g.busy = false
	switch version := g.b.Version(); {
	case version == "": // its keeper will ask
		g.t.wake(g.next)
		return nil
	case !backend.SpeaksMeta(version): // it may speak a dialect of it
		ans.Result = quarantine.Unable
	case ans.Result == quarantine.Missing && g.refused >= mostRefused:
		ans.Result = quarantine.Unable
	}
	g.member.Polled(&ans, g.sent, g.elapsed())
	g.refresh()
	g.step()
	return nil
}

// Fail is for a poll that was not answered in time.
func (a *asked) Fail(_ *backend.Call, _ []byte, err *backend.Error) {
	g := (*gate)(a)
	if g.t.retired {
		return
	}
	g.failed()
}

// casOf reads the c flag of a meta answer.
func casOf(line []byte) (cas uint64) {
	code, rest := protocol.NextKey(line)
	if string(code) == "VA" {
		_, rest = protocol.NextKey(rest)
	}
	for f, arg, rest := protocol.NextFlag(rest); f != 0; f, arg, rest = protocol.NextFlag(rest) {
		if f == 'c' {
			cas, _ = strconv.ParseUint(string(arg), 10, 64)
		}
	}
	return cas
}

// step takes the member's next step.
func (g *gate) step() {
	loop := g.t.keeping.Load()
	local := quarantine.Local{Ready: g.b.State() == backend.StateUp, Clean: g.clean(loop.Now)}
	s := g.member.Next(g.t.random(), local, g.elapsed())
	if s.Value == nil {
		g.t.wake(g.next)
		return
	}
	flags := []byte("ME")
	if !s.Add {
		flags = strconv.AppendUint([]byte("C"), s.CAS, 10)
	}
	g.busy = true
	if err := g.pipe.Query((*stored)(g), g.request(protocol.MetaSet, flags, s.Value), s.Conn, g.rules.Patience); err != nil {
		g.again()
	}
}

// stored waits for a step to be stored.
type stored gate

// Answer looks at once what stands there now, unless the backend would not have it.
func (s *stored) Answer(_ *backend.Call, r *protocol.Response, _ []byte) error {
	g := (*gate)(s)
	g.busy = false
	switch r.Status {
	case protocol.StatusOK, protocol.StatusExists, protocol.StatusNotStored, protocol.StatusNotFound:
		g.refused, g.next = 0, 0
		g.t.wake(1)
	default:
		g.refused++
		g.t.wake(g.next)
	}
	return nil
}

// Fail leaves it to the next poll to see what became of the item.
func (s *stored) Fail(*backend.Call, []byte, *backend.Error) {
	g := (*gate)(s)
	if g.t.retired {
		return
	}
	g.again()
}

// clean says whether all that was written elsewhere before the present handover is deleted there, and what was noted for it here.
func (g *gate) clean(now int64) bool {
	h := g.member.Handover()
	if h != g.handover {
		g.handover = h
		g.drained = now + int64(g.b.Options().Timeout) + int64(100*time.Millisecond) // a busy loop may be late
	}
	if h == 0 || now < g.drained || g.t.isMoving(g.node) || g.t.strays[g.node].count() > 0 || g.b.OwesFrom(g.drained) {
		return false
	}
	for range lyingPerLook {
		if len(g.lying) == 0 {
			g.lying = nil
			return true
		}
		if g.lies(g.lying[0]) {
			return false
		}
		g.lying = g.lying[1:]
	}
	return false
}

// lies says whether a key may still lie where it was written. Where that is not used itself, it is deleted before it will be.
func (g *gate) lies(l lyingAt) bool {
	if !l.b.Owes(l.key) {
		return false
	}
	for _, o := range g.t.gates {
		switch {
		case o.b != l.b || o.standing == quarantine.Alone:
		case o.standing == quarantine.Home:
			return true
		default:
			o.member.Dirty()
			return false
		}
	}
	return l.b.State() == backend.StateUp
}

// lies notes that a key of a backend's is to be deleted where it was written.
func (t *Table) lies(home, node int, key string) {
	if g := t.gates[home]; g.standing != quarantine.Alone {
		g.lying = append(g.lying, lyingAt{t.Backend(node), key})
	}
}

// holdAway renews until when keys are looked for elsewhere: as long as that is right for all backends that are out.
func (t *Table) holdAway() {
	until := int64(math.MaxInt64)
	if v := t.view.Load(); v != nil {
		for i, g := range t.gates {
			switch {
			case !v.out[i] || g.standing == quarantine.Alone:
			case g.standing == quarantine.Away:
				until = min(until, g.until)
			default:
				until = math.MinInt64
			}
		}
	}
	t.away.Store(until)
}

// Holds says whether a spot that is away is right still, or was at a time since it was given. elapsed is a Kernel.Elapsed.
func (s Spot) Holds(elapsed int64) bool {
	t := s.view.t
	return t.view.Load() == s.view && elapsed < t.away.Load()
}

// awaitMore is how much longer than it should take Await waits.
const awaitMore = 500 * time.Millisecond

// Await waits until it is known of all backends where their keys are looked for, but no longer than that takes from began on when a backend
// answers and all proxies use it: who is asked before has to refuse. Call it after Keep.
func (t *Table) Await(ctx context.Context, began time.Time) {
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for i, b := range t.backends {
		rules := quarantine.Rules{Patience: patience(b)}
		for t.Standing(i) == quarantine.None && time.Since(began) < time.Duration(rules.Watch())+awaitMore {
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
			}
		}
	}
}

// patience is how long a poll of a backend may take.
func patience(b *backend.Backend) int64 {
	return min(max(int64(b.Options().Timeout), quarantine.LeastPatience), quarantine.MostPatience)
}
