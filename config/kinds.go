package config

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// duration takes a Go duration within lo..hi.
func duration(dst *time.Duration, lo, hi time.Duration) kind {
	allowed := fmt.Sprintf(`a duration such as "250ms", %s to %s`, durationText(lo), durationText(hi))
	return kind{allowed, func(r *reader, v value) {
		text, ok := v.data.(string)
		if !ok {
			unitless(r, v, "duration", `"250ms"`)
			return
		}
		d, err := time.ParseDuration(text)
		switch {
		case err == nil && d == 0 && lo > 0:
			r.fail(v, "%s is too short; write %s", quote(text), allowed)
		case isNumber(text) && !(err == nil && d == 0):
			r.fail(v, `%s has no unit; write a duration such as "250ms"`, quote(text))
		case err != nil:
			r.fail(v, "%s is no duration; write %s", quote(text), allowed)
		case d < 0:
			r.fail(v, "%s is negative; write %s", quote(text), allowed)
		case d < lo:
			r.fail(v, "%s is too short; write %s", quote(text), allowed)
		case d > hi:
			r.fail(v, "%s is too long; write %s", quote(text), allowed)
		default:
			*dst = d
		}
	}}
}

// unitless reports a value that is no string where a quantity with a unit is due.
func unitless(r *reader, v value, what, example string) {
	switch v.data.(type) {
	case int64, float64:
		r.fail(v, "%v has no unit; write a %s such as %s", v.data, what, example)
	default:
		r.wrongType(v, "a "+what+" such as "+example)
	}
}

// isNumber says whether text is a number without a unit.
func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

// durationText gives "1h" where Duration.String gives "1h0m0s".
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// size takes a number of bytes within lo..hi.
func size[T int | int64](dst *T, lo, hi int64) kind {
	allowed := fmt.Sprintf(`a size such as "64KiB" or "1MB", %s to %s`, sizeText(lo), sizeText(hi))
	return kind{allowed, func(r *reader, v value) {
		text, ok := v.data.(string)
		if !ok {
			unitless(r, v, "size", `"64KiB"`)
			return
		}
		if isNumber(text) {
			r.fail(v, `%s has no unit; write a size such as "64KiB"`, quote(text))
			return
		}
		switch n, ok := parseSize(text); {
		case !ok:
			r.fail(v, "%s is no size; write %s", quote(text), allowed)
		case n < lo:
			r.fail(v, "%s is too small; write %s", quote(text), allowed)
		case n > hi:
			r.fail(v, "%s is too large; write %s", quote(text), allowed)
		default:
			*dst = T(n)
		}
	}}
}

// A unit of sizes.
type unit struct {
	name  string
	bytes uint64
}

// units gives all units, the largest of a spelling first: 1000 and 1024 are told apart as the standards do.
func units() []unit {
	return []unit{
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"KB", 1e3},
		{"B", 1},
	}
}

// parseSize reads a whole number and a unit, with or without a space between. A number too large for int64 gives its maximum.
func parseSize(text string) (bytes int64, ok bool) {
	for _, u := range units() {
		number, found := strings.CutSuffix(text, u.name)
		if !found {
			continue
		}
		number = strings.TrimSuffix(number, " ")
		if number == "" || strings.Trim(number, "0123456789") != "" {
			return 0, false
		}
		n, err := strconv.ParseUint(number, 10, 64) // fails only where the number is out of range
		hi, lo := bits.Mul64(n, u.bytes)
		if err != nil || hi != 0 || lo > 1<<63-1 {
			return 1<<63 - 1, true
		}
		return int64(lo), true
	}
	return 0, false
}

// sizeText gives a size in the largest binary unit that it is a whole number of.
func sizeText(n int64) string {
	for _, u := range units()[:3] {
		if n >= int64(u.bytes) && n%int64(u.bytes) == 0 {
			return fmt.Sprintf("%d%s", n/int64(u.bytes), u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

// integer takes a whole number within lo..hi.
func integer(dst *int, lo, hi int) kind {
	allowed := fmt.Sprintf("a whole number, %d to %d", lo, hi)
	return kind{allowed, func(r *reader, v value) {
		n, ok := v.data.(int64)
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		if n < int64(lo) || n > int64(hi) {
			r.fail(v, "%d is out of range; write %s", n, allowed)
			return
		}
		*dst = int(n)
	}}
}

// boolean takes true or false.
func boolean(dst *bool) kind {
	const allowed = "true or false"
	return kind{allowed, func(r *reader, v value) {
		b, ok := v.data.(bool)
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		*dst = b
	}}
}

// oneOf takes one of the words.
func oneOf(dst *string, words ...string) kind {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	allowed := strings.Join(quoted[:len(words)-1], ", ") + " or " + quoted[len(words)-1]
	return kind{allowed, func(r *reader, v value) {
		text, ok := v.data.(string)
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		if !slices.Contains(words, text) {
			r.fail(v, "%s is unknown; write %s", quote(text), allowed)
			return
		}
		*dst = text
	}}
}

// text takes a string that check finds nothing wrong with. check completes "%q …".
func text(dst *string, allowed string, check func(s string) (wrong string)) kind {
	return kind{allowed, func(r *reader, v value) {
		s, ok := v.data.(string)
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		if wrong := check(s); wrong != "" {
			r.fail(v, "%s %s; write %s", quote(s), wrong, allowed)
			return
		}
		*dst = s
	}}
}

// name takes what labels a thing in figures and answers: 1..most printable ASCII bytes, no blanks.
func name(dst *string, most int) kind {
	return text(dst, fmt.Sprintf("1 to %d letters, digits or signs without blanks", most), func(s string) string {
		return nameProblem(s, most)
	})
}

func nameProblem(s string, most int) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > most:
		return fmt.Sprintf("is %d bytes long", len(s))
	case strings.IndexFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) >= 0:
		return "has a blank, a control character or a byte that is no ASCII"
	}
	return ""
}

// nanoseconds takes a duration for a field that counts them.
func nanoseconds(dst *int64, lo, hi time.Duration) kind {
	var d time.Duration
	k := duration(&d, lo, hi)
	return kind{k.allowed, func(r *reader, v value) {
		k.read(r, v)
		*dst = int64(d)
	}}
}

// number takes a number, whole or not, within lo..hi.
func number(dst *float64, lo, hi float64) kind {
	allowed := fmt.Sprintf("a number, %s to %s", strconv.FormatFloat(lo, 'f', -1, 64), strconv.FormatFloat(hi, 'f', -1, 64))
	return kind{allowed, func(r *reader, v value) {
		var f float64
		switch n := v.data.(type) {
		case int64:
			f = float64(n)
		case float64:
			f = n
		default:
			r.wrongType(v, allowed)
			return
		}
		if !(f >= lo && f <= hi) { // a NaN is neither
			r.fail(v, "%v is out of range; write %s", v.data, allowed)
			return
		}
		*dst = f
	}}
}

// prefixes takes a list of beginnings of keys.
func prefixes(dst *[]string) kind {
	const allowed = `a list such as ["_lock"]`
	return kind{allowed, func(r *reader, v value) {
		list, ok := v.data.([]any)
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		if len(list) == 0 {
			return
		}
		var all []string
		items, _ := v.items()
		for _, item := range items {
			s, ok := item.data.(string)
			switch problem := prefixProblem(s); {
			case !ok:
				r.wrongType(item, `a string such as "_lock"`)
			case s == "":
				r.fail(item, "%q is what every key begins with; write enabled = false", s)
			case problem != "":
				r.fail(item, "%s %s", quote(s), problem)
			default:
				all = append(all, s)
			}
		}
		*dst = all
	}}
}

// names takes a list of host names.
func names(dst *[]string) kind {
	const allowed = `a list such as ["cache1.example.org"]`
	return kind{allowed, func(r *reader, v value) {
		items, ok := v.items()
		if !ok {
			r.wrongType(v, allowed)
			return
		}
		for _, item := range items {
			switch s, ok := item.data.(string); {
			case !ok:
				r.wrongType(item, `a string such as "cache1.example.org"`)
			case s == "" || hostProblem(s) != "":
				r.fail(item, `%s is no host name; write one such as "cache1.example.org", without a port`, quote(s))
			default:
				*dst = append(*dst, s)
			}
		}
	}}
}
