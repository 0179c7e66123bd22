package bench

import (
	"context"
	"fmt"
	"time"

	"mcproxy/bench/workload"
)

// toolName is what the JSON says has made it.
const toolName = "mcproxy bench"

// Progress is what a live line shows.
type Progress struct {
	Phase   string        // prefill, warm-up or run
	Elapsed time.Duration // since the phase's start
	Rate    float64       // operations in the last second
	P99     time.Duration // of the last second
}

// Run runs a load as cfg says, to its end or until ctx is done, and gives what was measured until then. progress is called
// about once a second from one goroutine; it may be nil. Anything that keeps the load from starting is an error: options
// that are wrong, an endpoint that cannot be reached or does not speak the text protocol.
func Run(ctx context.Context, cfg Config, progress func(Progress)) (*Result, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg.Threads = cfg.threads()
	if progress == nil {
		progress = func(Progress) {}
	}
	addr, err := cfg.address()
	if err != nil {
		return nil, err
	}
	version, err := addr.version(cfg.Timeout)
	if err != nil {
		return nil, err
	}
	result := &Result{Tool: toolName, Endpoint: cfg.Endpoint, ServerVersion: version, Options: &cfg, Timeline: []Second{}}
	l, err := workload.New(&cfg.Options)
	if err != nil {
		return nil, err
	}
	if l.Prefills() {
		if err := fill(ctx, cfg, l, progress); err != nil {
			return nil, err
		}
	}
	backends, err := watchBackends(cfg.Backends, cfg.Timeout)
	if err != nil {
		return nil, err
	}
	r, err := newRun(&cfg, l.Stream)
	if err != nil {
		return nil, err
	}
	if err := result.measure(ctx, r, progress); err != nil {
		return nil, err
	}
	if backends != nil {
		if result.Backends, err = backends.figures(); err != nil {
			return nil, err
		}
	}
	g := &getter{address: addr, timeout: cfg.Timeout}
	defer g.close()
	result.Figures, err = l.Figures(ctx, g.get)
	return result, err
}

// measure drives r and takes what it measured.
func (r *Result) measure(ctx context.Context, load *run, progress func(Progress)) error {
	r.Started = time.Now().UTC()
	skip := int((load.warmup + windowLength - 1) / windowLength)
	t, err := load.drive(ctx, func(w window) {
		s := secondOf(w.second-skip, w.h)
		p := Progress{Phase: "run", Elapsed: time.Duration(s.Second+1) * windowLength, Rate: s.Rate, P99: time.Duration(s.P99 * 1e9)}
		if w.second < skip {
			p.Phase, p.Elapsed = "warm-up", time.Duration(w.second+1)*windowLength
		} else {
			r.Timeline = append(r.Timeline, s)
		}
		if !w.final {
			progress(p)
		}
	})
	r.CPU = load.cpu
	r.count(t, load.measured())
	r.Timeline = trimTimeline(r.Timeline, r.Seconds)
	r.Ended = load.ended(ctx)
	return err
}

// fill sets every key once, as fast as the endpoint takes it.
func fill(ctx context.Context, cfg Config, l *workload.Load, progress func(Progress)) error {
	cfg.Rate, cfg.Requests, cfg.Warmup, cfg.Duration = 0, 0, 0, maxDuration
	cfg.Client = rawClient
	cfg.Conns = min(cfg.Conns, 16, cfg.Keys)
	cfg.Pipeline = max(1, min(64, (1<<20)/max(l.LargestPrefill(), 1)))
	r, err := newRun(&cfg, func(conn int) (workload.Stream, workload.Observer) { return l.Prefill(conn, cfg.Conns) })
	if err != nil {
		return err
	}
	t, err := r.drive(ctx, func(w window) {
		s := secondOf(w.second, w.h)
		if !w.final {
			progress(Progress{Phase: "prefill", Elapsed: time.Duration(w.second+1) * windowLength, Rate: s.Rate, P99: time.Duration(s.P99 * 1e9)})
		}
	})
	if err != nil {
		return err
	}
	for text, n := range t.failures {
		return fmt.Errorf("prefill: %d of %d operations failed, one of them with %q", n, t.done, text)
	}
	return ctx.Err()
}

// trimTimeline takes away what came after the end, and scales a last second that was not whole.
func trimTimeline(timeline []Second, measured float64) []Second {
	const sliver = 0.05 // of a second, which tells nothing
	for i, s := range timeline {
		part := (measured - float64(s.Second)) / windowLength.Seconds()
		if part < sliver && i > 0 {
			return timeline[:i]
		}
		if part < 1 {
			timeline[i].Rate /= part
		}
	}
	return timeline
}
