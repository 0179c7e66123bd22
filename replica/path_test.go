package replica_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mcproxy/protocol"
	"mcproxy/replica"
)

const (
	missing   = replica.Missing
	done      = replica.Done
	noAnswer  = replica.NoAnswer
	unsent    = replica.Unsent
	unchanged = replica.Unchanged
)

// view makes what a request knows: it holds until 100.
func view(p replica.Phase, copies int) replica.View {
	return replica.View{Phase: p, Copies: copies, Until: 100, Incarnation: 4}
}

// guardSays is the answer to a read of a guard with the target in a phase.
func guardSays(p replica.Phase, copies int) replica.Answer {
	g := replica.Guard{State: replica.Normal}
	if p != replica.None {
		g.Keys = []replica.Entry{{Hash: target.Hash, Phase: p, Copies: copies}}
	}
	return replica.Answer{Result: replica.Hit, Conn: 1, CAS: 1, Value: g.Append(nil)}
}

// writeCase is a conversation: what the write asks, in words, and what it is answered, one for each ask, at what time.
type writeCase struct {
	name    string
	mode    replica.Mode
	view    replica.View
	hosts   int
	talk    []exchange
	outcome replica.Outcome
	demote  bool // Unreachable
	crowded bool
}

type exchange struct {
	ask    string
	answer replica.Answer
	now    int64
}

func ok(r replica.Result) replica.Answer { return replica.Answer{Result: r, Conn: 7} }

func is(value []byte) replica.Answer {
	return replica.Answer{Result: replica.Hit, Conn: 7, CAS: 30, Value: value}
}

func inWords(a *replica.Ask) string {
	names := map[replica.Do]string{
		replica.DoHome: "home", replica.DoGuard: "guard", replica.DoCopy: "copy", replica.DoFill: "fill", replica.DoClear: "clear",
		replica.DoLockRead: "look", replica.DoLock: "lock", replica.DoLockStore: "store", replica.DoLockDelete: "unlock",
	}
	var s strings.Builder
	s.WriteString(names[a.Do])
	if a.Host != replica.Home {
		s.WriteString(fmt.Sprint(" ", a.Host))
	}
	for l := a.Value; len(l) >= 13 && l[4] == 4; l = l[13:] {
		s.WriteString(fmt.Sprint(" +", int(l[11])<<8|int(l[12])))
	}
	if a.CAS != 0 {
		s.WriteString(fmt.Sprint(" c", a.CAS, " on ", a.Conn))
	}
	return s.String()
}

func (c *writeCase) run(t *testing.T) {
	r := replica.Rules{Mode: c.mode}.WithDefaults()
	var w replica.Write
	w.Start(&r, 9, replica.Target{Hash: target.Hash, Hosts: c.hosts}, c.view, 50)
	var open []replica.Ask
	for i, x := range c.talk {
		for a, more := w.Next(); more; a, more = w.Next() {
			open = append(open, a)
		}
		if len(open) == 0 {
			t.Fatalf("before %d, %q: the write asks for nothing, outcome %d", i, x.ask, w.Outcome())
		}
		if got := inWords(&open[0]); got != x.ask {
			t.Fatalf("ask %d is %q, want %q", i, got, x.ask)
		}
		if w.Outcome() != replica.Pending {
			t.Fatalf("before %q: the outcome is %d already", x.ask, w.Outcome())
		}
		now := x.now
		if now == 0 {
			now = 60
		}
		a := open[0]
		open = open[1:]
		w.Answer(&a, &x.answer, now)
	}
	if a, more := w.Next(); more || len(open) > 0 {
		t.Fatalf("after the end: %+v, %v", a, open)
	}
	why, demote := w.Demote()
	if w.Outcome() != c.outcome || demote != (c.demote || c.crowded) || demote && (why == replica.Crowded) != c.crowded {
		t.Errorf("outcome %d, demote %v (%v), want %d, %v, crowded %v", w.Outcome(), demote, why, c.outcome, c.demote, c.crowded)
	}
}

func TestWriteSafe(t *testing.T) {
	stale := view(replica.None, 0)
	stale.Until = 40
	foreign := view(replica.Active, 1)
	foreign.Foreign = true
	for _, c := range []writeCase{
		{
			name: "cold", view: view(replica.None, 0), hosts: 3, outcome: replica.Acked,
			talk: []exchange{{"home", ok(done), 0}},
		},
		{
			name: "cold, unchanged", view: view(replica.None, 0), hosts: 3, outcome: replica.Acked,
			talk: []exchange{{"home", ok(unchanged), 900}},
		},
		{
			name: "cold, no answer", view: view(replica.None, 0), hosts: 3, outcome: replica.Failed,
			talk: []exchange{{"home", ok(noAnswer), 0}},
		},
		{
			name: "unsent", view: view(replica.Active, 2), hosts: 3, outcome: replica.NotWritten,
			talk: []exchange{{"home", ok(unsent), 0}},
		},
		{name: "late, still cold", view: view(replica.None, 0), hosts: 3, outcome: replica.Acked, talk: []exchange{
			{"home", ok(done), 100},
			{"guard", guardSays(replica.None, 0), 900},
		}},
		{name: "late, in prep by now", view: view(replica.None, 0), hosts: 3, outcome: replica.Acked, talk: []exchange{
			{"home", ok(done), 100},
			{"guard", guardSays(replica.Prep, 2), 900},
			{"clear 0", ok(done), 2000},
			{"clear 1", ok(missing), 3000},
		}},
		{name: "late, guard lost", view: view(replica.None, 0), hosts: 2, outcome: replica.Acked, talk: []exchange{
			{"home", ok(done), 100},
			{"guard", ok(missing), 0},
			{"clear 0", ok(missing), 0},
			{"clear 1", ok(missing), 0},
		}},
		{name: "late, guard unknown", view: view(replica.None, 0), hosts: 1, outcome: replica.Acked, talk: []exchange{
			{"home", ok(done), 100},
			{"guard", ok(noAnswer), 0},
			{"clear 0", ok(missing), 0},
		}},
		{name: "conservative from the start", view: stale, hosts: 3, outcome: replica.Acked, talk: []exchange{
			{"home", ok(done), 0},
			{"guard", guardSays(replica.Drain, 1), 0},
			{"clear 0", ok(done), 0},
		}},
		{name: "recovering", view: view(replica.Unknown, 0), hosts: 2, outcome: replica.Acked, talk: []exchange{
			{"home", ok(done), 0},
			{"clear 0", ok(done), 0},
			{"clear 1", ok(done), 900},
		}},
		{name: "hot", view: view(replica.Active, 2), hosts: 3, outcome: replica.Acked, talk: []exchange{
			{"home", ok(done), 0},
			{"clear 0", ok(done), 0},
			{"clear 1", ok(missing), 0},
		}},
		{name: "hot, too slow, other copies by now", view: view(replica.Active, 1), hosts: 3, outcome: replica.Acked, talk: []exchange{
			{"home", ok(done), 0},
			{"clear 0", ok(done), 900},
			{"guard", guardSays(replica.Prep, 2), 900},
			{"clear 1", ok(done), 900},
		}},
		{name: "hot, unreachable", view: view(replica.Drain, 2), hosts: 3, outcome: replica.Unconfirmed, demote: true, talk: []exchange{
			{"home", ok(done), 0},
			{"clear 0", ok(noAnswer), 0},
			{"clear 1", ok(done), 0},
		}},
		{name: "hot, no answer", view: view(replica.Prep, 1), hosts: 3, outcome: replica.Failed, talk: []exchange{
			{"home", ok(noAnswer), 0},
			{"clear 0", ok(done), 0},
		}},
		{name: "foreign", view: foreign, hosts: 2, outcome: replica.Unconfirmed, demote: true, talk: []exchange{
			{"home", ok(done), 0},
			{"clear 0", ok(done), 0},
			{"clear 1", ok(done), 0},
		}},
	} {
		t.Run(c.name, c.run)
	}
}

func TestStartWritten(t *testing.T) {
	r := replica.Rules{}.WithDefaults()
	var w replica.Write
	if w.StartWritten(&r, 9, target, view(replica.None, 0), 99); w.Outcome() != replica.Acked {
		t.Errorf("in time: outcome %d", w.Outcome())
	}
	w.StartWritten(&r, 9, target, view(replica.None, 0), 100)
	if a, _ := w.Next(); w.Outcome() != replica.Pending || a.Do != replica.DoGuard {
		t.Errorf("too late: outcome %d, %+v", w.Outcome(), a)
	}
}

func TestStartClean(t *testing.T) {
	for _, c := range []struct {
		mode    replica.Mode
		talk    string
		answers []replica.Answer
		outcome replica.Outcome
	}{
		{replica.Safe, "clear 0, clear 1", []replica.Answer{ok(done), ok(missing)}, replica.Acked},
		{replica.Safe, "clear 0, clear 1", []replica.Answer{ok(done), ok(noAnswer)}, replica.Unconfirmed},
		{replica.Strict, "look 0, look 1, unlock 0 c30 on 7", []replica.Answer{is(behind()), is(behind(4)), ok(done)}, replica.Acked},
	} {
		r := replica.Rules{Mode: c.mode}.WithDefaults()
		var w replica.Write
		w.StartClean(&r, replica.Target{Hash: target.Hash, Hosts: 5}, 2)
		var talk []string
		var open []replica.Ask
		for _, ans := range c.answers {
			for a, more := w.Next(); more; a, more = w.Next() {
				open = append(open, a)
				talk = append(talk, inWords(&a))
			}
			a := open[0]
			open = open[1:]
			w.Answer(&a, &ans, 0)
		}
		if got := strings.Join(talk, ", "); got != c.talk || w.Outcome() != c.outcome {
			t.Errorf("mode %d: %q, outcome %d, want %q, %d", c.mode, got, w.Outcome(), c.talk, c.outcome)
		}
	}
}

func TestRead(t *testing.T) {
	r := replica.Rules{MaxValue: 10}.WithDefaults()
	mine := replica.Copy{Unique: 12, Incarnation: 4, Value: []byte("v")}
	older := replica.Copy{Unique: 12, Incarnation: 3, Value: []byte("v")}
	hit := func(value string, ttl int64) replica.Answer {
		return replica.Answer{Result: replica.Hit, Conn: 1, CAS: 55, Flags: 6, TTL: ttl, Value: []byte(value)}
	}
	won := replica.Answer{Result: replica.Hit, Won: true, CAS: 30, Conn: 7}
	for _, c := range []struct {
		name   string
		view   replica.View
		host   int
		now    int64
		copy   *replica.Answer // nil: no copy is asked
		home   *replica.Answer // nil: the home is not asked
		filled int64           // the fill's lifetime; 0: there is none
		lost   bool
	}{
		{name: "home", view: view(replica.Active, 1), host: replica.Home, home: new(hit("x", -1))},
		{name: "drain", view: view(replica.Drain, 1), home: new(hit("x", -1))},
		{name: "too old", view: view(replica.Active, 1), now: 100, home: new(hit("x", -1))},
		{name: "no such copy", view: view(replica.Active, 1), host: 1, home: new(hit("x", -1))},
		{name: "copy", view: view(replica.Active, 1), copy: new(is(mine.Append(nil, key)))},
		{name: "another key's", view: view(replica.Active, 1), copy: new(is(mine.Append(nil, []byte("q")))), home: new(hit("x", -1))},
		{
			name: "of a guard that was lost", view: view(replica.Active, 1), copy: new(is(older.Append(nil, key))),
			home: new(hit("x", -1)),
		},
		{name: "lock", view: view(replica.Active, 1), copy: new(is(lockOf(3))), home: new(hit("x", -1))},
		{name: "locked copy", view: view(replica.Active, 1), copy: new(is(behind(3))), home: new(hit("x", -1))},
		{name: "something behind a copy", view: view(replica.Active, 1), copy: new(is(append(behind(), 0))), home: new(hit("x", -1))},
		{name: "another's lease", view: view(replica.Active, 1), copy: new(is(nil)), home: new(hit("x", -1))},
		{name: "unreachable", view: view(replica.Active, 1), copy: new(ok(noAnswer)), home: new(hit("x", -1)), lost: true},
		{name: "won", view: view(replica.Active, 1), copy: &won, home: new(hit("x", -1)), filled: 8},
		{name: "won, soon to end", view: view(replica.Active, 1), copy: &won, home: new(hit("x", 4)), filled: 3},
		{name: "won, ending", view: view(replica.Active, 1), copy: &won, home: new(hit("x", 2))},
		{name: "won, too large", view: view(replica.Active, 1), copy: &won, home: new(hit("12345678901", -1))},
		{name: "won, a miss", view: view(replica.Active, 1), copy: &won, home: new(ok(missing))},
		{name: "won, home away", view: view(replica.Active, 1), copy: &won, home: new(ok(noAnswer))},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m replica.Read
			m.Start(&r, target, c.view, c.host, c.now)
			next := func(do replica.Do, ans *replica.Answer) replica.Ask {
				a, more := m.Next()
				if !more || a.Do != do || m.Source() != replica.Nowhere && do != replica.DoFill {
					t.Fatalf("asks %+v, %v, from %d, want %d", a, more, m.Source(), do)
				}
				m.Answer(&a, ans)
				return a
			}
			if c.copy != nil {
				next(replica.DoCopy, c.copy)
			}
			want := replica.FromCopy
			if c.home != nil {
				want = replica.FromHome
				next(replica.DoHome, c.home)
			}
			if m.Source() != want || m.Lost() != c.lost {
				t.Fatalf("from %d, want %d; lost %v", m.Source(), want, m.Lost())
			}
			if copied, flags := m.Copy(); want == replica.FromCopy && (copied.Unique != 12 || string(copied.Value) != "v" || flags != 0) {
				t.Fatalf("copy %+v, %d", copied, flags)
			}
			if c.filled > 0 {
				a := next(replica.DoFill, new(ok(done)))
				got, ok := replica.DecodeCopy(a.Value, key)
				if a.TTL != c.filled || a.CAS != 30 || a.Conn != 7 || a.Flags != 6 || !ok ||
					got.Unique != 55 || got.Incarnation != 4 || string(got.Value) != "x" {
					t.Fatalf("fill %+v, %+v", a, got)
				}
			}
			if a, more := m.Next(); more {
				t.Fatalf("and then %+v", a)
			}
		})
	}
}

func TestChanges(t *testing.T) {
	var r replica.Rules
	for _, c := range []struct {
		verb   protocol.Verb
		status protocol.Status
		want   bool
	}{
		{protocol.Set, protocol.StatusStored, true},
		{protocol.Set, protocol.StatusServerError, true},
		{protocol.Add, protocol.StatusStored, true},
		{protocol.Add, protocol.StatusNotStored, false},
		{protocol.CAS, protocol.StatusExists, false},
		{protocol.CAS, protocol.StatusNotFound, false},
		{protocol.Incr, protocol.StatusNumber, true},
		{protocol.Incr, protocol.StatusNotFound, false},
		{protocol.Touch, protocol.StatusTouched, true},
		{protocol.Touch, protocol.StatusNotFound, false},
		{protocol.Delete, protocol.StatusDeleted, true},
		{protocol.Delete, protocol.StatusNotFound, true},
		{protocol.MetaDelete, protocol.StatusNotFound, true},
		{protocol.MetaSet, protocol.StatusOK, true},
		{protocol.MetaArithmetic, protocol.StatusHit, true},
		{protocol.Gat, protocol.StatusHit, true},
		{protocol.Gat, protocol.StatusMiss, false},
	} {
		if got := r.Changes(c.verb, c.status); got != c.want {
			t.Errorf("Changes(%v, %d) = %v", c.verb, c.status, got)
		}
	}
}

func TestAppendHosts(t *testing.T) {
	servers := make([]uint64, 40)
	for i := range servers {
		servers[i] = uint64(i+1) * 0x9e3779b97f4a7c15
	}
	first := make([]int, len(servers))
	for k := range 20_000 {
		h := replica.HashOf(fmt.Append(nil, "key", k))
		got := replica.AppendHosts(nil, h, servers, 7)
		if len(got) != replica.MaxCopies || slices.Contains(got, 7) {
			t.Fatalf("hosts %v", got)
		}
		first[got[0]]++
		if k > 200 {
			continue
		}
		// Another order of the list is the same order of hosts, and one backend less only leaves it out.
		turned := slices.Clone(servers)
		slices.Reverse(turned)
		for i, s := range replica.AppendHosts([]int{-5}, h, turned, 40-1-7)[1:] {
			if turned[s] != servers[got[i]] {
				t.Fatalf("key %d: host %d differs with the list turned", k, i)
			}
		}
		less := slices.Delete(slices.Clone(servers), got[0], got[0]+1)
		at := 7
		if got[0] < 7 {
			at--
		}
		if next := replica.AppendHosts(nil, h, less, at); less[next[0]] != servers[got[1]] {
			t.Fatalf("key %d: without its first host the first is not what was the second", k)
		}
	}
	for i, n := range first {
		if want := 20_000 / 39; i != 7 && (n < want*3/4 || n > want*5/4) {
			t.Errorf("backend %d is first for %d keys of 20000, of 39 backends", i, n)
		}
	}
	if got := replica.AppendHosts(nil, target.Hash, servers[:3], 1); len(got) != 2 {
		t.Errorf("of 3 backends: %v", got)
	}
}

func TestChoose(t *testing.T) {
	for copies := 1; copies <= replica.MaxCopies; copies++ {
		count := map[[2]int]int{}
		for i := range uint64(40_000) {
			a, b := replica.Choose(copies, i*0x9e3779b97f4a7c15)
			if a == b || min(a, b) < replica.Home || max(a, b) >= copies {
				t.Fatalf("Choose(%d) = %d, %d", copies, a, b)
			}
			count[[2]int{a, b}]++
		}
		if want := copies * (copies + 1); len(count) != want {
			t.Errorf("Choose(%d) gives %d pairs, want %d", copies, len(count), want)
		}
	}
}

func TestCopiesFor(t *testing.T) {
	for _, c := range []struct {
		cost, total float64
		n           int
		tau         float64
		most, want  int
	}{
		{10, 100, 8, 0.5, 16, 2}, // 10·8 / (0.5·100) = 1.6
		{18, 100, 8, 0.05, 16, 7},
		{18, 100, 8, 0.05, 3, 3},
		{50, 100, 100, 0.05, 99, 16},
		{1, 100, 8, 0.5, 16, 0},
		{10, 100, 1, 0.5, 16, 0},
		{10, 0, 8, 0.5, 16, 0},
		{10, 100, 8, 0.5, 0, 0},
	} {
		if got := replica.CopiesFor(c.cost, c.total, c.n, c.tau, c.most); got != c.want {
			t.Errorf("CopiesFor(%+v) = %d", c, got)
		}
	}
}
