package pool

import (
	"mcproxy/backend"
	"mcproxy/internal/tally"
	"mcproxy/pool/chunks"
	"mcproxy/protocol"
)

// SetClock tells the pool what time it is, in nanoseconds since 1970: at the start, and now and then, as that clock may be set. It
// decides nothing, but tells which lifetimes are over.
func (p *Pool) SetClock(now int64) { p.clock = now - p.loop.Now }

// Time has the time of an exchange count, from now until Timed.
func (p *Pool) Time(x *Exchange, op tally.Op) {
	x.pool, x.op, x.timed, x.began = p, op, tally.Counting, tally.TickOf(p.loop.Now)
}

// Timed counts the time of an exchange, if it was to be.
func (x *Exchange) Timed() {
	if x.timed {
		x.timed = false
		x.pool.Figures.Durations[x.op].Observe(x.began.Until(x.pool.loop.Now))
	}
}

// sawStore counts a value that a client stores, whatever becomes of it.
func (p *Pool) sawStore(req *protocol.Request) {
	f := p.Figures
	f.Written.Observe(len(req.Value))
	now := (p.clock + p.loop.Now) / 1e9
	switch req.Verb {
	case protocol.Set, protocol.Add, protocol.Replace, protocol.CAS:
		f.Lifetimes.Observe(int64(req.Exptime), now)
	case protocol.MetaSet:
		if exptime, ok := tally.MetaLifetime(req); ok {
			f.Lifetimes.Observe(exptime, now)
		}
	}
	if len(req.Value) > p.oversized.threshold {
		p.sawWrite(req)
	}
	if len(req.Value) >= laneValue {
		p.lanes.note(req.Key, len(req.Value))
	}
}

// SplitFigures count what was done with large values.
type SplitFigures = chunks.Figures

// Bulk is the pipeline to the i-th backend that large values use.
func (p *Pool) Bulk(i int) *backend.Pipeline {
	if p.splitter == nil {
		return p.lanes.pipelines[i]
	}
	return p.splitter.Bulk(i)
}
