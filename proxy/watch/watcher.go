// Package watch decides which keys of a pool are hot, and what that means for them: from what the detectors of all workers saw in a window, to
// the set of hot keys that the workers are told, and the list that people are.
package watch

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"mcproxy/hotkey"
	"mcproxy/pool"
	"mcproxy/pool/copies"
	"mcproxy/split"
)

// A Watcher finds the hot keys of one pool. One goroutine owns it, but for Seen.
type Watcher struct {
	// Immutable after New.
	Pool  *pool.Shared
	epoch time.Time // what the loops' clocks count from

	// Split is filled for each window by whoever collects it: the copies of each hot key's value that stands in chunks, by hotkey.Hash.
	Split    map[uint64]int
	Promoter *copies.Promoter // nil: keys get no copies

	merger  hotkey.Merger
	tracker *hotkey.Tracker
	hot     []hotkey.Status
	top     []hotkey.Status
	keys    []pool.HotKey
	copied  map[uint64]int // the copies that each key has
	hottest map[uint64]int // the copies of each key that the workers were told to be hot

	drilled           bool // the drill has made keys hot,
	drilledAt         time.Time
	promoted, demoted uint64

	seen atomic.Pointer[HotKeys] // what the last window showed
}

// New makes the watcher of a pool; nil if its keys are not watched. epoch is what the loops' clocks count from.
func New(p *pool.Shared, epoch time.Time) *Watcher {
	if p.Config.HotKeysOff {
		return nil
	}
	cfg := p.Config.HotKeys.WithDefaults()
	w := &Watcher{Pool: p, epoch: epoch, tracker: hotkey.NewTracker(cfg), Split: make(map[uint64]int)}
	if c := p.Copies(); c != nil {
		w.Promoter = copies.NewPromoter(c, cfg)
	}
	return w
}

// Follow has a watcher that has not begun go on where another has ended, which had a pool of the same name.
func (w *Watcher) Follow(o *Watcher) {
	w.promoted, w.demoted = o.promoted, o.demoted
	if !w.Pool.Config.WatchedAs(&o.Pool.Config) {
		return
	}
	w.tracker, w.keys, w.drilled, w.drilledAt = o.tracker, o.keys, o.drilled, o.drilledAt
	w.seen.Store(o.seen.Load())
	w.publish()
}

// Seen is what the last window showed; without keys before the first. Any goroutine may call it.
func (w *Watcher) Seen() HotKeys {
	if seen := w.seen.Load(); seen != nil {
		return *seen
	}
	return HotKeys{Pool: w.Pool.Config.Name, Hidden: w.Pool.Config.HideKeys}
}

// Judge updates what is hot by the windows of all workers, and gives what has changed; that is valid until the next call.
func (w *Watcher) Judge(windows []*hotkey.Window) (events []hotkey.Event) {
	view := w.merger.Merge(windows)
	events = w.tracker.Update(view, len(w.Pool.Backends))
	w.hot = w.tracker.AppendHot(w.hot[:0])
	w.top = w.tracker.AppendTop(w.top[:0])
	if w.Pool.Config.HotDrill == 0 {
		for i := range events {
			switch events[i].Change {
			case hotkey.Promoted:
				w.promoted++
			case hotkey.Demoted:
				w.demoted++
			}
		}
		w.keys = w.keys[:0]
		for i := range w.hot {
			w.keys = append(w.keys, pool.HotKey{Hash: w.hot[i].Hash, Copies: w.copies(&w.hot[i])})
		}
		w.publish()
		if w.Promoter != nil {
			w.Promoter.Update(w.windowEnd(view, w.hot))
		}
	}
	w.copied = w.Pool.Copied()
	next := &HotKeys{
		Pool: w.Pool.Config.Name, At: w.epoch.Add(time.Duration(view.To)), Hidden: w.Pool.Config.HideKeys, Hot: make(map[string]int),
		Promoted: w.promoted, Demoted: w.demoted,
	}
	listed := 0 // of w.hot; both lists have the same order
	for i := range w.top {
		next.add(w.describe(&w.top[i]))
		if w.top[i].Hot {
			listed++
		}
	}
	for i := range w.hot[listed:] {
		next.add(w.describe(&w.hot[listed+i]))
	}
	w.seen.Store(next)
	if w.Pool.Config.HotDrill != 0 {
		return nil
	}
	return events
}

func (h *HotKeys) add(k HotKey) {
	h.Keys = append(h.Keys, k)
	if k.Hot {
		h.Hot[k.Kind]++
		h.Share = max(h.Share, k.Share)
	}
}

// copies says how many copies the chunks of a hot key's value get. They are never fewer than before, while it is hot, and if they
// are more, then at least twice as many: a value is not written anew for little.
func (w *Watcher) copies(st *hotkey.Status) int {
	if st.Kind != hotkey.ByteHot || !w.Pool.Config.Split.Enabled {
		return 0
	}
	n := len(w.Pool.Backends)
	want := split.CopiesFor(st.Load, float64(n), n, w.Pool.Config.HotKeys.WithDefaults().Tau, n)
	if st.Writes > 0 { // a copy that is not read between two writes costs more than it spares
		want = min(want, max(1, int(st.Reads/st.Writes)))
	}
	before := w.hottest[st.Hash]
	if before > 0 && want > before {
		want = min(n, max(want, 2*before))
	}
	return max(want, before)
}

// publish tells the workers which keys are hot: w.keys.
func (w *Watcher) publish() {
	same := len(w.keys) == len(w.hottest)
	for _, k := range w.keys {
		copies, ok := w.hottest[k.Hash]
		same = same && ok && copies == k.Copies
	}
	if same {
		return
	}
	w.hottest = make(map[uint64]int, len(w.keys))
	for _, k := range w.keys {
		w.hottest[k.Hash] = k.Copies
	}
	w.Pool.SetHot(pool.NewHotSet(w.keys))
}

// Drill makes the heaviest keys all hot, each spread by a number of copies chosen at random, or all cold.
func (w *Watcher) Drill() {
	w.demoted += uint64(len(w.hottest))
	w.keys = w.keys[:0]
	if w.drilled = !w.drilled; w.drilled {
		for i := range w.top {
			k := pool.HotKey{Hash: w.top[i].Hash}
			if w.Pool.Config.Split.Enabled {
				k.Copies = 1 + rand.IntN(len(w.Pool.Backends))
			}
			w.keys = append(w.keys, k)
		}
	}
	w.promoted += uint64(len(w.keys))
	w.drilledAt = time.Now()
	w.publish()
	if w.Promoter != nil {
		w.Promoter.Drill(w.windowEnd(nil, w.top))
	}
}

// windowEnd is a window with the keys that it is about; view is nil for a drill.
func (w *Watcher) windowEnd(view *hotkey.View, keys []hotkey.Status) *copies.Window {
	e := &copies.Window{
		Hot: keys, Split: w.Split, Backends: len(w.Pool.Backends),
		Home: func(key string) int { return w.Pool.Ring.Lookup([]byte(key)) },
	}
	if view != nil {
		e.At, e.Seconds = view.To, view.Nanos/float64(time.Second)
	}
	return e
}

func (w *Watcher) describe(st *hotkey.Status) HotKey {
	_, hot := w.hottest[st.Hash]
	k := HotKey{
		Hash: st.Hash, Kind: st.Kind.String(), Hot: hot, Ops: st.Ops(), Reads: st.Reads, Writes: st.Writes,
		Bytes: st.Bytes(), ValueBytes: st.ValueSize, Share: st.Share, Err: st.Err, Load: st.Load,
	}
	if !w.Pool.Config.HideKeys {
		k.Key = st.Key
	}
	switch {
	case hot && st.Hot:
		k.Since = w.epoch.Add(time.Duration(st.Since))
	case hot: // by the drill
		k.Since = w.drilledAt
	}
	if st.Key != "" {
		k.Backend = w.Pool.Backends[w.Pool.Ring.Lookup([]byte(st.Key))].Name
	}
	k.Action = w.action(st.Hash, hot)
	return k
}

// action says what is done about a key.
func (w *Watcher) action(hash uint64, hot bool) string {
	var done []string
	if c := w.Pool.Config.Coalesce; c == pool.CoalesceAll || c == pool.CoalesceHot && hot {
		done = append(done, "coalesced")
	}
	if copies, ok := w.Split[hash]; ok {
		done = append(done, "split")
		if copies > 1 {
			done = append(done, strconv.Itoa(copies)+" copies")
		}
	}
	if n := w.copied[hash]; n > 0 {
		done = append(done, fmt.Sprintf("replicated x%d", n))
	}
	return strings.Join(done, ", ")
}
