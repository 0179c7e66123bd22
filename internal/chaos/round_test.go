package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"mcproxy/internal/history"
)

// rounds hands the present round to clients. Each has keys of its own, and is judged when the last client has left it, so the
// memory of a run does not grow with its length.
type rounds struct {
	mu  sync.Mutex
	now *round // guarded by mu; nil: the run is over
}

// A round is some seconds of operations on keys of its own.
type round struct {
	variant *variant
	number  int
	started int64
	targets []*target     // of reads of many keys
	done    chan struct{} // closed when all have left

	watch watch

	mu      sync.Mutex // guards what follows
	clients int
	over    bool
	ops     []history.Op // of clients that have left

	violations []history.Violation // that clients found
}

// A watch sees operations as they happen, of all clients.
type watch struct {
	mu     sync.Mutex     // guards what follows
	stream history.Stream // of the keys of a round, or of those that last
	used   map[string]bool
}

func (w *watch) begin(op *history.Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used == nil {
		w.used = map[string]bool{}
	}
	w.used[op.Key] = true
	w.stream.Begin(op)
}

func (w *watch) end(op *history.Op) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stream.End(op)
}

// keys are all that were ever used.
func (w *watch) keys() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.used))
}

// enter gives the present round to a client that was in another, or in none; nil when the run is over.
// log gives what the client did in the one before.
func (s *rounds) enter(from *round, log func() []history.Op) *round {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == from {
		return from
	}
	if s.now != nil {
		s.now.mu.Lock()
		s.now.clients++
		s.now.mu.Unlock()
	}
	if from != nil {
		from.leave(log())
	}
	return s.now
}

// begin replaces the present round, and gives it.
func (s *rounds) begin(next *round) (last *round) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, s.now = s.now, next
	if last != nil {
		last.mu.Lock()
		defer last.mu.Unlock()
		if last.over = true; last.clients == 0 {
			close(last.done)
		}
	}
	return last
}

func newRound(number int, now int64, v *variant, always *watch) *round {
	r := &round{number: number, started: now, done: make(chan struct{}), variant: v}
	r.watch.stream.Strict, r.watch.stream.Unordered = v.strict, v.copies
	if v.bulk {
		r.targets = newTargets(r, always)
	}
	return r
}

func (r *round) leave(log []history.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, log...)
	if r.clients--; r.over && r.clients == 0 {
		close(r.done)
	}
}

const (
	shortSlot = 150 * time.Millisecond
	shortKeys = 2 // of each slot
	shortName = ".short"

	alwaysKeys = 6
	alwaysName = "always."
)

// alwaysKey gives the name of a key that lives as long as the run: what comes late, rounds later, comes there.
func alwaysKey(i int) string { return fmt.Sprintf("%sk%d", alwaysName, 4+i) }

// key gives the name of a shared key.
func (r *round) key(i int) string { return fmt.Sprintf("r%d.k%d", r.number, i) }

// short gives the name of a key that lives for a moment, so that its history is short.
func (r *round) short(now int64, i int) string {
	return fmt.Sprintf("r%d%s.%d.%d", r.number, shortName, (now-r.started)/int64(shortSlot), i)
}

// searchLimit is for one history. A valid one takes milliseconds; what takes longer is counted as not searched.
const searchLimit = 5 * time.Second

// judge looks at a whole round, which all have left.
func (r *round) judge(report *report) {
	unordered := r.variant.copies && !r.variant.gentle
	var keys map[string][]history.Op
	if !unordered || len(r.violations) > 0 {
		keys = history.ByKey(r.ops)
	}
	for _, v := range r.violations {
		report.violation(withHistory(v, keys[v.Key]))
	}
	for key, ops := range keys {
		if unordered {
			break
		}
		if r.variant.gentle {
			var slow int
			ops, slow = promised(ops)
			report.add(func(f *figures) { f.slow += slow })
		}
		violations := history.Zones(ops)
		for _, v := range violations {
			v.What = "zones: " + v.What
			report.violation(withHistory(v, ops))
		}
		report.add(func(f *figures) { f.zoned += len(ops) })
		if strings.Contains(key, shortName) {
			r.search(report, key, ops, len(violations) == 0)
		}
	}
	report.add(func(f *figures) {
		f.late += r.watch.stream.Late
		f.unjudged += r.watch.stream.Unjudged
		f.rounds++
	})
}

// search asks porcupine.
func (r *round) search(report *report, key string, ops []history.Op, fine bool) {
	verdict := history.Search(ops, searchLimit)
	if verdict == history.Impossible && fine {
		report.violation(history.Violation{Key: key, What: "porcupine: there is no order that explains it", Ops: ops})
	}
	report.add(func(f *figures) {
		if verdict == history.Unknown {
			f.notSearched++
		} else {
			f.searched++
		}
	})
}

// withHistory adds to a violation what happened to the key at that time, and shortly before.
func withHistory(v history.Violation, ops []history.Op) history.Violation {
	first := slices.MinFunc(v.Ops, func(a, b history.Op) int { return cmp.Compare(a.Call, b.Call) })
	wide := v
	wide.Ops = append(slices.Clone(v.Ops), history.Op{Call: first.Call - int64(200*time.Millisecond), Return: first.Call})
	around := history.Around(ops, wide, 1<<30)
	around = around[max(0, len(around)-60):]
	v.Ops = append(append(slices.Clone(v.Ops), history.Op{Verb: "-- the last of what was done to the key until then"}), around...)
	return v
}

// report gathers what a run found.
type report struct {
	mu         sync.Mutex // guards what follows
	figures    figures
	violations []history.Violation // the first few
	found      map[string]int      // by who found them
}

type figures struct {
	rounds                int
	reads, hits, split    uint64 // keys read; found; of these, longer than the threshold
	writes, writesDone    uint64
	swaps, appends        uint64 // that were done
	failures, lost        uint64 // answered with a failure; not answered
	late, unjudged        uint64
	slow                  int // writes that took so long that strict mode promises less
	zoned                 int // operations that Zones has judged
	searched, notSearched int // histories that porcupine has, or has not in its time
	faults                map[string]int
	evicted               uint64 // by the servers, since they were started last
	copied                copied
}

const keptViolations = 10

func (r *report) violation(v history.Violation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	who, _, _ := strings.Cut(v.What, ":")
	if r.found[who]++; len(r.violations) < keptViolations {
		r.violations = append(r.violations, v)
	}
}

func (r *report) add(change func(*figures)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.figures)
}

// present gives the figures so far, and the number of violations.
func (r *report) present() (f figures, violations int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.found {
		violations += n
	}
	f = r.figures
	f.faults = maps.Clone(f.faults)
	return f, violations
}

// String is all of it, for people.
func (r *report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &r.figures
	var b strings.Builder
	fmt.Fprintf(&b, "%d reads, of which %d found a value and were checked, %d a split one; %d writes, %d done, %d swaps and %d appends among them\n",
		f.reads, f.hits, f.split, f.writes, f.writesDone, f.swaps, f.appends)
	if c := &f.copied; c.promoted > 0 {
		fmt.Fprintf(&b, "%d reads answered by copies, at least: %.1f %% of those that found a value; %d found none; %d keys got copies, %d lost them; the canary suspected %d copies\n",
			c.reads, 100*float64(c.reads)/float64(max(f.hits, 1)), c.missed, c.promoted, c.demoted, c.suspected)
	}
	fmt.Fprintf(&b, "%d answered with a failure, %d not answered; %d reads of failed writes that came late, %d reads not judged by the stream\n",
		f.failures, f.lost, f.late, f.unjudged)
	fmt.Fprintf(&b, "%d rounds; %d operations judged by zones, %d writes among them too slow for all promises; %d histories searched by porcupine, %d not in time\nfaults:",
		f.rounds, f.zoned, f.slow, f.searched, f.notSearched)
	for _, name := range slices.Sorted(maps.Keys(f.faults)) {
		fmt.Fprintf(&b, " %s %d,", name, f.faults[name])
	}
	fmt.Fprintf(&b, "\n%d items evicted by the memcacheds that were there at the end; violations %v", f.evicted, r.found)
	for _, v := range r.violations {
		b.WriteString("\n\n" + v.String())
	}
	return b.String()
}
