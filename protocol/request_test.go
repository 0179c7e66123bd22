package protocol_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mcproxy/protocol"
)

// show writes down everything that a parsed line says, so that a table can hold it.
func show(req *protocol.Request) string {
	var b strings.Builder
	b.WriteString(req.Verb.String())
	field := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	if req.Verb == protocol.Refused {
		field("%q", strings.TrimSuffix(req.Refusal, "\r\n"))
		if req.Swallow > 0 {
			field("swallow=%d", req.Swallow)
		}
	}
	if req.Verb.IsRetrieval() {
		for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
			field("%q", key)
		}
		if req.NumKeys != 1 {
			field("n=%d", req.NumKeys)
		}
	} else if req.Key != nil {
		field("%q", req.Key)
	}
	if req.ClientFlags != 0 {
		field("flags=%d", req.ClientFlags)
	}
	if req.Exptime != 0 {
		field("exptime=%d", req.Exptime)
	}
	if req.ValueLen >= 0 {
		field("len=%d", req.ValueLen)
	}
	if req.Delta != 0 {
		field("delta=%d", req.Delta)
	}
	if req.Unique != 0 {
		field("unique=%d", req.Unique)
	}
	if req.Base64 {
		field("base64=%q", req.RawKey)
	}
	for flag, arg, rest := protocol.NextFlag(req.MetaFlags); flag != 0; flag, arg, rest = protocol.NextFlag(rest) {
		field("%c", flag)
		if len(arg) > 0 {
			fmt.Fprintf(&b, "%q", arg)
		}
	}
	if req.ReturnKey {
		field("returnkey")
	}
	if req.Opaque != nil {
		field("opaque=%q", req.Opaque)
	}
	if req.Mode != 0 {
		field("mode=%c", req.Mode)
	}
	if req.Arg != nil {
		field("arg=%q", req.Arg)
	}
	if req.NoReply {
		field("noreply")
	}
	return b.String()
}

// Parts of the table's right column.
const (
	badFormat = `refused "CLIENT_ERROR bad command line format"`
	refusedEr = `refused "ERROR"`
	badTime   = `refused "CLIENT_ERROR invalid exptime argument"`
	badDelta  = `refused "CLIENT_ERROR invalid numeric delta argument"`
	duplicate = `refused "CLIENT_ERROR duplicate flag"`
	badFlag   = `refused "CLIENT_ERROR invalid or duplicate flag"`
	tooMany   = `refused "CLIENT_ERROR options flags are too long"`
	badBase64 = `refused "CLIENT_ERROR error decoding key"`
	badOpaque = `refused "CLIENT_ERROR opaque token too long"`
	notHere   = `refused "CLIENT_ERROR command not allowed through a proxy"`
)

var (
	key250 = strings.Repeat("k", 250)
	key251 = strings.Repeat("k", 251)
)

// requestTable has the lines without their CRLF, and what the newest memcached makes of them: the edge cases of the
// protocol, one after the other.
var requestTable = []struct{ line, want string }{
	// Retrievals.
	{"get a", `get "a"`},
	{"gets a", `gets "a"`},
	{"get " + key250, `get "` + key250 + `"`},
	{"get  a   b  ", `get "a" "b" n=2`},
	{"get a ", `get "a"`},
	{"get a a", `get "a" "a" n=2`},
	{"gets a b c", `gets "a" "b" "c" n=3`},
	{"get a noreply", `get "a" "noreply" n=2`},
	{"gat 60 a", `gat "a" exptime=60`},
	{"gats -1 a b", `gats "a" "b" n=2 exptime=-1`},
	{"gat 0 a noreply", `gat "a" "noreply" n=2`},
	{"get", badFormat},
	{"get ", badFormat},
	{"gets", badFormat},
	{"gat", badFormat},
	{"gat 0", badFormat},
	{"gat x", badFormat},
	{"gat x a", badTime},
	{"gat 1x a", badTime},
	{"get " + key251, badFormat},
	{"get a " + key251 + " b", badFormat},
	{"gets " + key251 + " b", badFormat},
	{"gat 0 a " + key251, badFormat},
	{"get a\tb\x01\x7f\xff\xc3\xa9", `get "a\tb\x01\x7f\xffé"`},

	// Storage.
	{"set k 1 2 3", `set "k" flags=1 exptime=2 len=3`},
	{"set k 16 0 5 ", `set "k" flags=16 len=5`},
	{"add k 0 0 0", `add "k" len=0`},
	{"replace k 0 0 1", `replace "k" len=1`},
	{"append k 0 0 1", `append "k" len=1`},
	{"prepend k 0 0 1", `prepend "k" len=1`},
	{"cas k 16 0 3 434 ", `cas "k" flags=16 len=3 unique=434`},
	{"cas k 0 0 3 18446744073709551615 noreply", `cas "k" len=3 unique=18446744073709551615 noreply`},
	{"set k 0 0 1 noreply", `set "k" len=1 noreply`},
	{"set  k  0  0  1  noreply ", `set "k" len=1 noreply`},
	{"set k 0 0 1 NOREPLY", `set "k" len=1`},
	{"set k 0 0 1 noreplyx", `set "k" len=1`},
	{"set k 0 0 1 junk", `set "k" len=1`},
	{"set k 0 0 1 junk noreply", `set "k" len=1 noreply`},
	{"set k 0 0 1 noreply junk", `set "k" len=1`},
	{"set noreply 0 0 1", `set "noreply" len=1`},
	{"set k 4294967295 -1 1", `set "k" flags=4294967295 exptime=-1 len=1`},
	{"set k 0 2147483647 1", `set "k" exptime=2147483647 len=1`},
	{"set k 0 -2147483648 1", `set "k" exptime=-2147483648 len=1`},
	{"set k 0 0 2147483645", `set "k" len=2147483645`},
	{"set", badFormat},
	{"set k", badFormat},
	{"set k 0", badFormat},
	{"set k 0 0", badFormat},
	{"set k 0 0 ", badFormat},
	{"set k 0 0 noreply", badFormat},
	{"set k 0 0 x", badFormat},
	{"set k 0 0 x noreply", badFormat},
	{"set k 0 0 -1", badFormat},
	{"set k 0 0 1x", badFormat},
	{"set k 0 0 1.5", badFormat},
	{"set k 0 0 0x10", badFormat},
	{"set k 0 0 2147483646", badFormat},
	{"set k 0 0 2147483648", badFormat},
	{"set k 0 0 4294967298", badFormat},
	{"set k 0 0 18446744073709551617", badFormat},
	{"set k 0 0 99999999999999999999999999", badFormat},
	{"set k x 0 5", badFormat + " swallow=7"},
	{"set k -1 0 5", badFormat + " swallow=7"},
	{"set k 0 x 5", badFormat + " swallow=7"},
	{"set k 0 x 5 noreply", badFormat + " swallow=7 noreply"},
	{"set " + key251 + " 0 0 5", badFormat + " swallow=7"},
	{"set " + key251 + " 0 0 5 noreply", badFormat + " swallow=7 noreply"},
	{"cas k 0 0 5", badFormat + " swallow=7"},
	{"cas k 0 0 5 noreply", badFormat + " swallow=7 noreply"},
	{"cas k 0 0 5 x", badFormat + " swallow=7"},
	{"cas k 0 0 5 -1", badFormat + " swallow=7"},

	// Numbers, as strtol and strtoul take them.
	{"set k +5 +6 +7", `set "k" flags=5 exptime=6 len=7`},
	{"set k 007 -0 0000000000000000000000000003", `set "k" flags=7 len=3`},
	{"set k \t5 \v6 \f7", `set "k" flags=5 exptime=6 len=7`},
	{"set k 5\tx 6\rx 7\fx", `set "k" flags=5 exptime=6 len=7`},
	{"set k 4294967297 4294967298 1", `set "k" flags=1 exptime=2 len=1`},
	{"set k -18446744073709551615 0 1", `set "k" flags=1 len=1`},
	{"set k 18446744073709551616 0 1", badFormat + " swallow=3"},
	{"set k 0 9223372036854775807 1", `set "k" exptime=-1 len=1`},
	{"set k 0 9223372036854775808 1", badFormat + " swallow=3"},
	{"set k 0 -9223372036854775808 1", `set "k" len=1`},
	{"set k 0 -9223372036854775809 1", badFormat + " swallow=3"},
	{"set k + 0 1", badFormat + " swallow=3"},
	{"set k +-1 0 1", badFormat + " swallow=3"},
	{"set k \t 0 1", badFormat + " swallow=3"},
	{"incr k 18446744073709551615", `incr "k" delta=18446744073709551615`},
	{"incr k 18446744073709551616", badDelta},
	{"incr k 184467440737095516150", badDelta},
	{"incr k -1", badDelta},

	// Delete, arithmetic, touch.
	{"delete k", `delete "k"`},
	{"delete k ", `delete "k"`},
	{"delete k 0", `delete "k"`},
	{"delete k 0 ", `delete "k"`},
	{"delete k 0 noreply", `delete "k" noreply`},
	{"delete k noreply", `delete "k" noreply`},
	{"delete k junk", `delete "k" arg="junk"`},
	{"delete k 0 0", `delete "k" arg="0 0"`},
	{"delete k  a  noreply  b   c ", `delete "k" arg="b   c"`},
	{"delete k junk noreply", `delete "k" noreply`},
	{"delete k noreply junk", `delete "k" arg="noreply junk"`},
	{"delete noreply", `delete "noreply"`},
	{"delete noreply noreply", `delete "noreply" noreply`},
	{"delete", badFormat},
	{"delete ", badFormat},
	{"delete " + key251, badFormat},
	{"delete " + key251 + " noreply", badFormat + " noreply"},
	{"incr k 1", `incr "k" delta=1`},
	{"decr k 5 noreply", `decr "k" delta=5 noreply`},
	{"incr k 1 junk more", `incr "k" delta=1`},
	{"incr k +1", `incr "k" delta=1`},
	{"incr", badFormat},
	{"incr k", badFormat},
	{"incr noreply", badFormat},
	{"incr k x", badDelta},
	{"incr k x noreply", badDelta + " noreply"},
	{"incr k noreply", badDelta + " noreply"},
	{"incr " + key251 + " 1", badFormat},
	{"incr " + key251 + " 1 noreply", badFormat + " noreply"},
	{"touch k 60", `touch "k" exptime=60`},
	{"touch k 60 noreply", `touch "k" exptime=60 noreply`},
	{"touch k", badFormat},
	{"touch k x", badTime},
	{"touch k noreply", badTime + " noreply"},
	{"touch " + key251 + " 0", badFormat},

	// Connection.
	{"version", `version`},
	{"version junk", `version`},
	{"quit", `quit`},
	{"quit junk", `quit`},
	{"quitx", refusedEr},
	{"verbosity 1", `verbosity delta=1`},
	{"verbosity 1 noreply", `verbosity delta=1 noreply`},
	{"verbosity 1 junk", `verbosity delta=1`},
	{"verbosity", badFormat},
	{"verbosity noreply", badFormat + " noreply"},
	{"verbosity x", badFormat},
	{"verbosity -1", badFormat},
	{"stats", `stats`},
	{"stats ", `stats`},
	{"stats  settings ", `stats arg="settings"`},
	{"stats detail dump", `stats arg="detail dump"`},
	{"stats noreply", `stats arg="noreply"`},
	{"flush_all", `flush_all`},
	{"flush_all ", `flush_all`},
	{"flush_all 0 noreply", `flush_all noreply`},
	{"flush_all noreply", `flush_all noreply`},
	{"flush_all 10", `flush_all exptime=10`},
	{"flush_all -1", `flush_all exptime=-1`},
	{"flush_all 10 junk", `flush_all exptime=10`},
	{"flush_all x", badTime},
	{"flush_all x noreply", badTime + " noreply"},
	{"flush_all noreply noreply", badTime + " noreply"},
	{"flush_all noreply 1", badTime},

	// Unknown, and refused.
	{"", badFormat},
	{"x", badFormat},
	{"xy", refusedEr},
	{"GET a", refusedEr},
	{"Set a 0 0 1", refusedEr},
	{" get a", refusedEr},
	{" ", badFormat},
	{"   ", refusedEr},
	{"getx a", refusedEr},
	{"foo bar noreply", refusedEr + " noreply"},
	{"foo noreply bar", refusedEr},
	{"noreply", refusedEr + " noreply"},
	{"flush", refusedEr},
	{"foo/1 HTTP", refusedEr},
	{"HTTP/1.1", refusedEr},
	{"get / HTTP/1.1", `get "/" "HTTP/1.1" n=2`},
	{"shutdown", notHere},
	{"shutdown graceful", notHere},
	{"cache_memlimit 64 noreply", notHere + " noreply"},
	{"slabs reassign 1 2", notHere},
	{"lru tune 1 2", notHere},
	{"lru_crawler enable", notHere},
	{"watch fetchers", notHere},
	{"watch noreply", notHere},
	{"refresh_certs", notHere},
	{"extstore x", notHere},
	{"debugtime p", notHere},
	{"misbehave", notHere},

	// Control bytes. A CR in the middle is a byte of a token; a NUL is refused, with the data block that the line announces.
	{"get a\rb", `get "a\rb"`},
	{"get a\r", `get "a\r"`},
	{"get a\rget b", `get "a\rget" "b" n=2`},
	{"set a\rb 0 0 1", `set "a\rb" len=1`},
	{"set k 0 0 1 \rdelete k", `set "k" len=1`},
	{"\r", badFormat},
	{"get\ra", refusedEr},
	{"get a\x00b", badFormat},
	{"get a b\x00", badFormat},
	{"gat 0 a\x00", badFormat},
	{"set a\x00b 0 0 1", badFormat + " swallow=3"},
	{"set a 0 0 1 \x00 noreply", badFormat + " swallow=3 noreply"},
	{"set a 0 0 1\x00", badFormat},
	{"set a 0\x00 0 1", badFormat + " swallow=3"},
	{"delete a\x00", badFormat},
	{"stats a\x00", badFormat},
	{"version \x00", badFormat},
	{"mg a\x00", badFormat},
	{"mg a O\x00", badFormat},
	{"ms a 2 O\x00 q", badFormat + " swallow=4"},
	{"me a \x00", badFormat},

	// Meta.
	{"mg k", `mg "k"`},
	{"mg k v t f Oabc k q", `mg "k" v t f O"abc" k q returnkey opaque="abc" noreply`},
	{"mg  k  v  k ", `mg "k" v k returnkey`},
	{"mg " + key250 + " v", `mg "` + key250 + `" v`},
	{"mg k N30 R30 T30", `mg "k" N"30" R"30" T"30"`},
	{"mg k Pa Lb", `mg "k" P"a" L"b"`},
	{"mg k O", `mg "k" O opaque=""`},
	{"mg k O" + strings.Repeat("o", 31), `mg "k" O"` + strings.Repeat("o", 31) + `" opaque="` + strings.Repeat("o", 31) + `"`},
	{"mg k O" + strings.Repeat("o", 32), badOpaque},
	{"mg k v v", duplicate},
	{"mg k Oa Ob", duplicate},
	{"mg k y", `mg "k" y`},
	{"mg k 1 [", `mg "k" 1 [`},
	{"mg k !", badFormat},
	{"mg k ~", badFormat},
	{"mg k \xff", badFormat},
	{"mg k \rv", badFormat},
	{"mg k v\r", `mg "k" v"\r"`},
	{"mg", badFormat},
	{"mg ", badFormat},
	{"mg " + key251, badFormat},
	{"mg Zm9v b k v", `mg "foo" base64="Zm9v" b k v returnkey`},
	{"mg Zg== b", `mg "f" base64="Zg==" b`},
	{"mg Zm8Kbw== b", `mg "fo\no" base64="Zm8Kbw==" b`},
	{"mg " + strings.Repeat("AAAA", 62) + " b", `mg "` + strings.Repeat(`\x00`, 186) + `" base64="` + strings.Repeat("AAAA", 62) + `" b`},
	{"mg foo b", badBase64},
	{"mg Z!m9v b", badBase64},
	{"mg ==== b", badBase64},
	{"mg Zm=v b", badBase64},
	{"mg Zm9vZg==Zg== b", badBase64},
	{"mg Zm9\rv b", badBase64},
	{"mg Zm9v\r\r\r\r b", badBase64},
	{"mg " + strings.Repeat("A", 249) + " b", badBase64},
	{"mg k a b c d e f g h i j k l m n o p q", badBase64},
	{"mg k a c d e f g h i j k l m n o p q r", `mg "k" a c d e f g h i j k l m n o p q r returnkey noreply`},
	{"mg k a c d e f g h i j k l m n o p q r s", tooMany},
	{"ms k 2", `ms "k" len=2`},
	{"ms k 2 T60 F1 C3 MA I q b k c O1", badBase64 + " swallow=4"},
	{"ms k 2 T60 F1 C3 MA I q k c O1", `ms "k" len=2 T"60" F"1" C"3" M"A" I q k c O"1" returnkey opaque="1" mode=A noreply`},
	{"ms Zm9v 2 b E5", `ms "foo" len=2 base64="Zm9v" b E"5"`},
	{"ms k +2", `ms "k" len=2`},
	{"ms k 2 Tx Fx Cx M", `ms "k" len=2 T"x" F"x" C"x" M`},
	{"ms k 2 MXY", `ms "k" len=2 M"XY" mode=X`},
	{"ms", badFormat},
	{"ms k", badFormat},
	{"ms k x", badFormat},
	{"ms k -1", badFormat},
	{"ms k S2", badFormat},
	{"ms k 2147483646", badFormat},
	{"ms k 4294967298", badFormat},
	{"ms " + key251 + " 2", badFormat + " swallow=4"},
	{"ms " + key251 + " 2 q", badFormat + " swallow=4"},
	{"ms k 2 k k", duplicate + " swallow=4"},
	{"ms k 2 !", badFormat + " swallow=4"},
	{"ms k 2 O" + strings.Repeat("o", 32), badOpaque + " swallow=4"},
	{"ms k 2 a c d e f g h i j k l m n o p q", `ms "k" len=2 a c d e f g h i j k l m n o p q returnkey noreply`},
	{"ms k 2 a c d e f g h i j k l m n o p q r", tooMany + " swallow=4"},
	{"ms k 2 a c d e f g h i j k l m n o p r s", tooMany + " swallow=4"},
	{"ms k 2 a c d e f g h i j k l m n o p r", `ms "k" len=2 a c d e f g h i j k l m n o p r returnkey`},
	{"md k", `md "k"`},
	{"md k q I T30 x C5 E6", `md "k" q I T"30" x C"5" E"6" noreply`},
	{"md k I I", duplicate},
	{"ma k", `ma "k"`},
	{"ma k MD D5 N0 J7 v t q", `ma "k" M"D" D"5" N"0" J"7" v t q mode=D noreply`},
	{"ma k M-", `ma "k" M"-" mode=-`},
	{"ma k v v", badFlag},
	{"ma k b", badFlag},
	{"ma " + key251, badFlag},
	{"ma", badFormat},
	{"ma k O" + strings.Repeat("o", 32), badOpaque},
	{"me k", `me "k"`},
	{"me Zm9v b", `me "foo" base64="Zm9v" b`},
	{"me Zm9v k b", `me "Zm9v" k b`},
	{"me k q q !", `me "k" q q !`},
	{"me YSBi b", `me "a b" base64="YSBi" b`},
	{"me YQpi b", badFormat},
	{"me !!! b", badFormat},
	{"me", badFormat},
	{"me " + key251, badFormat},
	{"mn", `mn`},
	{"mn junk", `mn`},
	{"mnx", refusedEr},
}

func TestParseRequest(t *testing.T) {
	req := new(protocol.Request)
	for _, tt := range requestTable {
		for _, end := range []string{"\r\n", "\n"} {
			if end == "\n" && strings.HasSuffix(tt.line, "\r") {
				continue // then the CR is of the line's end
			}
			text := tt.line + end
			want := tt.want
			if len(text) < 4 && !strings.HasPrefix(text, "mn") {
				want = badFormat
			}
			n, err := protocol.ParseRequest([]byte(text+"mn\r\n"), req)
			if n != len(text) || err != nil {
				t.Errorf("ParseRequest(%.80q) = %d, %v, want %d, nil", text, n, err, len(text))
				continue
			}
			if got := show(req); got != want {
				t.Errorf("ParseRequest(%.80q)\n got %s\nwant %s", text, got, want)
			}
		}
	}
}

func TestParseRequestIncomplete(t *testing.T) {
	var req protocol.Request
	for _, text := range []string{
		"", "g", "get", "get a", "get a\r", "set k 0 0 5\r", strings.Repeat("x", 2048),
		"get " + strings.Repeat("k ", 5000), "gets " + strings.Repeat("k ", 5000),
	} {
		if n, err := protocol.ParseRequest([]byte(text), &req); n != 0 || err != nil {
			t.Errorf("ParseRequest(%.40q) = %d, %v, want 0, nil", text, n, err)
		}
	}
}

func TestParseRequestEnds(t *testing.T) {
	var req protocol.Request
	long := strings.Repeat("x", 2048)
	for _, tt := range []struct {
		text string
		want error
	}{
		{"\x80", protocol.ErrBinary},
		{"\x80\x00\r\n", protocol.ErrBinary},
		{"\x80" + long + "\r\n", protocol.ErrBinary},
		{"GET / HTTP/1.1\r\n", protocol.ErrHTTP},
		{"POST /x HTTP/1.0 \r\n", protocol.ErrHTTP},
		{" x HTTP/\n", protocol.ErrHTTP},
		{long + "x", protocol.ErrLineTooLong},
		{long + "\r", protocol.ErrLineTooLong},
		{long + "\n", protocol.ErrLineTooLong},
		{long + "\r\n", protocol.ErrLineTooLong},
		{"gat 0 " + long, protocol.ErrLineTooLong},
		{"gat 0 " + long + "\r\n", protocol.ErrLineTooLong},
		{" get " + long, protocol.ErrLineTooLong},
		{"getx " + long, protocol.ErrLineTooLong},
		{"mg k " + long, protocol.ErrLineTooLong},
		{"set k 0 0 " + strings.Repeat("0", 2040), protocol.ErrLineTooLong},
	} {
		if n, err := protocol.ParseRequest([]byte(tt.text), &req); n != 0 || !errors.Is(err, tt.want) {
			t.Errorf("ParseRequest(%.40q) = %d, %v, want 0, %v", tt.text, n, err, tt.want)
		}
	}
	for _, text := range []string{
		long[:2047] + "\r\n", long[:2047] + "\n", "get " + strings.Repeat("k ", 5000) + "\r\n",
		"gets " + strings.Repeat("k ", 5000) + "\n",
	} {
		if n, err := protocol.ParseRequest([]byte(text), &req); n != len(text) || err != nil {
			t.Errorf("ParseRequest(%.40q…) = %d, %v, want %d, nil", text, n, err, len(text))
		}
	}
}

// A get of 100,000 keys is one request; its keys come in order.
func TestParseRequestManyKeys(t *testing.T) {
	line := []byte("get")
	for i := range 100_000 {
		line = fmt.Appendf(line, " key-%d", i)
	}
	line = append(line, " \r\n"...)
	var req protocol.Request
	if n, err := protocol.ParseRequest(line, &req); n != len(line) || err != nil || req.NumKeys != 100_000 {
		t.Fatalf("ParseRequest = %d, %v, %d keys", n, err, req.NumKeys)
	}
	i := 0
	for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
		if want := fmt.Sprintf("key-%d", i); string(key) != want {
			t.Fatalf("key %d is %q", i, key)
		}
		i++
	}
	if i != 100_000 {
		t.Fatalf("NextKey gave %d keys", i)
	}
}

func TestTakeValue(t *testing.T) {
	for _, tt := range []struct {
		line, body string
		n          int
		ok         bool
	}{
		{"set k 0 0 5\r\n", "", 0, false},
		{"set k 0 0 5\r\n", "hello\r", 0, false},
		{"set k 0 0 5\r\n", "hello\r\n", 7, true},
		{"set k 0 0 5\r\n", "hello\r\nget a\r\n", 7, true},
		{"set k 0 0 5\r\n", "he\r\no\r\n", 7, true},
		{"set k 0 0 5\r\n", "hello\n\r", 7, false},
		{"set k 0 0 5\r\n", "hello world\r\n", 7, false},
		{"set k 0 0 0\r\n", "\r\n", 2, true},
		{"set k 0 0 0\r\n", "\r", 0, false},
		{"ms k 2 q\r\n", "ab\r\n", 4, true},
		{"cas k 0 0 2 5\n", "ab\n\n", 4, false},
	} {
		var req protocol.Request
		text := []byte(tt.line + tt.body)
		line, err := protocol.ParseRequest(text, &req)
		if line != len(tt.line) || err != nil {
			t.Errorf("ParseRequest(%q) = %d, %v", text, line, err)
			continue
		}
		n, ok := req.TakeValue(text[line:])
		if n != tt.n || ok != tt.ok {
			t.Errorf("TakeValue(%q) after %q = %d, %v, want %d, %v", tt.body, tt.line, n, ok, tt.n, tt.ok)
		}
		want := ""
		if ok {
			want = tt.body[:n-2]
		}
		if string(req.Value) != want || ok == (req.Value == nil) {
			t.Errorf("Value is %q, want %q", req.Value, want)
		}
	}
}

// A Request is reused: nothing of an earlier line shows in a later one.
func TestRequestReuse(t *testing.T) {
	used := new(protocol.Request)
	for _, before := range requestTable {
		if _, err := protocol.ParseRequest([]byte(before.line+"\r\n"), used); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"get a", "set k 0 0 1", "mg k", "ms Zm9v 2 b", "version", "xyz", "incr k 1"} {
			n, err := protocol.ParseRequest([]byte(line+"\r\n"), used)
			fresh := new(protocol.Request)
			wantN, wantErr := protocol.ParseRequest([]byte(line+"\r\n"), fresh)
			if n != wantN || !errors.Is(err, wantErr) || show(used) != show(fresh) {
				t.Fatalf("after %.40q, %q is %s, want %s", before.line, line, show(used), show(fresh))
			}
		}
	}
}
