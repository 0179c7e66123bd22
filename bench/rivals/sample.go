package main

import (
	"context"
	"fmt"
	"strconv"

	"mcproxy/bench/rig"
)

// traffic is what the load generator sends.
type traffic struct {
	label     string
	conns     int
	pipeline  int
	keys      int
	multiget  int // keys in one get
	valueSize int // bytes
	setRatio  float64
}

// args are the load generator's for the traffic alone: how much of it is the caller's to say.
func (t traffic) args(endpoint string) []string {
	return []string{
		endpoint, "--threads", "1",
		"--conns", strconv.Itoa(t.conns), "--pipeline", strconv.Itoa(t.pipeline),
		"--keys", strconv.Itoa(t.keys), "--value-size", strconv.Itoa(t.valueSize),
		"--set-ratio", strconv.FormatFloat(t.setRatio, 'g', -1, 64), "--multiget", strconv.Itoa(t.multiget),
	}
}

// fill sets every key of the traffic at each endpoint.
func (h *harness) fill(ctx context.Context, t traffic, endpoints []string) error {
	t.conns, t.pipeline, t.multiget = 1, 1, 1
	for _, endpoint := range endpoints {
		args := append(t.args(endpoint), "--warmup", "0s", "--requests", "1")
		err := h.Persist(ctx, func() error {
			g, err := h.Generate(ctx, args...)
			if err != nil {
				return err
			}
			return g.Comparable()
		})
		if err != nil {
			return fmt.Errorf("filling %s: %w", endpoint, err)
		}
	}
	return nil
}

// sample runs the load once, and watches the proxy meanwhile.
func (h *harness) sample(ctx context.Context, s subject) (rig.Sample, error) {
	one, err := h.Sample(ctx, s.proxy, h.opts.Duration, s.traffic.args(s.proxy.Address)...)
	if err != nil && s.traffic.label != "" {
		err = fmt.Errorf("%s: %w", s.traffic.label, err)
	}
	return one, err
}
