package admin

import (
	"encoding/json"
	"math"
	"strconv"
)

// A Figure is a number in JSON, rounded to five digits, and null if it is none (NaN), such as the ratio of hits when nobody has read.
type Figure float64

// None is the figure that there is not.
func None() Figure { return Figure(math.NaN()) }

// Known says whether there is a figure.
func (f Figure) Known() bool { return !math.IsNaN(float64(f)) }

// MarshalJSON writes a number or null.
func (f Figure) MarshalJSON() ([]byte, error) {
	v := float64(f)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	if math.Abs(v) >= 1e5 {
		return strconv.AppendFloat(nil, math.Round(v), 'f', -1, 64), nil
	}
	return strconv.AppendFloat(nil, v, 'g', 5, 64), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (f *Figure) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*f = None()
		return nil
	}
	return json.Unmarshal(text, (*float64)(f))
}

// over is a/b, and none where that is no number.
func over(a, b float64) Figure {
	if b == 0 {
		return None()
	}
	return Figure(a / b)
}

// perSecond is how fast a counter grew. One that has become less was begun anew meanwhile.
func perSecond(now, then uint64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	if now < then {
		then = 0
	}
	return float64(now-then) / seconds
}
