package workload

import (
	"context"
	"time"
)

// A Load is what the conns of a run send. Its methods may be called from any goroutine; a Stream and its Observer belong to
// one.
type Load struct {
	stream  func(conn int) (Stream, Observer)
	prefill func(conn, conns int) (Stream, Observer) // nil: nothing is to be done
	figures func(ctx context.Context, f *Figures, get Get) error
	largest int
}

// Figures are a workload's own; nil where the workload has none of a sort.
type Figures struct {
	Keystone *KeystoneFigures `json:"keystone,omitempty"`
	Replay   *ReplayFigures   `json:"replay,omitempty"`
	Verify   *Verification    `json:"verify,omitempty"`
}

// Get asks the endpoint for one value, outside of the load; nil is a miss.
type Get func(key string) ([]byte, error)

// New makes the load that the options name; they have been checked. A file that is to be replayed is open from then on, until
// Figures. Of a file of keys it reads how many there are, into Keys.
func New(opts *Options) (*Load, error) {
	switch opts.Workload {
	case KeystoneTokens:
		k, err := newTokenStore(opts)
		if err != nil {
			return nil, err
		}
		return &Load{
			stream: func(conn int) (Stream, Observer) { s := k.stream(conn); return s, s },
			figures: func(ctx context.Context, f *Figures, get Get) (err error) {
				f.Keystone, err = k.figures(ctx, get)
				return err
			},
		}, nil
	case Trace, Commands:
		p, err := newReplay(opts)
		if err != nil {
			return nil, err
		}
		return &Load{
			stream: func(conn int) (Stream, Observer) { return replayStream{p, conn}, nil },
			figures: func(_ context.Context, f *Figures, _ Get) (err error) {
				f.Replay, err = p.report()
				return err
			},
		}, nil
	}
	return newMixed(opts)
}

func newMixed(opts *Options) (*Load, error) {
	m, err := newMix(opts)
	if err != nil {
		return nil, err
	}
	l := &Load{largest: m.sizes.largest()}
	watch := func(int) Observer { return nil }
	if opts.Verify {
		v := newVerifier(opts.Keys, time.Now())
		watch = func(writer int) Observer { return &checker{verifier: v, writer: writer} }
		l.figures = func(_ context.Context, f *Figures, _ Get) error {
			f.Verify = v.verification()
			return nil
		}
	}
	l.stream = func(conn int) (Stream, Observer) { return m.stream(conn), watch(conn) }
	if opts.Prefill {
		// The conns of the prefill are other writers than those of the run.
		l.prefill = func(conn, conns int) (Stream, Observer) { return m.prefill(conn, conns), watch(opts.Conns + conn) }
	}
	return l, nil
}

// Stream gives what conn i of Options.Conns does. The observer may be nil.
func (l *Load) Stream(conn int) (Stream, Observer) { return l.stream(conn) }

// Prefills says whether something is to be stored before the run.
func (l *Load) Prefills() bool { return l.prefill != nil }

// Prefill gives what conn i of n stores before the run. The observer may be nil.
func (l *Load) Prefill(conn, conns int) (Stream, Observer) { return l.prefill(conn, conns) }

// LargestPrefill is the length of the longest value that Prefill may store, in bytes.
func (l *Load) LargestPrefill() int { return l.largest }

// Figures gives the workload's own figures, when the run is over.
func (l *Load) Figures(ctx context.Context, get Get) (Figures, error) {
	var f Figures
	if l.figures == nil {
		return f, nil
	}
	err := l.figures(ctx, &f, get)
	return f, err
}
