package history_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"mcproxy/internal/history"
)

// randomHistory is what a register that forgets at will could have answered: each operation has its effect at a moment of
// its own. Then, often, something in it is changed, so that it may or may not be possible any more.
func randomHistory(rng *rand.Rand) []history.Op {
	n := 4 + rng.IntN(13)
	length := 1 + rng.IntN(8)
	var state []history.ID
	var ops []history.Op
	for i := range n {
		at := int64(10 * (i + 1))
		op := history.Op{
			Client: i, Key: "k", ID: history.ID(i + 1),
			Call: at - rng.Int64N(int64(5*length)), Return: at + rng.Int64N(int64(5*length)),
		}
		if rng.IntN(6) == 0 {
			op.Outcome = history.Failed + history.Outcome(rng.IntN(2))
		}
		effect := op.Outcome == history.Done || rng.IntN(2) == 0
		if op.Outcome != history.Done && rng.IntN(2) == 0 {
			op.Return = max(op.Call, at-rng.Int64N(20)) // it takes effect after its answer
		}
		switch roll := rng.IntN(10); {
		case roll < 5 && len(state) > 0:
			op.Kind, op.ID, op.Outcome, op.Pieces = history.Read, 0, history.Done, slices.Clone(state)
			op.Return = max(op.Return, at)
			ops = append(ops, op)
			continue
		case roll < 7 && len(state) > 0:
			op.Kind, op.Expect = history.Swap, state[len(state)-1]
		case roll < 8 && len(state) > 0:
			op.Kind = history.Append
		case roll < 9 && rng.IntN(2) == 0:
			op.Kind, op.ID = history.Delete, 0
		default:
			op.Kind = history.Write
		}
		ops = append(ops, op)
		if !effect {
			continue
		}
		switch op.Kind {
		case history.Append:
			state = append(slices.Clone(state), op.ID)
		case history.Delete:
			state = nil
		default:
			state = []history.ID{op.ID}
		}
	}
	return ops
}

// disturb changes a history a little.
func disturb(rng *rand.Rand, ops []history.Op) {
	for range 1 + rng.IntN(4) {
		op := &ops[rng.IntN(len(ops))]
		switch rng.IntN(5) {
		case 0:
			shift := rng.Int64N(161) - 80
			op.Call, op.Return = op.Call+shift, op.Return+shift
		case 1:
			op.Return = op.Call + (op.Return-op.Call)/2
		case 2:
			if op.Kind == history.Read {
				op.Pieces = []history.ID{history.ID(1 + rng.IntN(len(ops)))}
			}
		case 3:
			if op.Kind == history.Swap {
				op.Expect = history.ID(1 + rng.IntN(len(ops)))
			}
		case 4:
			if op.Kind != history.Read {
				op.Outcome = history.Outcome(rng.IntN(4))
			}
		}
	}
}

// Zones and porcupine must agree on every history, and a Stream may find only what they find.
func TestCheckersAgree(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	var possible, impossible, streamed int
	for i := range 40_000 {
		ops := randomHistory(rng)
		disturbed := i%3 > 0
		if disturbed {
			disturb(rng, ops)
		}
		ops = history.ByKey(ops)["k"]
		zones, search := history.Zones(ops), history.Search(ops, 0)
		if (len(zones) == 0) != (search == history.Possible) {
			t.Fatalf("seed %d, %d: Zones found %v, Search() = %v, of\n%v", seed, i, zones, search, history.Violation{Ops: ops})
		}
		if !disturbed && search != history.Possible {
			t.Fatalf("seed %d, %d: Search() = %v of a register's own history\n%v", seed, i, search, history.Violation{Ops: ops})
		}
		unordered := i%2 == 0
		a, b := &history.Stream{Unordered: unordered}, &history.Stream{Unordered: unordered}
		if byOps, byRegisters := replay(a, ops), replayWith(b, ops, true); !slices.Equal(byOps, byRegisters) || a.Late != b.Late || a.Reads != b.Reads {
			t.Fatalf("seed %d, %d: Stream found %q, by its registers %q, in\n%v", seed, i, byOps, byRegisters, history.Violation{Ops: ops})
		}
		if wrong := replay(&history.Stream{}, ops); len(wrong) > 0 {
			streamed++
			if search == history.Possible {
				t.Fatalf("seed %d, %d: Stream found %q, Search nothing, in\n%v", seed, i, wrong, history.Violation{Ops: ops})
			}
		}
		if search == history.Possible {
			possible++
		} else {
			impossible++
		}
	}
	t.Logf("%d histories possible, %d impossible, %d of these found by Stream", possible, impossible, streamed)
	if possible < 5_000 || impossible < 5_000 || streamed < 1_000 {
		t.Error("too few of one kind: the comparison says little")
	}
}

// BenchmarkFound judges a read as a client of many keys does: its bytes, and its age.
func BenchmarkFound(b *testing.B) {
	s := &history.Stream{Unordered: true}
	write := history.Op{Key: "k", Kind: history.Write, ID: 7, Call: 1, Return: 2}
	s.Begin(&write)
	s.End(&write)
	r, owner, value := s.Register("k"), history.Owner("k"), history.AppendPiece(nil, "k", 7, 40)
	b.ReportAllocs()
	for b.Loop() {
		floor := r.Floor()
		id, ok := history.DecodePiece(owner, value)
		if wrong := s.Found(r, history.Sighting{ID: id, Floor: floor, Call: 3, Return: 4}); !ok || wrong != "" {
			b.Fatal(wrong)
		}
	}
}

// BenchmarkZones judges a history as a busy key has it: 16 clients, a quarter of the operations writes.
func BenchmarkZones(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	var ops []history.Op
	last := history.ID(1)
	ops = append(ops, history.Op{Key: "k", Kind: history.Write, ID: 1, Call: -1})
	for i := range int64(100_000) {
		op := history.Op{Key: "k", Call: 10*i - rng.Int64N(80), Return: 10*i + rng.Int64N(80), Pieces: []history.ID{last}}
		if i%4 == 0 {
			last = history.ID(i + 2)
			op.Kind, op.ID, op.Pieces = history.Write, last, nil
		}
		ops = append(ops, op)
	}
	ops = history.ByKey(ops)["k"]
	b.ReportAllocs()
	for b.Loop() {
		if wrong := history.Zones(ops); wrong != nil {
			b.Fatal(wrong)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ops)), "ns/op-judged")
}
