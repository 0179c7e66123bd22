package protocol_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"mcproxy/protocol"
)

// Keystone's keys are 40 hex digits, its values mostly a few hundred bytes.
const benchKey = "2d6cad476fdd468cd5142307ac89a6534277951e"

var benchLines = []struct{ name, line string }{
	{"get", "get " + benchKey + "\r\n"},
	{"set", "set " + benchKey + " 16 0 100\r\n" + strings.Repeat("v", 100) + "\r\n"},
	{"delete", "delete " + benchKey + "\r\n"},
	{"incr", "incr " + benchKey + " 1\r\n"},
	{"mg", "mg " + benchKey + " v k t Oabcd\r\n"},
	{"ms", "ms " + benchKey + " 100 T60 F16\r\n" + strings.Repeat("v", 100) + "\r\n"},
	{"mg-base64", "mg MmQ2Y2FkNDc2ZmRkNDY4Y2Q1MTQyMzA3YWM4OWE2NTM0Mjc3OTUxZQ== b v\r\n"},
	{"get-14", "get" + strings.Repeat(" "+benchKey, 14) + "\r\n"},
}

// parseWhole parses a line and takes its data block.
func parseWhole(tb testing.TB, text []byte, req *protocol.Request) {
	n, err := protocol.ParseRequest(text, req)
	if n == 0 || err != nil || req.Verb == protocol.Refused {
		tb.Fatalf("ParseRequest(%q) = %d, %v, refusal %q", text, n, err, req.Refusal)
	}
	if req.ValueLen >= 0 {
		if n, ok := req.TakeValue(text[n:]); n == 0 || !ok {
			tb.Fatalf("TakeValue(%q) = %d, %v", text, n, ok)
		}
	}
}

func BenchmarkParseRequest(b *testing.B) {
	for _, bm := range benchLines {
		b.Run(bm.name, func(b *testing.B) {
			text := []byte(bm.line)
			var req protocol.Request
			b.ReportAllocs()
			for b.Loop() {
				parseWhole(b, text, &req)
			}
		})
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	for _, bm := range benchLines {
		b.Run(bm.name, func(b *testing.B) {
			var req protocol.Request
			parseWhole(b, []byte(bm.line), &req)
			dst := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				dst = protocol.AppendRequest(dst[:0], &req)
			}
		})
	}
}

var benchAnswers = []struct {
	name  string
	shape protocol.Shape
	text  string
}{
	{"hit", protocol.ShapeValue, "VALUE " + benchKey + " 16 100\r\n" + strings.Repeat("v", 100) + "\r\nEND\r\n"},
	{"miss", protocol.ShapeValue, "END\r\n"},
	{"value", protocol.ShapeValues, "VALUE " + benchKey + " 16 100\r\n" + strings.Repeat("v", 100) + "\r\n"},
	{"stored", protocol.ShapeLine, "STORED\r\n"},
	{"deleted", protocol.ShapeLine, "DELETED\r\n"},
	{"va", protocol.ShapeMeta, "VA 100 t-1 Oabcd\r\n" + strings.Repeat("v", 100) + "\r\n"},
	{"hd", protocol.ShapeMeta, "HD\r\n"},
}

func BenchmarkParseResponse(b *testing.B) {
	for _, bm := range benchAnswers {
		b.Run(bm.name, func(b *testing.B) {
			text := []byte(bm.text)
			var resp protocol.Response
			b.ReportAllocs()
			for b.Loop() {
				if n, err := protocol.ParseResponse(text, bm.shape, &resp); n != len(text) || err != nil {
					b.Fatalf("ParseResponse(%q) = %d, %v", text, n, err)
				}
			}
		})
	}
}

// BenchmarkIncomplete is what a caller pays for each try with a line that is not all there yet.
func BenchmarkIncomplete(b *testing.B) {
	for _, size := range []int{100, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			text := append([]byte("get "), bytes.Repeat([]byte("k"), size)...)
			var req protocol.Request
			b.ReportAllocs()
			for b.Loop() {
				if n, err := protocol.ParseRequest(text, &req); n != 0 || err != nil {
					b.Fatalf("ParseRequest = %d, %v", n, err)
				}
			}
		})
	}
}

// BenchmarkManyKeys parses one get of 100,000 keys.
func BenchmarkManyKeys(b *testing.B) {
	var line []byte
	line = append(line, "get"...)
	for i := range 100_000 {
		line = fmt.Appendf(line, " key-%06d", i)
	}
	line = append(line, "\r\n"...)
	var req protocol.Request
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		parseWhole(b, line, &req)
		if req.NumKeys != 100_000 {
			b.Fatal(req.NumKeys)
		}
	}
}
