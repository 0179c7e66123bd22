package protocol

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EscapeKey writes a key so that it can be read, stands in one column of one line, and is valid UTF-8: \\ is a backslash,
// \xHH any byte that is no part of a printable character, or is a blank; all else is as it stands. No two keys look alike.
func EscapeKey(key string) string {
	var b strings.Builder
	for len(key) > 0 {
		r, n := utf8.DecodeRuneInString(key)
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == utf8.RuneError && n == 1, r == ' ', !unicode.IsPrint(r):
			for i := range n {
				fmt.Fprintf(&b, `\x%02x`, key[i])
			}
		default:
			b.WriteString(key[:n])
		}
		key = key[n:]
	}
	return b.String()
}

// UnescapeKey gives the key that EscapeKey wrote as text. ok is false if that cannot have been: a backslash is followed by neither
// another one nor x and two hex digits.
func UnescapeKey(text string) (key string, ok bool) {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(text, `\`)
		b.WriteString(plain)
		if !found {
			return b.String(), true
		}
		switch {
		case strings.HasPrefix(rest, `\`):
			b.WriteByte('\\')
			text = rest[1:]
		case len(rest) >= 3 && rest[0] == 'x':
			n, err := strconv.ParseUint(rest[1:3], 16, 8)
			if err != nil {
				return "", false
			}
			b.WriteByte(byte(n))
			text = rest[3:]
		default:
			return "", false
		}
	}
}
