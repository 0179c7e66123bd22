package protocol

import "bytes"

// NextKey splits the first key off a list of keys separated by blanks. key is nil at the end. Both results point into
// keys.
func NextKey(keys []byte) (key, rest []byte) {
	for i, c := range keys {
		if c == ' ' {
			continue
		}
		keys = keys[i:]
		if j := bytes.IndexByte(keys, ' '); j >= 0 {
			return keys[:j:j], keys[j+1:]
		}
		return keys[:len(keys):len(keys)], nil
	}
	return nil, nil
}

// NextFlag splits the first token off a list of meta flags: its letter and its argument, which may be empty. flag is 0
// at the end.
func NextFlag(flags []byte) (flag byte, arg, rest []byte) {
	tok, rest := NextKey(flags)
	if len(tok) == 0 {
		return 0, nil, nil
	}
	return tok[0], tok[1:], rest
}

// TextKey says whether a key can stand in a classic command's line: 1..250 bytes, no blank, NUL or LF. A key that came as
// base64 may not.
func TextKey(key []byte) bool {
	if len(key) == 0 || len(key) > MaxKeyLen {
		return false
	}
	for _, c := range key {
		if c == ' ' || c == 0 || c == '\n' {
			return false
		}
	}
	return true
}

// trim takes the blanks off both ends; nil if nothing is left.
func trim(s []byte) []byte {
	for len(s) > 0 && s[0] == ' ' {
		s = s[1:]
	}
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	if len(s) == 0 {
		return nil
	}
	return s[:len(s):len(s)]
}

// lastToken gives the line's last token, nil if it has none.
func lastToken(line []byte) []byte {
	line = trim(line)
	return line[bytes.LastIndexByte(line, ' ')+1:]
}

// endsNoReply says whether the line's last token is noreply, which is where memcached looks for it.
func endsNoReply(line []byte) bool {
	return len(line) >= len("noreply") && string(lastToken(line)) == "noreply"
}

// HasFlag says whether a list of meta flags (Request.MetaFlags) has one of that letter.
func HasFlag(flags []byte, letter byte) bool {
	for f, _, rest := NextFlag(flags); f != 0; f, _, rest = NextFlag(rest) {
		if f == letter {
			return true
		}
	}
	return false
}
