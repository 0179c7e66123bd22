package workload

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"mcproxy/protocol"
)

// FuzzCommandFile: any file is read to its end or to one error, and each record is one command that is answered.
func FuzzCommandFile(f *testing.F) {
	f.Add([]byte("set a 0 0 2\r\nhi\r\nget a b\n# x\n#@ 1.5 3\nms c 2 q\nhi\nmn\nquit\nstats\n"))
	f.Add([]byte("set a 0 0 99999999999\r\n"))
	f.Add([]byte("set a 0 0 -1\r\nset " + strings.Repeat("k", 300) + " 0 0 1\r\nx\r\n"))
	f.Add([]byte("#@ 1e300 -1\n#@ NaN 0\nget a"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r := &commandReader{in: bufio.NewReader(bytes.NewReader(file)), conns: 7, client: -1}
		for range len(file) + 2 {
			rec, err := r.read()
			if errors.Is(err, errSkipped) {
				continue
			}
			if err != nil {
				return // the end, or what cannot be read on
			}
			if rec.conn < 0 || rec.conn >= 7 || rec.at < 0 {
				t.Fatalf("a record for conn %d at %v", rec.conn, rec.at)
			}
			raw := rec.op.Append(nil, false)
			var req protocol.Request
			n, err := protocol.ParseRequest(raw, &req)
			if err != nil || n == 0 || req.Verb != rec.op.Verb || req.NoReply || req.Verb == protocol.Refused {
				t.Fatalf("%q is read as %v, %v, suppressed %v", raw, req.Verb, err, req.NoReply)
			}
			if req.ValueLen >= 0 {
				taken, ok := req.TakeValue(raw[n:])
				if !ok {
					t.Fatalf("%q has no whole value", raw)
				}
				n += taken
			}
			if n != len(raw) {
				t.Fatalf("%q holds more than one command", raw)
			}
		}
		t.Fatalf("more records than bytes in %q", file)
	})
}

// FuzzTrace: any file is read to its end, in its order within what a second may hold, and each record is one command.
func FuzzTrace(f *testing.F) {
	f.Add([]byte("0,a,1,2,3,get,0\n0,b,1,2,3,set,60\n1,a,b,1,5,3,cas,0\n"))
	f.Add([]byte("9223372036854775807,a,1,2,3,get,0\n5,,1,2,3,get,0\nx\n\n5,a,1,99999999,3,set,-1"))
	opts := Default()
	opts.Conns = 7
	block := newBlock(1, maxTraceValue)
	f.Fuzz(func(t *testing.T, file []byte) {
		r := &traceReader{in: bufio.NewReader(bytes.NewReader(file)), conns: 7, block: block}
		for range len(file) + 2 {
			rec, err := r.read()
			if errors.Is(err, errSkipped) {
				continue
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if rec.conn < 0 || rec.conn >= 7 || rec.at < 0 || rec.op.Exptime < 0 || len(rec.op.Value) > maxTraceValue {
				t.Fatalf("a record for conn %d at %v, exptime %d, %d bytes", rec.conn, rec.at, rec.op.Exptime, len(rec.op.Value))
			}
			var req protocol.Request
			raw := rec.op.Append(nil, false)
			if n, err := protocol.ParseRequest(raw, &req); err != nil || n == 0 || req.Verb != rec.op.Verb {
				t.Fatalf("%.200q is read as %v, %v", raw, req.Verb, err)
			}
		}
		t.Fatalf("more records than bytes in %q", file)
	})
}

// FuzzSizes: what is accepted draws within its bounds.
func FuzzSizes(f *testing.F) {
	for _, text := range []string{"100", "10-1KiB", "100:9,4KiB-8KiB:1", "etc", "big:0.05:etc", "1e3", "--", "1:1e308,2:1e308"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sizes, err := parseSizes(text, maxValueSize)
		if err != nil {
			return
		}
		r := source(1)
		for range 20 {
			if n := sizes.pick(r); n < 0 || n > sizes.largest() || n > maxValueSize {
				t.Fatalf("%q draws %d of at most %d", text, n, sizes.largest())
			}
		}
	})
}

// FuzzStamp: whatever stands before a right checksum, a value passes only if it says its own length, and a key.
func FuzzStamp(f *testing.F) {
	c := &checker{verifier: newVerifier(1, time.Unix(0, 0)), writer: 3}
	value := c.compose(nil, &Op{Key: []byte("key"), seq: 4}, 100)
	f.Add(value[:len(value)-checksumLen])
	f.Add([]byte("mcproxy-bench 0 3 4 35 k\n"))
	f.Add([]byte("mcproxy-bench 0 3 4 33\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		value := appendChecksum(bytes.Clone(data), data)
		s, ok := parseStamp(value)
		if says := fmt.Sprintf(" %d %s\n", len(value), s.key); ok && !bytes.Contains(value, []byte(says)) {
			t.Fatalf("%q passes as %+v", value, s)
		}
	})
}
