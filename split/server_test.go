//go:build linux

package split_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
	"mcproxy/protocol"
	"mcproxy/split"
)

// peer is a conn to a real memcached.
type peer struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
}

func newPeer(t *testing.T, s *memcachedtest.Server) *peer {
	return &peer{t, s.Dial(), make([]byte, 64<<10)}
}

// do sends a request as a backend gets it, and gives the answer.
func (p *peer) do(req *protocol.Request) (answer string, resp protocol.Response) {
	p.t.Helper()
	if err := p.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.conn.Write(protocol.AppendRequest(nil, req)); err != nil {
		p.t.Fatal(err)
	}
	var buf []byte
	for {
		n, err := p.conn.Read(p.buf)
		if err != nil {
			p.t.Fatal(err)
		}
		buf = append(buf, p.buf[:n]...)
		n, err = protocol.ParseResponse(buf, req.Verb.Shape(), &resp)
		if err != nil || n > 0 && n < len(buf) {
			p.t.Fatalf("%v %q is answered %q: %v", req.Verb, req.Key, buf, err)
		}
		if n > 0 {
			return string(buf), resp
		}
	}
}

// line is do for a request as a client sends it.
func (p *peer) line(text string) (string, protocol.Response) {
	p.t.Helper()
	return p.do(parse(p.t, text))
}

// choose picks some of the words, in any order.
func choose(r *rand.Rand, words string) string {
	list := strings.Fields(words)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return strings.Join(list[:r.IntN(len(list)+1)], " ")
}

// TestMetaAnswers: what AppendMetaHead makes of a manifest's answer is what memcached answers that holds the value itself,
// byte for byte, whatever the flags and their order: two servers live through the same, one with each.
func TestMetaAnswers(t *testing.T) {
	r := rand.New(rand.NewPCG(20, 20))
	whole, parts := newPeer(t, memcachedtest.Start(t)), newPeer(t, memcachedtest.Start(t))
	it := split.Item{Flags: 1234567, Value: newValue(r, 3000)}
	m := newManifest(t, r, it.Value, split.Options{Chunk: 1000, Servers: 3})
	m.Flags = it.Flags
	manifest := m.Append(nil)

	// Two servers' clocks do not tick at the same moment.
	ticking := regexp.MustCompile(` ([tl])-?\d+`)
	still := func(answer string) string {
		head, data, _ := strings.Cut(answer, "\r\n")
		return ticking.ReplaceAllString(head, " $1#") + "\r\n" + data
	}
	compare := func(text, want string, req *protocol.Request, resp protocol.Response) {
		t.Helper()
		got, data := it.AppendMetaHead(nil, req, resp.Line)
		if data {
			got = append(append(got, it.Value...), '\r', '\n')
		}
		if still(string(got)) != still(want) {
			t.Fatalf("%q: memcached answers\n%.200q, from the manifest's answer %.200q comes\n%.200q", text, want, resp.Line, got)
		}
	}
	hits := 0
	for range 4000 {
		key := []string{"key", "a2V5Mg=="}[r.IntN(2)]
		base64 := ""
		if key != "key" {
			base64 = " b"
		}
		switch r.IntN(8) {
		case 0: // stored anew
			flags := choose(r, "c k O77 T100 q I") + base64
			text := fmt.Sprintf("ms %s %d F%d %s\r\n%s\r\n", key, len(it.Value), it.Flags, flags, it.Value)
			want, _ := whole.line(text)
			req := parse(t, text)
			if got, ok := split.ClientFlags(req); !ok || got != it.Flags {
				t.Fatalf("%.60q: ClientFlags = %d, %v", text, got, ok)
			}
			sent := *req
			sent.Value, sent.ValueLen = manifest, len(manifest)
			var ok bool
			if sent.MetaFlags, ok = split.AppendMetaSetFlags(nil, req.MetaFlags, split.ReservedFlags); !ok {
				t.Fatalf("%.60q has too many flags", text)
			}
			_, resp := parts.do(&sent)
			compare(text, want, req, resp)
		case 1: // made stale, or deleted: then nobody has it
			text := "md " + key + " " + choose(r, "I T30 O5 k") + base64 + "\r\n"
			want, _ := whole.line(text)
			_, resp := parts.line(text)
			compare(text, want, parse(t, text), resp)
		default:
			text := "mg " + key + " " + choose(r, "c f h k l O9 q s t u v T500 R50 Px Ly") + base64 + "\r\n"
			want, resp := whole.line(text)
			req := parse(t, text)
			sent := *req
			sent.MetaFlags = split.AppendMetaFlags(nil, req.MetaFlags, "fv")
			_, other := parts.do(&sent)
			if resp.Status == protocol.StatusMiss {
				compare(text, want, req, other)
				continue
			}
			hits++
			stored, err := split.Open(split.ReservedFlags, other.Value, anyMax)
			if err != nil || stored.Manifest != m {
				t.Fatalf("%q: Open of what came back = %+v, %v", text, stored, err)
			}
			compare(text, want, req, other)
		}
	}
	if hits < 500 {
		t.Errorf("only %d hits were compared", hits)
	}
}

// TestManifestIsNoNumber: incr and decr of a manifest or a wrapped value change nothing and say what memcached says of any value
// that is no number.
func TestManifestIsNoNumber(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 21))
	p := newPeer(t, memcachedtest.Start(t))
	m := newManifest(t, r, newValue(r, 3000), split.Options{Chunk: 1000, Servers: 3})
	for _, item := range [][]byte{m.Append(nil), split.AppendWrapped(nil, []byte("5"))} {
		p.line(fmt.Sprintf("set k %d 0 %d\r\n%s\r\n", split.ReservedFlags, len(item), item))
		for _, line := range []string{"incr k 1\r\n", "decr k 1\r\n", "ma k\r\n"} {
			got, _ := p.line(line)
			if want := "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"; got != want {
				t.Errorf("%q of %q = %q, want %q", line, item, got, want)
			}
		}
		_, resp := p.line("get k\r\n")
		if _, err := split.Open(resp.ClientFlags, resp.Value, anyMax); err != nil {
			t.Errorf("%q changed to %q: %v", item, resp.Value, err)
		}
	}
}

// TestDeltaAsMemcached: AppendDelta counts as memcached does, in all that it takes for a number. (A value of white space
// alone is left out: memcached reads on behind its end, what lies there in its memory.)
func TestDeltaAsMemcached(t *testing.T) {
	p := newPeer(t, memcachedtest.Start(t))
	for _, value := range []string{
		"0", "9", "5", "007", "+9", "-5", "-0", "-18446744073709551615", "18446744073709551615", "18446744073709551616",
		"9223372036854775808", "9223372036854775808 -", "7 abcd", " 7 ", "\t7\v", "\r\n7", "5x", "5\x00x", "x", "", "+", "--5", "0x10",
		"1e3", "99999999999999999999", "5" + strings.Repeat(" ", 3000), "10-", "10 -",
	} {
		for _, delta := range []uint64{0, 1, 3, 1 << 63, 1<<64 - 1} {
			for _, verb := range []string{"incr", "decr"} {
				p.line(fmt.Sprintf("set k 3 0 %d\r\n%s\r\n", len(value), value))
				answer, resp := p.line(fmt.Sprintf("%s k %d\r\n", verb, delta))
				_, item := p.line("get k\r\n")
				got, n, ok := split.AppendDelta(nil, []byte(value), delta, verb == "decr")
				if ok != (resp.Status == protocol.StatusNumber) {
					t.Errorf("%s %d of %q: AppendDelta says %v, memcached %q", verb, delta, value, ok, answer)
				} else if ok && (fmt.Sprintf("%d\r\n", n) != answer || string(got) != string(item.Value)) {
					t.Errorf("%s %d of %q: AppendDelta = %q, %d; memcached has %q, %q", verb, delta, value, got, n, item.Value, answer)
				}
			}
		}
	}
}

// TestClientFlagsAsMemcached: whatever memcached reads as ReservedFlags in a line of ms, so does ClientFlags.
func TestClientFlagsAsMemcached(t *testing.T) {
	p := newPeer(t, memcachedtest.Start(t))
	reserved := fmt.Sprint(split.ReservedFlags)
	for _, arg := range []string{
		"", "5", reserved, "+" + reserved, "-" + reserved, "0000" + reserved, "\t" + reserved, reserved + "\t1", reserved + "\r", reserved + "x",
		fmt.Sprint(1<<32 + uint64(split.ReservedFlags)), fmt.Sprint(1<<63 + uint64(split.ReservedFlags)), fmt.Sprint(^uint64(0)),
		"-18446744070067533681", "-9223372036854775809", "18446744073709551616", "0x5", "--5", "+", "4294967296", "\v\f+7\v-",
		fmt.Sprint(1<<63+uint64(split.ReservedFlags)) + "\t-",
	} {
		text := "ms k 1 T30 F" + arg + "\r\nx\r\n"
		answer, resp := p.line(text)
		_, item := p.line("get k\r\n")
		got, ok := split.ClientFlags(parse(t, text))
		if ok != (resp.Status == protocol.StatusOK) || ok && got != item.ClientFlags {
			t.Errorf("F%q: ClientFlags = %d, %v; memcached answers %q and has %d", arg, got, ok, answer, item.ClientFlags)
		}
	}
}

// TestLargestChunk: a chunk of MaxChunk bytes is an item that memcached takes with its default limit.
func TestLargestChunk(t *testing.T) {
	p := newPeer(t, memcachedtest.Start(t))
	r := rand.New(rand.NewPCG(22, 22))
	m := newManifest(t, r, newValue(r, split.MaxChunk), split.Options{Chunk: split.MaxChunk, Servers: 1})
	key := m.AppendChunkKey(nil, 0, 0)
	got, _ := p.line(fmt.Sprintf("set %s %d 0 %d\r\n%s\r\n", key, m.Mark(0), split.MaxChunk, newValue(r, split.MaxChunk)))
	if got != protocol.Stored {
		t.Errorf("memcached answers %q", got)
	}
}
