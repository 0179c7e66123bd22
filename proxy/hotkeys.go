package proxy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"mcproxy/hotkey"
	"mcproxy/pool"
	"mcproxy/protocol"
	"mcproxy/proxy/watch"
)

// HotKeys are the keys of a pool that cost most, as the last window showed them.
type HotKeys = watch.HotKeys

// A HotKey is one of them.
type HotKey = watch.HotKey

// loggedKey is a key in a line of the log. Logs are kept and passed on, and a key may be a user's name: only who has debug lines
// logged reads it there.
func (s *Server) loggedKey(p *pool.Shared, key string, hash uint64) zap.Field {
	return zap.String("key", watch.KeyName(key, hash, p.Config.HideKeys || !s.log.Core().Enabled(zap.DebugLevel)))
}

// EscapeKey writes a key for people, as protocol.EscapeKey does.
func EscapeKey(key string) string { return protocol.EscapeKey(key) }

// UnescapeKey reads what EscapeKey writes, as protocol.UnescapeKey does.
func UnescapeKey(text string) (key string, ok bool) { return protocol.UnescapeKey(text) }

// A watcher finds the hot keys of one pool: each window it collects what the workers' detectors saw, and tells what has changed.
type watcher struct {
	*watch.Watcher
	index int // of the pool
}

// HotKeys gives what the last window showed of each pool whose keys are watched.
func (s *Server) HotKeys() []HotKeys {
	var all []HotKeys
	for _, w := range s.tables.Load().watchers {
		all = append(all, w.Seen())
	}
	return all
}

// newWatchers makes the watchers of the pools that are watched.
func (s *Server) newWatchers(pools []*pool.Shared) []*watcher {
	var all []*watcher
	for i, p := range pools {
		if w := watch.New(p, s.epoch); w != nil {
			all = append(all, &watcher{w, i})
		}
	}
	return all
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
	window := time.Duration(w.Pool.Config.HotKeys.WithDefaults().Window)
	tick := time.NewTicker(window)
	defer tick.Stop()
	var drill <-chan time.Time // nil: never
	if every := w.Pool.Config.HotDrill; every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		drill = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-drill:
			w.Drill()
		case <-tick.C:
			if !s.look(ctx, w) {
				return
			}
		}
	}
}

// look takes one window from each worker, and gives them back. It says whether to go on.
func (s *Server) look(ctx context.Context, w *watcher) bool {
	clear(w.Split)
	if w.Promoter != nil {
		clear(w.Promoter.Joined)
	}
	var windows []*hotkey.Window
	var lenders []*worker
	for _, wk := range s.workers {
		var win *hotkey.Window
		see := func() {
			win = wk.pools[w.index].Freeze(wk.loop.Now)
			wk.pools[w.index].AddSplit(w.Split)
			if w.Promoter != nil {
				wk.pools[w.index].AddJoined(w.Promoter.Joined)
			}
		}
		if wk.loop.Visit(ctx, see) != nil {
			return false
		}
		if win != nil {
			windows = append(windows, win)
			lenders = append(lenders, wk)
		}
	}
	if len(windows) > 0 {
		events := w.Judge(windows)
		for i := range events {
			s.tell(w, &events[i])
		}
	}
	for _, wk := range lenders {
		if wk.loop.Visit(ctx, wk.pools[w.index].Release) != nil {
			return false
		}
	}
	return true
}

// tell logs an event.
func (s *Server) tell(w *watcher, e *hotkey.Event) {
	st := &e.Status
	fields := []zap.Field{
		zap.String("pool", w.Pool.Config.Name), s.loggedKey(w.Pool, st.Key, st.Hash), zap.Stringer("kind", st.Kind),
		zap.Float64("share", st.Share), zap.Float64("ops", st.Ops()), zap.Float64("bytes", st.Bytes()), zap.Stringer("reason", e.Reason),
	}
	event := Event{Pool: w.Pool.Config.Name, Key: watch.KeyName(st.Key, st.Hash, w.Pool.Config.HideKeys)}
	if st.Key != "" {
		event.Backend = w.Pool.Backends[w.Pool.Ring.Lookup([]byte(st.Key))].Name
	}
	switch e.Change {
	case hotkey.Promoted:
		event.Kind, event.Text = EventPromoted, fmt.Sprintf("%s is %s: %.0f %% of the pool's cost", event.Key, st.Kind, 100*st.Share)
		s.log.Info("key is hot", fields...)
	case hotkey.Demoted:
		event.Kind, event.Text = EventDemoted, event.Key+" is hot no more"
		s.log.Info("key is hot no more", fields...)
	case hotkey.Turned:
		event.Kind, event.Text = EventTurned, fmt.Sprintf("%s is %s; it was %s", event.Key, st.Kind, e.Was)
		s.log.Info("hot key turned", append(fields, zap.Stringer("was", e.Was))...)
	}
	s.Note(event)
}

// Client is pool.Caller's: the address that the session's client comes from.
func (s *session) Client() string { return s.peer }
