package protocol

import "math"

// A client's number is whatever strtol(3) and memcached's safe_strto* take of a token: white space (no blank: that ends
// the token), a sign, digits, and then the token's end or white space and anything. It is passed on as plain digits.

// isSpace is the C locale's isspace without the blank and the line feed, which no token holds.
func isSpace(c byte) bool { return c == '\t' || c == '\v' || c == '\f' || c == '\r' }

// scanNumber gives a token's sign and magnitude. ok is false when it is no number or its magnitude is over 2^64-1.
func scanNumber(tok []byte) (mag uint64, neg, ok bool) {
	i := 0
	for i < len(tok) && isSpace(tok[i]) {
		i++
	}
	if i < len(tok) && (tok[i] == '-' || tok[i] == '+') {
		neg = tok[i] == '-'
		i++
	}
	start := i
	for i < len(tok) {
		d := uint64(tok[i] - '0')
		if d > 9 {
			break
		}
		if mag > math.MaxUint64/10 || mag*10 > math.MaxUint64-d {
			return 0, false, false
		}
		mag = mag*10 + d
		i++
	}
	if i == start || i < len(tok) && !isSpace(tok[i]) {
		return 0, false, false
	}
	return mag, neg, true
}

// parseUint64 is memcached's safe_strtoull: a negative number is refused unless it wraps to one below 2^63.
func parseUint64(tok []byte) (v uint64, ok bool) {
	v, neg, ok := scanNumber(tok)
	if neg {
		v = -v
		if int64(v) < 0 {
			return 0, false
		}
	}
	return v, ok
}

// parseUint32 is memcached's safe_strtoul.
func parseUint32(tok []byte) (v uint32, ok bool) {
	u, ok := parseUint64(tok)
	return uint32(u), ok && u <= math.MaxUint32
}

// parseInt32 is memcached's safe_strtol.
func parseInt32(tok []byte) (v int32, ok bool) {
	mag, neg, ok := scanNumber(tok)
	if !ok {
		return 0, false
	}
	if neg {
		return int32(-int64(mag & math.MaxUint32)), mag <= -math.MinInt32
	}
	return int32(mag & math.MaxInt32), mag <= math.MaxInt32
}

// cutNumber takes a plain decimal number and the one blank after it off a backend's line.
func cutNumber(s []byte) (v uint64, rest []byte, ok bool) {
	i := 0
	for i < len(s) {
		d := uint64(s[i] - '0')
		if d > 9 {
			break
		}
		if v > math.MaxUint64/10 || v*10 > math.MaxUint64-d {
			return 0, nil, false
		}
		v = v*10 + d
		i++
	}
	if i == 0 {
		return 0, nil, false
	}
	if i == len(s) {
		return v, nil, true
	}
	if s[i] != ' ' || i+1 == len(s) {
		return 0, nil, false
	}
	return v, s[i+1:], true
}
