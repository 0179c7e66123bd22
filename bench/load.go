package bench

import (
	"context"
	"time"
)

// A load is what a workload gives a run. Its functions may be called from any goroutine; what they return belongs to one.
type load struct {
	// stream gives what conn i of the run does. The observer may be nil.
	stream func(conn int) (stream, observer)
	// prefill gives what conn i of n does before the run; nil: nothing is to be done.
	prefill func(conn, conns int) (stream, observer)
	// report adds the workload's own figures in the end.
	report func(ctx context.Context, r *Result) error
	// largest is the longest value that prefill sets, in bytes.
	largest int
}

// newLoad makes the load that cfg names.
func newLoad(cfg *Config) (*load, error) {
	if cfg.Workload == keystoneTokens {
		k, err := newKeystoneLoad(cfg)
		if err != nil {
			return nil, err
		}
		return &load{
			stream: func(conn int) (stream, observer) { s := k.stream(conn); return s, s },
			report: func(ctx context.Context, r *Result) (err error) { r.Keystone, err = k.figures(ctx); return err },
		}, nil
	}
	if cfg.Workload == traceReplay || cfg.Workload == commandReplay {
		p, err := newReplay(cfg)
		if err != nil {
			return nil, err
		}
		return &load{
			stream: func(conn int) (stream, observer) { return replayStream{p, conn}, nil },
			report: func(_ context.Context, r *Result) (err error) { r.Replay, err = p.report(); return err },
		}, nil
	}
	m, err := newMix(cfg)
	if err != nil {
		return nil, err
	}
	l := &load{report: func(context.Context, *Result) error { return nil }, largest: m.sizes.largest()}
	watch := func(int) observer { return nil }
	if cfg.Verify {
		v := newVerifier(cfg.Keys, time.Now())
		watch = func(writer int) observer { return &checker{verifier: v, writer: writer} }
		l.report = func(_ context.Context, r *Result) error { r.Verify = v.verification(); return nil }
	}
	l.stream = func(conn int) (stream, observer) { return m.stream(conn), watch(conn) }
	if cfg.Prefill {
		// The conns of the prefill are other writers than those of the run.
		l.prefill = func(conn, conns int) (stream, observer) { return m.prefill(conn, conns), watch(cfg.Conns + conn) }
	}
	return l, nil
}
