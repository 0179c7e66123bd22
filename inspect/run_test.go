package inspect_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"mcproxy/inspect"
	"mcproxy/internal/memcachedtest"
)

func options(servers ...inspect.Server) inspect.Options {
	o := inspect.Default()
	o.Servers = servers
	return o
}

func tcp(mc *memcachedtest.Server) inspect.Server {
	return inspect.Server{Network: "tcp", Address: mc.Addr()}
}

func mustRun(t *testing.T, o inspect.Options) *inspect.Report {
	t.Helper()
	r, err := inspect.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Servers {
		if s.Error != "" {
			t.Fatalf("server %s: %s", s.Server, s.Error)
		}
	}
	return r
}

// oddKey has bytes that escapes, columns and UTF-8 stumble over.
const oddKey = "a%2\\\xff\"b<:c"

// TestRun reads two real servers, one of which lists its keys by cachedump.
func TestRun(t *testing.T) {
	one, other := memcachedtest.Start(t), memcachedtest.Start(t, "-o", "no_modern")
	for _, mc := range []*memcachedtest.Server{one, other} {
		mc.Command("set " + oddKey + " 0 0 3\r\nabc")
		mc.Command("set tokens/x 0 100 50000\r\n" + strings.Repeat("x", 50000))
		mc.Command("set tokens/y 0 7200 10\r\n0123456789")
		mc.Command(fmt.Sprintf("set %040x 0 %d 10\r\n0123456789", 5, time.Now().AddDate(1, 0, 0).Unix()))
	}
	o := options(tcp(one), tcp(other))
	o.Owner = func(key string) string {
		if key == oddKey {
			return "odd"
		}
		return ""
	}
	r := mustRun(t, o)
	if r.Keys != 8 || len(r.Servers) != 2 {
		t.Fatalf("%d keys of %d servers; want 8 of 2", r.Keys, len(r.Servers))
	}
	for i, want := range []struct {
		source string
		note   bool
	}{{"metadump", false}, {"cachedump", true}} {
		s := &r.Servers[i]
		if s.Keys != 4 || s.Items != 4 || string(s.Source) != want.source || (s.Note != "") != want.note {
			t.Errorf("server %d: %+v; want 4 keys by %s", i, s, want.source)
		}
		if l := s.Lifetimes; l.None.Keys != 1 || l.Hour.Keys != 1 || l.Day.Keys != 1 || l.Far.Keys != 1 || l.Past.Keys != 0 {
			t.Errorf("server %d: lifetimes %+v", i, l)
		}
		var prefixes []string
		for _, p := range s.Prefixes {
			prefixes = append(prefixes, fmt.Sprint(p.Prefix, " ", p.Keys))
		}
		slices.Sort(prefixes)
		if want := []string{"(hex-40) 1", `a%2\\\xff"b<: 1`, "tokens/ 2"}; !slices.Equal(prefixes, want) {
			t.Errorf("server %d: prefixes %q", i, prefixes)
		}
	}
	if k := r.Largest[0]; k.Key != "tokens/x" || k.Bytes < 50000 || k.Expires == 0 {
		t.Errorf("the largest key is %+v", k)
	}
	i := slices.IndexFunc(r.Largest, func(k inspect.Key) bool { return k.Owner == "odd" })
	if i < 0 || r.Largest[i].Key != `a%2\\\xff"b<:c` {
		t.Errorf("the odd key is not there as it should be: %+v", r.Largest)
	}
	if p := r.Pools[0]; p.Servers != 2 || p.TopKeys != 8 || p.BytesMaxMean < 1 || p.BytesMaxMean > 1.02 || p.KeysMaxMean != 1 {
		t.Errorf("the pool: %+v", p)
	}
	checkPage(t, r)
}

// checkPage writes the report as a page, which must stand alone, and holds keys as text.
func checkPage(t *testing.T, r *inspect.Report) {
	t.Helper()
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`(?i)https?://|src=|href=|url\(|@import|<script`).FindString(page.String()); found != "" {
		t.Errorf("the page has %q, and must stand alone", found)
	}
	for _, want := range []string{"<!doctype html>", "<svg", "Largest keys", "b&lt;:c", "metadump"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if text := page.String(); strings.Contains(text, "NaN") || strings.Contains(text, "ZgotmplZ") || strings.Contains(text, "b<:c") {
		t.Error("the page has NaN, what the template refused, or what should be escaped")
	}
}

// TestRunOfMany reads 150,000 keys of a real memcached: all are counted, and memory is not spent on each.
func TestRunOfMany(t *testing.T) {
	const keys = 150_000
	mc := memcachedtest.Start(t, "-m", "256")
	conn := mc.Dial()
	out := bufio.NewWriterSize(conn, 1<<16)
	for i := range keys {
		fmt.Fprintf(out, "set p%d:%d 0 0 2 noreply\r\nxx\r\n", i%5000, i)
	}
	fmt.Fprint(out, "mn\r\n")
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "MN\r\n" {
		t.Fatalf("memcached says %q, %v", line, err)
	}
	o := options(tcp(mc))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := mustRun(t, o)
	runtime.ReadMemStats(&after)
	sum := int64(0)
	for _, p := range r.Prefixes {
		sum += p.Keys
	}
	if r.Keys != keys || sum != keys || r.Servers[0].Items != keys {
		t.Errorf("%d keys, %d in prefixes; want %d", r.Keys, sum, keys)
	}
	if len(r.Prefixes) > 2100 {
		t.Errorf("%d prefixes were kept", len(r.Prefixes))
	}
	// All that was allocated, and not only what is held: prefixes that come again and again are made anew, each some 200 bytes.
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 64<<20 {
		t.Errorf("%d bytes were allocated for %d keys", spent, keys)
	}
}

// TestRunOfOneKind reads keys with few prefixes: then nothing is allocated for a key.
func TestRunOfOneKind(t *testing.T) {
	const keys = 200_000
	server := serve(t, func(conn net.Conn) {
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			out := bufio.NewWriter(conn)
			if lines.Text() == "stats" {
				fmt.Fprint(out, strings.Replace(fakeStats, "curr_items 3", fmt.Sprint("curr_items ", keys), 1))
			} else {
				line := []byte("key=k%3A00000000 exp=-1 la=1700000000 cas=1 fetch=no cls=1 size=100\n")
				for range keys {
					out.Write(line)
				}
				fmt.Fprint(out, "END\r\n")
			}
			out.Flush()
		}
	})
	o := options(server)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := mustRun(t, o)
	runtime.ReadMemStats(&after)
	if r.Keys != keys || r.Bytes != 100*keys {
		t.Errorf("%d keys, %d bytes", r.Keys, r.Bytes)
	}
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 4<<20 {
		t.Errorf("%d bytes were allocated for %d keys", spent, keys)
	}
}

// TestRunOfStrangers: servers that hang, break off or talk nonsense fail, with a reason, and the others do not.
func TestRunOfStrangers(t *testing.T) {
	const dump = "lru_crawler metadump hash"
	good := fake(t, map[string]string{"stats": strings.Replace(fakeStats, "1.6.18", "1\x1b[2J", 1), dump: "key=a exp=-1 la=1700000000 cas=1 fetch=no cls=1 size=64\nEND\r\n"})
	tests := []struct {
		name    string
		answers map[string]string
		want    string
	}{
		{"hangs at once", nil, "says nothing for"},
		{"hangs in the dump", map[string]string{"stats": fakeStats, dump: "key=a exp=-1 la=1 size=64\n"}, "cut off after 1 keys: says nothing for"},
		{"hangs in a line", map[string]string{"stats": fakeStats, dump: "key=a exp=-1"}, "says nothing for"},
		{"closes at once", map[string]string{"stats": "<close>"}, "closes the conn"},
		{
			"is cut off",
			map[string]string{"stats": fakeStats, dump: "key=a exp=-1 la=1 size=64\nkey=b size=7\nkey=c<close>"},
			"cut off after 2 keys: closes the conn in the middle of an answer",
		},
		{"speaks HTTP", map[string]string{"stats": "HTTP/1.1 400 Bad Request\r\n\r\n<close>"}, `answers "HTTP/1.1 400 Bad Request" to stats`},
		{"has no clock", map[string]string{"stats": "STAT version 1\r\nEND\r\n"}, "is this a proxy?"},
		{"dumps nonsense", map[string]string{"stats": fakeStats, dump: "key=a size=x\n"}, `answers "key=a size=x" in a dump`},
		{"has no size", map[string]string{"stats": fakeStats, dump: "key=a exp=-1\n"}, `after 0 keys: answers "key=a exp=-1" in a dump`},
		{"has a broken escape", map[string]string{"stats": fakeStats, dump: "key=a%f size=5\nEND\r\n"}, `in a dump`},
		{"has a long key", map[string]string{"stats": fakeStats, dump: "key=" + strings.Repeat("k", 251) + " size=5\nEND\r\n"}, `in a dump`},
		{"has an endless line", map[string]string{"stats": fakeStats, dump: "key=" + strings.Repeat("k", 1<<17)}, "answers a line of more than"},
		{"has far too many", map[string]string{"stats": fakeStats, dump: strings.Repeat("key=a size=5\n", 100_100)}, "lists more than 100012 keys"},
		{"answers a dump with a value", map[string]string{"stats": fakeStats, dump: "VALUE a 0 1\r\n"}, `answers "VALUE a 0 1" to lru_crawler metadump`},
		{
			"dumps nonsense of old",
			map[string]string{"stats": fakeStats, dump: "ERROR\r\n", "stats items": "STAT items:1:number 1\r\nEND\r\n", "stats cachedump 1 0": "ITEM a b\r\nEND\r\n"},
			`stats cachedump 1 0: answers "ITEM a b"`,
		},
	}
	o := options(good)
	o.Timeout = 500 * time.Millisecond
	for _, tt := range tests {
		o.Servers = append(o.Servers, fake(t, tt.answers))
	}
	gone := serve(t, func(net.Conn) {})
	gone.Address = "127.0.0.1:1"
	o.Servers = append(o.Servers, gone)
	r, err := inspect.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Servers[0]; s.Error != "" || s.Keys != 1 || s.Version != `1\x1b[2J` {
		t.Errorf("the good server: %+v", s)
	}
	for i, tt := range tests {
		if got := r.Servers[i+1].Error; !strings.Contains(got, tt.want) {
			t.Errorf("server that %s: error %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := r.Servers[len(r.Servers)-1].Error; !strings.Contains(got, "cannot connect: ") {
		t.Errorf("nobody listens: error %q", got)
	}
	if r.Failed() != len(tests)+1 {
		t.Errorf("%d failed, want %d", r.Failed(), len(tests)+1)
	}
	var summary bytes.Buffer
	if err := r.WriteSummary(&summary); err != nil || strings.Count(summary.String(), " failed: ") != len(tests)+1 {
		t.Errorf("the summary does not tell of each (%v):\n%s", err, &summary)
	}
}

// TestRunPast: a server of old that shows items whose time is over, and one whose crawler is busy at first.
func TestRunPast(t *testing.T) {
	old := fake(t, map[string]string{
		"stats": fakeStats, "lru_crawler metadump hash": "CLIENT_ERROR bad class id\r\n", "lru_crawler metadump all": "ERROR\r\n", "stats items": "STAT items:3:number 3\r\nEND\r\n",
		"stats cachedump 3 0": "ITEM forever [5 b; 1699999000 s]\r\nITEM over [6 b; 1699999500 s]\r\nITEM far [7 b; 1800000000 s]\r\nEND\r\n",
	})
	l := mustRun(t, options(old)).Lifetimes
	if l.None.Bytes != 5 || l.Past.Bytes != 6 || l.Far.Bytes != 7 {
		t.Errorf("lifetimes %+v", l)
	}
	asked := 0
	busy := serve(t, func(conn net.Conn) {
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			switch asked++; {
			case lines.Text() == "stats":
				fmt.Fprint(conn, fakeStats)
			case asked < 4:
				fmt.Fprint(conn, "BUSY currently processing crawler request\r\n")
			default:
				fmt.Fprint(conn, "key=a exp=-5 la=1 size=64\nEND\r\n")
			}
		}
	})
	if r := mustRun(t, options(busy)); r.Keys != 1 || r.Lifetimes.Past.Keys != 1 {
		t.Errorf("of the busy server: %+v", r)
	}
}

func TestRunEnds(t *testing.T) {
	hanging := fake(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	o := options(hanging)
	o.Timeout = time.Hour
	o.Progress = func(p inspect.Progress) {
		if !strings.Contains(p.Line(), "0 of 1 servers") {
			t.Errorf("progress %q", p.Line())
		}
		cancel()
	}
	if _, err := inspect.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("a run that was cancelled: %v", err)
	}
	o.Progress, o.Limit = nil, 50*time.Millisecond
	r, err := inspect.Run(t.Context(), o)
	if err != nil || !strings.Contains(r.Servers[0].Error, "the time limit of 50ms is over") {
		t.Errorf("a run over its limit: %v, %+v", err, r)
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct {
		change func(o *inspect.Options)
		want   string
	}{
		{func(o *inspect.Options) { o.Servers = nil }, "no servers"},
		{func(o *inspect.Options) { o.Servers = append(o.Servers, o.Servers[0]) }, "server 127.0.0.1:1 is named twice"},
		{func(o *inspect.Options) { o.Top = 10_001 }, "top is 10001; 0 to 10000 is possible"},
		{func(o *inspect.Options) { o.Timeout = 0 }, "timeouts must be above 0s"},
	} {
		o := options(inspect.Server{Network: "tcp", Address: "127.0.0.1:1"})
		tt.change(&o)
		if _, err := inspect.Run(t.Context(), o); err == nil || err.Error() != tt.want {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

func TestParseServer(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"10.0.0.1", "tcp 10.0.0.1:11211"},
		{"cache1:11300", "tcp cache1:11300"},
		{"[::1]:11211", "tcp [::1]:11211"},
		{"unix:/run/m.sock", "unix /run/m.sock"},
		{"/run/m.sock", "unix /run/m.sock"},
		{"", "error"},
		{":11211", "error"},
		{"a:", "error"},
		{"a:0", "error"},
		{"a:65536", "error"},
		{"::1", "error"},
		{"a b", "error"},
		{"unix:", "error"},
	} {
		s, err := inspect.ParseServer(tt.text)
		got := s.Network + " " + s.Address
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("ParseServer(%q) = %s, %v; want %s", tt.text, got, err, tt.want)
		}
	}
}

func FuzzDumpLines(f *testing.F) {
	for _, line := range []string{
		"key=a%25b%FF exp=-1 la=1795344135 cas=1 fetch=no cls=1 size=72", "key=a size=1", "key=%", "key=", "ITEM tok/1 [3 b; 1795345135 s]", "ITEM a [", "ITEM  [1 b; 2 s]",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		meta, cached := inspect.ParseDumpLines(line)
		if meta > inspect.MaxKey || cached > inspect.MaxKey || meta > 0 && cached > 0 || !bytes.Equal(line, before) {
			t.Fatalf("%q: keys of %d and %d bytes; it was %q", line, meta, cached, before)
		}
	})
}
