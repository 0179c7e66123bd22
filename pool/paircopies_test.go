package pool_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcproxy/internal/simnet"
	"mcproxy/pool"
	"mcproxy/pool/copies"
	"mcproxy/replica"
	"mcproxy/ring"
)

var (
	copySeeds   = flag.Uint64("copy-seeds", 300, "simulated runs of TestCopies")
	copyFrom    = flag.Uint64("copy-from", 1, "the first of them")
	mutantSeeds = flag.Uint64("mutant-seeds", 4000, "how many runs a broken rule may take to be found, if its own seed does not find it")
	copyMode    = flag.String("copy-mode", "", "safe or strict: only such runs of TestCopies")
	copySeed    = flag.Uint64("copy-seed", 0, "run this seed only (0: -copy-seeds of them), and tell its story")
)

// A copyPlan is what a run has where keys get copies.
type copyPlan struct {
	mode    copies.Mode
	lease   time.Duration
	gentle  bool // nothing breaks promise B: no message, pause or stop is as long as a lease, and no lock gets lost
	calm    int  // one request in so many is anything; the others are mostly gets
	pace    int  // leases between two times that keys are promoted or demoted, about
	patient bool // proxies are stopped: their clients wait longer than any timeout

	watchers []*pairClient
	newest   [2]string // by key: the value that was read last
}

// newCopies makes a run of two proxies that promote and demote keys all the time.
func newCopies(seed uint64, broken breakage) (*pair, error) {
	w := &pair{net: simnet.New(seed), broken: broken}
	rnd := w.net.Rand
	lease := []time.Duration{20 * time.Millisecond, 60 * time.Millisecond, 200 * time.Millisecond}[rnd.IntN(3)]
	w.plan = plan{
		servers: 2 + rnd.IntN(3), workers: 1 + rnd.IntN(2), keys: 1 + rnd.IntN(2), clients: 3 + rnd.IntN(4),
		scale: lease * time.Duration([]int{1, 4, 12}[rnd.IntN(3)]) / 6,
		copy: &copyPlan{
			mode: copies.Safe + copies.Mode(rnd.IntN(3)/2), lease: lease, calm: []int{3, 10, 30, 100}[rnd.IntN(4)], pace: []int{1, 3}[rnd.IntN(2)],
		},
	}
	c := w.plan.copy
	if broken.mode != copies.Off {
		c.mode = broken.mode
	}
	w.plan.ops = max(100/w.plan.clients, int(8*lease/(w.plan.scale/2)))
	if c.gentle = rnd.IntN(3) == 0 || broken.gentle; rnd.IntN(4) > 0 {
		w.plan.faults = 1 + rnd.IntN(8)
		w.net.ShortWrites, w.net.Lossy, w.net.LateIn = true, true, 32
		long := []time.Duration{lease / 2, 3 * lease}[rnd.IntN(2)]
		if c.gentle {
			long = lease / 8
		}
		if rnd.IntN(2) == 0 {
			w.net.Late = long
		}
		if rnd.IntN(2) == 0 {
			w.net.StallIn, w.net.Stall = 200, long
		}
	}
	if broken.stage != nil {
		c.gentle, c.calm, w.plan.keys, w.plan.faults = false, 1000, 1, 1
		w.net.Late, w.net.StallIn = 0, 0
	}
	c.patient = !c.gentle
	w.plan.recounts = w.plan.faults > 0 && (rnd.IntN(2) == 0 || broken.stage != nil)
	var backends []pool.BackendConfig
	for i := range w.plan.servers {
		s, addr := w.net.NewServer()
		s.KeepCAS, s.Recount = !w.plan.recounts, 6
		w.servers = append(w.servers, s)
		backends = append(backends, pool.BackendConfig{Network: "tcp", Address: addr, Name: fmt.Sprintf("s%d", i+1)})
	}
	splits := rnd.IntN(4) == 0
	for i := range w.procs {
		cfg := &w.plan.configs[i]
		*cfg = pool.Config{
			Name: "sim", Backends: backends, Ring: ring.Options{Kind: "cmemcache"}, HotKeysOff: true, OnError: pool.OnErrorError,
			Copies: pool.CopyConfig{Mode: c.mode},
		}
		cfg.Coalesce = []pool.Coalesce{pool.CoalesceOff, pool.CoalesceAll}[rnd.IntN(2)]
		cfg.Backend.Connections = 1 + rnd.IntN(5)/4
		cfg.Backend.Settle = 100*time.Millisecond + 5*lease // what is on its way when a conn breaks arrives before
		if splits {
			cfg.Split = pool.SplitConfig{Enabled: true, Threshold: 4 + rnd.IntN(8), Chunk: 5 + rnd.IntN(3), Copies: 1 + rnd.IntN(2)}
		}
		if err := w.launch(i); err != nil {
			return nil, err
		}
	}
	w.net.Run(time.Duration(rnd.Int64N(int64(3 * lease)))) // the guards recover meanwhile, or not
	for i := range w.plan.clients {
		cl := &pairClient{w: w, id: i, proc: i % 2, worker: rnd.IntN(w.plan.workers), left: w.plan.ops, uniques: make(map[byte]sighting)}
		w.clients = append(w.clients, cl)
		w.busy++
		cl.later()
	}
	for i := range 4 {
		cl := &pairClient{w: w, id: len(w.clients), proc: i % 2, worker: rnd.IntN(w.plan.workers), uniques: make(map[byte]sighting)}
		w.clients = append(w.clients, cl)
		w.plan.copy.watchers = append(w.plan.copy.watchers, cl)
	}
	if broken.stage != nil {
		broken.stage.begin(w)
		return w, nil
	}
	w.drive()
	for range 2 + rnd.IntN(8) {
		k := w.newStrike()
		k.kind = writes
		w.ambush(k)
	}
	return w, nil
}

// watch has idle watchers of both processes read a key that somebody has just written, or seen another value of.
func (c *copyPlan) watch(o *pairOp) {
	news := o.effect != reads && o.outcome == done
	if o.outcome == wasThere && o.value != c.newest[o.key-'a'] {
		c.newest[o.key-'a'] = o.value
		news = true
	}
	if !news {
		return
	}
	for _, cl := range c.watchers {
		if !cl.waiting {
			cl.w.busy++
			cl.post(func() ([]byte, []*pairOp) { return []byte("get " + string(o.key) + "\r\n"), []*pairOp{{key: o.key}} })
		}
	}
}

// prepare sets the rules of copies for a process that is being launched.
func (c *copyPlan) prepare(w *pair, p *process) {
	s := p.shared.Copies()
	s.Random = func(b []byte) {
		for i := range b {
			b[i] = byte(w.net.Rand.Uint32())
		}
	}
	s.Mutant = w.broken.copies
	r := s.Rules()
	r.Lease = int64(c.lease)
	r.Wait = r.Lease + r.Lease/100 + r.Lease/10
	r.Renew = 12 * r.Lease
	r.Mutant = w.broken.replica
}

// keep has the workers look after the guards.
func (p *process) keep() {
	for i := range p.shared.Backends {
		wk := p.workers[i%len(p.workers)]
		wk.loop.Post(func() { wk.pool.Replicator().Keep(i) })
	}
}

// drive promotes and demotes keys, as it comes, until the clients are done.
func (w *pair) drive() {
	if w.busy == 0 {
		return
	}
	rnd := w.net.Rand
	p := w.procs[rnd.IntN(2)]
	key := []byte{keyName(rnd.IntN(w.plan.keys))}
	wish := copies.Wish{Key: key, Home: p.shared.Ring.Lookup(key), Copies: 1 + rnd.IntN(w.plan.servers-1), Forced: true}
	switch s := p.shared.Copies(); rnd.IntN(8) {
	case 0:
		w.note("%v demotes %s", p, key)
		s.Demote(wish, replica.Cooled)
	case 1:
		s.Release(wish)
	default:
		w.note("%v promotes %s to %d copies", p, key, wish.Copies)
		s.Promote(wish)
	}
	w.net.After(time.Duration(rnd.Int64N(int64(2*w.plan.copy.lease)*int64(w.plan.copy.pace))), w.drive)
}

// A strike is a fault: what happens, and to whom.
type strike struct {
	kind         strikeKind
	server, proc int // the server: or -1, one that has a copy of the key
	key          []byte
	home         int
}

type strikeKind uint8

const (
	anything strikeKind = iota
	crashes
	cuts
	losesGuard
	losesItem
	pauses
	stops
	slows
	severs
	dies
	flushes
	evicts
	writes // no fault: a client writes, just then
)

// strikes are the kinds as often as they come; gentle runs suffer the first so many.
var strikes = [...]strikeKind{
	crashes, crashes, cuts, cuts, losesGuard, losesGuard, losesItem, pauses, pauses, stops, slows, slows, slows, severs, dies, dies, flushes, evicts, evicts, evicts, evicts,
}

const gentleStrikes = 14

// newStrike chooses one that the run may suffer.
func (w *pair) newStrike() strike {
	rnd := w.net.Rand
	most := len(strikes)
	if w.plan.copy.gentle {
		most = gentleStrikes
	}
	key := []byte{keyName(rnd.IntN(w.plan.keys))}
	k := strike{strikes[rnd.IntN(most)], rnd.IntN(len(w.servers)), rnd.IntN(2), key, w.procs[0].shared.Ring.Lookup(key)}
	switch rnd.IntN(4) {
	case 0, 1:
		k.server = k.home
	case 2:
		k.server = -1
	}
	if n := len(w.broken.strikes); n > 0 && rnd.IntN(4) > 0 {
		k.kind = w.broken.strikes[rnd.IntN(n)]
	}
	return k
}

// copyFault disturbs something: now, or when a key comes to a phase in which that may matter.
func (w *pair) copyFault() {
	if w.broken.stage != nil {
		return
	}
	if w.net.Rand.IntN(3) == 0 {
		w.strike(w.newStrike())
		return
	}
	w.ambush(w.newStrike())
}

// ambush waits for a key to come to a phase, or for its guard to get lost, and strikes then, or soon after.
func (w *pair) ambush(k strike) {
	phase := replica.Phase(w.net.Rand.IntN(5))
	w.when(k, 1000, func(now replica.Phase) bool { return now == phase }, func() { w.strike(k) })
}

// when does something soon after the phase of a strike's key has changed to one that is right, or after so many leases.
func (w *pair) when(k strike, leases int64, right func(replica.Phase) bool, do func()) {
	delay := time.Duration(w.net.Rand.Int64N(int64(w.plan.copy.lease / 3)))
	w.await(k, leases, right, func() { w.net.After(delay, do) })
}

// await is when without a delay.
func (w *pair) await(k strike, leases int64, right func(replica.Phase) bool, do func()) {
	lease := int64(w.plan.copy.lease)
	end := w.net.Now() + leases*lease
	last := w.phaseOf(k.key, k.home)
	var look func()
	look = func() {
		now := w.phaseOf(k.key, k.home)
		if now != last && right(now) || w.net.Now() >= end {
			do()
			return
		}
		last = now
		w.net.After(time.Duration(lease/16), look)
	}
	look()
}

// hostOf gives a server that has a copy of a key, or a lease, or its home.
func (w *pair) hostOf(k strike) int {
	name := string(replica.AppendCopyKey(nil, replica.HashOf(k.key)))
	for i, s := range w.servers {
		if slices.Contains(s.Memory.Keys(), name) {
			return i
		}
	}
	return k.home
}

// phaseOf is what a key's guard says of it; Unknown: it says nothing.
func (w *pair) phaseOf(key []byte, home int) replica.Phase {
	g, err := replica.DecodeGuard([]byte(w.servers[home].Memory.Value(replica.GuardKey)))
	if err != nil || g.State == replica.Recov {
		return replica.Unknown
	}
	h := replica.HashOf(key)
	if i := slices.IndexFunc(g.Keys, func(e replica.Entry) bool { return e.Hash == h }); i >= 0 {
		return g.Keys[i].Phase
	}
	return replica.None
}

// strike does it.
func (w *pair) strike(k strike) {
	if w.busy == 0 {
		return
	}
	c, rnd := w.plan.copy, w.net.Rand
	i, p := k.server, w.procs[k.proc]
	if i < 0 {
		i = w.hostOf(k)
	}
	s := w.servers[i]
	span := time.Duration(rnd.Int64N(int64([]time.Duration{c.lease / 2, 3 * c.lease, 600 * time.Millisecond}[rnd.IntN(3)])))
	if c.gentle {
		span = min(span, c.lease/8)
	}
	switch k.kind {
	case crashes:
		for _, wk := range p.workers {
			if w.net.Stalled(wk.loop) {
				return
			}
		}
		w.note("%v crashes", p)
		w.crash(p.index)
	case cuts:
		w.note("a conn of s%d is cut", i+1)
		s.Reset()
	case losesGuard:
		w.evictCopies(i, "guard")
	case losesItem:
		w.evictCopies(i, "")
	case pauses:
		s.Pause()
		if c.gentle || rnd.IntN(2) == 0 {
			w.note("s%d stops for %v", i+1, span)
			w.net.After(span, s.Resume)
			return
		}
		changes := 1 + rnd.IntN(3)
		w.note("s%d stops until the phase of %s has changed %d times", i+1, k.key, changes)
		w.when(k, 4, func(replica.Phase) bool { changes--; return changes == 0 }, s.Resume)
	case stops:
		w.note("%v stops for %v", p, span)
		for _, wk := range p.workers {
			w.net.Stop(wk.loop, span)
		}
	case slows:
		w.slow(p, i)
	case severs:
		w.slow(p, i)
		w.note("%v loses its conns to s%d", p, i+1)
		for _, wk := range p.workers {
			s.Sever(wk.loop)
		}
	case dies:
		if rnd.IntN(2) == 0 {
			span = 0
		}
		w.note("s%d dies for %v", i+1, span)
		s.Kill()
		if span == 0 {
			s.Start()
		}
		w.net.After(span, s.Start)
	case flushes:
		w.note("s%d is flushed", i+1)
		s.Memory.Flush()
	case evicts:
		w.evict(i)
	case writes:
		w.provoke(k)
	}
}

// provoke has a watcher write the key.
func (w *pair) provoke(k strike) {
	for _, cl := range w.plan.copy.watchers {
		if cl.waiting || cl.proc != k.proc {
			continue
		}
		w.busy++
		cl.post(func() ([]byte, []*pairOp) {
			o := &pairOp{key: k.key[0]}
			return cl.write(o, 12), []*pairOp{o}
		})
		return
	}
}

// slow makes the way between a process and a server longer for a while.
func (w *pair) slow(p *process, server int) {
	c, rnd := w.plan.copy, w.net.Rand
	most := int64(3 * c.lease / 2)
	if c.gentle {
		most = int64(c.lease / 8)
	}
	k := simnet.Slowness{Server: w.servers[server], Until: w.net.Now() + rnd.Int64N(int64(8*c.lease))}
	if rnd.IntN(3) > 0 {
		k.To = time.Duration(rnd.Int64N(most))
	}
	if k.To == 0 || rnd.IntN(2) == 0 {
		k.From = time.Duration(rnd.Int64N(most))
	}
	w.note("%v is %v away from s%d and %v back, until %s", p, k.To, server+1, k.From, clock(k.Until))
	for _, wk := range p.workers {
		w.net.Slow(wk.loop, k)
	}
}

// evictCopies takes an item of the proxies' own with a key that has a word in it, or one of clients.
func (w *pair) evictCopies(server int, word string) {
	m := w.servers[server].Memory
	for _, key := range m.Keys() {
		if own := len(key) > 1; own == (word != "") && strings.Contains(key, word) {
			w.note("s%d evicts %s", server+1, key)
			m.Remove(key)
			return
		}
	}
}

// TestCopies simulates two processes that read hot keys from copies, and promote and demote them all the time, with crashes and stops of
// either, also in the midst of a turn, late and lost messages, evictions, and servers that stop, die and are flushed. No read may be older than a write that
// was acknowledged before; and in strict mode, where nothing is late or lost, reads do not go back in time.
func TestCopies(t *testing.T) {
	broken := breakage{driven: true, mode: map[string]copies.Mode{"safe": copies.Safe, "strict": copies.Strict}[*copyMode]}
	if *copySeed != 0 {
		w, wrong := runPair(*copySeed, broken)
		t.Logf("seed %d\n%s", *copySeed, w.story())
		if wrong != "" {
			t.Fatal(wrong)
		}
		return
	}
	others := goleak.IgnoreCurrent()
	var sum pairSum
	seed, w, wrong := runPairs(*copyFrom, *copySeeds, broken, sum.add)
	if wrong != "" {
		t.Fatalf("seed %d: %s\n%s\nagain: go test ./pool -run '^TestCopies$' -v -copy-seed=%d", seed, wrong, w.story(), seed)
	}
	t.Log(sum.String())
	t.Logf("%d of the runs were strict, %d of them gentle; copies: %+v", sum.strict, sum.gentle, sum.copies)
	goleak.VerifyNone(t, others)
}

// copyMutants are rules of the copies, broken, each with a seed by which that was found. Runs change with the code that they simulate: then
// a seed finds nothing any more, and the test looks for another, which is to stand here.
var copyMutants = map[string]struct {
	broken breakage
	seed   uint64
}{
	"no look at the time before the acknowledgement": {breakage{copies: copies.TrustsOld}, 812},
	"no look at the time before a read":              {breakage{copies: copies.ReadsOld}, 83},
	"reads copies after a failed write":              {breakage{copies: copies.ForgetsFailed}, 128},
	"no Prep":                                        {breakage{replica: replica.SkipsPrep}, 15},
	"no Drain":                                       {breakage{replica: replica.SkipsDrain}, 12},
	"no Recov":                                       {breakage{replica: replica.SkipsRecov}, 72},
	"no clean":                                       {breakage{replica: replica.SkipsClean}, 48},
	"the time of the turn's begin":                   {breakage{copies: copies.TrustsTurn, stage: stalls}, 78},
	"clean before the wait":                          {breakage{replica: replica.CleansEarly, stage: leasesLate}, 54},
	"fill on any conn":                               {breakage{replica: replica.FillsAnywhere, stage: leasesEnd}, 33},
	"a guard is dated by its answer":                 {breakage{replica: replica.DatesByAnswer, stage: seesLate}, 2},
	"no wait":                                        {breakage{replica: replica.SkipsWait}, 3},
	"fill without cas":                               {breakage{replica: replica.FillsBlindly}, 78},
	"copies are updated":                             {breakage{replica: replica.UpdatesCopies}, 1},
	"a lost guard is not feared":                     {breakage{replica: replica.IgnoresLoss, strikes: []strikeKind{losesGuard}}, 257},
	"a delete that found nothing clears nothing":     {breakage{replica: replica.TrustsNotFound}, 720},
	"locks are left":                                 {breakage{replica: replica.LeavesLocks, mode: copies.Strict, strikes: []strikeKind{slows, flushes, evicts}}, 2447},
	"others' locks go too":                           {breakage{replica: replica.ClearsLocks, mode: copies.Strict, gentle: true, strikes: []strikeKind{slows}}, 2262},
	"locked copies are read":                         {breakage{replica: replica.ReadsLocked, mode: copies.Strict, gentle: true}, 259},
	"a lock has one owner":                           {breakage{replica: replica.LocksAlone, mode: copies.Strict, gentle: true, strikes: []strikeKind{slows}}, 65},
}

// TestCopyMutants breaks one rule of the copies after the other, and has the simulation find each.
func TestCopyMutants(t *testing.T) {
	for name, m := range copyMutants {
		t.Run(name, func(t *testing.T) {
			m.broken.driven = true
			if _, wrong := runPair(m.seed, m.broken); wrong == "" {
				seed, _, wrong := runPairs(1, *mutantSeeds, m.broken, nil)
				if wrong == "" {
					t.Fatalf("not found in %d runs", *mutantSeeds)
				}
				t.Logf("not found by seed %d any more, but by seed %d: %s", m.seed, seed, wrong)
				m.seed = seed
			}
			sound := m.broken
			sound.copies, sound.replica = copies.NoMutant, replica.NoMutant
			if _, wrong := runPair(m.seed, sound); wrong != "" {
				t.Errorf("seed %d finds something where nothing is broken: %s", m.seed, wrong)
			}
		})
	}
}
