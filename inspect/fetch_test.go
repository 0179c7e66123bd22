package inspect_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mcproxy/inspect"
	"mcproxy/internal/memcachedtest"
)

func TestFetch(t *testing.T) {
	mc := memcachedtest.Start(t)
	mc.Command("set k 9 100 5\r\na\r\nbc")
	mc.Command("set forever 4294967295 0 0\r\n")
	mc.Command("set big 0 0 100000\r\n" + strings.Repeat("x", 100000))
	server := tcp(mc)
	f := inspect.DefaultFetch()
	items, err := f.GetAll(t.Context(), &server, []string{"k", "nothing", "forever"})
	if err != nil {
		t.Fatal(err)
	}
	if i := items[0]; !i.Found || string(i.Value) != "a\r\nbc" || i.Flags != 9 || i.Size != 5 || i.TTL < 90 || i.TTL > 100 {
		t.Errorf("k: %+v", i)
	}
	if items[1].Found {
		t.Errorf("nothing: %+v", items[1])
	}
	if i := items[2]; !i.Found || i.Value == nil || i.Flags != 4294967295 || i.Size != 0 || i.TTL != inspect.Forever {
		t.Errorf("forever: %+v", i)
	}
	f.MaxValue = 99_999
	var tooLarge *inspect.TooLarge
	if _, err := f.Get(t.Context(), &server, "big"); !errors.As(err, &tooLarge) || tooLarge.Size != 100_000 {
		t.Errorf("a value over the bound: %v", err)
	}
	f.WithValue = false
	if i, err := f.Get(t.Context(), &server, "big"); err != nil || i.Size != 100_000 || i.Value != nil {
		t.Errorf("a size alone: %+v, %v", i, err)
	}
	for _, key := range []string{"", "a b", "a\r\nflush_all", strings.Repeat("k", 251)} {
		if _, err := f.Get(t.Context(), &server, key); err == nil {
			t.Errorf("key %.20q was taken", key)
		}
	}
}

func TestFetchOfStrangers(t *testing.T) {
	const mg = "mg k s f t v"
	for _, tt := range []struct {
		name    string
		answers map[string]string
		want    string // the value, or of an error what it says
	}{
		{"knows no mg", map[string]string{mg: "ERROR\r\n", "get k": "VALUE k 1 3\r\nabc\r\nEND\r\n"}, "abc"},
		{"closes at mg", map[string]string{mg: "<close>", "get k": "VALUE k 1 3\r\nabc\r\nEND\r\n"}, "abc"},
		{"hangs", nil, "says nothing for"},
		{"hangs in a value", map[string]string{mg: "VA 10 s10 f0 t-1\r\nabc"}, "a value of 10 bytes: says nothing for"},
		{"is cut off", map[string]string{mg: "VA 10 s10 f0 t-1\r\nabc<close>"}, "a value of 10 bytes: closes the conn"},
		{"is longer than it says", map[string]string{mg: "VA 1 s1 f0 t-1\r\nabc\r\n"}, "does not end where it should"},
		{"has a negative size", map[string]string{mg: "VA -1 s1\r\n"}, `answers "VA -1 s1" to mg`},
		{"has a huge size", map[string]string{mg: "VA 4000000000\r\n"}, "has 4000000000 bytes"},
		{"says nothing", map[string]string{mg: "\r\n"}, `answers "" to mg`},
		{"answers another key", map[string]string{mg: "ERROR\r\n", "get k": "VALUE other 1 3\r\nabc\r\nEND\r\n"}, `answers "VALUE other 1 3" to get`},
		{"answers too much", map[string]string{mg: "ERROR\r\n", "get k": "VALUE k 1 3\r\nabc\r\nVALUE k 1 3\r\n"}, `answers "VALUE k 1 3" behind a value`},
		{"speaks HTTP", map[string]string{mg: "HTTP/1.1 400 Bad Request\r\n"}, `answers "HTTP/1.1 400 Bad Request" to mg`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := fake(t, tt.answers)
			f := inspect.DefaultFetch()
			f.Timeout = 300 * time.Millisecond
			item, err := f.Get(t.Context(), &server, "k")
			got := string(item.Value)
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, tt.want) || err == nil && got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
