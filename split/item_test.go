package split_test

import (
	"strings"
	"testing"

	"mcproxy/protocol"
	"mcproxy/split"
)

// parse gives the request of a line, with its value if it has one.
func parse(t testing.TB, text string) *protocol.Request {
	t.Helper()
	req := new(protocol.Request)
	n, err := protocol.ParseRequest([]byte(text), req)
	if err != nil || n == 0 || req.Verb == protocol.Refused {
		t.Fatalf("%q is no request: %d, %v, %q", text, n, err, req.Refusal)
	}
	if req.ValueLen >= 0 {
		if _, ok := req.TakeValue([]byte(text)[n:]); !ok {
			t.Fatalf("%q has no value", text)
		}
	}
	return req
}

func TestAppendValue(t *testing.T) {
	it := split.Item{Flags: 1<<32 - 1, Unique: 1<<64 - 1, Value: []byte("abc")}
	for verb, want := range map[protocol.Verb]string{
		protocol.Get:  "VALUE k 4294967295 3\r\nabc\r\n",
		protocol.Gat:  "VALUE k 4294967295 3\r\nabc\r\n",
		protocol.Gets: "VALUE k 4294967295 3 18446744073709551615\r\nabc\r\n",
		protocol.Gats: "VALUE k 4294967295 3 18446744073709551615\r\nabc\r\n",
	} {
		got := string(it.AppendValue([]byte("before"), verb, []byte("k")))
		if got != "before"+want {
			t.Errorf("%v: AppendValue = %q, want %q", verb, got, want)
		}
		var resp protocol.Response
		n, err := protocol.ParseResponse([]byte(want+protocol.End), verb.Shape(), &resp)
		if err != nil || n == 0 || string(resp.Value) != "abc" {
			t.Errorf("%v: %q is no answer: %v", verb, want, err)
		}
	}
	if got := string((&split.Item{}).AppendHead(nil, protocol.Get, []byte("k"))); got != "VALUE k 0 0\r\n" {
		t.Errorf("AppendHead of an empty value = %q", got)
	}
}

func TestAppendMetaHead(t *testing.T) {
	it := split.Item{Flags: 24, Value: []byte("0123456789")}
	for _, tt := range []struct {
		request, line, want string
		data                bool
	}{
		// f and v were added, and are taken out.
		{"mg k s", "VA 56 s56 f3642017935", "HD s10", false},
		{"mg k v", "VA 56 f3642017935", "VA 10", true},
		{"mg k v s", "VA 56 s56 f3642017935", "VA 10 s10", true},
		{"mg k f v", "VA 56 f3642017935", "VA 10 f24", true},
		{"mg k c t", "HD c77 t-1", "HD c77 t-1", false},
		{"mg k t", "HD t30 c77", "HD t30", false},
		{"mg k", "VA 56 f3642017935", "HD", false},
		// What the server says by itself, and what it echoes, stays.
		{"mg k v k O12 h l t", "VA 56 kk O12 h1 l5 t60 f3642017935 W", "VA 10 kk O12 h1 l5 t60 W", true},
		{"mg k v", "VA 56 f3642017935 X W", "VA 10 X W", true},
		{"mg k Of v", "VA 56 Of f3642017935 Z X", "VA 10 Of Z X", true},
		{"mg Zm9v b k v", "VA 56 kZm9v b f3642017935", "VA 10 kZm9v b", true},
		{"mg k k v", "VA 56 kk f3642017935", "VA 10 kk", true},
		{"mg k E9 v q", "VA 56 f3642017935", "VA 10", true},
		// Other commands, other answers.
		{"ms k 1 c s F5\r\nx", "HD c9 s56", "HD c9 s10", false},
		{"ms k 1 c O7\r\nx", "NS c0 O7", "NS c0 O7", false},
		{"ms k 1 C3\r\nx", "EX", "EX", false},
		{"mg k v k O7", "EN", "EN", false},
		{"mg Zm9v b k O7 v", "EN kZm9v b O7", "EN kZm9v b O7", false},
		{"md k O7 k", "HD O7 kk", "HD O7 kk", false},
		{"mg k v", "SERVER_ERROR out of memory writing get response", "SERVER_ERROR out of memory writing get response", false},
		{"mg k v", "CLIENT_ERROR invalid flag", "CLIENT_ERROR invalid flag", false},
	} {
		req := parse(t, tt.request+"\r\n")
		got, data := it.AppendMetaHead([]byte("before"), req, []byte(tt.line))
		if string(got) != "before"+tt.want+"\r\n" || data != tt.data {
			t.Errorf("%q, %q: AppendMetaHead = %q, %v; want %q, %v", tt.request, tt.line, got[6:], data, tt.want, tt.data)
		}
	}
}

func TestAppendMetaFlags(t *testing.T) {
	for _, tt := range []struct{ flags, letters, want string }{
		{"", "fv", " f v"},
		{"v", "fv", "v f"},
		{"f s v", "fv", "f s v"},
		{"Of Lv t", "fv", "Of Lv t f v"},
		{"t", "", "t"},
	} {
		got := string(split.AppendMetaFlags([]byte("-"), []byte(tt.flags), tt.letters))
		if got != "-"+tt.want {
			t.Errorf("AppendMetaFlags(%q, %q) = %q, want %q", tt.flags, tt.letters, got, tt.want)
		}
	}
}

func TestAppendMetaSetFlags(t *testing.T) {
	letters := func(n int) string { return strings.Join(strings.Split("abcdeghijklmnopqrst"[:n], ""), " ") }
	for _, tt := range []struct {
		flags, want string
		ok          bool
	}{
		{"", "F7", true},
		{"F5", "F7", true},
		{"c F5 T30", "F7 c T30", true},
		{"T30  MA", "F7 T30 MA", true},
		{letters(15), "F7 " + letters(15), true},
		{letters(15) + " F", "F7 " + letters(15), true},
		{letters(16), "F7 " + letters(16), false},
	} {
		got, ok := split.AppendMetaSetFlags([]byte("-"), []byte(tt.flags), 7)
		if string(got) != "-"+tt.want || ok != tt.ok {
			t.Errorf("AppendMetaSetFlags(%q) = %q, %v; want %q, %v", tt.flags, got, ok, tt.want, tt.ok)
		}
	}
}

func TestClientFlags(t *testing.T) {
	for _, tt := range []struct {
		line string
		want uint32
		ok   bool
	}{
		{"set k 3642017935 0 1\r\nx\r\n", split.ReservedFlags, true},
		{"cas k 5 0 1 9\r\nx\r\n", 5, true},
		{"ms k 1\r\nx\r\n", 0, true},
		{"ms k 1 T30 F3642017935 c\r\nx\r\n", split.ReservedFlags, true},
		{"ms k 1 F00003642017935\r\nx\r\n", split.ReservedFlags, true},
		{"ms k 1 F+3642017935\r\nx\r\n", split.ReservedFlags, true},
		{"ms k 1 F\t3642017935\tx\r\nx\r\n", split.ReservedFlags, true},
		{"ms k 1 F7936985231\r\nx\r\n", split.ReservedFlags, true},            // 2^32 more
		{"ms k 1 F-18446744070067533681\r\nx\r\n", split.ReservedFlags, true}, // 2^64 less
		{"ms k 1 OF3642017935\r\nx\r\n", 0, true},
		{"ms k 1 F\r\nx\r\n", 0, false},
		{"ms k 1 F5x\r\nx\r\n", 5, false},
		{"ms k 1 F-5\r\nx\r\n", 1<<32 - 5, false},
		{"ms k 1 F18446744073709551616\r\nx\r\n", 0, false},
	} {
		req := parse(t, tt.line)
		if got, ok := split.ClientFlags(req); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: ClientFlags = %d, %v; want %d, %v", tt.line, got, ok, tt.want, tt.ok)
		}
	}
}

func TestAppendDelta(t *testing.T) {
	for _, tt := range []struct {
		value string
		delta uint64
		decr  bool
		want  string
		n     uint64
		ok    bool
	}{
		{"5", 3, false, "8", 8, true},
		{"9", 3, false, "12", 12, true},
		{"12", 3, true, "9 ", 9, true},
		{"2", 3, true, "0", 0, true},
		{"18446744073709551615", 1, false, "0                   ", 0, true},
		{"7 and more", 1, false, "8         ", 8, true},
		{"", 1, false, "", 0, false},
		{"x", 1, false, "", 0, false},
	} {
		got, n, ok := split.AppendDelta([]byte("-"), []byte(tt.value), tt.delta, tt.decr)
		if string(got) != "-"+tt.want || n != tt.n || ok != tt.ok {
			t.Errorf("AppendDelta(%q, %d, %v) = %q, %d, %v; want %q, %d, %v", tt.value, tt.delta, tt.decr, got, n, ok, tt.want, tt.n, tt.ok)
		}
	}
}
