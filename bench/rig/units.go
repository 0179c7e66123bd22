package rig

import "strconv"

// Decimals gives a function that writes a figure with n digits after the point, and a unit.
func Decimals(n int, unit string) func(float64) string {
	return func(v float64) string { return strconv.FormatFloat(v, 'f', n, 64) + unit }
}

// Mebibytes writes bytes.
func Mebibytes(bytes float64) string { return Decimals(1, " MiB")(bytes / (1 << 20)) }

// Duration writes seconds.
func Duration(seconds float64) string {
	if seconds < 1e-3 {
		return Decimals(0, " µs")(seconds * 1e6)
	}
	return Decimals(2, " ms")(seconds * 1e3)
}

// Ratio writes a figure without a unit.
func Ratio(v float64) string { return Decimals(2, "")(v) }
