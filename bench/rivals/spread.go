package main

import (
	"math"
	"slices"
)

// A pair is two runs, one right after the other.
type pair struct{ a, b sample }

// A spread is a figure that was taken several times.
type spread struct {
	median, low, high float64
	n                 int
}

// spreadOf gives NaN for all of no values.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{median: math.NaN(), low: math.NaN(), high: math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + median) / 2
	}
	return spread{median: median, low: sorted[0], high: sorted[len(sorted)-1], n: len(sorted)}
}

// ratios are a figure of a over that of b, in each pair. Of 0 : 0 there is none.
func ratios(pairs []pair, figure func(sample) float64) spread {
	var values []float64
	for _, p := range pairs {
		if a, b := figure(p.a), figure(p.b); a > 0 || b > 0 {
			values = append(values, a/b)
		}
	}
	return spreadOf(values)
}

// figures are those of all samples.
func figures(samples []sample, figure func(sample) float64) spread {
	var values []float64
	for _, s := range samples {
		values = append(values, figure(s))
	}
	return spreadOf(values)
}
