package protocol_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"mcproxy/protocol"
)

// FuzzEscapeKey writes any bytes as a text and reads them back, and reads any text.
func FuzzEscapeKey(f *testing.F) {
	for _, key := range []string{"", "key", `a\b`, `\x41`, "a b", "\xff\xc3\x28é", "\x00\r\n\u2028", `\`, `\x4`, `\q`, `\xzz`} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		text := protocol.EscapeKey(key)
		if back, ok := protocol.UnescapeKey(text); !ok || back != key {
			t.Errorf("%q is written %q, and read as %q, %v", key, text, back, ok)
		}
		if !utf8.ValidString(text) || strings.ContainsAny(text, " \n\t\x00") {
			t.Errorf("%q is written %q", key, text)
		}
		// Any text: what can be read is at most as long.
		if read, ok := protocol.UnescapeKey(key); ok && len(read) > len(key) {
			t.Errorf("%q is read as %q", key, read)
		}
	})
}

func TestUnescapeKey(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		ok         bool
	}{
		{`plain`, "plain", true},
		{`\\\x41\xFf`, "\\A\xff", true},
		{`\`, "", false},
		{`a\x4`, "", false},
		{`a\x4g`, "", false},
		{`a\x+1`, "", false},
		{`a\n`, "", false},
	} {
		if got, ok := protocol.UnescapeKey(tt.text); ok != tt.ok || ok && got != tt.want {
			t.Errorf("UnescapeKey(%q) = %q, %v, want %q, %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}
