package pool_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mcproxy/backend"
	"mcproxy/hotkey"
	"mcproxy/internal/simnet"
	"mcproxy/placement/quarantine"
	"mcproxy/pool"
	"mcproxy/pool/copies"
	"mcproxy/replica"
	"mcproxy/ring"
)

// A pair is one simulated run of two proxies over the same servers: two processes that share nothing, clients of both that read
// and write few keys, and faults. All that a run does follows from its seed.
type pair struct {
	net     *simnet.Net
	plan    plan
	servers []*simnet.Server
	procs   [2]*process
	clients []*pairClient
	history []*pairOp
	ticks   int // counts what happens, so that two moments of one nanosecond have an order
	busy    int // clients that are not done
	broken  breakage
	notes   []note // faults, for people
}

type note struct {
	at   int64
	text string
}

// A breakage is a promise broken on purpose, and the kind of runs in which that shows best.
type breakage struct {
	pool    pool.Mutant
	backend backend.Options // Settle and Mutant
	rough   time.Duration   // in rough runs alone, with messages that are so late; 0: in all
	driven  bool            // keys get copies: see newCopies
	copies  copies.Mutant
	replica replica.Mutant
	mode    copies.Mode  // of driven runs; Off: any
	gentle  bool         // gentle runs alone
	strikes []strikeKind // what happens most
	stage   stage        // nil: whatever happens
	moves   bool         // keys are looked for elsewhere while backends are away: see newAway
	away    quarantine.Mutant
}

// A plan is what a seed makes of a run.
type plan struct {
	servers  int
	workers  int // of each process
	keys     int
	clients  int
	ops      int           // of each client
	viral    bool          // all read one key, which is hot from the start
	scale    time.Duration // clients wait up to so long between requests
	faults   int           // 0: the network is perfect, servers forget nothing: then no read may miss what is there
	rough    bool          // conns are cut again and again, while requests take long
	expiring bool          // items get lifetimes
	recounts bool          // cas numbers begin again when a server is restarted, as memcached's do: then they promise less
	configs  [2]pool.Config
	copy     *copyPlan // nil: keys get no copies
	away     *awayPlan // nil: keys stay where they are
}

// A process is one proxy from its start to its crash.
type process struct {
	index   int
	number  int // of the life: 0, 1 …
	shared  *pool.Shared
	workers []simWorker
	dead    bool
}

func (p *process) String() string { return fmt.Sprintf("proxy%d.%d", p.index+1, p.number) }

func newPairOf(seed uint64, broken breakage) *pair {
	return &pair{net: simnet.New(seed), broken: broken}
}

func newPair(seed uint64, broken breakage) (*pair, error) {
	if broken.driven {
		return newCopies(seed, broken)
	}
	if broken.moves {
		return newAway(seed, broken)
	}
	w := newPairOf(seed, broken)
	rnd := w.net.Rand
	w.plan = plan{
		servers: 2 + rnd.IntN(3), workers: 1 + rnd.IntN(2), keys: 1 + rnd.IntN(3), clients: 3 + rnd.IntN(3),
		scale: []time.Duration{200 * time.Microsecond, 2 * time.Millisecond, 20 * time.Millisecond, 600 * time.Millisecond}[rnd.IntN(4)],
	}
	if w.plan.viral = rnd.IntN(4) == 0; w.plan.viral {
		w.plan.workers, w.plan.keys, w.plan.clients = 1, 1, 10
	}
	w.plan.ops = 40 / w.plan.clients
	if broken.rough > 0 || rnd.IntN(4) > 0 {
		w.plan.faults = 1 + rnd.IntN(6)
		w.net.ShortWrites, w.net.Lossy, w.net.LateIn = true, true, 64
		if rnd.IntN(2) == 0 {
			w.net.Late = []time.Duration{5 * time.Millisecond, 400 * time.Millisecond}[rnd.IntN(2)]
		}
		if w.plan.rough = broken.rough > 0 || rnd.IntN(4) == 0; w.plan.rough {
			w.plan.faults, w.net.Late, w.net.LateIn = 6, []time.Duration{5 * time.Millisecond, 500 * time.Millisecond}[rnd.IntN(2)], 16
			w.net.Late = cmp.Or(broken.rough, w.net.Late)
		}
		w.plan.expiring = w.plan.scale > 500*time.Millisecond
	}
	w.plan.recounts = w.plan.faults > 0 && !w.plan.rough && rnd.IntN(8) == 0
	var backends []pool.BackendConfig
	for i := range w.plan.servers {
		s, addr := w.net.NewServer()
		s.KeepCAS = !w.plan.recounts
		w.servers = append(w.servers, s)
		backends = append(backends, pool.BackendConfig{Network: "tcp", Address: addr, Name: fmt.Sprintf("s%d", i+1)})
	}
	onError := pool.OnErrorError
	if rnd.IntN(4) == 0 {
		onError = pool.OnErrorMiss
	}
	splits := rnd.IntN(8) > 0
	for i := range w.procs {
		cfg := &w.plan.configs[i]
		*cfg = pool.Config{Name: "sim", Backends: backends, Ring: ring.Options{Kind: "cmemcache"}, HotKeysOff: true, OnError: onError}
		cfg.Coalesce = []pool.Coalesce{pool.CoalesceOff, pool.CoalesceHot, pool.CoalesceAll}[rnd.IntN(3)]
		cfg.Backend = broken.backend
		cfg.Backend.Connections = 1 + rnd.IntN(5)/4
		if splits { // a value has six bytes or more
			cfg.Split = pool.SplitConfig{Enabled: true, Threshold: 4 + rnd.IntN(8), Chunk: 5 + rnd.IntN(3), Copies: 1 + rnd.IntN(2)}
			if seed>>i&3 == 3 { // only what is hot, into one chunk
				cfg.Split.Threshold, cfg.Split.Chunk = 1000, 1000
			}
		}
		if err := w.launch(i); err != nil {
			return nil, err
		}
	}
	for i := range w.plan.clients {
		w.begin(i)
	}
	return w, nil
}

// begin has another client begin.
func (w *pair) begin(i int) {
	c := &pairClient{w: w, id: i, proc: i % 2, worker: w.net.Rand.IntN(w.plan.workers), left: w.plan.ops, uniques: make(map[byte]sighting)}
	w.clients = append(w.clients, c)
	w.busy++
	c.later()
}

// launch starts a process, with nothing in its memory.
func (w *pair) launch(index int) error {
	p := &process{index: index}
	if old := w.procs[index]; old != nil {
		p.number = old.number + 1
	}
	var err error
	if p.shared, err = pool.NewShared(w.plan.configs[index], nil); err != nil {
		return err
	}
	p.shared.SetMutant(w.broken.pool)
	p.shared.SetMinSpread(1)
	p.shared.SetRandom(func(b []byte) {
		for i := range b {
			b[i] = byte(w.net.Rand.Uint32())
		}
	})
	if c := w.plan.copy; c != nil {
		c.prepare(w, p)
	}
	if w.plan.away != nil {
		w.plan.away.prepare(w, p)
	}
	for i := range w.plan.workers {
		loop := w.net.NewLoop()
		seed := uint64(i)
		if w.plan.copy != nil { // no two writers may draw the same numbers
			seed |= uint64(index+1)<<8 | uint64(p.number)<<16
		}
		p.workers = append(p.workers, simWorker{loop, pool.New(p.shared, loop, seed), pool.NewGatherer(loop)})
	}
	for i, b := range p.shared.Backends {
		loop := p.workers[i%len(p.workers)].loop
		loop.Post(func() { b.Keep(loop) })
	}
	loop := p.workers[0].loop
	loop.Post(func() { p.shared.Table.Keep(loop) })
	if w.plan.copy != nil {
		p.keep()
	}
	w.procs[index] = p
	return nil
}

// crash ends a process as SIGKILL does, and starts another in its place. Its clients are never answered.
func (w *pair) crash(index int) {
	w.kill(w.procs[index])
	if err := w.launch(index); err != nil {
		panic(err)
	}
	for _, c := range w.clients {
		if c.proc == index && c.waiting {
			c.waiting = false
			c.proc = w.net.Rand.IntN(2)
			c.later()
		}
	}
}

// kill ends a process. What it still does is heard by nobody.
func (w *pair) kill(p *process) {
	p.dead = true
	for _, wk := range p.workers {
		w.net.Crash(wk.loop)
	}
	for _, b := range p.shared.Backends {
		b.Unkeep()
	}
	for _, wk := range p.workers {
		wk.pool.Close() // requests of several steps end here instead of waiting for ever
	}
}

// heat tells a process which keys are hot: any of them.
func (w *pair) heat() {
	var hot []pool.HotKey
	for i := range w.plan.keys {
		if w.net.Rand.IntN(2) == 0 {
			hot = append(hot, pool.HotKey{Hash: hotkey.Hash([]byte{keyName(i)}), Copies: w.net.Rand.IntN(4)})
		}
	}
	w.procs[w.net.Rand.IntN(2)].shared.SetHot(pool.NewHotSet(hot))
}

func keyName(i int) byte { return byte('a' + i) }

// run lets the clients do their work among faults, repairs what is broken, and has all keys read once more through both proxies.
func (w *pair) run() (wrong string) {
	if w.plan.viral {
		w.heat()
		w.heat()
	}
	length := time.Duration(w.plan.ops) * (w.plan.scale/2 + 500*time.Microsecond)
	if w.plan.rough {
		length = max(length, w.net.Late) // calls time out before their conns are cut
	}
	fault := w.fault
	if w.plan.away != nil {
		fault = w.awayFault
	}
	if w.plan.copy != nil {
		fault = w.copyFault
	}
	for range w.plan.faults {
		w.net.After(time.Duration(w.net.Rand.Int64N(int64(length))), fault)
	}
	for range w.net.Rand.IntN(4) {
		w.net.After(time.Duration(w.net.Rand.Int64N(int64(length))), w.heat)
	}
	done := func() bool { return w.busy == 0 }
	if w.net.RunUntil(60*time.Second, done); !done() {
		return "clients still wait after 60 s"
	}
	for _, s := range w.servers {
		s.Resume()
		s.Start()
	}
	if w.plan.faults > 0 {
		settled := func() bool { return w.plan.copy != nil && w.unsettled() == "" } // copies ask their guards all the time, which takes long to simulate
		w.net.RunUntil(4*time.Second, settled)
	}
	if w.plan.away != nil {
		w.net.RunUntil(10*time.Second, func() bool { return w.unsettled() == "" && w.disagreed() == "" })
		if wrong := w.disagreed(); wrong != "" {
			return wrong
		}
	}
	if wrong := w.unsettled(); wrong != "" {
		return wrong
	}
	for i := range w.procs {
		c := &pairClient{w: w, id: len(w.clients), proc: i, uniques: make(map[byte]sighting)}
		w.clients = append(w.clients, c)
		w.busy++
		c.readAll()
	}
	if w.net.RunUntil(5*time.Second, done); !done() {
		return "clients still wait 5 s after the last fault"
	}
	return ""
}

// unsettled says which backend is not up again, or has keys in its journal; "": none.
func (w *pair) unsettled() string {
	for _, p := range w.procs {
		for _, b := range p.shared.Backends {
			if n, _ := b.Journal(); n > 0 || b.State() != 0 {
				return fmt.Sprintf("%v: backend %s is %v long after the last fault, with %d keys in its journal", p, b.Name, b.State(), n)
			}
		}
	}
	return ""
}

// fault disturbs something.
func (w *pair) fault() {
	if w.busy == 0 {
		return
	}
	rnd := w.net.Rand
	i := rnd.IntN(len(w.servers))
	s := w.servers[i]
	span := func() time.Duration { // short beside a request, long beside a timeout, or very long
		return time.Duration(rnd.Int64N(int64([]time.Duration{time.Millisecond, 600 * time.Millisecond, 3 * time.Second}[rnd.IntN(3)])))
	}
	n := rnd.IntN(16)
	if w.plan.rough {
		n = 3
	}
	switch n {
	case 0, 1, 2:
		index := rnd.IntN(2)
		w.note("%v crashes", w.procs[index])
		w.crash(index)
	case 3, 4:
		w.note("a conn of s%d is cut", i+1)
		s.Reset()
	case 5, 6:
		d := span()
		w.note("s%d stops for %v", i+1, d)
		s.Pause()
		w.net.After(d, s.Resume)
	case 7:
		d := span()
		w.note("s%d dies for %v", i+1, d)
		s.Kill()
		w.net.After(d, s.Start)
	case 8:
		w.note("s%d is flushed", i+1)
		s.Memory.Flush()
	case 9, 10:
		w.damage(i)
	default:
		w.evict(i)
	}
}

// evict takes some items, as memcached's LRU might.
func (w *pair) evict(server int) {
	m := w.servers[server].Memory
	for range 1 + w.net.Rand.IntN(3) {
		if keys := m.Keys(); len(keys) > 0 {
			key := keys[w.net.Rand.IntN(len(keys))]
			w.note("s%d evicts %s", server+1, key)
			m.Remove(key)
		}
	}
}

// damage flips bits of a chunk; what of a value is in one plain item, no proxy can check.
func (w *pair) damage(server int) {
	m := w.servers[server].Memory
	for _, key := range slices.Backward(m.Keys()) {
		if len(key) > 1 {
			w.note("s%d damages %s", server+1, key)
			m.Damage(key, func(value []byte) { value[w.net.Rand.IntN(len(value))] ^= 1 })
			return
		}
	}
}

func (w *pair) note(format string, args ...any) {
	w.notes = append(w.notes, note{w.net.Now(), fmt.Sprintf(format, args...)})
}

func (w *pair) tick() int {
	w.ticks++
	return w.ticks
}
