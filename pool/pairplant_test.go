package pool_test

import (
	"strings"
	"testing"
)

// TestChecker plants violations in histories, each beside one that differs from it by little and is sound.
func TestChecker(t *testing.T) {
	p1, p2 := &process{}, &process{index: 1}
	at := func(start, end int, o pairOp) *pairOp {
		o.start, o.end = start, end
		if o.key == 0 {
			o.key = 'a'
		}
		if o.proc == nil {
			o.proc = p1
		}
		o.began, o.ended = int64(start), int64(end)
		return &o
	}
	set := func(start, end int, token string) *pairOp {
		return at(start, end, pairOp{effect: sets, outcome: done, token: token})
	}
	read := func(start, end int, value string) *pairOp {
		return at(start, end, pairOp{outcome: wasThere, value: value})
	}
	gone := func(start, end int) *pairOp { return at(start, end, pairOp{outcome: wasGone}) }
	lost := func(start int, token string) *pairOp { return at(start, 0, pairOp{effect: sets, token: token}) }
	failed := func(start, end int, token string, p *process) *pairOp {
		return at(start, end, pairOp{effect: sets, failed: true, token: token, proc: p})
	}
	cas := func(start, end int, token, expect string) *pairOp {
		return at(start, end, pairOp{effect: swaps, outcome: done, token: token, expect: expect})
	}
	told := func(o *pairOp, unique uint64) *pairOp {
		o.unique = unique
		return o
	}
	erased := at(3, 4, pairOp{effect: deletes, outcome: done})
	more := at(3, 4, pairOp{effect: appends, outcome: done, token: "<a2>"})
	mortal := at(1, 2, pairOp{effect: sets, outcome: done, token: "<a1>", ttl: 1})
	for _, c := range []struct {
		name    string
		ops     []*pairOp
		perfect bool
		want    string // "": sound
	}{
		{"read", []*pairOp{set(1, 2, "<a1>"), read(3, 4, "<a1>")}, true, ""},
		{"never written", []*pairOp{set(1, 2, "<a1>"), read(3, 4, "<a9>")}, false, "nobody wrote"},
		{"torn", []*pairOp{set(1, 2, "<a1..>"), set(3, 4, "<a2..>"), read(5, 6, "<a2.<a1..>")}, false, "nobody wrote"},
		{"two writes", []*pairOp{set(1, 2, "<a1>"), set(3, 4, "<a2>"), read(5, 6, "<a1><a2>")}, false, "nobody wrote"},
		{"another key's", []*pairOp{at(1, 2, pairOp{key: 'b', effect: sets, outcome: done, token: "<b1>"}), read(3, 4, "<b1>")}, false, "another key's"},
		{"from the future", []*pairOp{read(1, 2, "<a1>"), set(3, 4, "<a1>")}, false, "a later one"},
		{"flags", []*pairOp{set(1, 2, "<a1>"), at(3, 4, pairOp{outcome: wasThere, value: "<a1>", flags: 7})}, false, "flags"},
		{"replaced", []*pairOp{set(1, 2, "<a1>"), set(3, 4, "<a2>"), read(5, 6, "<a1>")}, false, "stale"},
		{"replaced meanwhile", []*pairOp{set(1, 2, "<a1>"), set(3, 6, "<a2>"), read(5, 7, "<a1>")}, true, ""},
		{"deleted", []*pairOp{set(1, 2, "<a1>"), erased, read(5, 6, "<a1>")}, false, "stale"},
		{"appended", []*pairOp{set(1, 2, "<a1>"), more, read(5, 6, "<a1><a2>")}, true, ""},
		{"an append is lost", []*pairOp{set(1, 2, "<a1>"), more, read(5, 6, "<a1>")}, false, "stale"},
		{"back in time", []*pairOp{set(1, 2, "<a1>"), set(3, 9, "<a2>"), read(4, 5, "<a2>"), read(6, 7, "<a1>")}, false, "no order"},
		{"never answered, late", []*pairOp{lost(1, "<a1>"), set(2, 3, "<a2>"), read(4, 5, "<a1>")}, false, ""},
		{"never answered, twice", []*pairOp{lost(1, "<a1>"), read(2, 3, "<a1>"), set(4, 5, "<a2>"), read(6, 7, "<a2>"), read(8, 9, "<a1>")}, false, "no order"},
		{"forgotten", []*pairOp{set(1, 2, "<a1>"), gone(3, 4)}, false, ""},
		{"forgotten without a fault", []*pairOp{set(1, 2, "<a1>"), gone(3, 4)}, true, "no order"},
		{"compared", []*pairOp{set(1, 2, "<a1>"), cas(3, 4, "<a2>", "<a1>"), read(5, 6, "<a2>")}, true, ""},
		{"compared with what was replaced", []*pairOp{set(1, 2, "<a1>"), set(3, 4, "<a2>"), cas(5, 6, "<a3>", "<a1>")}, false, "no order"},
		{"added to what is there", []*pairOp{set(1, 2, "<a1>"), at(3, 4, pairOp{effect: adds, outcome: done, token: "<a2>"})}, true, "no order"},
		{"not added to nothing", []*pairOp{set(1, 2, "<a1>"), erased, at(5, 6, pairOp{effect: adds, outcome: refused, token: "<a2>"})}, false, "no order"},
		{"one cas number", []*pairOp{set(1, 2, "<a1>"), told(read(3, 4, "<a1>"), 5), set(6, 7, "<a2>"), told(read(8, 9, "<a2>"), 5)}, false, "one cas number"},
		{"failed", []*pairOp{set(1, 2, "<a1>"), failed(3, 4, "<a2>", p1), read(5, 6, "<a1>")}, false, "stale"},
		{"failed elsewhere", []*pairOp{set(1, 2, "<a1>"), failed(3, 4, "<a2>", p2), read(5, 6, "<a1>")}, false, ""},
		{"failed and late", []*pairOp{failed(1, 2, "<a1>", p1), set(3, 4, "<a2>"), read(5, 6, "<a1>")}, false, "stale"},
		{"failed elsewhere and late", []*pairOp{failed(1, 2, "<a1>", p2), set(3, 4, "<a2>"), read(5, 6, "<a1>")}, false, ""},
		{"in its time", []*pairOp{mortal, {key: 'a', proc: p1, outcome: wasThere, value: "<a1>", start: 3, end: 4, began: 2e9, ended: 2e9}}, false, ""},
		{"past its time", []*pairOp{mortal, {key: 'a', proc: p1, outcome: wasThere, value: "<a1>", start: 3, end: 4, began: 21e8, ended: 21e8}}, false, "outlived"},
		{"no answer to that", []*pairOp{at(1, 2, pairOp{outcome: senseless})}, false, "no answer"},
		{"slow", []*pairOp{{key: 'a', proc: p1, outcome: wasGone, start: 1, end: 2, ended: 600e6}}, false, "waited"},
	} {
		w := &pair{history: c.ops}
		if !c.perfect {
			w.plan.faults = 1
		}
		if got := w.check(); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
