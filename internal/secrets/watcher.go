package secrets

import (
	"context"
	"sync/atomic"
	"time"
)

// A Watcher looks whether files have changed, and counts. It is safe for concurrent use.
type Watcher struct {
	Told    func(files []string, err error) // is told of each change: what the files hold is in force, or err says why it is of no use
	Changed atomic.Uint64                   // times that files changed, and are in force
	Failed  atomic.Uint64                   // and are of no use
}

// Refresh has what files hold now in force, where it is right.
func (w *Watcher) Refresh(all []Refresher) {
	for _, r := range all {
		switch changed, err := r.Refresh(false); {
		case err != nil:
			w.Failed.Add(1)
			w.Told(r.Files(), err)
		case changed:
			w.Changed.Add(1)
			w.Told(r.Files(), nil)
		}
	}
}

// Run refreshes what all gives, once in an interval, until ctx is done. An interval below 0 is never.
func (w *Watcher) Run(ctx context.Context, interval time.Duration, all func() []Refresher) {
	if interval < 0 {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.Refresh(all())
		}
	}
}
