// Package termtext writes figures, names and keys for terminals: in few characters, and without what could move a cursor.
package termtext

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Printable gives text without what could move a terminal's cursor: who answers may be anybody.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// Key is a key in a table's column: its middle is left out if it is long.
func Key(key, hash string) string {
	if key == "" {
		return "hash " + Printable(hash) // a key has no blank, so it does not look like this
	}
	const most, head, tail = 60, 40, 19
	key = Printable(key)
	if r := []rune(key); len(r) > most {
		return string(r[:head]) + "…" + string(r[len(r)-tail:])
	}
	return key
}

// Rate gives a rate in three digits at least, as far as they say anything.
func Rate(perSecond float64) string {
	if perSecond >= 100 {
		return fmt.Sprintf("%.0f", perSecond)
	}
	return fmt.Sprintf("%.1f", perSecond)
}

// Bytes gives a number of bytes, or of bytes a second, in the unit that reads best.
func Bytes(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		switch {
		case n < 1023.95 && unit == "B":
			return fmt.Sprintf("%.0fB", n)
		case n < 1023.95:
			return fmt.Sprintf("%.1f%s", n, unit)
		}
		n /= 1024
	}
	return fmt.Sprintf("%.1fTiB", n)
}

// Age gives a time in two units at most: "12s", "3m05s", "2h05m", "3d04h".
func Age(d time.Duration) string {
	s := int64(max(0, d) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}
