package admin

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"mcproxy/proxy"
)

// A moment is what the source told at a time.
type moment struct {
	at time.Time
	*figures
}

// meanOver is how many seconds back the figures a second of a Status reach.
const meanOver = 5

// A recorder asks the source each second, whoever looks, so that there is something to look back on; what it has learned is what the
// page and its like get, and they cost the proxy nothing.
type recorder struct {
	source Source
	log    *zap.Logger

	mu      sync.Mutex
	recent  []moment // guarded by mu: the last meanOver+1, the newest last
	history *history // guarded by mu
}

func newRecorder(source Source, log *zap.Logger) *recorder {
	return &recorder{source: source, log: log, history: newHistory()}
}

// run looks each second until ctx is done.
func (r *recorder) run(ctx context.Context) {
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	failing := false
	for {
		err := r.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			r.log.Warn("there are no figures to record", zap.Error(err))
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look takes one sample.
func (r *recorder) look(ctx context.Context) error {
	f, err := figuresOf(ctx, r.source)
	if err != nil {
		return err
	}
	r.take(moment{time.Now(), f})
	return nil
}

// take adds a moment.
func (r *recorder) take(m moment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.recent) > 0 {
		then := r.recent[len(r.recent)-1]
		r.history.add(m.at, &m.Snapshot, &then.Snapshot, m.at.Sub(then.at).Seconds())
	}
	if len(r.recent) > meanOver {
		r.recent = slices.Delete(r.recent, 0, 1)
	}
	r.recent = append(r.recent, m)
}

// moments gives the newest moment, and the one that figures a second count from. It takes one if there is none.
func (r *recorder) moments(ctx context.Context) (now, then moment, err error) {
	r.mu.Lock()
	n := len(r.recent)
	r.mu.Unlock()
	if n == 0 {
		if err := r.look(ctx); err != nil {
			return moment{}, moment{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recent[len(r.recent)-1], r.recent[0], nil
}

// poolOf gives a pool's figures; nil if there is no such pool.
func poolOf(s *proxy.Snapshot, name string) *proxy.PoolFigures {
	i := slices.IndexFunc(s.Pools, func(p proxy.PoolFigures) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Pools[i]
}

// backendOf gives a backend's figures; nil if the pool, which may be nil, has no such backend.
func backendOf(p *proxy.PoolFigures, name string) *proxy.BackendFigures {
	if p == nil {
		return nil
	}
	i := slices.IndexFunc(p.Backends, func(b proxy.BackendFigures) bool { return b.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Backends[i]
}

// requests is how many requests clients have sent to a pool.
func requests(p *proxy.PoolFigures) uint64 {
	var n uint64
	for _, v := range p.Requests {
		n += v
	}
	return n
}
