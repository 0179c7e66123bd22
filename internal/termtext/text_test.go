package termtext_test

import (
	"strings"
	"testing"
	"time"

	"mcproxy/internal/termtext"
)

func TestTexts(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{termtext.Bytes(0), "0B"},
		{termtext.Bytes(1023), "1023B"},
		{termtext.Bytes(1024), "1.0KiB"},
		{termtext.Bytes(1<<20 - 1), "1.0MiB"},
		{termtext.Bytes(312e6), "297.5MiB"},
		{termtext.Bytes(5 << 40), "5.0TiB"},
		{termtext.Rate(0.44), "0.4"},
		{termtext.Rate(21_400.4), "21400"},
		{termtext.Age(-time.Second), "0s"},
		{termtext.Age(59 * time.Second), "59s"},
		{termtext.Age(185 * time.Second), "3m05s"},
		{termtext.Age(2*time.Hour + 5*time.Minute), "2h05m"},
		{termtext.Age(76 * time.Hour), "3d04h"},
		{termtext.Printable("a\x1b[2Jb\u202e"), "a?[2Jb?"},
		{termtext.Key("", "00ff"), "hash 00ff"},
		{termtext.Key("begin"+strings.Repeat("k", 99)+"end", ""), "begin" + strings.Repeat("k", 35) + "…" + strings.Repeat("k", 16) + "end"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
