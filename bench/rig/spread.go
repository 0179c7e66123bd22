package rig

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Spread is a figure that was taken several times.
type Spread struct {
	Median, Low, High float64
	N                 int // how often, >= 0
}

// SpreadOf gives NaN for all of no values.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{Median: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + median) / 2
	}
	return Spread{Median: median, Low: sorted[0], High: sorted[len(sorted)-1], N: len(sorted)}
}

// Format is "median (low..high)"; the median alone if there is one value.
func (s Spread) Format(text func(float64) string) string {
	switch s.N {
	case 0:
		return Unmeasured
	case 1:
		return text(s.Median)
	}
	return fmt.Sprintf("%s (%s)", text(s.Median), s.Bounds(text))
}

// Unmeasured stands where nothing was measured.
const Unmeasured = "not measured"

// Middle is the median.
func (s Spread) Middle(text func(float64) string) string {
	if s.N == 0 {
		return Unmeasured
	}
	return text(s.Median)
}

// Bounds is "low..high".
func (s Spread) Bounds(text func(float64) string) string {
	if s.N == 0 {
		return Unmeasured
	}
	low, high := text(s.Low), text(s.High)
	if number, unit, found := strings.Cut(low, " "); found && strings.HasSuffix(high, " "+unit) {
		low = number
	}
	return low + ".." + high
}
