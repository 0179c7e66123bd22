package hotkey

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// A Tracker decides which keys of one pool are hot, window by window.
//
//	          Tau in two windows running,
//	          or 4 Tau in one; at least MinRate
//	  ┌──────────────────────────────────────────┐
//	cold                                        hot ──► Turned: four windows running speak for another Kind
//	  └──────────────────────────────────────────┘
//	          below Tau/3, or MinRate/3, for Cool
//
// Tau is a share of the mean backend's cost. What counts is what a key has had for certain (Entry.Sure), so that the noise
// at the bottom of a summary never makes a key hot, however many backends there are.
//
// A Tracker has one owner, the coordinator of the pool; what it gives away is copied and may be read by anybody.
type Tracker struct {
	cfg     Config
	keys    map[uint64]*tracked // hot keys, candidates, and those at the top of a recent window
	windows uint64              // updates so far
	last    int64               // end of the last one's view
	hot     int                 // keys that are hot, at most cfg.MaxHot
	refused uint64

	events []Event
	// Scratch of an update.
	top      []*Entry
	best     []*tracked
	promoted []promotion
}

// A tracked key's status is kept from window to window.
type tracked struct {
	Status
	seen     uint64 // the last update in which it was near the top, or above the line
	above    bool   // the line, in the last window
	low      bool   // below a third of it, since lowSince
	lowSince int64
	other    Kind // what the last windows, otherRuns of them running, spoke for
	otherRun int
}

// A promotion is a key to be made hot, and why.
type promotion struct {
	*tracked
	why Reason
}

const (
	shiftWindows  = 4      // windows running that turn a key's kind
	forgetWindows = 20     // a cold key so long away from the top is forgotten
	smoothNanos   = second // time constant of the rates in a Status
)

// NewTracker makes a tracker without hot keys. cfg must be valid.
func NewTracker(cfg Config) *Tracker {
	return &Tracker{cfg: cfg.WithDefaults(), keys: make(map[uint64]*tracked)}
}

// Configure changes the rules from the next Update on. Hot keys stay hot unless cfg ignores them.
func (t *Tracker) Configure(cfg Config) { t.cfg = cfg.WithDefaults() }

// Hot is the number of hot keys.
func (t *Tracker) Hot() int { return t.hot }

// Refused is how often a key was not made hot because Config.MaxHot were.
func (t *Tracker) Refused() uint64 { return t.refused }

// A verdict is what one window's figures are judged by; weights in bytes of cost.
type verdict struct {
	at    int64 // end of the window
	from  int64 // its begin, or the end of the one before: a worker that was late brings figures of longer ago
	total float64
	line  float64 // a cold key above it may become hot
	low   float64 // a hot key below it may cool
	mean  float64 // backend's weight
	nanos float64
	decay float64 // what is left of an old rate
}

// Update takes the view of one window, or of windows that follow each other. backends, at least 1, is how many the pool's
// keys are spread over. The events, the heaviest key's first, are valid until the next Update. A view without windows
// changes nothing.
func (t *Tracker) Update(v *View, backends int) []Event {
	t.events = t.events[:0]
	if v.Nanos <= 0 {
		return nil
	}
	t.windows++
	mean := float64(v.Total) / float64(max(1, backends))
	least := t.cfg.MinRate * float64(t.cfg.OpBytes) * v.Nanos / second
	d := verdict{
		at: v.To, from: max(v.From, t.last), total: float64(v.Total), mean: mean, nanos: v.Nanos,
		line:  max(t.cfg.Tau*mean, least),
		low:   max(t.cfg.Tau*mean, least) / coolDivisor,
		decay: math.Exp(-v.Nanos / smoothNanos),
	}
	t.watch(v, d.line)
	t.promoted = t.promoted[:0]
	for hash, k := range t.keys {
		var e Entry // a key that nobody saw
		if found := v.Lookup(hash); found != nil {
			e = *found
		}
		t.learn(k, &e)
		k.measure(&e, &d)
		t.judge(k, float64(e.Sure()), &d)
		if !k.Hot && t.windows-k.seen >= forgetWindows {
			delete(t.keys, hash)
		}
	}
	t.promote(d.at)
	t.last = v.To
	slices.SortFunc(t.events, func(a, b Event) int { return heavier(&a.Status, &b.Status) })
	return t.events
}

// watch begins to track the keys above line, and the heaviest ones.
func (t *Tracker) watch(v *View, line float64) {
	t.top = v.top(t.top[:0], t.cfg.Top)
	for i := range v.Entries {
		if e := &v.Entries[i]; float64(e.Sure()) >= line {
			t.see(e.Hash)
		}
	}
	for _, e := range t.top {
		t.see(e.Hash)
	}
}

func (t *Tracker) see(hash uint64) {
	k := t.keys[hash]
	if k == nil {
		k = &tracked{Status: Status{Hash: hash}}
		t.keys[hash] = k
	}
	k.seen = t.windows
}

// learn gives k its name, and says whether that is ignored.
func (t *Tracker) learn(k *tracked, e *Entry) {
	if k.Key == "" {
		k.Key = string(e.Key)
	}
	k.Ignored = slices.ContainsFunc(t.cfg.Ignore, func(prefix string) bool { return strings.HasPrefix(k.Key, prefix) })
}

// measure takes a window's figures into the status.
func (k *tracked) measure(e *Entry, d *verdict) {
	keep := d.decay
	if k.Load == 0 && k.Ops() == 0 && k.Bytes() == 0 {
		keep = 0 // the first figures stand as they are
	}
	blend := func(old *float64, now float64) { *old = *old*keep + now*(1-keep) }
	blend(&k.Reads, float64(e.Reads)*second/d.nanos)
	blend(&k.Writes, float64(e.Writes)*second/d.nanos)
	blend(&k.ReadBytes, float64(e.ReadBytes)*second/d.nanos)
	blend(&k.WriteBytes, float64(e.WriteBytes)*second/d.nanos)
	share, err, load := 0.0, 0.0, 0.0
	if d.total > 0 {
		share, err, load = float64(e.Sure())/d.total, float64(e.Err)/d.total, float64(e.Sure())/d.mean
	}
	blend(&k.Share, share)
	blend(&k.Err, err)
	blend(&k.Load, load)
	if e.Size > 0 {
		k.ValueSize = e.Size
	}
	k.speak(e)
}

// speak counts how many windows running have spoken for the same kind.
func (k *tracked) speak(e *Entry) {
	if e.Reads+e.Writes+e.ReadBytes+e.WriteBytes == 0 {
		return
	}
	kind := kindOf(float64(e.Reads), float64(e.Writes), float64(e.ReadBytes+e.WriteBytes))
	if kind != k.other {
		k.other, k.otherRun = kind, 0
	}
	k.otherRun++
}

func kindOf(reads, writes, bytes float64) Kind {
	switch {
	case bytes >= byteHotSize*(reads+writes):
		return ByteHot
	case reads >= readsPerWrite*writes:
		return ReadHot
	}
	return WriteHot
}

// judge is where a hot key turns and becomes cold, and where it shows that a cold one is to be hot.
func (t *Tracker) judge(k *tracked, sure float64, d *verdict) {
	above := sure >= d.line && sure > 0
	sudden := above && sure >= suddenFactor*t.cfg.Tau*d.mean
	sustained := above && k.above
	k.above = above
	if !k.Hot {
		k.Kind = kindOf(k.Reads, k.Writes, k.Bytes())
		switch {
		case k.Ignored || k.Key == "":
		case sudden:
			t.promoted = append(t.promoted, promotion{k, Sudden})
		case sustained:
			t.promoted = append(t.promoted, promotion{k, Sustained})
		}
		return
	}
	if k.Ignored {
		t.cool(k, Ignored, d.at)
		return
	}
	if low := sure < d.low; low != k.low {
		k.low, k.lowSince = low, d.from
	}
	if k.low && d.at-k.lowSince >= t.cfg.Cool {
		t.cool(k, Cooled, d.at)
		return
	}
	if k.other != k.Kind && k.otherRun >= shiftWindows {
		was := k.Kind
		k.Kind = k.other
		t.tell(Turned, Shifted, k, d.at)
		t.events[len(t.events)-1].Was = was
	}
}

// promote makes keys hot, the heaviest first, when those that cooled have made room.
func (t *Tracker) promote(at int64) {
	slices.SortFunc(t.promoted, func(a, b promotion) int { return heavier(&a.Status, &b.Status) })
	for _, p := range t.promoted {
		if t.hot >= t.cfg.MaxHot {
			t.refused++
			continue
		}
		t.hot++
		p.Hot, p.Since, p.low = true, at, false
		t.tell(Promoted, p.why, p.tracked, at)
	}
}

// cool makes a hot key cold. The event's status tells since when it was hot.
func (t *Tracker) cool(k *tracked, why Reason, at int64) {
	t.hot--
	k.Hot = false
	t.tell(Demoted, why, k, at)
	k.Since = 0
}

func (t *Tracker) tell(c Change, why Reason, k *tracked, at int64) {
	t.events = append(t.events, Event{Change: c, Reason: why, At: at, Was: k.Kind, Status: k.Status})
}

// Clear forgets everything; now is the time in nanoseconds. The events, valid until the next Update, demote what was hot.
func (t *Tracker) Clear(now int64) []Event {
	t.events = t.events[:0]
	for _, k := range t.keys {
		if k.Hot {
			t.cool(k, Cleared, now)
		}
	}
	clear(t.keys)
	slices.SortFunc(t.events, func(a, b Event) int { return heavier(&a.Status, &b.Status) })
	return t.events
}

// AppendHot appends every hot key to dst, the heaviest first.
func (t *Tracker) AppendHot(dst []Status) []Status {
	return t.appendKeys(dst, math.MaxInt, func(k *tracked) bool { return k.Hot })
}

// AppendTop appends the heaviest keys to dst, hot or not, the heaviest first: as many as Config.Top says. Keys that are not
// hot are there for people to look at, and may be without a name.
func (t *Tracker) AppendTop(dst []Status) []Status {
	return t.appendKeys(dst, t.cfg.Top, func(*tracked) bool { return true })
}

func (t *Tracker) appendKeys(dst []Status, limit int, wanted func(*tracked) bool) []Status {
	// Of some thousand keys, most are lighter than the last of those that are already there: one comparison each.
	best := t.best[:0]
	for _, k := range t.keys {
		if !wanted(k) || len(best) == limit && (limit == 0 || heavier(&k.Status, &best[limit-1].Status) > 0) {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, k, func(a, b *tracked) int { return heavier(&a.Status, &b.Status) })
		best = slices.Insert(best[:min(len(best), limit-1)], at, k)
	}
	for _, k := range best {
		dst = append(dst, k.Status)
	}
	clear(best)
	t.best = best[:0]
	return dst
}

// heavier orders by share, and by hash where that is equal.
func heavier(a, b *Status) int {
	return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Hash, b.Hash))
}
