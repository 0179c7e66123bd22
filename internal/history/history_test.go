package history_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"mcproxy/internal/history"
)

// parse reads a history of one key, an operation a line:
//
//	from-to write 1 | write 1 refused | swap 2 for 1 | append 2 | delete | read 1 | read 1+2
//
// with refused, failed or lost behind what was not acknowledged, and present or absent behind what needs that.
func parse(t testing.TB, text string) []history.Op {
	t.Helper()
	var ops []history.Op
	for i, line := range strings.Split(text, ";") {
		words := strings.Fields(line)
		op := history.Op{Client: i, Key: "k", Verb: words[1]}
		scan := func(s, format string, into ...any) {
			if _, err := fmt.Sscanf(s, format, into...); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		scan(words[0], "%d-%d", &op.Call, &op.Return)
		op.Kind = map[string]history.Kind{
			"read": history.Read, "write": history.Write, "swap": history.Swap, "append": history.Append, "delete": history.Delete,
		}[words[1]]
		switch op.Kind {
		case history.Read:
			for id := range strings.SplitSeq(words[2], "+") {
				var n history.ID
				scan(id, "%d", &n)
				op.Pieces = append(op.Pieces, n)
			}
		case history.Swap:
			scan(words[2]+" "+words[4], "%d %d", &op.ID, &op.Expect)
		case history.Write, history.Append:
			scan(words[2], "%d", &op.ID)
		}
		for _, word := range words[2:] {
			switch word {
			case "refused":
				op.Outcome = history.Refused
			case "failed":
				op.Outcome = history.Failed
			case "lost":
				op.Outcome = history.Lost
			case "present":
				op.Needs = history.Presence
			case "absent":
				op.Needs = history.Absence
			}
		}
		ops = append(ops, op)
	}
	return history.ByKey(ops)["k"]
}

// replay lets a Stream see a history as if it happened now.
func replay(s *history.Stream, ops []history.Op) (wrong []string) { return replayWith(s, ops, false) }

// replayWith is replay; with registers reads are no Ops to the Stream.
func replayWith(s *history.Stream, ops []history.Op, registers bool) (wrong []string) {
	type event struct {
		at  int64
		end bool
		op  int
	}
	var events []event
	for i, op := range ops {
		events = append(events, event{op.Call, false, i}, event{op.Return, true, i})
	}
	slices.SortStableFunc(events, func(a, b event) int { // at the same time calls come first: those are concurrent
		if a.at == b.at && a.end != b.end {
			if b.end {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.at, b.at)
	})
	ops = slices.Clone(ops)
	floors := make([]int64, len(ops))
	for _, e := range events {
		op, what := &ops[e.op], ""
		switch {
		case registers && op.Kind == history.Read && !e.end:
			floors[e.op] = s.Register(op.Key).Floor()
		case registers && op.Kind == history.Read:
			at := history.Sighting{ID: op.Pieces[len(op.Pieces)-1], Floor: floors[e.op], Call: op.Call, Return: op.Return}
			what = s.Found(s.Register(op.Key), at)
		case !e.end:
			s.Begin(op)
		default:
			what = s.End(op)
		}
		if what != "" {
			wrong = append(wrong, what)
		}
	}
	return wrong
}

// judged are histories and what each checker must say of them. A Stream sees less than the others: not that two values are
// concurrent and take turns, nor why a swap should have failed.
var judged = []struct {
	name, history string
	stream, zones bool // fine?
	search        string
}{
	{"one after another", "0-1 write 1; 2-3 read 1; 4-5 write 2; 6-7 read 2", true, true, ""},
	{"stale", "0-1 write 1; 2-3 write 2; 4-5 read 1", false, false, ""},
	{"old, but concurrent with the write", "0-1 write 1; 2-5 write 2; 4-6 read 1", true, true, ""},
	{"old after another has read the new", "0-1 write 1; 2-9 write 2; 3-4 read 2; 5-6 read 1", false, false, ""},
	{"concurrent writes, either may win", "0-3 write 1; 1-2 write 2; 4-5 read 1", true, true, ""},
	{"concurrent writes that take turns", "0-10 write 1; 0-10 write 2; 11-12 read 1; 13-14 read 2", true, false, ""},
	{"forward zones that overlap", "0-1 write 1; 2-3 write 2; 4-5 read 2; 6-7 read 1", false, false, ""},
	{"a backward zone in a forward one", "0-20 write 1; 2-3 read 1; 4-6 write 2; 8-9 read 1", false, false, ""},
	{"a backward zone that sticks out", "0-20 write 1; 2-3 read 1; 4-9 write 2; 8-10 read 1", true, true, ""},
	{"two backward zones", "0-9 write 1; 1-8 write 2; 2-7 read 1; 3-6 read 2", true, true, ""},
	{"read after delete", "0-1 write 1; 2-3 delete; 4-5 read 1", false, false, ""},
	{"delete concurrent with the write", "0-5 write 1; 2-3 delete; 6-7 read 1", true, true, ""},
	{"a delete that failed says nothing", "0-1 write 1; 2-3 delete failed; 4-5 read 1", true, true, ""},
	{"a failed write may never be", "0-1 write 1; 2-3 write 2 failed; 4-5 read 1", true, true, ""},
	{"a failed write may be late", "0-1 write 1; 2-3 write 2 failed; 4-5 write 3; 6-7 read 3; 8-9 read 2", true, true, ""},
	{"a failed write is not twice", "0-1 write 2 failed; 2-3 read 2; 4-5 write 3; 6-7 read 2", false, false, ""},
	{"a lost write may be late", "0-1 write 2 lost; 4-5 write 3; 8-9 read 2", true, true, ""},
	{"what a failed write replaced is over once it was seen", "0-1 write 1; 2-3 write 2 failed; 4-5 read 2; 6-7 read 1", false, false, ""},
	{"refused, and yet read", "0-1 write 1 refused; 2-3 read 1", false, false, ""},
	{"read, and then refused", "0-4 write 1 refused; 2-3 read 1", false, false, ""},
	{"from nowhere", "0-1 write 1; 2-3 read 7", false, false, ""},
	{"from the future", "0-1 read 1; 2-3 write 1", false, false, ""},
	{"a swap", "0-1 write 1; 2-3 read 1; 4-5 swap 2 for 1; 6-7 read 2", true, true, ""},
	{"a swap that should have failed", "0-1 write 1; 2-3 read 1; 4-5 write 3; 6-7 swap 2 for 1", true, false, ""},
	{"a swap after a delete", "0-1 write 1; 2-3 delete; 6-7 swap 2 for 1", true, false, ""},
	{"two swaps for one value", "0-1 write 1; 4-5 swap 2 for 1; 4-5 swap 3 for 1", true, false, ""},
	{"the other swap was refused", "0-1 write 1; 4-5 swap 2 for 1; 4-5 swap 3 for 1 refused; 6-7 read 2", true, true, ""},
	{"a swap of a value that never was", "0-1 swap 2 for 1", true, false, ""},
	{"a swap of a refused value", "0-1 write 1 refused; 2-3 swap 2 for 1", true, false, ""},
	{"a failed swap is no swap", "0-1 write 1; 4-5 swap 2 for 1 failed; 6-7 write 3; 8-9 read 3", true, true, ""},
	{"a failed swap, seen too late", "0-1 write 1; 4-5 swap 2 for 1 failed; 6-7 write 3; 8-9 read 3; 10-11 read 2", true, false, ""},
	{"a chain of swaps", "0-9 write 1 lost; 1-9 swap 2 for 1; 2-9 swap 3 for 2; 10-11 read 3", true, true, ""},
	{"a chain with a write between", "0-1 write 1; 2-3 swap 2 for 1; 4-5 write 9; 6-7 swap 3 for 2", true, false, ""},
	{"a chain in the wrong order", "0-20 write 1; 0-20 swap 2 for 1; 0-20 swap 3 for 2; 1-2 read 3; 4-5 read 2", true, false, ""},
	{"a circle of swaps", "0-20 swap 2 for 1; 0-20 swap 1 for 2", true, false, ""},
	{"an append", "0-1 write 1; 2-3 append 2; 4-5 read 1+2", true, true, ""},
	{"without the append", "0-1 write 1; 2-3 append 2; 4-5 read 1", false, false, ""},
	{"an append over a write between", "0-1 write 1; 2-3 write 3; 4-5 append 2; 6-7 read 1+2", true, false, ""},
	{"an append behind two values", "0-1 write 1; 0-1 write 3; 0-9 append 2; 2-3 read 1+2; 4-5 read 3+2", true, false, ""},
	{"an append without what it extends", "0-1 write 1; 2-3 append 2; 4-5 read 2", true, false, ""},
	{"a write behind a piece", "0-1 write 1; 2-3 write 2; 4-5 read 1+2", true, false, ""},
	{"appends in the other order", "0-1 write 1; 2-9 append 2; 2-9 append 3; 3-4 read 1+2; 5-6 read 1+3+2", true, false, ""},
	{"replaced what was deleted", "0-1 write 1; 2-3 delete; 4-5 write 2 present", true, true, "impossible"},
	{"replaced what a lost write may have brought", "0-1 write 1; 2-3 delete; 2-4 write 3 lost; 4-5 write 2 present", true, true, ""},
	{"replaced what a later lost write may have brought", "2-3 delete; 4-5 write 2 present; 6-7 write 3 lost", true, true, "impossible"},
	{"replaced what a refused write would have brought", "2-3 delete; 2-3 write 3 refused; 4-5 write 2 present", true, true, "impossible"},
	{"replaced what was there", "0-1 write 1; 4-5 write 2 present", true, true, ""},
}

func TestJudged(t *testing.T) {
	for _, tt := range judged {
		t.Run(tt.name, func(t *testing.T) {
			ops := parse(t, tt.history)
			if wrong := replay(&history.Stream{}, ops); (len(wrong) == 0) != tt.stream {
				t.Errorf("Stream found %q; fine is %v", wrong, tt.stream)
			}
			if wrong := history.Zones(ops); (len(wrong) == 0) != tt.zones {
				t.Errorf("Zones found %v; fine is %v", wrong, tt.zones)
			}
			want := history.Impossible
			if tt.zones && tt.search == "" {
				want = history.Possible
			}
			if got := history.Search(ops, 0); got != want {
				t.Errorf("Search() = %v, want %v", got, want)
			}
		})
	}
}

func TestStrictStreamForbidsTheReturnOfWhatAFailedWriteReplaced(t *testing.T) {
	back := parse(t, "0-1 write 1; 2-3 write 2 failed; 4-5 read 1")
	if wrong := replay(&history.Stream{Strict: true}, back); len(wrong) != 1 {
		t.Errorf("the old value came back: found %q", wrong)
	}
	added := parse(t, "0-1 write 1; 2-3 write 2 failed absent; 4-5 read 1")
	if wrong := replay(&history.Stream{Strict: true}, added); len(wrong) != 0 {
		t.Errorf("add replaces nothing: found %q", wrong)
	}
	seen := parse(t, "0-1 write 1; 2-3 write 2 failed; 4-5 read 2")
	if wrong := replay(&history.Stream{Strict: true}, seen); len(wrong) != 0 {
		t.Errorf("the failed write is seen: found %q", wrong)
	}
}

func TestStreamCountsLateWrites(t *testing.T) {
	for text, want := range map[string]uint64{
		"0-1 write 2 failed; 4-5 write 3; 8-9 read 2": 1,
		"0-4 write 2 failed; 3-5 write 3; 8-9 read 2": 0, // the acknowledged one was called before the other had failed
		"0-1 write 2 lost; 4-5 write 3; 8-9 read 2":   0,
	} {
		s := &history.Stream{}
		if wrong := replay(s, parse(t, text)); len(wrong) != 0 || s.Late != want {
			t.Errorf("%s: %d late, want %d; found %q", text, s.Late, want, wrong)
		}
	}
}

// A history as long as a long run's must not grow the stream, and a value from its beginning must not pass.
func TestUnorderedStreamForbidsOnlyWhatIsOlderThanAnAcknowledgedWrite(t *testing.T) {
	for text, want := range map[string][2]int{ // in order, unordered
		"0-1 write 1; 2-9 write 2; 3-4 read 2; 5-6 read 1":      {1, 0}, // the second write is under way
		"0-1 write 1; 2-3 write 2; 4-5 read 1":                  {1, 1},
		"0-1 write 1; 2-3 write 2 lost; 4-5 read 2; 6-7 read 1": {1, 0},
		"0-1 write 1; 2-3 write 2; 4-5 read 2; 6-7 read 1":      {1, 1},
	} {
		for i, s := range []*history.Stream{{}, {Unordered: true}} {
			if wrong := replay(s, parse(t, text)); len(wrong) != want[i] {
				t.Errorf("%s: unordered %v: found %q, want %d", text, s.Unordered, wrong, want[i])
			}
		}
	}
}

func TestStreamIsBounded(t *testing.T) {
	s := &history.Stream{}
	var now int64
	step := func(op history.Op) string {
		now++
		op.Key, op.Call = "k", now
		s.Begin(&op)
		now++
		op.Return = now
		return s.End(&op)
	}
	run := func(n int) {
		for range n {
			id := history.ID(now + 1)
			step(history.Op{Kind: history.Write, ID: id, Outcome: history.Outcome(now / 2 % 4)})
			step(history.Op{Kind: history.Write, ID: id + 1_000_000_000})
			if wrong := step(history.Op{Kind: history.Read, Pieces: []history.ID{id + 1_000_000_000}}); wrong != "" {
				t.Fatal(wrong)
			}
		}
	}
	run(5_000)
	if wrong := step(history.Op{Kind: history.Read, Pieces: []history.ID{1_000_000_001}}); wrong == "" {
		t.Error("the first value passed")
	}
	before := s.Kept("k")
	run(50_000)
	if after := s.Kept("k"); after > 2*before {
		t.Errorf("%d values kept after 5,000 writes, %d after 55,000", before, after)
	}
	if wrong := step(history.Op{Kind: history.Read, Pieces: []history.ID{1_000_000_001}}); wrong != "" || s.Unjudged == 0 {
		t.Errorf("once writes that may come late were forgotten, a value that is not known is not judged: %q, %d unjudged", wrong, s.Unjudged)
	}
}

func TestDecode(t *testing.T) {
	for _, lengths := range [][]int{{24}, {25}, {31}, {32}, {33, 24}, {1000, 40, 77}, {100_000}} {
		var value []byte
		var want []history.ID
		for i, n := range lengths {
			id := history.ID(1<<40 + i)
			value = history.AppendPiece(value, "a key", id, n)
			want = append(want, id)
		}
		if got, err := history.Decode("a key", value); err != nil || !slices.Equal(got, want) {
			t.Errorf("Decode of pieces of %v = %x, %v, want %x", lengths, got, err, want)
		}
		if _, err := history.Decode("another", value); !errors.Is(err, history.ErrCrossed) {
			t.Errorf("Decode of another key's pieces: %v", err)
		}
		id, ok := history.DecodePiece(history.Owner("a key"), value)
		if want := len(lengths) == 1; ok != want || ok && id != 1<<40 {
			t.Errorf("DecodePiece of pieces of %v = %x, %v, want %v", lengths, uint64(id), ok, want)
		}
		for what, value := range map[string][]byte{"cut short": value[:len(value)-1], "empty": nil} {
			if _, ok := history.DecodePiece(history.Owner("a key"), value); ok {
				t.Errorf("DecodePiece of a value %s is ok", what)
			}
		}
		if _, ok := history.DecodePiece(history.Owner("another"), value); ok {
			t.Error("DecodePiece of another key's piece is ok")
		}
		for range 100 {
			damaged := slices.Clone(value)
			damaged[rand.IntN(len(damaged))] ^= 1 << rand.IntN(8)
			if got, err := history.Decode("a key", damaged); err == nil && slices.Equal(got, want) {
				t.Errorf("Decode took a value with a wrong bit for whole")
			}
			if got, ok := history.DecodePiece(history.Owner("a key"), damaged); ok && got == want[0] {
				t.Errorf("DecodePiece took a value with a wrong bit for whole")
			}
		}
		if _, err := history.Decode("a key", value[:len(value)-1]); !errors.Is(err, history.ErrTorn) {
			t.Errorf("Decode of a value cut short: %v", err)
		}
	}
	// Halves of two writes, and two chunks of one value in the wrong order.
	a, b := history.AppendPiece(nil, "k", 1, 4000), history.AppendPiece(nil, "k", 2, 4000)
	swapped := slices.Concat(a[:1000], a[2000:3000], a[1000:2000], a[3000:])
	for name, value := range map[string][]byte{"mixed": slices.Concat(a[:2000], b[2000:]), "swapped": swapped, "empty": nil} {
		if _, err := history.Decode("k", value); !errors.Is(err, history.ErrTorn) {
			t.Errorf("Decode of a %s value: %v", name, err)
		}
	}
}
