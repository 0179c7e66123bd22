package protocol

import (
	"fmt"
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
