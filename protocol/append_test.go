package protocol_test

import (
	"bytes"
	"strings"
	"testing"

	"mcproxy/protocol"
)

// request parses a line and, if it has one, its data block.
func request(tb testing.TB, text string) *protocol.Request {
	tb.Helper()
	req := new(protocol.Request)
	parseWhole(tb, []byte(text), req)
	return req
}

func TestAppendRequest(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"get  a \r\n", "get a\r\n"},
		{"get  a   b  a \n", "get a b a\r\n"},
		{"gets a\rb c\n", "gets a\rb c\r\n"},
		{"gat +060 a b\r\n", "gat 60 a b\r\n"},
		{"gats -1 a\r\n", "gats -1 a\r\n"},
		{"set  k +1 -2 003 junk noreply\nabc\r\n", "set k 1 -2 3\r\nabc\r\n"},
		{"cas k 1 2 3 0004 noreply\r\na\nb\r\n", "cas k 1 2 3 4\r\na\nb\r\n"},
		{"append k 0 0 0\r\n\r\n", "append k 0 0 0\r\n\r\n"},
		{"set k 4294967295 2147483647 2\r\n\r\n\r\n", "set k 4294967295 2147483647 2\r\n\r\n\r\n"},
		{"delete k 0 noreply \r\n", "delete k\r\n"},
		{"delete noreply\r\n", "delete noreply 0\r\n"},
		{"incr k 18446744073709551615 noreply\r\n", "incr k 18446744073709551615\r\n"},
		{"decr k 5 junk\r\n", "decr k 5\r\n"},
		{"touch k -30 noreply\r\n", "touch k -30\r\n"},
		{"mg k  v q  Oabc k \r\n", "mg k v Oabc k\r\n"},
		{"mg Zm8Kbw== b q\n", "mg Zm8Kbw== b\r\n"},
		{"ms k +2 q T30\r\nab\r\n", "ms k 2 T30\r\nab\r\n"},
		{"md k q\r\n", "md k\r\n"},
		{"ma k N0 J5 q v\r\n", "ma k N0 J5 v\r\n"},
		{"me k q q\r\n", "me k q q\r\n"},
		{"mn junk\r\n", "mn\r\n"},
		{"version junk\r\n", "version\r\n"},
		{"verbosity 1 noreply\r\n", "verbosity 1\r\n"},
		{"quit now\r\n", "quit\r\n"},
		{"stats \r\n", "stats\r\n"},
		{"stats  detail   dump \r\n", "stats detail dump\r\n"},
		{"flush_all 0 noreply\r\n", "flush_all\r\n"},
		{"flush_all +10 noreply\r\n", "flush_all 10\r\n"},
		{"flush_all -1\r\n", "flush_all -1\r\n"},
	} {
		got := protocol.AppendRequest([]byte("before"), request(t, tt.text))
		if string(got) != "before"+tt.want {
			t.Errorf("AppendRequest of %q is %q, want %q", tt.text, got[len("before"):], tt.want)
		}
	}
}

func TestAppendRetrievalAndDelete(t *testing.T) {
	for want, got := range map[string][]byte{
		"xget":                  protocol.AppendRetrieval([]byte("x"), protocol.Get, 5),
		"xgets":                 protocol.AppendRetrieval([]byte("x"), protocol.Gets, 5),
		"xgat 60":               protocol.AppendRetrieval([]byte("x"), protocol.Gat, 60),
		"xgats -1":              protocol.AppendRetrieval([]byte("x"), protocol.Gats, -1),
		"xdelete k\r\n":         protocol.AppendDelete([]byte("x"), []byte("k")),
		"xdelete noreply 0\r\n": protocol.AppendDelete([]byte("x"), []byte("noreply")),
	} {
		if string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTextKey(t *testing.T) {
	for key, want := range map[string]bool{
		"k": true, "a\rb": true, "\t\x01\x7f\xff": true, key250: true,
		"": false, key251: false, "a b": false, "a\nb": false, "a\x00": false,
	} {
		if got := protocol.TextKey([]byte(key)); got != want {
			t.Errorf("TextKey(%.20q) = %v", key, got)
		}
	}
}

// missTable is also held against a real memcached: each of these requests misses there.
var missTable = []struct{ text, want string }{
	{"get nokey\r\n", "END\r\n"},
	{"gets nokey nokey2\r\n", "END\r\n"},
	{"gat 0 nokey\r\n", "END\r\n"},
	{"gats 0 nokey\r\n", "END\r\n"},
	{"replace nokey 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
	{"append nokey 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
	{"prepend nokey 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
	{"prepend nokey 0 0 1 noreply\r\nx\r\n", ""},
	{"cas nokey 0 0 1 5\r\nx\r\n", "NOT_FOUND\r\n"},
	{"cas nokey 0 0 1 5 noreply\r\nx\r\n", ""},
	{"delete nokey\r\n", "NOT_FOUND\r\n"},
	{"delete nokey noreply\r\n", ""},
	{"delete noreply\r\n", "NOT_FOUND\r\n"},
	{"incr nokey 1\r\n", "NOT_FOUND\r\n"},
	{"decr nokey 1 noreply\r\n", ""},
	{"touch nokey 0\r\n", "NOT_FOUND\r\n"},
	{"mg nokey\r\n", "EN\r\n"},
	{"mg nokey v\r\n", "EN\r\n"},
	{"mg nokey s v t c f h l u\r\n", "EN\r\n"},
	{"mg nokey k Oabc v\r\n", "EN knokey Oabc\r\n"},
	{"mg nokey Oabc v k\r\n", "EN Oabc knokey\r\n"},
	{"mg nokey O k\r\n", "EN O knokey\r\n"},
	{"mg nokey k O1 q\r\n", ""},
	{"mg bm9rZXk= b v k O1\r\n", "EN kbm9rZXk= b O1\r\n"},
	{"mg bm9rZXk= k b\r\n", "EN kbm9rZXk= b\r\n"},
	{"mg bm9rZXk= b\r\n", "EN\r\n"},
	{"mg Zh== b k\r\n", "EN kZg== b\r\n"},
	{"ms nokey 1 MR k Oabc c s t\r\nx\r\n", "NS knokey Oabc c0\r\n"},
	{"ms nokey 1 MA q c k\r\nx\r\n", "NS c0 knokey\r\n"},
	{"ms bm9rZXk= 1 MP b k\r\nx\r\n", "NS kbm9rZXk= b\r\n"},
	{"md nokey\r\n", "NF\r\n"},
	{"md nokey q k O1\r\n", "NF knokey O1\r\n"},
	{"md bm9rZXk= b k I T30\r\n", "NF kbm9rZXk= b\r\n"},
	{"ma nokey\r\n", "NF\r\n"},
	{"ma nokey q v c t k O1 D5\r\n", "NF knokey O1\r\n"},
	{"ma bm9rZXk= b k\r\n", "NF kbm9rZXk= b\r\n"},
	{"me nokey\r\n", "EN\r\n"},
	{"me nokey k O1 q\r\n", "EN\r\n"},
}

func TestAppendMiss(t *testing.T) {
	for _, tt := range missTable {
		if got := protocol.AppendMiss([]byte("before"), request(t, tt.text)); string(got) != "before"+tt.want {
			t.Errorf("AppendMiss of %q is %q, want %q", tt.text, got[len("before"):], tt.want)
		}
	}
	// These are failures that memcached itself has no miss for.
	for _, tt := range []struct{ text, want string }{
		{"set k 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
		{"set k 0 0 1 noreply\r\nx\r\n", ""},
		{"add k 0 0 1\r\nx\r\n", "NOT_STORED\r\n"},
		{"ms k 1 q k\r\nx\r\n", "NS kk\r\n"},
		{"version\r\n", ""},
		{"mn\r\n", ""},
	} {
		if got := protocol.AppendMiss(nil, request(t, tt.text)); string(got) != tt.want {
			t.Errorf("AppendMiss of %q is %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestSuppressed(t *testing.T) {
	all := []protocol.Status{
		protocol.StatusHit, protocol.StatusMiss, protocol.StatusStored, protocol.StatusNotStored, protocol.StatusExists,
		protocol.StatusNotFound, protocol.StatusDeleted, protocol.StatusTouched, protocol.StatusNumber, protocol.StatusOK,
		protocol.StatusError, protocol.StatusClientError, protocol.StatusServerError,
	}
	every := "hit miss stored notstored exists notfound deleted touched number ok error clienterror servererror"
	for verb, want := range map[protocol.Verb]string{
		protocol.MetaGet:        "miss",
		protocol.MetaSet:        "ok",
		protocol.MetaDelete:     "ok",
		protocol.MetaArithmetic: "hit ok",
		protocol.MetaDebug:      "",
		protocol.MetaNoop:       "",
		protocol.Set:            every,
		protocol.CAS:            every,
		protocol.Delete:         every,
		protocol.Incr:           every,
		protocol.Touch:          every,
		protocol.FlushAll:       every,
		protocol.Verbosity:      every,
	} {
		var got []string
		for _, s := range all {
			if protocol.Suppressed(verb, s) {
				got = append(got, statusNames[s])
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("Suppressed(%v, …) is true for %q, want %q", verb, got, want)
		}
	}
	for status, want := range map[protocol.Status]bool{
		protocol.StatusError: true, protocol.StatusClientError: true, protocol.StatusServerError: true,
		protocol.StatusEnd: false, protocol.StatusInvalid: false, protocol.StatusNotFound: false,
	} {
		if status.IsError() != want {
			t.Errorf("IsError of %s is %v", statusNames[status], status.IsError())
		}
	}
}

// The hot path allocates nothing.
func TestAllocations(t *testing.T) {
	dst := make([]byte, 0, 4096)
	var req protocol.Request
	for _, bm := range benchLines {
		text := []byte(bm.line)
		if got := testing.AllocsPerRun(100, func() {
			parseWhole(t, text, &req)
			dst = protocol.AppendRequest(dst[:0], &req)
			dst = protocol.AppendMiss(dst, &req)
		}); got != 0 {
			t.Errorf("%s: parsing and appending allocates %v times", bm.name, got)
		}
	}
	var resp protocol.Response
	for _, bm := range benchAnswers {
		text := []byte(bm.text)
		if got := testing.AllocsPerRun(100, func() {
			if n, err := protocol.ParseResponse(text, bm.shape, &resp); n == 0 || err != nil {
				t.Fatal(n, err)
			}
		}); got != 0 {
			t.Errorf("%s: parsing allocates %v times", bm.name, got)
		}
	}
}

// TestEcho keeps a base64 key with a line end in it from the backend's answer, and puts it where memcached has it.
func TestEcho(t *testing.T) {
	for _, tc := range []struct{ request, sent, answer, want string }{
		{"mg YQpi b k v\r\n", "mg YQpi b v\r\n", "VA 1\r\nx\r\n", "VA 1 kYQpi b\r\nx\r\n"},
		{"mg YQpi s k b O1 t v\r\n", "mg YQpi s b O1 t v\r\n", "VA 1 s1 O1 t-1 W\r\nx\r\n", "VA 1 s1 kYQpi b O1 t-1 W\r\nx\r\n"},
		{"md YQpi b O1 k q\r\n", "md YQpi b O1\r\n", "NF O1\r\n", "NF O1 kYQpi b\r\n"},
		{"mg YQpi k b\r\n", "mg YQpi b\r\n", "HD Z\r\n", "HD kYQpi b Z\r\n"},
	} {
		var req protocol.Request
		if n, err := protocol.ParseRequest([]byte(tc.request), &req); n != len(tc.request) || err != nil || !req.EchoesKey() {
			t.Fatalf("%q: %d, %v, echo %v", tc.request, n, err, req.EchoesKey())
		}
		if got := protocol.AppendRequest(nil, &req); string(got) != tc.sent {
			t.Errorf("%q is sent as %q, want %q", tc.request, got, tc.sent)
		}
		line, _, _ := bytes.Cut([]byte(tc.answer), []byte("\r\n"))
		if got := protocol.AppendEcho(nil, []byte(tc.answer), line, req.Echo()); string(got) != tc.want {
			t.Errorf("%q: %q becomes %q, want %q", tc.request, tc.answer, got, tc.want)
		}
	}
	var req protocol.Request
	protocol.ParseRequest([]byte("mg YWI= b k\r\n"), &req)
	if req.EchoesKey() {
		t.Error("a key without a line end is the backend's to return")
	}
}
