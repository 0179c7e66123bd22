package protocol_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mcproxy/protocol"
)

// guarded copies data twice: into a slice of exactly its size, where a read behind its end panics, and into one with a
// tail that would finish any line or data block, where a read behind its end changes the result.
func guarded(data []byte) (exact, poisoned []byte) {
	tail := "\r\n\r\nEND\r\n 0 0 0\r\n"
	exact = make([]byte, len(data))
	copy(exact, data)
	poisoned = append(append(make([]byte, 0, len(data)+len(tail)), data...), tail...)
	return exact[:len(data):len(data)], poisoned[:len(data)]
}

// stream reads requests as a session does.
type stream struct {
	pos     int
	req     protocol.Request
	waiting bool // req is parsed and its data block is not there
	swallow int
	results []string
	ended   bool
}

// feed takes what buf, everything received so far, has to offer. each is called with every whole request.
func (s *stream) feed(t *testing.T, buf []byte, each func(req *protocol.Request)) {
	for !s.ended {
		if s.swallow > 0 {
			n := min(s.swallow, len(buf)-s.pos)
			s.pos += n
			if s.swallow -= n; s.swallow > 0 {
				return
			}
		}
		if s.waiting {
			n, ok := s.req.TakeValue(buf[s.pos:])
			if n == 0 {
				return
			}
			if n != s.req.ValueLen+2 {
				t.Fatalf("TakeValue took %d bytes of a block of %d", n, s.req.ValueLen)
			}
			s.pos += n
			s.waiting = false
			s.results = append(s.results, fmt.Sprintf("%s %v %q", show(&s.req), ok, s.req.Value))
			if ok {
				each(&s.req)
			}
			continue
		}
		n, err := protocol.ParseRequest(buf[s.pos:], &s.req)
		switch {
		case err != nil:
			if n != 0 {
				t.Fatalf("an error, and n = %d", n)
			}
			s.results = append(s.results, err.Error())
			s.ended = true
		case n == 0:
			return
		case n > len(buf)-s.pos || buf[s.pos+n-1] != '\n':
			t.Fatalf("a line of %d bytes in %q", n, buf[s.pos:])
		default:
			s.pos += n
			s.swallow = s.req.Swallow
			if s.waiting = s.req.ValueLen >= 0; !s.waiting {
				s.results = append(s.results, show(&s.req))
				each(&s.req)
			}
		}
	}
}

// cuts are the places at which a text is cut in two: all of a short one's.
func cuts(size int) []int {
	var at []int
	step := max(1, size/100)
	for i := 0; i <= size; i += step {
		at = append(at, i)
	}
	return at
}

// checkForwarded checks what a backend would get.
func checkForwarded(t *testing.T, req *protocol.Request) {
	if req.Verb == protocol.Refused {
		if !strings.HasSuffix(req.Refusal, "\r\n") || strings.Count(req.Refusal, "\n") != 1 || req.Swallow < 0 || req.ValueLen >= 0 {
			t.Fatalf("a refusal with %q, %d", req.Refusal, req.Swallow)
		}
		return
	}
	out := protocol.AppendRequest(nil, req)
	line := out
	if req.ValueLen >= 0 {
		line = out[:len(out)-req.ValueLen-2]
		if !bytes.HasSuffix(out, []byte("\r\n")) || !bytes.Equal(out[len(line):len(out)-2], req.Value) {
			t.Fatalf("%q does not end in the data block %q", out, req.Value)
		}
	}
	if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasSuffix(line, []byte("\r\n")) || bytes.IndexByte(line, 0) >= 0 {
		t.Fatalf("%q is not one line", line)
	}
	if bytes.Contains(line, []byte("  ")) || bytes.Contains(line, []byte(" \r\n")) || line[0] == ' ' {
		t.Fatalf("%q has blanks too many", line)
	}
	if len(line) > protocol.MaxLineLen+1 && req.Verb != protocol.Get && req.Verb != protocol.Gets {
		t.Fatalf("a line of %d bytes", len(line))
	}
	want := show(withoutQuiet(req))
	again := new(protocol.Request)
	parseWhole(t, out, again)
	if got := show(again); got != want || !bytes.Equal(again.Value, req.Value) {
		t.Fatalf("%q is %s, from %s", out, got, want)
	}
	if twice := protocol.AppendRequest(nil, again); !bytes.Equal(twice, out) {
		t.Fatalf("%q became %q", out, twice)
	}
	if req.Key != nil && (len(req.Key) == 0 || len(req.Key) > protocol.MaxKeyLen) {
		t.Fatalf("a key of %d bytes", len(req.Key))
	}
	if miss := protocol.AppendMiss(nil, req); len(miss) > 0 && (bytes.Count(miss, []byte("\n")) != 1 || !bytes.HasSuffix(miss, []byte("\r\n"))) {
		t.Fatalf("a miss of %q", miss)
	}
}

// withoutQuiet is the request as its backend should see it.
func withoutQuiet(req *protocol.Request) *protocol.Request {
	plain := *req
	plain.NoReply = false
	if req.Arg != nil {
		plain.Arg = bytes.Join(bytes.FieldsFunc(req.Arg, func(r rune) bool { return r == ' ' }), []byte(" "))
	}
	if req.NoReply && req.Verb.IsMeta() {
		plain.MetaFlags = nil
		for _, token := range bytes.FieldsFunc(req.MetaFlags, func(r rune) bool { return r == ' ' }) {
			if token[0] != 'q' {
				plain.MetaFlags = append(append(plain.MetaFlags, ' '), token...)
			}
		}
	}
	return &plain
}

func FuzzParseRequest(f *testing.F) {
	for _, tt := range requestTable {
		f.Add([]byte(tt.line + "\r\n"))
	}
	for _, bm := range benchLines {
		f.Add([]byte(bm.line))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		exact, poisoned := guarded(data)
		var whole, again stream
		whole.feed(t, exact, func(req *protocol.Request) { checkForwarded(t, req) })
		none := func(*protocol.Request) {}
		again.feed(t, poisoned, none)
		if !slices.Equal(whole.results, again.results) || whole.pos != again.pos {
			t.Fatalf("with other bytes behind it, %q is\n%q, not\n%q", data, again.results, whole.results)
		}
		for _, at := range cuts(len(data)) {
			var s stream
			s.feed(t, exact[:at:at], none)
			s.feed(t, exact, none)
			if !slices.Equal(whole.results, s.results) || whole.pos != s.pos {
				t.Fatalf("cut at %d, %q is\n%q, not\n%q", at, data, s.results, whole.results)
			}
		}
	})
}

func FuzzParseResponse(f *testing.F) {
	for _, tt := range responseTable {
		f.Add(byte(tt.shape), []byte(tt.text))
	}
	f.Fuzz(func(t *testing.T, shapeByte byte, data []byte) {
		shape := protocol.Shape(shapeByte % byte(len(shapeNames)))
		exact, poisoned := guarded(data)
		var resp, other protocol.Response
		n, err := protocol.ParseResponse(exact, shape, &resp)
		if otherN, otherErr := protocol.ParseResponse(poisoned, shape, &other); otherN != n || (otherErr == nil) != (err == nil) ||
			showResponse(&other) != showResponse(&resp) || other.Need != resp.Need {
			t.Fatalf("with other bytes behind it, %q is %d %v, not %d %v", data, otherN, otherErr, n, err)
		}
		switch {
		case n > len(data) || n < 0 || n > 0 && err != nil:
			t.Fatalf("ParseResponse(%q) = %d, %v", data, n, err)
		case n == 0 && err == nil && resp.Need != 0 && resp.Need <= len(data):
			t.Fatalf("ParseResponse(%q) needs %d of %d", data, resp.Need, len(data))
		case n > 0:
			checkUnit(t, data[:n], shape, &resp)
		}
		for _, at := range cuts(len(data)) {
			cutN, cutErr := protocol.ParseResponse(exact[:at:at], shape, &other)
			switch {
			case cutN == 0 && cutErr == nil:
				if n > 0 && (at >= n || other.Need > n) {
					t.Fatalf("%q cut at %d needs %d, the unit has %d", data, at, other.Need, n)
				}
			case cutErr != nil:
				if err == nil {
					t.Fatalf("%q cut at %d: %v", data, at, cutErr)
				}
			case cutN != n || showResponse(&other) != showResponse(&resp):
				t.Fatalf("%q cut at %d is %d %s, not %d %s", data, at, cutN, showResponse(&other), n, showResponse(&resp))
			}
		}
	})
}

// checkUnit writes the unit down again from what was parsed.
func checkUnit(t *testing.T, unit []byte, shape protocol.Shape, resp *protocol.Response) {
	if resp.Status == protocol.StatusInvalid || !bytes.HasPrefix(unit, resp.Line) || (resp.Status.IsError() || resp.Status == protocol.StatusVersion) && bytes.ContainsAny(resp.Line, "\r\n") {
		t.Fatalf("%q has status %d, line %q", unit, resp.Status, resp.Line)
	}
	want := string(resp.Line) + "\r\n"
	if resp.Status == protocol.StatusHit {
		want += string(resp.Value) + "\r\n"
		if shape == protocol.ShapeValue {
			want += protocol.End
		}
	}
	if string(unit) != want {
		t.Fatalf("%q was parsed as %q", unit, want)
	}
	if resp.Last != (resp.Status != protocol.StatusStat && (resp.Status != protocol.StatusHit || shape != protocol.ShapeValues)) {
		t.Fatalf("%q: last is %v", unit, resp.Last)
	}
}

func FuzzMetaFlags(f *testing.F) {
	for _, tt := range requestTable {
		if rest, ok := strings.CutPrefix(tt.line, "mg Zm9v "); ok {
			f.Add([]byte(rest))
		}
		if rest, ok := strings.CutPrefix(tt.line, "mg k "); ok {
			f.Add([]byte(rest))
		}
	}
	f.Fuzz(func(t *testing.T, flags []byte) {
		exact, _ := guarded(flags)
		var got []string
		for flag, arg, rest := protocol.NextFlag(exact); flag != 0; flag, arg, rest = protocol.NextFlag(rest) {
			got = append(got, string(flag)+string(arg))
		}
		want := strings.FieldsFunc(string(flags), func(r rune) bool { return r == ' ' })
		if i := slices.IndexFunc(want, func(s string) bool { return s[0] == 0 }); i >= 0 {
			want = want[:i] // no line has a NUL
		}
		// string(flag) is UTF-8 of the byte's number; flags over 127 are compared by their count.
		if len(got) != len(want) {
			t.Fatalf("NextFlag of %q gives %q, not %q", flags, got, want)
		}
		req := new(protocol.Request)
		line := "mg Zm9v " + string(flags) + "\r\n"
		n, err := protocol.ParseRequest([]byte(line), req)
		if n == 0 || err != nil || req.Verb == protocol.Refused {
			return
		}
		if n != len(line) {
			return // flags has an LF
		}
		checkForwarded(t, req)
		seen := map[byte]string{}
		for _, token := range want {
			token = strings.TrimSuffix(token, "\r")
			if token == "" {
				continue
			}
			if _, dup := seen[token[0]]; dup {
				t.Fatalf("%q was accepted", line)
			}
			seen[token[0]] = token[1:]
		}
		opaque, hasOpaque := seen['O']
		_, q := seen['q']
		_, b := seen['b']
		_, k := seen['k']
		if len(seen) > 17 || q != req.NoReply || b != req.Base64 || k != req.ReturnKey || hasOpaque != (req.Opaque != nil) ||
			len(req.Opaque) > 31 || !strings.HasPrefix(string(req.Opaque), opaque) {
			t.Fatalf("%q is %s", line, show(req))
		}
		if b && string(req.Key) != "foo" || !b && string(req.Key) != "Zm9v" {
			t.Fatalf("%q has the key %q", line, req.Key)
		}
	})
}

func FuzzNextKey(f *testing.F) {
	for _, seed := range []string{"", " ", "a", "a b", "  a  b  ", "a\rb c\x00", strings.Repeat("k ", 100)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, keys []byte) {
		exact, _ := guarded(keys)
		var got []string
		for key, rest := protocol.NextKey(exact); key != nil; key, rest = protocol.NextKey(rest) {
			got = append(got, string(key))
		}
		want := strings.FieldsFunc(string(keys), func(r rune) bool { return r == ' ' })
		if !slices.Equal(got, want) {
			t.Fatalf("NextKey of %q gives %q, not %q", keys, got, want)
		}
	})
}
