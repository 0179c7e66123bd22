package protocol

import "math"

// A client's number is whatever strtol(3) and memcached's safe_strto* (util.c) take of a token: white space (no blank,
// that ends the token), a sign, digits, and then the token's end or white space and anything. It is passed on as plain
// digits.
type number struct {
	mag   uint64
	neg   bool
	ok    bool // the token is a number, and mag fits
	found bool // there was a token
}

// takeNumber splits the first token off s and reads it as a number.
func takeNumber(s []byte) (n number, rest []byte) {
	i := 0
	for i < len(s) && s[i] == ' ' {
		i++
	}
	start := i
	for i < len(s) && s[i]-'0' <= 9 {
		n.mag = n.mag*10 + uint64(s[i]-'0')
		i++
	}
	if i > start && i-start < 20 && (i == len(s) || s[i] == ' ') {
		n.ok, n.found = true, true
		return n, s[i:]
	}
	tok, rest := NextKey(s[start:])
	return scanNumber(tok), rest
}

// isSpace is the C locale's isspace without the blank and the LF, which no token holds.
func isSpace(c byte) bool { return c == '\t' || c == '\v' || c == '\f' || c == '\r' }

// scanNumber reads a whole token.
func scanNumber(tok []byte) (n number) {
	n.found = tok != nil
	i := 0
	for i < len(tok) && isSpace(tok[i]) {
		i++
	}
	if i < len(tok) && (tok[i] == '-' || tok[i] == '+') {
		n.neg = tok[i] == '-'
		i++
	}
	start := i
	for i < len(tok) {
		d := uint64(tok[i] - '0')
		if d > 9 {
			break
		}
		if n.mag > math.MaxUint64/10 || n.mag*10 > math.MaxUint64-d {
			return n
		}
		n.mag = n.mag*10 + d
		i++
	}
	n.ok = i > start && (i == len(tok) || isSpace(tok[i]))
	return n
}

// uint64 is memcached's safe_strtoull: strtoull wraps a negative number, and one that is over 2^63 then is refused.
func (n number) uint64() (v uint64, ok bool) {
	if !n.neg {
		return n.mag, n.ok
	}
	v = -n.mag
	return v, n.ok && int64(v) >= 0
}

// uint32 is memcached's safe_strtoul, which takes 64 bits and cuts them to 32.
func (n number) uint32() (v uint32, ok bool) {
	u, ok := n.uint64()
	return uint32(u), ok
}

// int32 is memcached's safe_strtol, which takes 64 bits and cuts them to 32.
func (n number) int32() (v int32, ok bool) {
	if n.neg {
		return int32(-n.mag), n.ok && n.mag <= 1<<63
	}
	return int32(n.mag), n.ok && n.mag < 1<<63
}

// size is a data block's length. Unlike safe_strtol, and like newest memcached, it refuses what 32 bits cannot hold.
func (n number) size() (v int, ok bool) {
	if !n.ok || n.mag > MaxValueLen || n.neg && n.mag != 0 {
		return -1, false
	}
	return int(n.mag), true
}

// cutNumber takes a plain decimal number off a backend's line, and the one blank after it if the line goes on.
func cutNumber(s []byte) (v uint64, rest []byte, ok bool) {
	i := 0
	for i < len(s) {
		d := uint64(s[i] - '0')
		if d > 9 {
			break
		}
		if v >= math.MaxUint64/10 && (v > math.MaxUint64/10 || d > math.MaxUint64%10) {
			return 0, nil, false
		}
		v = v*10 + d
		i++
	}
	switch {
	case i == 0:
		return 0, nil, false
	case i == len(s):
		return v, nil, true
	case s[i] != ' ' || i+1 == len(s):
		return 0, nil, false
	}
	return v, s[i+1:], true
}
