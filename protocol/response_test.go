package protocol_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mcproxy/protocol"
)

var statusNames = map[protocol.Status]string{
	protocol.StatusInvalid: "invalid", protocol.StatusHit: "hit", protocol.StatusMiss: "miss", protocol.StatusStored: "stored",
	protocol.StatusNotStored: "notstored", protocol.StatusExists: "exists", protocol.StatusNotFound: "notfound",
	protocol.StatusDeleted: "deleted", protocol.StatusTouched: "touched", protocol.StatusNumber: "number",
	protocol.StatusOK: "ok", protocol.StatusVersion: "version", protocol.StatusStat: "stat", protocol.StatusEnd: "end",
	protocol.StatusError: "error", protocol.StatusClientError: "clienterror", protocol.StatusServerError: "servererror",
}

// showResponse writes down what a parsed unit says; its Line apart.
func showResponse(resp *protocol.Response) string {
	var b strings.Builder
	b.WriteString(statusNames[resp.Status])
	if resp.Last {
		b.WriteString(" last")
	}
	if resp.Key != nil {
		fmt.Fprintf(&b, " %q", resp.Key)
	}
	if resp.ClientFlags != 0 {
		fmt.Fprintf(&b, " flags=%d", resp.ClientFlags)
	}
	if resp.HasUnique {
		fmt.Fprintf(&b, " unique=%d", resp.Unique)
	}
	if resp.Value != nil {
		fmt.Fprintf(&b, " value=%q", resp.Value)
	}
	return b.String()
}

var shapeNames = map[protocol.Shape]string{
	protocol.ShapeLine: "line", protocol.ShapeValue: "value", protocol.ShapeValues: "values", protocol.ShapeMeta: "meta",
	protocol.ShapeStats: "stats",
}

// responseTable has whole units.
var responseTable = []struct {
	shape protocol.Shape
	text  string
	want  string
}{
	{protocol.ShapeLine, "STORED\r\n", "stored last"},
	{protocol.ShapeLine, "NOT_STORED\r\n", "notstored last"},
	{protocol.ShapeLine, "EXISTS\r\n", "exists last"},
	{protocol.ShapeLine, "NOT_FOUND\r\n", "notfound last"},
	{protocol.ShapeLine, "DELETED\r\n", "deleted last"},
	{protocol.ShapeLine, "TOUCHED\r\n", "touched last"},
	{protocol.ShapeLine, "OK\r\n", "ok last"},
	{protocol.ShapeLine, "RESET\r\n", "ok last"},
	{protocol.ShapeLine, "VERSION 1.6.18\r\n", "version last"},
	{protocol.ShapeLine, "0\r\n", "number last"},
	{protocol.ShapeLine, "18446744073709551615\r\n", "number last"},
	{protocol.ShapeLine, "ERROR\r\n", "error last"},
	{protocol.ShapeLine, "ERROR Too many open connections\r\n", "error last"},
	{protocol.ShapeLine, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n", "clienterror last"},
	{protocol.ShapeLine, "SERVER_ERROR out of memory storing object\r\n", "servererror last"},
	{protocol.ShapeLine, "SERVER_ERROR\r\n", "servererror last"},

	{protocol.ShapeValue, "END\r\n", "miss last"},
	{protocol.ShapeValue, "VALUE k 0 5\r\nhello\r\nEND\r\n", `hit last "k" value="hello"`},
	{protocol.ShapeValue, "VALUE k 4294967295 0\r\n\r\nEND\r\n", `hit last "k" flags=4294967295 value=""`},
	{protocol.ShapeValue, "VALUE k 1 5 18446744073709551615\r\nEND\r\n\r\nEND\r\n", `hit last "k" flags=1 unique=18446744073709551615 value="END\r\n"`},
	{protocol.ShapeValue, "VALUE a\rb\t\xff 0 1\r\nx\r\nEND\r\n", `hit last "a\rb\t\xff" value="x"`},
	{protocol.ShapeValue, "VALUE " + key250 + " 0 1\r\nx\r\nEND\r\n", `hit last "` + key250 + `" value="x"`},
	{protocol.ShapeValue, "SERVER_ERROR out of memory writing get response\r\n", "servererror last"},
	{protocol.ShapeValue, "CLIENT_ERROR bad command line format\r\n", "clienterror last"},
	{protocol.ShapeValue, "ERROR\r\n", "error last"},

	{protocol.ShapeValues, "END\r\n", "end last"},
	{protocol.ShapeValues, "VALUE k 0 5\r\nhello\r\n", `hit "k" value="hello"`},
	{protocol.ShapeValues, "VALUE k 0 0 7\r\n\r\n", `hit "k" unique=7 value=""`},
	{protocol.ShapeValues, "SERVER_ERROR out of memory writing get response\r\n", "servererror last"},

	{protocol.ShapeMeta, "HD\r\n", "ok last"},
	{protocol.ShapeMeta, "HD t5 Oabc kfoo\r\n", "ok last"},
	{protocol.ShapeMeta, "OK\r\n", "ok last"},
	{protocol.ShapeMeta, "EN\r\n", "miss last"},
	{protocol.ShapeMeta, "EN kfoo b\r\n", "miss last"},
	{protocol.ShapeMeta, "NF\r\n", "notfound last"},
	{protocol.ShapeMeta, "NS c0\r\n", "notstored last"},
	{protocol.ShapeMeta, "EX\r\n", "exists last"},
	{protocol.ShapeMeta, "MN\r\n", "ok last"},
	{protocol.ShapeMeta, "ME foo exp=-1 la=1 cas=6 fetch=no cls=1 size=64\r\n", "ok last"},
	{protocol.ShapeMeta, "VA 0\r\n\r\n", `hit last value=""`},
	{protocol.ShapeMeta, "VA 2 c7 W\r\nx\n\r\n", `hit last value="x\n"`},
	{protocol.ShapeMeta, "CLIENT_ERROR invalid flag\r\n", "clienterror last"},
	{protocol.ShapeMeta, "SERVER_ERROR object too large for cache\r\n", "servererror last"},
	{protocol.ShapeMeta, "ERROR\r\n", "error last"},

	{protocol.ShapeStats, "STAT pid 1\r\n", "stat"},
	{protocol.ShapeStats, "STAT libevent \r\n", "stat"},
	{protocol.ShapeStats, "ITEM k [1 b; 0 s]\r\n", "stat"},
	{protocol.ShapeStats, "PREFIX k get 1 hit 1 set 1 del 0\r\n", "stat"},
	{protocol.ShapeStats, "END\r\n", "end last"},
	{protocol.ShapeStats, "OK\r\n", "ok last"},
	{protocol.ShapeStats, "RESET\r\n", "ok last"},
	{protocol.ShapeStats, "ERROR\r\n", "error last"},
	{protocol.ShapeStats, "CLIENT_ERROR usage: stats detail on|off|dump\r\n", "clienterror last"},
}

func TestParseResponse(t *testing.T) {
	for _, tt := range responseTable {
		t.Run(shapeNames[tt.shape], func(t *testing.T) {
			var resp protocol.Response
			// What follows is the next answer and must not be looked at.
			n, err := protocol.ParseResponse([]byte(tt.text+"\x00garbage"), tt.shape, &resp)
			if n != len(tt.text) || err != nil {
				t.Fatalf("ParseResponse(%q) = %d, %v, want %d, nil", tt.text, n, err, len(tt.text))
			}
			if got := showResponse(&resp); got != tt.want {
				t.Errorf("ParseResponse(%q)\n got %s\nwant %s", tt.text, got, tt.want)
			}
			if line, _, _ := strings.Cut(tt.text, "\r\n"); string(resp.Line) != line {
				t.Errorf("ParseResponse(%q): Line %q, want %q", tt.text, resp.Line, line)
			}
		})
	}
}

// Every cut of a unit is incomplete, says at most what is needed, and from the first line's end on exactly that.
func TestParseResponseIncomplete(t *testing.T) {
	for _, tt := range responseTable {
		var resp protocol.Response
		head := strings.Index(tt.text, "\n") + 1
		for i := range len(tt.text) {
			n, err := protocol.ParseResponse(slices.Clip([]byte(tt.text[:i])), tt.shape, &resp)
			if n != 0 || err != nil {
				t.Fatalf("ParseResponse(%q) = %d, %v, want 0, nil", tt.text[:i], n, err)
			}
			want := 0
			if i >= head {
				want = len(tt.text)
			}
			if resp.Need != want {
				t.Errorf("ParseResponse(%q) needs %d, want %d", tt.text[:i], resp.Need, want)
			}
		}
	}
}

func TestParseResponseBroken(t *testing.T) {
	for _, tt := range []struct {
		shape protocol.Shape
		text  string
	}{
		{protocol.ShapeLine, "\n"},
		{protocol.ShapeLine, "\r\n"},
		{protocol.ShapeLine, "STORED\n"},
		{protocol.ShapeLine, "STORED \r\n"},
		{protocol.ShapeLine, "stored\r\n"},
		{protocol.ShapeLine, "END\r\n"},
		{protocol.ShapeLine, "VALUE k 0 1\r\nx\r\n"},
		{protocol.ShapeLine, "HD\r\n"},
		{protocol.ShapeLine, "12x\r\n"},
		{protocol.ShapeLine, "-1\r\n"},
		{protocol.ShapeLine, "12 \r\n"},
		{protocol.ShapeLine, "18446744073709551616\r\n"},
		{protocol.ShapeLine, "VERSION\r\n"},
		{protocol.ShapeLine, "ERRORS\r\n"},
		{protocol.ShapeLine, "nonsense\r\n"},
		{protocol.ShapeLine, strings.Repeat("x", 4096)},
		{protocol.ShapeLine, "SERVER_ERROR " + strings.Repeat("x", 4096) + "\r\n"},
		{protocol.ShapeValue, "STORED\r\n"},
		{protocol.ShapeValue, "VALUE\r\n"},
		{protocol.ShapeValue, "VALUE \r\n"},
		{protocol.ShapeValue, "VALUE k\r\n"},
		{protocol.ShapeValue, "VALUE k 0\r\n"},
		{protocol.ShapeValue, "VALUE  0 1\r\nx\r\nEND\r\n"},
		{protocol.ShapeValue, "VALUE k 0 1 \r\nx\r\nEND\r\n"},
		{protocol.ShapeValue, "VALUE k  0 1\r\nx\r\nEND\r\n"},
		{protocol.ShapeValue, "VALUE k 0 1 2 3\r\nx\r\nEND\r\n"},
		{protocol.ShapeValue, "VALUE k -1 1\r\nx\r\nEND\r\n"},
		{protocol.ShapeValue, "VALUE k 4294967296 1\r\nx\r\nEND\r\n"},
		{protocol.ShapeValue, "VALUE k 0 -1\r\n"},
		{protocol.ShapeValue, "VALUE k 0 1x\r\nx\r\nEND\r\n"},
		{protocol.ShapeValue, "VALUE k 0 1073741825\r\n"},
		{protocol.ShapeValue, "VALUE k 0 99999999999999999999\r\n"},
		{protocol.ShapeValue, "VALUE " + key251 + " 0 1\r\nx\r\nEND\r\n"},
		{protocol.ShapeValue, "VALUE k 0 1\r\nxx\r\nEND\r\n"},
		{protocol.ShapeValue, "VALUE k 0 1\r\nx\n\nEND\r\n"},
		{protocol.ShapeValue, "VALUE k 0 1\r\nx\r\nVALUE k 0 1\r\nx\r\nEND\r\n"},
		{protocol.ShapeValue, "VALUE k 0 1\r\nx\r\nSERVER_ERROR x\r\n"},
		{protocol.ShapeValues, "VALUE k 0 1\r\nxy\n"},
		{protocol.ShapeValues, "STAT a b\r\n"},
		{protocol.ShapeMeta, "VA\r\n"},
		{protocol.ShapeMeta, "VA \r\n"},
		{protocol.ShapeMeta, "VA x\r\n"},
		{protocol.ShapeMeta, "VA -1\r\n"},
		{protocol.ShapeMeta, "VA 1073741825\r\n"},
		{protocol.ShapeMeta, "VA 1\r\nxyz"},
		{protocol.ShapeMeta, "HDx\r\n"},
		{protocol.ShapeMeta, "H\r\n"},
		{protocol.ShapeMeta, "XX\r\n"},
		{protocol.ShapeMeta, "END\r\n"},
		{protocol.ShapeStats, "VALUE k 0 1\r\n"},
		{protocol.ShapeStats, "STORED\r\n"},
		{protocol.ShapeStats, "STAT\r\n"},
		// The second line end of two answers, the first being damaged.
		{protocol.ShapeLine, "VERSION 1.6.18\r\x8aSTORED\r\n"},
		{protocol.ShapeLine, "SERVER_ERROR x\r\x8aSTORED\r\n"},
		{protocol.ShapeValue, "ERROR\r\x8aEND\r\n"},
		{protocol.ShapeValue, "CLIENT_ERROR x\r\x8aEND\r\n"},
		{protocol.ShapeStats, "STAT a b\r\x8aEND\r\n"},
	} {
		var resp protocol.Response
		if n, err := protocol.ParseResponse([]byte(tt.text), tt.shape, &resp); n != 0 || !errors.Is(err, protocol.ErrBadResponse) {
			t.Errorf("ParseResponse(%.60q, %s) = %d, %v, want 0, %v", tt.text, shapeNames[tt.shape], n, err, protocol.ErrBadResponse)
		}
	}
}

// TestVerbFits has each verb answered by what is another's.
func TestVerbFits(t *testing.T) {
	for _, tt := range []struct {
		verbs    string
		own, not []protocol.Status
	}{
		{"get gets gat gats", []protocol.Status{protocol.StatusHit, protocol.StatusMiss, protocol.StatusEnd}, []protocol.Status{protocol.StatusStored, protocol.StatusNotFound}},
		{
			"set add replace append prepend cas",
			[]protocol.Status{protocol.StatusStored, protocol.StatusNotStored, protocol.StatusExists, protocol.StatusNotFound},
			[]protocol.Status{protocol.StatusDeleted, protocol.StatusTouched, protocol.StatusNumber, protocol.StatusOK, protocol.StatusVersion},
		},
		{"delete", []protocol.Status{protocol.StatusDeleted, protocol.StatusNotFound}, []protocol.Status{protocol.StatusStored, protocol.StatusTouched, protocol.StatusNumber}},
		{"touch", []protocol.Status{protocol.StatusTouched, protocol.StatusNotFound}, []protocol.Status{protocol.StatusStored, protocol.StatusDeleted}},
		{"incr decr", []protocol.Status{protocol.StatusNumber, protocol.StatusNotFound}, []protocol.Status{protocol.StatusStored, protocol.StatusDeleted, protocol.StatusOK}},
		{"mg", []protocol.Status{protocol.StatusHit, protocol.StatusOK, protocol.StatusMiss}, []protocol.Status{protocol.StatusExists, protocol.StatusNotStored}},
		{"ms md ma", []protocol.Status{protocol.StatusOK, protocol.StatusNotStored, protocol.StatusExists, protocol.StatusNotFound}, []protocol.Status{protocol.StatusMiss}},
		{"me", []protocol.Status{protocol.StatusOK, protocol.StatusMiss}, []protocol.Status{protocol.StatusHit}},
		{"mn verbosity flush_all", []protocol.Status{protocol.StatusOK}, []protocol.Status{protocol.StatusHit, protocol.StatusStored, protocol.StatusMiss}},
		{"version", []protocol.Status{protocol.StatusVersion}, []protocol.Status{protocol.StatusStored, protocol.StatusOK}},
		{"stats", []protocol.Status{protocol.StatusStat, protocol.StatusEnd, protocol.StatusOK}, []protocol.Status{protocol.StatusStored}},
	} {
		for word := range strings.FieldsSeq(tt.verbs) {
			verb := protocol.Refused
			for v := protocol.Get; v <= protocol.FlushAll; v++ {
				if v.String() == word {
					verb = v
				}
			}
			for _, s := range append(tt.own, protocol.StatusError, protocol.StatusClientError, protocol.StatusServerError) {
				if !verb.Fits(s) {
					t.Errorf("%s: status %d does not fit", verb, s)
				}
			}
			for _, s := range append(tt.not, protocol.StatusInvalid) {
				if verb.Fits(s) {
					t.Errorf("%s: status %d fits", verb, s)
				}
			}
		}
	}
}

func TestVerb(t *testing.T) {
	for _, tt := range []struct {
		verb                                  protocol.Verb
		word                                  string
		shape                                 protocol.Shape
		retrieval, read, storage, write, meta bool
	}{
		{verb: protocol.Refused, word: "refused"},
		{verb: protocol.Get, word: "get", shape: protocol.ShapeValue, retrieval: true, read: true},
		{verb: protocol.Gets, word: "gets", shape: protocol.ShapeValue, retrieval: true, read: true},
		{verb: protocol.Gat, word: "gat", shape: protocol.ShapeValue, retrieval: true, read: true},
		{verb: protocol.Gats, word: "gats", shape: protocol.ShapeValue, retrieval: true, read: true},
		{verb: protocol.Set, word: "set", storage: true, write: true},
		{verb: protocol.Add, word: "add", storage: true, write: true},
		{verb: protocol.Replace, word: "replace", storage: true, write: true},
		{verb: protocol.Append, word: "append", storage: true, write: true},
		{verb: protocol.Prepend, word: "prepend", storage: true, write: true},
		{verb: protocol.CAS, word: "cas", storage: true, write: true},
		{verb: protocol.Delete, word: "delete", write: true},
		{verb: protocol.Incr, word: "incr", write: true},
		{verb: protocol.Decr, word: "decr", write: true},
		{verb: protocol.Touch, word: "touch", write: true},
		{verb: protocol.MetaGet, word: "mg", shape: protocol.ShapeMeta, read: true, meta: true},
		{verb: protocol.MetaSet, word: "ms", shape: protocol.ShapeMeta, storage: true, write: true, meta: true},
		{verb: protocol.MetaDelete, word: "md", shape: protocol.ShapeMeta, write: true, meta: true},
		{verb: protocol.MetaArithmetic, word: "ma", shape: protocol.ShapeMeta, write: true, meta: true},
		{verb: protocol.MetaDebug, word: "me", shape: protocol.ShapeMeta, read: true, meta: true},
		{verb: protocol.MetaNoop, word: "mn", shape: protocol.ShapeMeta, meta: true},
		{verb: protocol.Version, word: "version"},
		{verb: protocol.Verbosity, word: "verbosity"},
		{verb: protocol.Quit, word: "quit"},
		{verb: protocol.Stats, word: "stats", shape: protocol.ShapeStats},
		{verb: protocol.FlushAll, word: "flush_all"},
		{verb: 255, word: "unknown"},
	} {
		v := tt.verb
		if v.String() != tt.word || v.Shape() != tt.shape || v.IsRetrieval() != tt.retrieval || v.IsRead() != tt.read ||
			v.IsStorage() != tt.storage || v.IsWrite() != tt.write || v.IsMeta() != tt.meta {
			t.Errorf("%d: %v %v %v %v %v %v %v, want %+v", v, v, v.Shape(), v.IsRetrieval(), v.IsRead(), v.IsStorage(),
				v.IsWrite(), v.IsMeta(), tt)
		}
	}
}
