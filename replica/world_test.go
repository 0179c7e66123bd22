package replica_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"mcproxy/protocol"
	"mcproxy/replica"
)

// The model: a home and one host of copies, one key, two proxies. Servers are as simple as they can be; the proxies are the
// package's own machines. A world is never changed once it was reached: whoever goes on from it copies what changes.

// variant says what may happen in a model.
type variant struct {
	name    string
	roles   [2]string // of the proxies: k keeps the guard, r reads, w writes; all of them look at the guard
	mode    replica.Mode
	checkB  bool // B is checked, under its condition that no write is applied later than a lease after its proxy looked at the guard
	writes  int  // of the clients', in all
	deletes bool // the last write is a delete
	faults  faults
	budget  int  // faults in all
	polls   bool // what the second proxy's poll shows is heard of later
	raw     bool // worlds are told apart by cas numbers of earlier lives too
	mutant  replica.Mutant
	most    int      // states
	active  bool     // the key is active from the start
	begun   []string // moves that come first, then
}

// does says whether a proxy has a role.
func (v *variant) does(i int, role byte) bool { return strings.IndexByte(v.roles[i], role) >= 0 }

// faults says how often each may happen.
type faults struct {
	guard, home, host byte // loss of the guard, restarts
	late              byte // writes whose proxy dies, or does not wait for the home's answer
	evicted           byte // losses of what stands under the copy's key
}

var (
	key    = []byte("k")
	target = replica.Target{Key: key, Hash: replica.HashOf(key), Hosts: 1}
)

// item is what a server has under one key.
type item struct {
	there bool
	value []byte
	flags uint32
	cas   uint64
}

type world struct {
	v     *variant
	rules *replica.Rules
	now   int64

	guard    item // on the home
	present  bool // the key's item there: its value is the number of the write that was applied last
	applied  byte // writes that were applied
	homeLife uint64
	copy     item // on the host
	hostLife uint64
	procs    [2]proc

	late    byte // writes on their way to the home whose proxies are gone
	writes  byte // that were begun
	acked   byte // the last write that was acknowledged, in the order in which they were applied
	seen    byte // the last that a read gave
	faults  faults
	budget  int
	wrong   string
	trouble string // a machine did what it never should
}

// proc is a proxy: a keeper, and one write, one read and one clean at a time.
type proc struct {
	keeper *replica.Keeper
	polled *polled // an answer that did not come yet

	clean     *replica.Write
	cleanStep replica.Step

	write  *replica.Write
	lock   *locking // of the write: the host is in the midst of it
	way    way
	answer replica.Answer // of the home, if the write is applied
	number byte           // of the write, when it is applied

	read  *replica.Read
	floor byte // what the read must not be older than
}

// A locking is a DoLock of which the host has carried out some commands, and others may come between.
type locking struct {
	ask  replica.Ask
	done int
	life uint64 // of the host, when it began
}

type polled struct {
	answer replica.Answer
	sent   int64
}

// way is where a write's request to the home is.
type way byte

const (
	notSent way = iota
	sent
	isApplied
	settled
)

const (
	lease = 1
	wait  = 1 // clocks of a model do not drift
)

func newWorld(v *variant) *world {
	r := &replica.Rules{Mode: v.mode, Lease: lease, Wait: wait, MaxCopies: 1, MaxValue: 100}
	r.SetMutant(v.mutant)
	w := &world{v: v, rules: r, now: 10, present: true, homeLife: 1, hostLife: 1, faults: v.faults, budget: v.budget}
	for i := range w.procs {
		w.procs[i].keeper = replica.NewKeeper(r)
	}
	begin := *v
	begin.roles = [2]string{"krw", "krw"}
	w.v = &begin
	moves := v.begun
	if v.active {
		moves = append(activation(v), moves...)
	}
	for _, move := range moves {
		w = w.take(move)
	}
	w.v = v
	return w
}

// activation is the moves that make the key active, until both proxies know it.
func activation(v *variant) []string {
	moves := []string{
		"0 polls", "0 steps", "0 polls", "tick", "0 steps", "0 polls", "0 promotes", "0 polls", "tick", "0 steps",
		"0 cleans", "0 steps", "0 polls", "1 polls",
	}
	var list []string
	for _, m := range moves {
		if m == "0 cleans" && v.mode == replica.Safe {
			continue // as part of the step before
		}
		list = append(list, m)
		if v.polls && m == "1 polls" {
			list = append(list, "1 hears of the guard")
		}
	}
	return list
}

// encode appends what tells the world from others.
func (w *world) encode(dst []byte) []byte {
	f := w.faults
	dst = append(dst, w.applied, w.late, w.writes, w.acked, w.seen,
		f.guard, f.home, f.host, f.late, f.evicted, byte(w.budget), bit(w.present))
	g := w.guardNow()
	dst = append(dst, bit(w.guard.there), byte(w.guard.flags), byte(g.State))
	for i := range g.Keys {
		dst = append(dst, byte(g.Keys[i].Phase))
	}
	dst = w.copy.encode(dst)
	if w.v.raw {
		dst = append(dst, byte(w.homeLife), byte(w.hostLife), byte(w.guard.cas), byte(w.copy.cas))
	}
	var a, b [512]byte
	first, second := w.procs[0].encode(a[:0], w, &g), w.procs[1].encode(b[:0], w, &g)
	if w.v.roles[0] == w.v.roles[1] && bytes.Compare(first, second) > 0 {
		first, second = second, first // proxies are alike
	}
	dst = append(dst, byte(len(first)))
	return append(append(dst, first...), second...)
}

// guardNow is the guard that the home has.
func (w *world) guardNow() replica.Guard {
	if !w.guard.there {
		return replica.Guard{}
	}
	g, err := replica.DecodeGuard(w.guard.value)
	if err != nil {
		panic(err)
	}
	return g
}

// named gives a number to a cas number of the host's: two that are not good any more have the same.
func (w *world) named(cas, conn uint64) byte {
	switch {
	case w.v.raw:
		return byte(cas*16 + conn)
	case cas == 0:
		return 0
	case w.copy.there && cas == w.copy.cas && (conn == 0 || conn == w.hostLife):
		return 1
	}
	return 2
}

// current says whether a step of the keeper can succeed.
func (w *world) current(k *replica.Keeper) bool {
	cas, conn, ok := k.CAS()
	switch {
	case !ok:
		return false
	case k.Sight().Kind == replica.Lost:
		return !w.guard.there
	}
	return w.guard.there && cas == w.guard.cas && conn == w.homeLife
}

func (it *item) encode(dst []byte) []byte {
	if !it.there {
		return append(dst, 255)
	}
	return append(append(dst, byte(it.flags), byte(len(it.value))), it.value...)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (p *proc) encode(dst []byte, w *world, g *replica.Guard) []byte {
	dst = p.keeper.Encode(dst, w.now, g, w.current(p.keeper))
	if w.v.raw {
		cas, conn, ok := p.keeper.CAS()
		dst = append(dst, byte(cas), byte(conn), bit(ok))
	}
	if p.polled != nil {
		ans := &p.polled.answer
		dst = append(dst, byte(ans.Result), byte(ans.CAS), byte(ans.Flags), byte(w.now-p.polled.sent))
		dst = append(dst, p.polled.answer.Value...)
	}
	dst = append(dst, 'c')
	if p.clean != nil {
		at := len(g.Keys) == 1 && g.Keys[0].Mark == p.cleanStep.Mark
		dst = append(p.clean.Encode(dst, w.now, w.named), bit(at))
	}
	dst = append(dst, 'w')
	if p.write != nil {
		dst = append(p.write.Encode(dst, w.now, w.named), byte(p.way), byte(p.answer.Result), p.number)
	}
	if p.lock != nil {
		dst = append(dst, 'l', byte(p.lock.done), bit(p.lock.life == w.hostLife))
	}
	dst = append(dst, 'r')
	if p.read != nil {
		dst = append(p.read.Encode(dst, w.named), p.floor)
	}
	return dst
}

// Numbers that are random or only grow outside are the smallest here that nobody remembers: then there are finitely many worlds,
// and what matters of them, that they are not those of before, is kept.

func unused(used uint64) uint64 {
	n := uint64(1)
	for used>>n&1 != 0 {
		n++
	}
	return n
}

// numbers gives a mark and an incarnation that nobody remembers.
func (w *world) numbers() (epoch replica.Epoch, incarnation uint32) {
	var marks, lives uint64
	mark := func(n uint64) { marks |= 1 << n }
	life := func(n uint64) { lives |= 1 << n }
	if g, err := replica.DecodeGuard(w.guard.value); err == nil && w.guard.there {
		life(uint64(w.guard.flags))
		mark(binary.BigEndian.Uint64(g.Epoch[:]))
		for _, e := range g.Keys {
			mark(e.Mark)
		}
	}
	for i := range w.procs {
		p := &w.procs[i]
		p.keeper.Numbers(mark, life)
		if p.polled != nil && p.polled.answer.Result == replica.Hit {
			life(uint64(p.polled.answer.Flags))
			if g, err := replica.DecodeGuard(p.polled.answer.Value); err == nil {
				mark(binary.BigEndian.Uint64(g.Epoch[:]))
				for _, e := range g.Keys {
					mark(e.Mark)
				}
			}
		}
		if p.read != nil {
			life(uint64(p.read.Incarnation()))
		}
		if p.clean != nil {
			mark(p.cleanStep.Mark)
		}
	}
	if c, ok := replica.DecodeCopy(w.copy.value, key); ok && w.copy.there {
		life(uint64(c.Incarnation))
	}
	binary.BigEndian.PutUint64(epoch[:], unused(marks))
	return epoch, uint32(unused(lives))
}

// guardCAS and copyCAS give a cas number of the server's that nobody remembers in its present life. Those of earlier lives may
// come again.
func (w *world) guardCAS() uint64 {
	used := uint64(0)
	if w.guard.there {
		used |= 1 << w.guard.cas
	}
	for i := range w.procs {
		if cas, conn, ok := w.procs[i].keeper.CAS(); ok && conn == w.homeLife {
			used |= 1 << cas
		}
		if p := w.procs[i].polled; p != nil && p.answer.Conn == w.homeLife {
			used |= 1 << p.answer.CAS
		}
	}
	return unused(used)
}

func (w *world) copyCAS() uint64 {
	used := uint64(0)
	if w.copy.there {
		used |= 1 << w.copy.cas
	}
	use := func(cas, conn uint64) {
		if conn == w.hostLife {
			used |= 1 << cas
		}
	}
	for i := range w.procs {
		p := &w.procs[i]
		if p.read != nil {
			p.read.CASes(use)
		}
		if p.write != nil {
			p.write.CASes(use)
		}
		if p.clean != nil {
			p.clean.CASes(use)
		}
	}
	return unused(used)
}

// storeGuard is memcached's ms of the guard.
func (w *world) storeGuard(a *replica.Ask) {
	stored := item{true, a.Value, a.Flags, 0}
	switch {
	case a.Do == replica.DoGuardAdd && w.guard.there, a.Do == replica.DoGuardStore && !w.guard.there:
		return
	case a.Do == replica.DoGuardStore && (a.Conn != 0 && a.Conn != w.homeLife || a.CAS != w.guard.cas):
		return
	}
	stored.cas = w.guardCAS()
	w.guard = stored
}

// readGuard is memcached's mg of the guard.
func (w *world) readGuard() replica.Answer {
	if !w.guard.there {
		return replica.Answer{Result: replica.Missing, Conn: w.homeLife}
	}
	return replica.Answer{Result: replica.Hit, Conn: w.homeLife, CAS: w.guard.cas, Flags: w.guard.flags, Value: w.guard.value}
}

// readHome is memcached's mg of the client's key.
func (w *world) readHome() replica.Answer {
	if !w.present {
		return replica.Answer{Result: replica.Missing, Conn: w.homeLife}
	}
	return replica.Answer{Result: replica.Hit, Conn: w.homeLife, CAS: 1, TTL: -1, Value: []byte{w.applied}}
}

// apply has the home do a write.
func (w *world) apply() replica.Answer {
	verb, status := protocol.Set, protocol.StatusStored
	w.applied++
	last := w.v.deletes && int(w.applied) == w.v.writes
	if last {
		verb, status = protocol.Delete, protocol.StatusDeleted
		if !w.present {
			status = protocol.StatusNotFound
		}
	}
	w.present = !last
	if w.rules.Changes(verb, status) {
		return replica.Answer{Result: replica.Done, Conn: w.homeLife}
	}
	return replica.Answer{Result: replica.Unchanged, Conn: w.homeLife}
}

// locks has the host carry out the next command of a lock, and gives the answer to it if it was the last.
func (w *world) locks(l *locking) (ans replica.Answer, last bool) {
	if l.life != w.hostLife {
		return replica.Answer{Result: replica.NoAnswer}, true
	}
	alone := l.ask.Do == replica.DoLockAlone
	switch l.done {
	case 0:
		if w.copy.there && !alone {
			w.copy = item{true, slices.Concat(w.copy.value, l.ask.Value), w.copy.flags, w.copyCAS()}
		}
	case 1:
		if !w.copy.there || alone {
			w.copy = item{true, l.ask.Value, 0, w.copyCAS()}
		}
	default:
		if !w.copy.there {
			return replica.Answer{Result: replica.Missing, Conn: w.hostLife}, true
		}
		return replica.Answer{Result: replica.Hit, Conn: w.hostLife, CAS: w.copy.cas, Value: w.copy.value}, true
	}
	return replica.Answer{}, false
}

// host has the host of copies do what a machine asks.
func (w *world) host(a *replica.Ask, p *proc) replica.Answer {
	ans := replica.Answer{Result: replica.Done, Conn: w.hostLife}
	put := func(value []byte) { w.copy = item{true, value, a.Flags, w.copyCAS()} }
	if a.Conn != 0 && a.Conn != w.hostLife {
		return replica.Answer{Result: replica.Unsent}
	}
	switch {
	case a.Do == replica.DoOverwrite:
		c := replica.Copy{Unique: 1, Incarnation: p.keeper.Sight().Incarnation, Value: []byte{p.number}}
		put(c.Append(nil, key))
	case a.Do == replica.DoFill && a.CAS == 0:
		put(a.Value)
	case a.Do == replica.DoCopy && !w.copy.there:
		put(nil)
		ans = replica.Answer{Result: replica.Hit, Conn: w.hostLife, CAS: w.copy.cas, Won: true}
	case !w.copy.there:
		ans.Result = replica.Missing
	case a.Do == replica.DoCopy, a.Do == replica.DoLockRead:
		ans.Result, ans.CAS, ans.Flags, ans.Value, ans.TTL = replica.Hit, w.copy.cas, w.copy.flags, w.copy.value, 5
	case a.Do != replica.DoClear && a.CAS != w.copy.cas:
		ans.Result = replica.Exists
	case a.Do == replica.DoClear, a.Do == replica.DoLockDelete:
		w.copy = item{}
	default: // DoFill, DoLockStore
		put(a.Value)
	}
	return ans
}
