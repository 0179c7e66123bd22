//go:build linux

package protocol_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
	"mcproxy/protocol"
)

// peer is a conn to a real memcached.
type peer struct {
	t    *testing.T
	conn net.Conn
	buf  []byte // received, and not taken
}

func newPeer(t *testing.T, s *memcachedtest.Server) *peer {
	return &peer{t: t, conn: s.Dial()}
}

// more reads what comes, for at most 5 s.
func (p *peer) more() error {
	if err := p.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	chunk := make([]byte, 64<<10)
	n, err := p.conn.Read(chunk)
	p.buf = append(p.buf, chunk[:n]...)
	return err
}

// unit takes the next unit of an answer. It lives until the next call.
func (p *peer) unit(shape protocol.Shape, resp *protocol.Response) ([]byte, error) {
	for {
		n, err := protocol.ParseResponse(p.buf, shape, resp)
		if err != nil {
			return nil, fmt.Errorf("%w: %.200q", err, p.buf)
		}
		if n > 0 {
			unit := p.buf[:n]
			p.buf = p.buf[n:]
			return unit, nil
		}
		if err := p.more(); err != nil {
			return nil, fmt.Errorf("%w after %.200q", err, p.buf)
		}
	}
}

// exchange sends a request as a backend gets it, and mn behind it. There must be exactly one answer of the request's
// shape, and MN.
func (p *peer) exchange(req *protocol.Request) (answer string, status protocol.Status, err error) {
	if _, err := p.conn.Write(append(protocol.AppendRequest(nil, req), "mn\r\n"...)); err != nil {
		return "", 0, err
	}
	shape := req.Verb.Shape()
	if req.NumKeys > 1 {
		shape = protocol.ShapeValues
	}
	var resp protocol.Response
	for !resp.Last {
		unit, err := p.unit(shape, &resp)
		if err != nil {
			return answer, 0, err
		}
		answer += string(unit)
		status = resp.Status
	}
	noop, err := p.unit(protocol.ShapeMeta, &resp)
	if err != nil {
		return answer, status, err
	}
	if string(noop) != protocol.Noop || len(p.buf) > 0 {
		return answer, status, fmt.Errorf("after the answer %.200q came %q%q, want MN", answer, noop, p.buf)
	}
	return answer, status, nil
}

// raw sends bytes as they are, and mn, and gives everything up to MN.
func (p *peer) raw(text string) string {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, text+"mn\r\n"); err != nil {
		p.t.Fatalf("send %.200q: %v", text, err)
	}
	for !bytes.HasSuffix(p.buf, []byte("MN\r\n")) {
		if err := p.more(); err != nil {
			p.t.Fatalf("%.200q: %v after %.200q", text, err, p.buf)
		}
	}
	answer := strings.TrimSuffix(string(p.buf), "MN\r\n")
	p.buf = nil
	return answer
}

// lines makes command lines, right and wrong ones, from a seed.
type lines struct{ rng *rand.Rand }

func (g lines) pick(list ...string) string { return list[g.rng.IntN(len(list))] }

func (g lines) key() string {
	return g.pick("a", "b", "c", "num", "noreply", "a\rb", "\x01\x7f", "é", "k\r", "=", "Zm9v", "YQ==", "bnVt", "Zm8Kbw==", "END",
		"VALUE", key250, key251, "get\x00")
}

func (g lines) number() string {
	return g.pick("0", "1", "5", "60", "-1", "+3", "007", "\t4", "6\r", "x", "", "4294967295", "4294967296", "2147483648",
		"18446744073709551615", "18446744073709551616", "-18446744073709551615", "1x", "noreply")
}

func (g lines) size() string {
	return g.pick("0", "1", "2", "5", "10", "100", "5000", "+1", "007", "-1", "x", "4294967298", "1100000")
}

func (g lines) flags() string {
	var b strings.Builder
	for range g.rng.IntN(6) {
		b.WriteString(g.pick(" ", " ", " ", "  ") + g.pick("b", "c", "f", "h", "k", "l", "O1", "Oab\rc", "O", "q", "s", "t", "u", "v",
			"E1", "N0", "N30", "R30", "T30", "T0", "T-1", "Tx", "F5", "Fx", "C1", "Cx", "I", "x", "J5", "D2", "Dx", "ME", "MA", "MP",
			"MR", "MS", "MI", "MD", "M+", "M-", "MX", "M", "Mxx", "P1", "La", "y", "S5", "1", "[", "!", "\xff",
			"O"+strings.Repeat("o", 31), "O"+strings.Repeat("o", 32)))
	}
	return b.String()
}

func (g lines) tail() string {
	return g.pick("", "", "", " ", " noreply", " noreply ", " junk", " 0", " junk noreply", " \r", " a b c d e f g h i j k l m n o p q r s t u v")
}

func (g lines) line() string {
	var line string
	switch g.rng.IntN(9) {
	case 0:
		line = g.pick("get ", "gets ", "gat 0 ", "gats 60 ", "gat "+g.number()+" ") + g.key()
		for range g.rng.IntN(4) {
			line += g.pick(" ", "  ") + g.key()
		}
	case 1, 2:
		line = g.pick("set", "add", "replace", "append", "prepend", "cas") + " " + g.key() + " " + g.number() + " " + g.number() +
			" " + g.size()
		if g.rng.IntN(2) == 0 || strings.HasPrefix(line, "cas") {
			line += " " + g.number()
		}
		line += g.tail()
	case 3:
		line = g.pick("delete ", "incr ", "decr ", "touch ") + g.key() + g.pick("", " "+g.number(), " "+g.number()) + g.tail()
	case 4:
		line = g.pick("mg ", "md ", "ma ", "me ", "mn") + g.key() + g.flags()
	case 5:
		line = "mg " + g.key() + g.flags()
	case 6:
		line = "ms " + g.key() + " " + g.size() + g.flags()
	case 7:
		line = g.pick("ma ", "md ") + g.key() + g.flags()
	case 8:
		line = g.pick("version", "stats", "stats settings", "stats items", "stats detail dump", "stats detail on", "stats cachedump 1 9",
			"stats sizes", "stats reset", "stats nonsense", "stats detail", "verbosity 0", "verbosity "+g.number(),
			"flush_all", "flush_all "+g.number()) + g.tail()
	}
	return g.mutate(line)
}

// mutate breaks a line in one place, now and then.
func (g lines) mutate(line string) string {
	if g.rng.IntN(4) > 0 || line == "" {
		return line
	}
	at := g.rng.IntN(len(line))
	end := min(len(line), at+1+g.rng.IntN(3))
	return line[:at] + g.pick("", " ", "  ", "\r", "\x00", "\t", "0", "-", line[at:end]+line[at:end], "\xff", "noreply") + line[end:]
}

func (g lines) block(size int) []byte {
	block := make([]byte, size)
	for i := range block {
		block[i] = "0123456789\r\n END get mn"[g.rng.IntN(23)]
	}
	if g.rng.IntN(3) == 0 {
		for i := range block {
			block[i] = '7'
		}
	}
	return block
}

// Every line that the parser accepts gets exactly one answer, in the shape that the verb says.
func TestServerAnswersOnce(t *testing.T) {
	p := newPeer(t, memcachedtest.Start(t))
	const seed, random = 1, 6000
	g := lines{rand.New(rand.NewPCG(seed, seed))}
	texts := make([]string, 0, len(requestTable)+random)
	for _, tt := range requestTable {
		texts = append(texts, tt.line)
	}
	for range random {
		texts = append(texts, g.line())
	}
	req := new(protocol.Request)
	accepted := map[protocol.Verb]int{}
	answers := map[protocol.Status]int{}
	for _, text := range texts {
		n, err := protocol.ParseRequest([]byte(text+"\r\n"), req)
		if err != nil || n != len(text)+2 {
			continue
		}
		if req.Verb == protocol.Refused || req.Verb == protocol.Quit || req.ValueLen > 2<<20 {
			accepted[protocol.Refused]++
			continue
		}
		if req.ValueLen >= 0 {
			req.Value = g.block(req.ValueLen)
		}
		accepted[req.Verb]++
		answer, status, err := p.exchange(req)
		if err != nil {
			t.Fatalf("%.300q, sent as %.300q: answer %.200q: %v", text, protocol.AppendRequest(nil, req), answer, err)
		}
		answers[status]++
	}
	for v := protocol.Get; v <= protocol.FlushAll; v++ {
		if accepted[v] == 0 && v != protocol.Quit {
			t.Errorf("no %s was sent", v)
		}
	}
	for s := protocol.StatusHit; s <= protocol.StatusServerError; s++ {
		if answers[s] == 0 && s != protocol.StatusStat {
			t.Errorf("no answer was %s", statusNames[s])
		}
	}
	t.Logf("%d lines: %d answered here, the others by memcached", len(texts), accepted[protocol.Refused])
}

// The largest data blocks and longest lines, and what their answers look like.
func TestServerLarge(t *testing.T) {
	p := newPeer(t, memcachedtest.Start(t, "-I", "8m"))
	value := bytes.Repeat([]byte("v\r\n"), 2<<20)
	text := fmt.Appendf(nil, "set big 1 0 %d\r\n%s\r\n", len(value), value)
	if answer, _, err := p.exchange(request(t, string(text))); answer != protocol.Stored || err != nil {
		t.Fatalf("set of %d bytes: %q, %v", len(value), answer, err)
	}
	want := fmt.Sprintf("VALUE big 1 %d\r\n%s\r\n", len(value), value)
	if answer, _, err := p.exchange(request(t, "get big\r\n")); answer != want+protocol.End || err != nil {
		t.Fatalf("get: %.60q…, %v", answer, err)
	}
	keys := strings.Repeat(" nokey", 30_000)
	if answer, _, err := p.exchange(request(t, "get"+keys+" big\r\n")); answer != want+protocol.End || err != nil {
		t.Fatalf("get of 30,001 keys: %.60q…, %v", answer, err)
	}
	// As long as a line may be that is not a get, and its LF by itself: memcached closes the conn when it has more than
	// 2,048 bytes without an LF.
	line := "gat 0 " + strings.Repeat("k", 250)
	for len(line) < protocol.MaxLineLen-252 {
		line += " " + strings.Repeat("k", 250)
	}
	line += " " + strings.Repeat("k", protocol.MaxLineLen-len(line)-2)
	req := request(t, line+"\n")
	out := protocol.AppendRequest(nil, req)
	if len(out) != protocol.MaxLineLen+1 {
		t.Fatalf("the line has %d bytes", len(out))
	}
	if _, err := p.conn.Write(out[:protocol.MaxLineLen]); err != nil {
		t.Fatal(err)
	}
	if answer := p.raw("\n"); answer != protocol.End {
		t.Fatalf("gat with a line of %d bytes: %q", len(out), answer)
	}
}

// What a client is told for a miss that never reached its backend is what memcached says.
func TestServerMisses(t *testing.T) {
	p := newPeer(t, memcachedtest.Start(t))
	for _, tt := range missTable {
		if got := p.raw(tt.text); got != tt.want {
			t.Errorf("memcached answers %q to %q, AppendMiss says %q", got, tt.text, tt.want)
		}
	}
}

// A quiet request, sent without its q or noreply and its answer taken by Suppressed, looks to a client as memcached
// itself does.
func TestServerQuiet(t *testing.T) {
	direct := newPeer(t, memcachedtest.Start(t))
	through := newPeer(t, memcachedtest.Start(t))
	for _, text := range []string{
		"set k 1 0 2 noreply\r\n12\r\n", "add k 0 0 1 noreply\r\nx\r\n", "cas k 0 0 1 99 noreply\r\nx\r\n", "get k\r\n",
		"replace none 0 0 1 noreply\r\nx\r\n", "append k 0 0 1 noreply\r\n3\r\n", "incr k 1 noreply\r\n", "incr none 1 noreply\r\n",
		"touch k 0 noreply\r\n", "touch none 0 noreply\r\n", "set s 0 0 1 noreply\r\nx\r\n", "incr s 1 noreply\r\n",
		"delete none noreply\r\n", "set large 0 0 1100000 noreply\r\n" + strings.Repeat("x", 1100000) + "\r\n",
		"verbosity 0 noreply\r\n", "delete k noreply\r\n", "get k\r\n",
		"ms k 2 q\r\n12\r\n", "ms k 2 q k O1 T0\r\n12\r\n", "ms k 2 ME q\r\nxx\r\n", "ms k 2 C1 q k\r\nxx\r\n", "ms none 2 C1 q\r\nxx\r\n",
		"ms none 2 MA q k O1\r\nxx\r\n", "ms k 2 q y\r\nxx\r\n", "ms k 2 MX q\r\nxx\r\n", "ms k 2 Tx q\r\nxx\r\n",
		"ms large 1100000 q\r\n" + strings.Repeat("x", 1100000) + "\r\n",
		"mg k q\r\n", "mg k v q k\r\n", "mg none q\r\n", "mg none v q k O1\r\n", "mg k q y\r\n",
		"ma k q\r\n", "ma k q v k\r\n", "ma none q k\r\n", "ma s q\r\n", "ma k MX q\r\n", "ma k C1 q\r\n", "ma fresh N0 J5\r\n",
		"md none q\r\n", "md none q k O1\r\n", "md k C1 q\r\n", "md k I q\r\n", "md k q O1 k\r\n", "md k q\r\n",
		"me k q\r\n", "me none q\r\n", "mn q\r\n", "flush_all noreply\r\n", "flush_all 0 noreply\r\n", "get s\r\n",
	} {
		want := direct.raw(text)
		req := request(t, text)
		got, status, err := through.exchange(req)
		if err != nil {
			t.Fatalf("%.80q: %v", text, err)
		}
		if req.NoReply && protocol.Suppressed(req.Verb, status) {
			got = ""
		}
		if got != want {
			t.Errorf("%.80q: memcached answers %q, Suppressed lets %q through", text, want, got)
		}
	}
}
