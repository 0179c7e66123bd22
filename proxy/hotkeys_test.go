package proxy_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"mcproxy/proxy"
)

func TestEscapeKey(t *testing.T) {
	for _, tt := range []struct{ key, want string }{
		{"", ""},
		{"tokens/b'abc+/=='", "tokens/b'abc+/=='"},
		{"clé-☃", "clé-☃"},
		{`a\b`, `a\\b`},
		{`\x41`, `\\x41`},
		{"a b", `a\x20b`},
		{"\x00\t\r\n\x7f", `\x00\x09\x0d\x0a\x7f`},
		{"\x1b[2J", `\x1b[2J`},
		{"\xff", `\xff`},
		{"\xe2\x98", `\xe2\x98`}, // the first two bytes of a snowman
		{"\ufffd", "\ufffd"},
		{"\u0085\u202e", `\xc2\x85\xe2\x80\xae`}, // a line end, and what turns the direction of writing
	} {
		if got := proxy.EscapeKey(tt.key); got != tt.want {
			t.Errorf("EscapeKey(%q) = %q, want %q", tt.key, got, tt.want)
		}
	}
}

// FuzzEscapeKey reads back what was written: so no two keys look alike.
func FuzzEscapeKey(f *testing.F) {
	for _, key := range []string{"", "key", `a\`, `\x5c`, "\xff\xfe", "é\xc3", "a b"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		text := proxy.EscapeKey(key)
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }) {
			t.Errorf("EscapeKey(%q) = %q is not printable", key, text)
		}
		var back []byte
		for rest := text; rest != ""; {
			switch {
			case strings.HasPrefix(rest, `\\`):
				back, rest = append(back, '\\'), rest[2:]
			case strings.HasPrefix(rest, `\x`) && len(rest) >= 4:
				b, err := strconv.ParseUint(rest[2:4], 16, 8)
				if err != nil {
					t.Fatalf("EscapeKey(%q) = %q", key, text)
				}
				back, rest = append(back, byte(b)), rest[4:]
			default:
				back, rest = append(back, rest[0]), rest[1:]
			}
		}
		if string(back) != key {
			t.Errorf("EscapeKey(%q) = %q, which reads back as %q", key, text, back)
		}
	})
}

func TestHotKeyName(t *testing.T) {
	for _, tt := range []struct {
		key  proxy.HotKey
		want string
	}{
		{proxy.HotKey{Key: "a b", Hash: 1}, `a\x20b`},
		{proxy.HotKey{Hash: 0xabc}, "0000000000000abc"},
	} {
		if got := tt.key.Name(); got != tt.want {
			t.Errorf("Name of %+v: %q, want %q", tt.key, got, tt.want)
		}
	}
}
