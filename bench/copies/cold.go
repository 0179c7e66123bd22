package main

import (
	"context"
	"fmt"

	"mcproxy/bench/rig"
)

// coldParts is how many short pairs there are for a pair of the options: what disturbs one is not in the median of many.
const coldParts = 4

// cold is what keys pay that have no copies.
func (h *harness) cold(ctx context.Context, f *rig.Findings) error {
	s, err := h.stand(ctx, 4, 1, copying("safe", 0))
	if err != nil {
		return err
	}
	defer s.Close()
	with := s.proxies[0]
	without, err := s.StartMcproxy(ctx, "without", rig.McproxyConfig{Workers: 1, Pool: copying("off", 0)})
	if err != nil {
		return err
	}
	for _, pipeline := range []string{"1", "16"} {
		args := []string{"--conns", "50", "--pipeline", pipeline, "--keys", "100000", "--value-size", "100", "--set-ratio", "0.1", "--threads", "1"}
		if err := s.fill(ctx, args[:len(args)-2]); err != nil {
			return err
		}
		var ratios, on, off []float64
		for i := range coldParts * h.opts.Pairs {
			var samples [2]rig.Sample
			err := h.Persist(ctx, func() (err error) {
				for turn := range samples { // who is first changes from pair to pair
					which := (turn + i) % 2
					p := []rig.Proxy{with, without}[which]
					if samples[which], err = h.Sample(ctx, p, h.opts.Duration/coldParts, append([]string{p.Address}, args...)...); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			a, b := samples[0], samples[1]
			h.Say("cold: pipeline %s, pair %d of %d: %.0f : %.0f requests/s, %.2f : %.2f µs", pipeline, i+1, coldParts*h.opts.Pairs, a.Rate, b.Rate, a.Total(), b.Total())
			ratios, on, off = append(ratios, a.Total()/b.Total()), append(on, a.Rate), append(off, b.Rate)
		}
		throughput := make([]float64, len(ratios))
		for i := range on {
			throughput[i] = on[i] / off[i]
		}
		v := atMost("pipeline "+pipeline+": throughput, with : without", 0.99, thousandths, throughput)
		v.Floor = true
		f.Verdicts = append(f.Verdicts, v)
		f.Tables = append(f.Tables, beside(
			tells("pipeline "+pipeline+": requests/s", whole, on), tells("pipeline "+pipeline+": requests/s, `mode = \"off\"`", whole, off),
			tells("pipeline "+pipeline+": the proxy's time for a request, with : without", thousandths, ratios)))
	}
	more, err := h.requestsMore(ctx, s)
	if err != nil {
		return err
	}
	f.Verdicts = append(f.Verdicts, atMost("requests to memcacheds without the polls : requests of clients", 1.001, rig.Decimals(4, ""), []float64{more}))
	f.Note("`mcproxy bench PROXY --conns 50 --keys 100000 --value-size 100 --set-ratio 0.1`, %d pairs of runs of %v, in turn. Each guard is polled eight times a second; that is not counted here. A proxy that "+
		"gets no processor for half a second knows too little, and a write asks the guard itself.",
		coldParts*h.opts.Pairs, h.opts.Duration/coldParts)
	return nil
}

// requestsMore is how many requests the memcacheds get for one of a client, polls aside.
func (h *harness) requestsMore(ctx context.Context, s *stand) (float64, error) {
	polls := func() (float64, error) { return s.proxies[0].Metric(ctx, "mcproxy_replica_polls_total") }
	polled, err := polls()
	if err != nil {
		return 0, err
	}
	before, err := readCounters(ctx, s.Memcacheds)
	if err != nil {
		return 0, err
	}
	const requests = 200_000
	g, err := h.Generate(ctx, s.proxies[0].Address, "--threads", "1", "--prefill=false", "--warmup", "0s", "--requests", fmt.Sprint(requests),
		"--conns", "50", "--keys", "100000", "--value-size", "100", "--set-ratio", "0.1")
	if err != nil {
		return 0, err
	}
	after, err := readCounters(ctx, s.Memcacheds)
	if err != nil {
		return 0, err
	}
	now, err := polls()
	if err != nil {
		return 0, err
	}
	done := sum(after.since(before).operations) - (now - polled)
	h.Say("cold: %.0f requests to memcacheds for %d of clients, and %.0f polls", done, g.Answers, now-polled)
	return done / float64(g.Answers), nil
}
