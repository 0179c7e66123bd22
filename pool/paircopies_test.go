package pool_test

import (
	"flag"
	"fmt"
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
	copySeeds = flag.Uint64("copy-seeds", 300, "simulated runs of TestCopies")
	copyFrom  = flag.Uint64("copy-from", 1, "the first of them")
	copySeed  = flag.Uint64("copy-seed", 0, "run this seed only (0: -copy-seeds of them), and tell its story")
)

// A copyPlan is what a run has where keys get copies.
type copyPlan struct {
	mode    copies.Mode
	lease   time.Duration
	gentle  bool // nothing breaks promise B: no message, pause or stop is as long as a lease, and no lock gets lost
	patient bool // proxies are stopped: their clients wait longer than any timeout
}

// newCopies makes a run of two proxies that promote and demote keys all the time.
func newCopies(seed uint64, broken breakage) (*pair, error) {
	w := &pair{net: simnet.New(seed), broken: broken}
	rnd := w.net.Rand
	lease := []time.Duration{20 * time.Millisecond, 60 * time.Millisecond, 200 * time.Millisecond}[rnd.IntN(3)]
	w.plan = plan{
		servers: 2 + rnd.IntN(3), workers: 1 + rnd.IntN(2), keys: 1 + rnd.IntN(2), clients: 3 + rnd.IntN(4),
		scale: lease * time.Duration([]int{1, 4, 12}[rnd.IntN(3)]) / 6,
		copy:  &copyPlan{mode: copies.Safe + copies.Mode(rnd.IntN(3)/2), lease: lease},
	}
	c := w.plan.copy
	if broken.mode != copies.Off {
		c.mode = broken.mode
	}
	w.plan.ops = 100 / w.plan.clients
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
	c.patient = !c.gentle
	w.plan.recounts = w.plan.faults > 0 && rnd.IntN(2) == 0
	var backends []pool.BackendConfig
	for i := range w.plan.servers {
		s, addr := w.net.NewServer()
		s.KeepCAS = !w.plan.recounts
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
		cfg.Backend.Settle = 100 * time.Millisecond
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
	w.drive()
	return w, nil
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
	w.net.After(time.Duration(rnd.Int64N(int64(2*w.plan.copy.lease))), w.drive)
}

// copyFault disturbs something.
func (w *pair) copyFault() {
	if w.busy == 0 {
		return
	}
	c, rnd := w.plan.copy, w.net.Rand
	i := rnd.IntN(len(w.servers))
	s := w.servers[i]
	span := time.Duration(rnd.Int64N(int64([]time.Duration{c.lease / 2, 3 * c.lease, 600 * time.Millisecond}[rnd.IntN(3)])))
	n := rnd.IntN(16)
	if c.gentle {
		n, span = rnd.IntN(10), min(span, c.lease/8)
	}
	switch n {
	case 0, 1:
		p := w.procs[rnd.IntN(2)]
		for _, wk := range p.workers {
			if w.net.Stalled(wk.loop) {
				return
			}
		}
		w.note("%v crashes", p)
		w.crash(p.index)
	case 2, 3:
		w.note("a conn of s%d is cut", i+1)
		s.Reset()
	case 4, 5:
		w.evictCopies(i, "guard")
	case 6:
		w.evictCopies(i, "")
	case 7, 8:
		w.note("s%d stops for %v", i+1, span)
		s.Pause()
		w.net.After(span, s.Resume)
	case 9:
		p := w.procs[rnd.IntN(2)]
		w.note("%v stops for %v", p, span)
		for _, wk := range p.workers {
			w.net.Stop(wk.loop, span)
		}
	case 10, 11:
		w.note("s%d dies for %v", i+1, span)
		s.Kill()
		w.net.After(span, s.Start)
	case 12:
		w.note("s%d is flushed", i+1)
		s.Memory.Flush()
	default:
		w.evict(i)
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
	broken := breakage{driven: true}
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
	"no look at the time before a read":          {breakage{copies: copies.ReadsOld}, 484},
	"reads copies after a failed write":          {breakage{copies: copies.ForgetsFailed}, 31},
	"no Drain":                                   {breakage{replica: replica.SkipsDrain}, 1216},
	"no Recov":                                   {breakage{replica: replica.SkipsRecov}, 682},
	"no clean":                                   {breakage{replica: replica.SkipsClean}, 7},
	"copies are updated":                         {breakage{replica: replica.UpdatesCopies}, 2},
	"a delete that found nothing clears nothing": {breakage{replica: replica.TrustsNotFound}, 398},
}

// mutantSeeds are how many runs a broken rule may take to be found.
const mutantSeeds = 4000

// TestCopyMutants breaks one rule of the copies after the other, and has the simulation find each.
func TestCopyMutants(t *testing.T) {
	for name, m := range copyMutants {
		t.Run(name, func(t *testing.T) {
			m.broken.driven = true
			if _, wrong := runPair(m.seed, m.broken); wrong != "" {
				return
			}
			seed, _, wrong := runPairs(1, mutantSeeds, m.broken, nil)
			if wrong == "" {
				t.Fatalf("not found in %d runs", mutantSeeds)
			}
			t.Logf("not found by seed %d any more, but by seed %d: %s", m.seed, seed, wrong)
		})
	}
}
