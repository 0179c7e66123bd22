package proxy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"mcproxy/hotkey"
	"mcproxy/pool"
	"mcproxy/pool/copies"
	"mcproxy/protocol"
	"mcproxy/split"
)

// A watcher finds the hot keys of one pool: each window it collects what the workers' detectors saw, decides, and tells the
// workers. Server.watch's goroutine owns it, but for what is atomic.
type watcher struct {
	pool     *pool.Shared
	index    int
	merger   hotkey.Merger
	tracker  *hotkey.Tracker
	hot      []hotkey.Status
	top      []hotkey.Status
	keys     []pool.HotKey
	copied   map[uint64]int   // the copies that each key has
	promoter *copies.Promoter // nil: keys get no copies
	split    map[uint64]int   // the copies of each hot key's value that stands in chunks
	hottest  map[uint64]int   // the copies of each key that the workers were told to be hot

	drilled           bool // the drill has made keys hot,
	drilledAt         time.Time
	promoted, demoted uint64

	seen atomic.Pointer[HotKeys] // what the last window showed
}

// HotKeys are the keys of a pool that cost most, as the last window showed them.
type HotKeys struct {
	Pool   string
	At     time.Time // the end of the last window; zero before the first
	Hidden bool      // Keys have no Key, because the pool's configuration says so
	// Keys are the heaviest first: as many as the pool's configuration says, hot or not, and behind them what else is hot.
	Keys     []HotKey
	hot      map[string]int
	share    float64
	promoted uint64
	demoted  uint64
}

// A HotKey is one of them. Figures a second are means over about the last second.
type HotKey struct {
	Key        string // its bytes as they are; empty if not known yet, or hidden
	Hash       uint64
	Kind       string // "read-hot", "write-hot" or "byte-hot"
	Hot        bool
	Since      time.Time // when it became hot; zero if it is not
	Ops        float64   // requests a second
	Reads      float64
	Writes     float64
	Bytes      float64 // of values, a second, both ways
	ValueBytes uint32  // of the largest value seen lately
	Share      float64 // of the pool's cost, 0..1
	Err        float64 // the true share is at most so much more, sampling aside
	Load       float64 // its cost over the mean backend's
	Backend    string  // where its key belongs
	Action     string  // what is done about it: "coalesced", "split, 3 copies", both, or "" for nothing
}

// Name says which key it is in printable characters without blanks: EscapeKey of its bytes, or its hash, 16 hex digits, if the
// key is hidden or not known.
func (k *HotKey) Name() string { return keyName(k.Key, k.Hash, false) }

// keyName is what people are told of a key.
func keyName(key string, hash uint64, hidden bool) string {
	if hidden || key == "" {
		return fmt.Sprintf("%016x", hash)
	}
	return EscapeKey(key)
}

// loggedKey is a key in a line of the log. Logs are kept and passed on, and a key may be a user's name: only who has debug lines
// logged reads it there.
func (s *Server) loggedKey(p *pool.Shared, key string, hash uint64) zap.Field {
	return zap.String("key", keyName(key, hash, p.Config.HideKeys || !s.log.Core().Enabled(zap.DebugLevel)))
}

// EscapeKey writes a key for people, as protocol.EscapeKey does.
func EscapeKey(key string) string { return protocol.EscapeKey(key) }

// UnescapeKey reads what EscapeKey writes, as protocol.UnescapeKey does.
func UnescapeKey(text string) (key string, ok bool) { return protocol.UnescapeKey(text) }

// HotKeys gives what the last window showed of each pool whose keys are watched.
func (s *Server) HotKeys() []HotKeys {
	var all []HotKeys
	for _, w := range s.tables.Load().watchers {
		if seen := w.seen.Load(); seen != nil {
			all = append(all, *seen)
		} else {
			all = append(all, HotKeys{Pool: w.pool.Config.Name, Hidden: w.pool.Config.HideKeys})
		}
	}
	return all
}

// newWatchers makes the watchers of the pools that are watched.
func newWatchers(pools []*pool.Shared) []*watcher {
	var all []*watcher
	for i, p := range pools {
		if !p.Config.HotKeysOff {
			cfg := p.Config.HotKeys.WithDefaults()
			w := &watcher{pool: p, index: i, tracker: hotkey.NewTracker(cfg), split: make(map[uint64]int)}
			if c := p.Copies(); c != nil {
				w.promoter = copies.NewPromoter(c, cfg)
			}
			all = append(all, w)
		}
	}
	return all
}

// follow has a watcher that has not begun go on where another has ended, which had a pool of the same name.
func (w *watcher) follow(o *watcher) {
	w.promoted, w.demoted = o.promoted, o.demoted
	if !w.pool.Config.WatchedAs(&o.pool.Config) {
		return
	}
	w.tracker, w.keys, w.drilled, w.drilledAt = o.tracker, o.keys, o.drilled, o.drilledAt
	w.seen.Store(o.seen.Load())
	w.publish()
}

// watching is the goroutines of a table's watchers.
type watching struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// watchAll has the windows of all watched pools looked at, until it is stopped.
func (s *Server) watchAll(t *tables) *watching {
	ctx, cancel := context.WithCancel(context.Background())
	g := &watching{cancel: cancel}
	for _, w := range t.watchers {
		g.group.Go(func() { s.watch(ctx, w) })
	}
	return g
}

func (g *watching) stop() {
	g.cancel()
	g.group.Wait()
}

// watch is a goroutine: it looks at each pool's windows as they end, until ctx is done.
func (s *Server) watch(ctx context.Context, w *watcher) {
	window := time.Duration(w.pool.Config.HotKeys.WithDefaults().Window)
	tick := time.NewTicker(window)
	defer tick.Stop()
	var drill <-chan time.Time // nil: never
	if every := w.pool.Config.HotDrill; every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		drill = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-drill:
			w.drill()
		case <-tick.C:
			if !s.look(ctx, w) {
				return
			}
		}
	}
}

// look takes one window from each worker, and gives them back. It says whether to go on.
func (s *Server) look(ctx context.Context, w *watcher) bool {
	clear(w.split)
	if w.promoter != nil {
		clear(w.promoter.Joined)
	}
	var windows []*hotkey.Window
	var lenders []*worker
	for _, wk := range s.workers {
		var win *hotkey.Window
		see := func() {
			win = wk.pools[w.index].Freeze(wk.loop.Now)
			wk.pools[w.index].AddSplit(w.split)
			if w.promoter != nil {
				wk.pools[w.index].AddJoined(w.promoter.Joined)
			}
		}
		if wk.visit(ctx, see) != nil {
			return false
		}
		if win != nil {
			windows = append(windows, win)
			lenders = append(lenders, wk)
		}
	}
	if len(windows) > 0 {
		s.judge(w, w.merger.Merge(windows))
	}
	for _, wk := range lenders {
		if wk.visit(ctx, wk.pools[w.index].Release) != nil {
			return false
		}
	}
	return true
}

// judge updates what is hot.
func (s *Server) judge(w *watcher, view *hotkey.View) {
	events := w.tracker.Update(view, len(w.pool.Backends))
	w.hot = w.tracker.AppendHot(w.hot[:0])
	w.top = w.tracker.AppendTop(w.top[:0])
	if w.pool.Config.HotDrill == 0 {
		for i := range events {
			s.tell(w, &events[i])
		}
		w.keys = w.keys[:0]
		for i := range w.hot {
			w.keys = append(w.keys, pool.HotKey{Hash: w.hot[i].Hash, Copies: w.copies(&w.hot[i])})
		}
		w.publish()
		if w.promoter != nil {
			w.promoter.Update(w.windowEnd(view, w.hot))
		}
	}
	w.copied = w.pool.Copied()
	next := &HotKeys{
		Pool: w.pool.Config.Name, At: s.epoch.Add(time.Duration(view.To)), Hidden: w.pool.Config.HideKeys, hot: make(map[string]int),
		promoted: w.promoted, demoted: w.demoted,
	}
	listed := 0 // of w.hot; both lists have the same order
	for i := range w.top {
		next.add(s.describe(w, &w.top[i]))
		if w.top[i].Hot {
			listed++
		}
	}
	for i := range w.hot[listed:] {
		next.add(s.describe(w, &w.hot[listed+i]))
	}
	w.seen.Store(next)
}

func (h *HotKeys) add(k HotKey) {
	h.Keys = append(h.Keys, k)
	if k.Hot {
		h.hot[k.Kind]++
		h.share = max(h.share, k.Share)
	}
}

// copies says how many copies the chunks of a hot key's value get. They are never fewer than before, while it is hot, and if they
// are more, then at least twice as many: a value is not written anew for little.
func (w *watcher) copies(st *hotkey.Status) int {
	if st.Kind != hotkey.ByteHot || !w.pool.Config.Split.Enabled {
		return 0
	}
	n := len(w.pool.Backends)
	want := split.CopiesFor(st.Load, float64(n), n, w.pool.Config.HotKeys.WithDefaults().Tau, n)
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
func (w *watcher) publish() {
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
	w.pool.SetHot(pool.NewHotSet(w.keys))
}

// drill makes the heaviest keys all hot, each spread by a number of copies chosen at random, or all cold.
func (w *watcher) drill() {
	w.demoted += uint64(len(w.hottest))
	w.keys = w.keys[:0]
	if w.drilled = !w.drilled; w.drilled {
		for i := range w.top {
			k := pool.HotKey{Hash: w.top[i].Hash}
			if w.pool.Config.Split.Enabled {
				k.Copies = 1 + rand.IntN(len(w.pool.Backends))
			}
			w.keys = append(w.keys, k)
		}
	}
	w.promoted += uint64(len(w.keys))
	w.drilledAt = time.Now()
	w.publish()
	if w.promoter != nil {
		w.promoter.Drill(w.windowEnd(nil, w.top))
	}
}

// windowEnd is a window with the keys that it is about; view is nil for a drill.
func (w *watcher) windowEnd(view *hotkey.View, keys []hotkey.Status) *copies.Window {
	e := &copies.Window{
		Hot: keys, Split: w.split, Backends: len(w.pool.Backends),
		Home: func(key string) int { return w.pool.Ring.Lookup([]byte(key)) },
	}
	if view != nil {
		e.At, e.Seconds = view.To, view.Nanos/float64(time.Second)
	}
	return e
}

// tell counts and logs an event.
func (s *Server) tell(w *watcher, e *hotkey.Event) {
	st := &e.Status
	fields := []zap.Field{
		zap.String("pool", w.pool.Config.Name), s.loggedKey(w.pool, st.Key, st.Hash), zap.Stringer("kind", st.Kind),
		zap.Float64("share", st.Share), zap.Float64("ops", st.Ops()), zap.Float64("bytes", st.Bytes()), zap.Stringer("reason", e.Reason),
	}
	event := Event{Pool: w.pool.Config.Name, Key: keyName(st.Key, st.Hash, w.pool.Config.HideKeys)}
	if st.Key != "" {
		event.Backend = w.pool.Backends[w.pool.Ring.Lookup([]byte(st.Key))].Name
	}
	switch e.Change {
	case hotkey.Promoted:
		event.Kind, event.Text = EventPromoted, fmt.Sprintf("%s is %s: %.0f %% of the pool's cost", event.Key, st.Kind, 100*st.Share)
		w.promoted++
		s.log.Info("key is hot", fields...)
	case hotkey.Demoted:
		event.Kind, event.Text = EventDemoted, event.Key+" is hot no more"
		w.demoted++
		s.log.Info("key is hot no more", fields...)
	case hotkey.Turned:
		event.Kind, event.Text = EventTurned, fmt.Sprintf("%s is %s; it was %s", event.Key, st.Kind, e.Was)
		s.log.Info("hot key turned", append(fields, zap.Stringer("was", e.Was))...)
	}
	s.Note(event)
}

func (s *Server) describe(w *watcher, st *hotkey.Status) HotKey {
	_, hot := w.hottest[st.Hash]
	k := HotKey{
		Hash: st.Hash, Kind: st.Kind.String(), Hot: hot, Ops: st.Ops(), Reads: st.Reads, Writes: st.Writes,
		Bytes: st.Bytes(), ValueBytes: st.ValueSize, Share: st.Share, Err: st.Err, Load: st.Load,
	}
	if !w.pool.Config.HideKeys {
		k.Key = st.Key
	}
	switch {
	case hot && st.Hot:
		k.Since = s.epoch.Add(time.Duration(st.Since))
	case hot: // by the drill
		k.Since = w.drilledAt
	}
	if st.Key != "" {
		k.Backend = w.pool.Backends[w.pool.Ring.Lookup([]byte(st.Key))].Name
	}
	k.Action = w.action(st.Hash, hot)
	return k
}

// action says what is done about a key.
func (w *watcher) action(hash uint64, hot bool) string {
	var done []string
	if c := w.pool.Config.Coalesce; c == pool.CoalesceAll || c == pool.CoalesceHot && hot {
		done = append(done, "coalesced")
	}
	if copies, ok := w.split[hash]; ok {
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
