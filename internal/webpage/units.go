package webpage

import "fmt"

// Bytes writes a number of bytes with three digits, in the unit that reads best.
func Bytes(n float64) string {
	for _, unit := range []struct {
		name string
		size float64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size {
			return digits(n/unit.size) + " " + unit.name
		}
	}
	return fmt.Sprintf("%.0f B", n)
}

func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
