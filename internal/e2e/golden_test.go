package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A goldenCase is one edge case of the protocol, by its number in the protocol reference, for a proxy over memcached
// 1.6.18. %K in it stands for a key that only this case uses, %V for memcached's answer to version.
type goldenCase struct {
	rule   string
	send   string
	want   string
	native string // what 1.6.18 itself answers, where that is not want
	closed bool   // the conn is closed after want
}

const (
	badFormat    = "CLIENT_ERROR bad command line format\r\n"
	badChunk     = "CLIENT_ERROR bad data chunk\r\n"
	badExptime   = "CLIENT_ERROR invalid exptime argument\r\n"
	badDelta     = "CLIENT_ERROR invalid numeric delta argument\r\n"
	nonNumeric   = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
	tooLarge     = "SERVER_ERROR object too large for cache\r\n"
	deleteUsage  = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
	incomparable = "\x00" // as native: 1.6.18 does it, waits for the block, or loses answers that it has not sent yet
)

func goldenCases() []goldenCase {
	big, long := strings.Repeat("x", 1_048_577), strings.Repeat("L", 251)
	old := "set %K 5 0 3\r\nold\r\n"
	kept := "VALUE %K 5 3\r\nold\r\nEND\r\n"
	return []goldenCase{
		{rule: "1 set deletes the old value", send: old + "set %K 0 0 1048577\r\n" + big + "\r\nget %K\r\n", want: "STORED\r\n" + tooLarge + "END\r\n"},
		{rule: "1 set noreply is silent", send: old + "set %K 0 0 1048577 noreply\r\n" + big + "\r\nget %K\r\n", want: "STORED\r\nEND\r\n"},
		{rule: "1 add keeps it", send: old + "add %K 0 0 1048577\r\n" + big + "\r\nget %K\r\n", want: "STORED\r\n" + tooLarge + kept},
		{rule: "1 replace keeps it", send: old + "replace %K 0 0 1048577\r\n" + big + "\r\nget %K\r\n", want: "STORED\r\n" + tooLarge + kept},
		{rule: "1 append keeps it", send: old + "append %K 0 0 1048577\r\n" + big + "\r\nget %K\r\n", want: "STORED\r\n" + tooLarge + kept},
		{rule: "1 ms q is not silent", send: old + "ms %K 1048577 q\r\n" + big + "\r\nget %K\r\n", want: "STORED\r\n" + tooLarge + "END\r\n"},
		{rule: "2 len+2 bytes are taken", send: "set %K 0 0 4\r\nabcdefget %K\r\n", want: badChunk + "END\r\n"},
		{rule: "2 the rest is a command", send: "set %K 0 0 3\r\nabcdefgh\r\n", want: badChunk + "ERROR\r\n"},
		{rule: "2 ms too, also with q", send: "ms %K 4 q\r\nabcdefmg %K\r\n", want: badChunk + "EN\r\n"},
		{rule: "2 noreply is silent", send: "set %K 0 0 4 noreply\r\nabcdefget %K\r\n", want: "END\r\n"},
		{rule: "3 bad flags: the block is swallowed", send: "set %K x 0 3\r\nabc\r\nget %K\r\n", want: badFormat + "END\r\n", native: badFormat + "ERROR\r\nEND\r\n"},
		{rule: "3 bad exptime", send: "set %K 0 x 3\r\nabc\r\nget %K\r\n", want: badFormat + "END\r\n", native: badFormat + "ERROR\r\nEND\r\n"},
		{rule: "3 long key", send: "set " + long + " 0 0 3\r\nabc\r\nget %K\r\n", want: badFormat + "END\r\n", native: badFormat + "ERROR\r\nEND\r\n"},
		{rule: "3 ms with a long key", send: "ms " + long + " 3\r\nabc\r\nget %K\r\n", want: badFormat + "END\r\n", native: badFormat + "ERROR\r\nEND\r\n"},
		{rule: "3 negative length: nobody knows", send: "set %K 0 0 -1\r\nabc\r\nget %K\r\n", want: badFormat + "ERROR\r\nEND\r\n"},
		{rule: "3 length that is no number", send: "set %K 0 0 x\r\nabc\r\nget %K\r\n", want: badFormat + "ERROR\r\nEND\r\n"},
		{rule: "3 length over 31 bits", send: "set %K 0 0 99999999999\r\nabc\r\nget %K\r\n", want: badFormat + "ERROR\r\nEND\r\n", native: incomparable},
		{rule: "4 empty line", send: "\r\n", want: badFormat, native: "ERROR\r\n"},
		{rule: "4 get without a key", send: "get\r\nget \r\ngets\r\n", want: badFormat + badFormat + badFormat, native: "ERROR\r\nERROR\r\nERROR\r\n"},
		{rule: "4 missing arguments", send: "set %K\r\nincr %K\r\ntouch %K\r\ndelete\r\n", want: strings.Repeat(badFormat, 4), native: strings.Repeat("ERROR\r\n", 4)},
		{rule: "4 unknown command", send: "frobnicate %K\r\nget %K\r\n", want: "ERROR\r\nEND\r\n"},
		{rule: "4 upper case", send: "GET %K\r\nget %K\r\n", want: "ERROR\r\nEND\r\n"},
		{rule: "5 a long key in a get", send: old + "get %K " + long + " %K\r\nget %K\r\n", want: "STORED\r\n" + badFormat + kept, native: incomparable},
		{rule: "5 in a gat", send: "gat 0 %K " + long + "\r\nget %K\r\n", want: badFormat + "END\r\n"},
		{rule: "6 LF alone", send: "set %K 5 0 3\nold\r\nget %K\n", want: "STORED\r\n" + kept},
		{rule: "6 not after a data block", send: "set %K 5 0 3\r\nold\nxget %K\r\n", want: badChunk + "END\r\n"},
		{rule: "7 several blanks", send: "set   %K  5   0  3  \r\nold\r\nget   %K  \r\n", want: "STORED\r\n" + kept},
		{rule: "7 leading blank", send: " get %K\r\n", want: "ERROR\r\n", native: "END\r\n"},
		{rule: "8 the same key twice", send: old + "get %K none-%K %K\r\n", want: "STORED\r\nVALUE %K 5 3\r\nold\r\nVALUE %K 5 3\r\nold\r\nEND\r\n"},
		{rule: "9 delete k 0", send: old + "delete %K 0\r\nget %K\r\n", want: "STORED\r\nDELETED\r\nEND\r\n"},
		{rule: "9 with a blank before the end", send: old + "delete %K 0 \r\ndelete %K \r\n", want: "STORED\r\nDELETED\r\nNOT_FOUND\r\n"},
		{rule: "9 delete k junk: the backend judges", send: old + "delete %K junk\r\n", want: "STORED\r\n" + deleteUsage},
		{rule: "9 noreply must match", send: "delete %K 0 noreply\r\nset %K 5 0 3 noreply \r\nold\r\nget %K\r\n", want: kept},
		{rule: "9 NOREPLY does not", send: "set %K 5 0 3 NOREPLY\r\nold\r\n", want: "STORED\r\n"},
		{rule: "10 incr wraps", send: "set %K 0 0 20\r\n18446744073709551615\r\nincr %K 1\r\n", want: "STORED\r\n0\r\n"},
		{rule: "10 decr stops at 0", send: "set %K 0 0 1\r\n5\r\ndecr %K 6\r\n", want: "STORED\r\n0\r\n"},
		{rule: "10 shorter numbers are padded", send: "set %K 5 0 2\r\n10\r\ndecr %K 1\r\nget %K\r\n", want: "STORED\r\n9\r\nVALUE %K 5 2\r\n9 \r\nEND\r\n"},
		{rule: "10 text", send: old + "incr %K 1\r\nincr %K 1 noreply\r\nget %K\r\n", want: "STORED\r\n" + nonNumeric + kept},
		{rule: "10 bad delta", send: "incr %K x\r\nincr %K x noreply\r\nincr %K -1\r\n", want: badDelta + badDelta},
		{rule: "11 cas", send: "cas %K 0 0 1 7\r\na\r\n" + old + "cas %K 0 0 1 18446744073709551615\r\na\r\nget %K\r\n", want: "NOT_FOUND\r\nSTORED\r\nEXISTS\r\n" + kept},
		{rule: "11 a miss", send: "append %K 0 0 1\r\na\r\nprepend %K 0 0 1\r\na\r\nreplace %K 0 0 1\r\na\r\n", want: strings.Repeat("NOT_STORED\r\n", 3)},
		{rule: "12 an extra token", send: "set %K 5 0 3 junk\r\nold\r\nget %K\r\n", want: "STORED\r\n" + kept},
		{rule: "12 version junk", send: "version junk\r\n", want: "%V"},
		{rule: "12 quit junk", send: "quit junk\r\n", closed: true},
		{rule: "13 flush_all", send: "flush_all -1\r\nflush_all x\r\nflush_all x noreply\r\nflush_all 0 noreply\r\nflush_all \r\n", want: "OK\r\n" + badExptime + "OK\r\n"},
		{rule: "14 HTTP", send: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", closed: true},
		{rule: "14 quit after the answers", send: old + "get %K\r\nquit\r\n", want: "STORED\r\n" + kept, closed: true},
		{
			rule: "15 noreply with an error is silent",
			send: "set " + long + " 0 0 3 noreply\r\nabc\r\nadd %K x 0 3 noreply\r\nabc\r\ntouch %K x noreply\r\ndelete %K noreply\r\n" +
				"incr %K 1 noreply\r\ndecr " + long + " 1 noreply\r\nreplace %K 0 0 1 noreply\r\na\r\ncas %K 0 0 1 1 noreply\r\na\r\nget %K\r\n",
			want: "END\r\n", native: "ERROR\r\nERROR\r\nEND\r\n",
		},
		{rule: "17 answers in order", send: old + "get %K\r\nmn\r\nfoo\r\nversion\r\nmg %K v\r\nget %K\r\n", want: "STORED\r\n" + kept + "MN\r\nERROR\r\n%VVA 3\r\nold\r\n" + kept},
		{rule: "19 a lone CR", send: "set %K 5 0 3\r\nold\r\nget %K\rdelete %K\r\nget %K\r\n", want: "STORED\r\n" + kept + kept},
		{rule: "meta quiet and mn", send: "mg %K q v\r\nms %K 3 q\r\nold\r\nmd none-%K\r\nmg %K q v\r\nmd %K q\r\nmn\r\n", want: "NF\r\nVA 3\r\nold\r\nMN\r\n"},
		{rule: "meta opaque and key", send: "mg %K k O123\r\nms %K 3 k O4\r\nold\r\nmd %K k O5\r\n", want: "EN k%K O123\r\nHD k%K O4\r\nHD k%K O5\r\n"},
		{rule: "meta flag that the backend does not know", send: "ms %K 3 E5\r\nold\r\nmg %K E5\r\nmd %K E5\r\nma %K E5\r\n", want: "CLIENT_ERROR invalid flag\r\nCLIENT_ERROR invalid flag\r\n" + strings.Repeat("CLIENT_ERROR invalid or duplicate flag\r\n", 2)},
		{rule: "the refused commands", send: "shutdown\r\ncache_memlimit 1\r\nlru_crawler enable\r\nget %K\r\n", want: strings.Repeat("CLIENT_ERROR command not allowed through a proxy\r\n", 3) + "END\r\n", native: incomparable},
	}
}

// TestGolden sends each edge case on a conn of its own.
func TestGolden(t *testing.T) {
	s := startService(t, 1)
	version := s.servers[0].Command("version")
	for i, c := range goldenCases() {
		want := c.want
		if s.memcached && c.native == incomparable {
			continue
		}
		if s.memcached && c.native != "" {
			want = c.native
		}
		fill := func(text string) []byte {
			return []byte(strings.NewReplacer("%K", fmt.Sprintf("golden-%d", i), "%V", version).Replace(text))
		}
		conn := s.dial(t)
		if err := conn.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
			t.Fatal(err)
		}
		var answer []byte
		var closed bool
		var err error
		if c.closed {
			if _, err = conn.Write(fill(c.send)); err == nil {
				answer, err = conn.rest(time.Now().Add(answerTimeout))
				closed = err == nil
			}
		} else {
			answer, closed, err = conn.exchange(fill(c.send))
		}
		if err != nil || closed != c.closed || string(answer) != string(fill(want)) {
			t.Errorf("%s: %s\n got %s, closed %v, %v\nwant %s, closed %v", c.rule, quote(fill(c.send)), quote(answer), closed, err, quote(fill(want)), c.closed)
		}
		conn.Close()
	}
}

// TestGoldenStats checks what stats says through a proxy: with one backend, that backend's own lines.
func TestGoldenStats(t *testing.T) {
	s := startService(t, 1)
	c := s.dial(t)
	for _, arg := range []string{"", " settings", " items", " slabs", " sizes"} {
		answer, closed, err := c.exchange([]byte("stats" + arg + "\r\n"))
		if err != nil || closed {
			t.Fatalf("stats%s: closed %v, %v", arg, closed, err)
		}
		got, want := statNames(string(answer)), statNames(s.servers[0].Command("stats"+arg))
		for name := range want {
			if !got[name] {
				t.Errorf("stats%s: no %s", arg, name)
			}
		}
		for name := range got {
			if !want[name] && !strings.HasPrefix(name, "mcproxy_") {
				t.Errorf("stats%s: %s is neither memcached's nor the proxy's", arg, name)
			}
		}
	}
}

func statNames(answer string) map[string]bool {
	names := map[string]bool{}
	for line := range strings.Lines(answer) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "STAT" {
			names[f[1]] = true
		}
	}
	return names
}

// TestGoldenFlushRefused checks that flush_all is refused unless the pool allows it: oslo.cache sends it at each reconnect.
func TestGoldenFlushRefused(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	mc := startMemcached(t)
	p := poolOf(mc)
	p.AllowFlushAll = false
	c := startProxy(t, p).dial(t)
	c.ask(t, "set k 0 0 1\r\na\r\nflush_all 0 noreply\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\na\r\nEND\r\n")
	c.ask(t, "flush_all\r\nget k\r\n", "CLIENT_ERROR flush_all not allowed\r\nVALUE k 0 1\r\na\r\nEND\r\n")
}
