package chaos

import (
	"flag"
	"fmt"
	"math/rand/v2"
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
	durationFlag = flag.Duration("duration", 7*time.Second, "of each variant, at least")
	readsFlag    = flag.Uint64("reads", 0, "that a run checks at least, in those of its variants that are quick")
	clientsFlag  = flag.Int("clients", 16, "at once")
	seedFlag     = flag.Uint64("seed", 0, "of what clients and faults choose; 0 takes one at random and prints it")
	roundFlag    = flag.Duration("round", 4*time.Second, "after which new keys are used and the old ones' histories are judged")
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
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
}

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

// copies and noCopies say whether hot keys get copies on other servers.
const (
	copies   = "[pools.main.replicas]\nmode = \"safe\"\n"
	noCopies = "[pools.main.replicas]\nmode = \"off\"\n"
)

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
		name: "copies", settings: "on_error = \"error\"\n" + commonSettings + "copies = 1\n" + hot + copies,
		memory: "64", longest: 12_000, proxies: 3, skew: 2, copies: true,
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
		t: t, variant: v, started: time.Now(), commands: commands(), longest: v.longest,
		errorsTold: strings.Contains(v.settings, `on_error = "error"`), report: report{figures: figures{faults: map[string]int{}}, found: map[string]int{}},
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
		for n, addr := range backends(i, addrs) {
			if v.links {
				l := startLink(t, addr, uint64(n))
				r.links = append(r.links, l)
				addr = l.listener.Addr().String()
			}
			list = append(list, fmt.Sprintf("{ name = \"s%d\", address = %q }", n, addr))
		}
		pool := fmt.Sprintf("[proxy]\nworkers = 2\n\n[pools.main]\nbackends = [%s]\n%s", strings.Join(list, ", "), v.settings)
		pool = strings.Replace(pool, "[pools.main.split]\n", fmt.Sprintf("[pools.main.split]\nthreshold = \"%dB\"\nchunk = \"%dB\"\n",
			splitThreshold, splitChunk), 1)
		r.proxies = append(r.proxies, startProxy(t, binary, pool))
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
		return newRound(number, r.now(), &r.variant)
	}
	r.rounds.begin(next())
	for i := range *clientsFlag {
		c := &client{run: r, number: i, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		clients.Go(c.work) // ends with the last round; waited for below
	}
	f := &faults{
		run: r, rng: rand.New(rand.NewPCG(seed, 1<<32)), stop: make(chan struct{}), gap: min(duration/20, 600*time.Millisecond),
		away: map[string]int{}, busy: map[string]bool{},
	}
	var faulting sync.WaitGroup
	faulting.Go(f.work) // ends with stop; waited for below
	told := time.Duration(0)
	for over := false; !over; {
		time.Sleep(min(*roundFlag, duration)) // how long is all the same to what is judged
		figures, found := r.report.present()
		took := time.Since(r.started)
		if took > told+time.Minute {
			told = took
			r.t.Logf("after %v: %d reads checked, %d violations", took.Round(time.Second), figures.reads, found)
		}
		over = took >= duration && figures.reads >= reads && (r.lacks(figures) == "" || took > duration+time.Minute) || found >= 100
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
	r.report.add(func(fg *figures) {
		for _, mc := range r.servers {
			n, _ := strconv.ParseUint(mc.Stats()["evictions"], 10, 64)
			fg.evicted += n
		}
		fg.late += r.always.stream.Late
		fg.unjudged += r.always.stream.Unjudged
	})
}

// TestChaos is the run itself; see the package's comment.
func TestChaos(t *testing.T) {
	binary := buildProxy(t)
	seed := *seedFlag
	for seed == 0 {
		seed = rand.Uint64()
	}
	var reads, found, quick uint64
	for _, v := range variants {
		if !v.links {
			quick++
		}
	}
	for i, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			r := newRun(t, binary, v, same)
			share := *readsFlag / quick
			if v.links {
				share = 0 // they are slow, and are judged by time alone
			}
			r.play(seed+uint64(i), *durationFlag, share)
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
	t.Logf("in all %d reads checked, of which %d found a value", reads, found)
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
		"appends": f.appends, "failures": f.failures, "writes that were not answered": f.lost,
	} {
		if n < 20 {
			few = append(few, what)
		}
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
