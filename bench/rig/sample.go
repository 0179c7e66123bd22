package rig

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Sample is one run of the load against one proxy.
type Sample struct {
	User, System float64 // the proxy's, µs a request
	Rate         float64 // requests a second
	P50, P99     float64 // seconds
	Resident     float64 // bytes of the proxy's memory, under the load
	Peak         float64 // the most bytes of it that were seen
	Lost         float64 // requests that failed or missed
}

// Total is the proxy's time, µs a request.
func (s Sample) Total() float64 { return s.User + s.System }

// Warmup is sent before each measurement, and left out of it.
const Warmup = time.Second

// Sample runs the load that args describe for the duration, after a warm-up, and watches the proxy meanwhile. A run in which much
// failed or was missed is an error: figures of different work are not comparable.
func (m *Machine) Sample(ctx context.Context, p Proxy, duration time.Duration, args ...string) (Sample, error) {
	w, err := Watch(p.PID, Warmup+duration/2)
	if err != nil {
		return Sample{}, fmt.Errorf("%s: %w", p.Name, err)
	}
	g, err := m.Generate(ctx, append(args, "--prefill=false", "--warmup", Warmup.String(), "--duration", duration.String())...)
	if err == nil {
		err = g.Comparable()
	}
	readings, watched := w.Stop()
	if err := errors.Join(err, watched); err != nil {
		if p.Child != nil {
			err = errors.Join(err, p.Child.Gone())
		}
		return Sample{}, fmt.Errorf("%s: %w", p.Name, err)
	}
	return NewSample(g, readings)
}

// NewSample divides what the proxy used after the warm-up by the requests that were answered in the same time.
func NewSample(g Generated, r Readings) (Sample, error) {
	from := g.Started.Add(Warmup)
	before, err := r.At(from)
	if err != nil {
		return Sample{}, err
	}
	after, err := r.At(from.Add(time.Duration(g.Seconds * float64(time.Second))))
	if err != nil {
		return Sample{}, err
	}
	if after.User+after.System <= before.User+before.System {
		return Sample{}, fmt.Errorf("%d requests took no time that the kernel counts", g.Answers)
	}
	each := func(used time.Duration) float64 { return used.Seconds() * 1e6 / float64(g.Answers) }
	return Sample{
		User: each(after.User - before.User), System: each(after.System - before.System),
		Rate: g.Rate(), P50: g.Latency.P50, P99: g.Latency.P99,
		Resident: float64(r.Resident), Peak: float64(r.Peak()), Lost: float64(g.Failed + g.Misses),
	}, nil
}
