package main

import "mcproxy/bench/rig"

// A pair is two runs, one right after the other.
type pair struct{ a, b rig.Sample }

// ratios are a figure of a over that of b, in each pair. Of 0 : 0 there is none.
func ratios(pairs []pair, figure func(rig.Sample) float64) rig.Spread {
	var values []float64
	for _, p := range pairs {
		if a, b := figure(p.a), figure(p.b); a > 0 || b > 0 {
			values = append(values, a/b)
		}
	}
	return rig.SpreadOf(values)
}

// figures are those of all samples.
func figures(samples []rig.Sample, figure func(rig.Sample) float64) rig.Spread {
	var values []float64
	for _, s := range samples {
		values = append(values, figure(s))
	}
	return rig.SpreadOf(values)
}
