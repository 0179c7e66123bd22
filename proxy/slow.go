package proxy

import (
	"context"
	"time"

	"go.uber.org/zap"

	"mcproxy/backend"
	"mcproxy/hotkey"
	"mcproxy/pool"
)

// tellSlow is a goroutine: it logs calls that took long, once a second, until ctx is done. The workers only keep a few of them.
func (s *Server) tellSlow(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		cfg := &s.tables.Load().cfg
		if cfg.SlowCall <= 0 {
			continue
		}
		left := cfg.SlowRate
		for _, w := range s.workers {
			var taken []slowCalls
			if w.loop.Visit(ctx, func() { taken = w.takeSlow() }) != nil {
				return
			}
			for i := range taken {
				left -= s.logSlow(&taken[i], left)
			}
		}
	}
}

// slowCalls are those of one pipeline.
type slowCalls struct {
	pool    *pool.Shared
	backend string
	calls   []backend.SlowCall
}

// takeSlow gives the worker's slow calls of the last second. The loop calls it.
func (w *worker) takeSlow() []slowCalls {
	var taken []slowCalls
	for _, p := range w.pools {
		for i, pl := range p.Pipelines {
			calls := pl.TakeSlow()
			calls = append(calls, p.Bulk(i).TakeSlow()...)
			if len(calls) > 0 {
				taken = append(taken, slowCalls{p.Shared, pl.Backend.Name, calls})
			}
		}
	}
	return taken
}

// logSlow logs at most n of the calls, and gives how many.
func (s *Server) logSlow(slow *slowCalls, n int) int {
	n = min(max(n, 0), len(slow.calls))
	for i := range slow.calls[:n] {
		c := &slow.calls[i]
		fields := []zap.Field{
			zap.String("pool", slow.pool.Config.Name), zap.String("backend", slow.backend), zap.Stringer("verb", c.Verb),
			s.loggedKey(slow.pool, c.Key, hotkey.Hash([]byte(c.Key))), zap.Int("keys", c.Keys), zap.Int("bytes", c.Bytes),
			zap.Duration("queued", c.Queued), zap.Duration("took", c.Took),
		}
		if c.Err != nil {
			fields = append(fields, zap.String("failed", c.Err.Error()))
		}
		s.log.Warn("slow call", fields...)
	}
	return n
}
