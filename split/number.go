package split

import (
	"bytes"
	"math"
	"strconv"
)

// AppendDelta appends what a value becomes by incr (or decr) of delta, and gives the number that the client is told, as
// memcached's do_add_delta does it: a sum wraps at 2^64, a difference stops at 0, and what is shorter than the value is filled
// up with blanks. ok is false for a value that is no number; nothing is appended then. It serves values that a backend cannot
// count in because they are wrapped or split. (Of two of memcached's rules no use is made: a value of over half a megabyte is
// no number for it, and in one of white space alone it reads on behind the end.)
func AppendDelta(dst, value []byte, delta uint64, decr bool) (result []byte, n uint64, ok bool) {
	n, ok = number(value)
	if !ok {
		return dst, 0, false
	}
	switch {
	case !decr:
		n += delta
	case delta > n:
		n = 0
	default:
		n -= delta
	}
	start := len(dst)
	dst = strconv.AppendUint(dst, n, 10)
	for len(dst)-start < len(value) {
		dst = append(dst, ' ')
	}
	return dst, n, true
}

// number is memcached's safe_strtoull (util.c): white space, a sign, digits, and then the end, a NUL or white space and
// anything. A negative number wraps; one over 2^63 is refused if there is a minus sign anywhere.
func number(s []byte) (v uint64, ok bool) {
	if i := bytes.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	negative := i < len(s) && s[i] == '-'
	if negative || i < len(s) && s[i] == '+' {
		i++
	}
	start := i
	for i < len(s) && s[i]-'0' <= 9 {
		digit := uint64(s[i] - '0')
		if v > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		v = v*10 + digit
		i++
	}
	if i == start || i < len(s) && !isSpace(s[i]) {
		return 0, false
	}
	if negative {
		v = -v
	}
	return v, v < 1<<63 || bytes.IndexByte(s, '-') < 0
}

// isSpace is isspace(3) in the C locale.
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
