package chaos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcproxy/internal/memcachedtest"
)

var (
	durationFlag = flag.Duration("duration", 4*time.Second, "of each variant, at least")
	readsFlag    = flag.Uint64("reads", 0, "that a run checks at least, in those of its variants that are quick: reads that find a value")
	variantFlag  = flag.String("variant", "", "a regular expression: the variants to run; all without it")
	clientsFlag  = flag.Int("clients", 16, "at once")
	seedFlag     = flag.Uint64("seed", 0, "of what clients and faults choose; 0 takes one at random and prints it")
	roundFlag    = flag.Duration("round", 4*time.Second, "after which new keys are used and the old ones' histories are judged")
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		panic(err)
	}
	sound.dir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// variant is a way to run.
type variant struct {
	name     string
	settings string // of the pool
	memory   string // of each memcached, MB
	longest  int    // bytes of the longest values, beyond a few chunks
	proxies  int
	skew     float64 // of keys: 1 is none
	links    bool    // between proxies and servers, that are slow at times, and break
	strict   bool    // with one proxy that is never killed more is promised
	copies   bool    // hot keys have copies, and less is promised
	gentle   bool    // nothing breaks promise B: in strict mode reads of copies do not go back in time then
	bulk     bool    // half of what clients ask is for many keys
}

// keys is how many keys of a round all clients share.
func (v *variant) keys() int {
	if v.bulk {
		return bulkKeys - alwaysKeys
	}
	return 40
}

// copiesFor is how long each variant with copies runs at least: two minutes in all.
const copiesFor = 40 * time.Second

const littleMemory = "2" // the least that memcached takes

const commonSettings = `
allow_flush_all = true

[pools.main.hotkeys]
window = "20ms"
min_rate = 1
drill = "100ms"

[pools.main.split]
enabled = true
`

// Whether hot keys get copies on other servers.
const (
	safeCopies   = "[pools.main.replicas]\nmode = \"safe\"\n"
	strictCopies = "[pools.main.replicas]\nmode = \"strict\"\n"
	noCopies     = "[pools.main.replicas]\nmode = \"off\"\n"
)

// drills are how often each proxy changes which keys are hot, and which have copies.
var drills = []string{"100ms", "50ms", "200ms"}

const all, hot = "[pools.main.coalesce]\nmode = \"all\"\n", "[pools.main.coalesce]\nmode = \"hot\"\n"

var variants = []variant{
	{
		name: "errors", settings: "on_error = \"error\"\n" + commonSettings + "copies = 2\n" + all + noCopies,
		memory: "64", longest: 12_000, proxies: 2, skew: 2,
	},
	{
		name: "misses and little memory", settings: "on_error = \"miss\"\n" + commonSettings + "copies = 1\n" + all + noCopies,
		memory: littleMemory, longest: 60_000, proxies: 2, skew: 2,
	},
	{
		name: "slow links", settings: "on_error = \"error\"\n" + commonSettings + "copies = 2\n" + all + noCopies,
		memory: "64", longest: 12_000, proxies: 2, skew: 5, links: true,
	},
	{
		name: "one proxy", settings: "on_error = \"error\"\n" + commonSettings + "copies = 1\n" + hot + noCopies,
		memory: "64", longest: 12_000, proxies: 1, skew: 2, links: true, strict: true,
	},
	{
		name: "copies", settings: "on_error = \"miss\"\n" + commonSettings + "copies = 1\n" + hot + safeCopies,
		memory: littleMemory, longest: 12_000, proxies: 3, skew: 2, copies: true, bulk: true,
	},
	{
		name: "strict", settings: "on_error = \"miss\"\n" + commonSettings + "copies = 1\n" + hot + strictCopies,
		memory: littleMemory, longest: 12_000, proxies: 3, skew: 2, copies: true, bulk: true,
	},
	{
		name: "ordered", settings: "on_error = \"error\"\n" + commonSettings + "copies = 1\n" + hot + strictCopies,
		memory: "64", longest: 12_000, proxies: 3, skew: 2, copies: true, bulk: true, gentle: true,
	},
}

// run is one variant as it runs.
type run struct {
	t          testing.TB
	variant    variant
	started    time.Time
	servers    []*memcachedtest.Server
	links      []*link
	proxies    []*proxyProcess
	commands   []weighted
	weight     int
	longest    int
	errorsTold bool
	enough     int           // violations: the run ends then
	length     time.Duration // of a round

	rounds   rounds
	always   watch
	report   report
	restarts atomic.Int64 // of memcacheds, two for each
}

func (r *run) now() int64 { return int64(time.Since(r.started)) }

const servers = 4

// newRun starts the processes. backends gives the configuration's list of backends for each proxy.
func newRun(t testing.TB, binary string, v variant, backends func(proxy int, addrs []string) []string) *run {
	r := &run{
		t: t, variant: v, enough: 100, length: *roundFlag, started: time.Now(), commands: commands(), longest: v.longest,
		errorsTold: strings.Contains(v.settings, `on_error = "error"`), report: report{figures: figures{faults: map[string]int{}}, found: map[string]int{}},
	}
	if v.bulk {
		r.length *= 4
	}
	r.always.stream.Strict, r.always.stream.Unordered = v.strict, v.copies
	for _, cmd := range r.commands {
		r.weight += cmd.weight
	}
	var addrs []string
	for range servers {
		r.servers = append(r.servers, memcachedtest.Start(t, "-m", v.memory))
		addrs = append(addrs, r.servers[len(r.servers)-1].Addr())
	}
	for i := range v.proxies {
		list := make([]string, 0, servers)
		dir := t.TempDir()
		for n, addr := range backends(i, addrs) {
			name := fmt.Sprintf("s%d", n)
			if v.links || v.copies {
				l := startLink(t, dir, name, addr, uint64(len(r.links)))
				l.rough = v.links
				r.links = append(r.links, l)
				addr = linkAddress(name)
			}
			list = append(list, fmt.Sprintf("{ name = %q, address = %q }", name, addr))
		}
		pool := fmt.Sprintf("[proxy]\nworkers = 2\n\n[pools.main]\nbackends = [%s]\n%s", strings.Join(list, ", "), v.settings)
		pool = strings.Replace(pool, "[pools.main.split]\n", fmt.Sprintf("[pools.main.split]\nthreshold = \"%dB\"\nchunk = \"%dB\"\n",
			splitThreshold, splitChunk), 1)
		if v.bulk {
			pool = strings.Replace(pool, `window = "20ms"`, `window = "100ms"`, 1)
		}
		pool = strings.Replace(pool, `drill = "100ms"`, fmt.Sprintf("drill = %q", drills[i]), 1)
		r.proxies = append(r.proxies, startProxyIn(t, binary, dir, pool))
	}
	return r
}

func same(_ int, addrs []string) []string { return addrs }

// play runs clients and faults until enough reads are checked and the time is over, and judges all.
func (r *run) play(seed uint64, duration time.Duration, reads uint64) {
	var clients, judges sync.WaitGroup
	number := 0
	next := func() *round {
		number++
		return newRound(number, r.now(), &r.variant, &r.always)
	}
	r.rounds.begin(next())
	for i := range *clientsFlag {
		c := &client{run: r, number: i, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		clients.Go(c.work) // ends with the last round; waited for below
	}
	gap := 600 * time.Millisecond
	if r.variant.bulk {
		gap *= 5 // copies are not read for 12 s after a failed write
	}
	f := &faults{
		run: r, rng: rand.New(rand.NewPCG(seed, 1<<32)), stop: make(chan struct{}), gap: min(duration/20, gap),
		away: map[string]int{}, busy: map[string]bool{},
	}
	var faulting sync.WaitGroup
	faulting.Go(f.work) // ends with stop; waited for below
	told := time.Duration(0)
	for over := false; !over; {
		time.Sleep(min(r.length, max(duration/2, time.Second))) // how long is all the same to what is judged
		r.sample()
		figures, found := r.report.present()
		took := time.Since(r.started)
		if took > told+time.Minute {
			told = took
			r.t.Logf("after %v: %d reads checked, %d of copies; %d violations", took.Round(time.Second), figures.hits, figures.copied.reads, found)
		}
		over = took >= duration && figures.hits >= reads && (r.lacks(figures) == "" || took > duration+3*time.Minute) || found >= r.enough
		var following *round
		if !over {
			following = next()
		}
		last := r.rounds.begin(following)
		judges.Wait()      // one at a time
		judges.Go(func() { // ends when the round is judged; waited for here and below
			<-last.done
			last.judge(&r.report)
		})
	}
	close(f.stop)
	faulting.Wait()
	clients.Wait()
	judges.Wait()
	r.sample()
	r.report.add(func(fg *figures) {
		for _, mc := range r.servers {
			n, _ := strconv.ParseUint(mc.Stats()["evictions"], 10, 64)
			fg.evicted += n
		}
		fg.late += r.always.stream.Late
		fg.unjudged += r.always.stream.Unjudged
	})
}

// sample has the proxies say what their copies did.
func (r *run) sample() {
	if !r.variant.copies {
		return
	}
	for _, p := range r.proxies {
		p.sample()
	}
	sum := r.copies()
	r.report.add(func(f *figures) { f.copied = sum })
}

// TestChaos is the run itself; see the package's comment.
func TestChaos(t *testing.T) {
	binary := buildProxy(t)
	seed := *seedFlag
	for seed == 0 {
		seed = rand.Uint64()
	}
	var reads, found, quick uint64
	chosen := regexp.MustCompile(*variantFlag)
	for _, v := range variants {
		if v.bulk && chosen.MatchString(v.name) {
			quick++
		}
	}
	for i, v := range variants {
		if !chosen.MatchString(v.name) {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			r := newRun(t, binary, v, same)
			share := uint64(0) // those that are slow run for their time
			if v.bulk {
				share = (*readsFlag + quick - 1) / quick
			}
			duration := *durationFlag
			if v.copies { // what the proxies promise together takes the longest to break
				duration = max(duration, copiesFor)
			}
			r.play(seed+uint64(i), duration, share)
			t.Logf("seed %d, %v\n%v", seed, time.Since(r.started).Round(time.Millisecond), &r.report)
			figures, violations := r.report.present()
			if violations > 0 {
				t.Errorf("%d violations", violations)
			}
			if lacks := r.lacks(figures); lacks != "" {
				t.Errorf("the run says little, for there were few or none: %s", lacks)
			}
			if v.memory == littleMemory && figures.evicted == 0 {
				t.Error("nothing was evicted")
			}
			if figures.late > 0 && v.strict {
				t.Errorf("%d reads of writes that had failed, behind later ones of the same proxy", figures.late)
			}
			reads, found = reads+figures.reads, found+figures.hits
		})
	}
	t.Logf("in all %d reads, of which %d found a value and were checked", reads, found)
}

// lacks names what a run has seen too little of to say anything about it; "" when it has seen all.
func (r *run) lacks(f figures) string {
	var few []string
	for _, fault := range (&faults{run: r}).kinds() {
		if f.faults[fault.name] == 0 {
			few = append(few, fault.name)
		}
	}
	for what, n := range map[string]uint64{
		"reads that found a value": f.hits, "reads that found a split one": f.split, "writes": f.writesDone, "swaps": f.swaps,
		"appends": f.appends, "failures": f.failures, "writes that were not answered": 7 * f.lost,
	} {
		if n < 20 {
			few = append(few, what)
		}
	}
	if r.variant.copies && (f.copied.reads < 100 || f.copied.promoted < 10 || f.copied.demoted < 10) {
		few = append(few, "reads of copies, promotions or demotions")
	}
	return strings.Join(few, ", ")
}

// TestChaosNotices lets two proxies stand before different servers. They share no truth, and the checkers must say so.
func TestChaosNotices(t *testing.T) {
	v := variants[0]
	v.settings = strings.Replace(v.settings, "drill", "# drill", 1)
	r := newRun(t, buildProxy(t), v, func(proxy int, addrs []string) []string { return addrs[2*proxy : 2*proxy+2] })
	r.play(rand.Uint64(), 2*time.Second, 0)
	t.Logf("violations: %v", r.report.found)
	for _, who := range []string{"stream", "zones"} {
		if r.report.found[who] == 0 {
			t.Errorf("%s found nothing", who)
		}
	}
}
