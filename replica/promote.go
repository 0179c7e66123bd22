package replica

import "math"

// A Reason says why a key is demoted.
type Reason uint8

// The reasons.
const (
	Cooled      Reason = iota // it is hot no more
	WriteHot                  // it is written too often for copies to be worth it
	Unreachable               // a backend that has a copy of it does not answer
	Disowned                  // no proxy has said for a while that it is hot
	Mismatched                // proxies with different rings share its home
	Outgrown                  // it is to have more copies than it has
	SwitchedOff               // a new configuration replicates it no more
	Crowded                   // strict: more locks stand in the place of a copy than writes can be under way

	Reasons // how many there are
)

func (r Reason) String() string {
	switch r {
	case Cooled:
		return "cooled"
	case WriteHot:
		return "write_hot"
	case Unreachable:
		return "unreachable"
	case Disowned:
		return "disowned"
	case Mismatched:
		return "mismatched"
	case Outgrown:
		return "outgrown"
	case SwitchedOff:
		return "switched_off"
	case Crowded:
		return "crowded"
	}
	return "unknown"
}

// CopiesFor is how many copies a key should have beside its item so that no backend bears more than tau of the mean backend's
// cost for it: ceil(cost·n / (tau·total)), where the key's cost is a part of the total that n backends bear. It is at most n-1, most
// and MaxCopies, and 0 if the key needs none or there is nowhere to put one.
func CopiesFor(cost, total float64, n int, tau float64, most int) int {
	most = min(most, n-1, MaxCopies)
	if most < 1 || !(cost > 0) || !(total > 0) || !(tau > 0) {
		return 0
	}
	want := math.Ceil(cost * float64(n) / (tau * total))
	if want <= 1 {
		return 0 // the home alone bears it
	}
	return int(min(want, float64(most)))
}
