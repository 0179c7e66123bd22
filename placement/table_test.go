package placement_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcproxy/backend"
	"mcproxy/internal/epoll"
	"mcproxy/internal/simnet"
	"mcproxy/placement"
	"mcproxy/protocol"
	"mcproxy/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a table over simulated servers.
type lab struct {
	t       *testing.T
	net     *simnet.Net
	loop    *epoll.Loop
	ring    ring.Ring
	servers []*simnet.Server
	all     []*backend.Backend
	pipes   []*backend.Pipeline
	table   *placement.Table
}

func newLab(t *testing.T, n int, onDown placement.OnDown, maxDown int) *lab {
	l := &lab{t: t, net: simnet.New(1)}
	l.loop = l.net.NewLoop()
	var nodes []ring.Node
	for range n {
		s, addr := l.net.NewServer()
		b, err := backend.New(addr, "tcp", addr, backend.Options{FailureLimit: 1, JournalLimit: 10}, func(*backend.Backend, backend.State, error) { l.table.Changed() })
		if err != nil {
			t.Fatal(err)
		}
		l.servers, l.all = append(l.servers, s), append(l.all, b)
		l.pipes = append(l.pipes, backend.NewPipeline(b, l.loop))
		nodes = append(nodes, ring.Node{Name: addr, Host: addr, Weight: 1})
	}
	var err error
	if l.ring, err = ring.New(nodes, ring.Options{}); err != nil {
		t.Fatal(err)
	}
	l.table = placement.New(l.ring, l.all, onDown, maxDown)
	l.loop.Post(func() {
		for _, b := range l.all {
			b.Keep(l.loop)
		}
		l.table.Keep(l.loop)
	})
	l.net.Run(3 * time.Second) // until the proxies, of which there is one, agree
	return l
}

// answer is what became of a call.
type answer struct{ text string }

func (a *answer) Answer(_ *backend.Call, _ *protocol.Response, raw []byte) error {
	a.text += string(raw)
	return nil
}

func (a *answer) Fail(_ *backend.Call, _ []byte, err *backend.Error) { a.text = err.Error() }

// ask sends a request to a node and waits for the answer.
func (l *lab) ask(node int, request string) string {
	l.t.Helper()
	a := new(answer)
	l.loop.Post(func() {
		var req protocol.Request
		n, err := protocol.ParseRequest([]byte(request), &req)
		if err != nil || n == 0 {
			panic(request)
		}
		if req.ValueLen >= 0 {
			req.TakeValue([]byte(request)[n:])
		}
		if err := l.pipes[node].Send(&backend.Call{Owner: a}, &req, 0); err != nil {
			a.Fail(nil, nil, err)
		}
	})
	l.net.Run(300 * time.Millisecond)
	return strings.TrimSpace(a.text)
}

func (l *lab) kill(node int) {
	l.servers[node].Kill()
	l.ask(node, "get x\r\n")
	l.net.Run(1500 * time.Millisecond)
}

func (l *lab) start(node int) {
	l.servers[node].Start()
	l.net.Run(4 * time.Second)
}

func (l *lab) wantOut(want string) {
	l.t.Helper()
	if got := fmt.Sprint(l.table.Out()); got != want {
		l.t.Errorf("out are %v, want %v", got, want)
	}
}

// keyOn gives a key that the ring places on a node.
func (l *lab) keyOn(node int) []byte {
	for i := 0; ; i++ {
		if key := fmt.Appendf(nil, "key%d", i); l.ring.Lookup(key) == node {
			return key
		}
	}
}

func TestMaxDown(t *testing.T) {
	l := newLab(t, 5, placement.OnDownEject, 2)
	l.wantOut("[]")
	l.kill(3)
	l.wantOut("[false false false true false]")
	l.kill(0)
	l.kill(1)
	l.wantOut("[true false false true false]")
	if s := l.table.Spot(l.keyOn(1)); s.Node != 1 || s.Away() {
		t.Errorf("a key of a backend beyond max_down is looked for on %d", s.Node)
	}
	l.start(3)
	l.wantOut("[true true false false false]") // there is room for one more
	l.start(0)
	l.start(1)
	l.wantOut("[]")
}

func TestSomebodyMustStandIn(t *testing.T) {
	l := newLab(t, 2, placement.OnDownEject, 2)
	l.kill(0)
	l.kill(1)
	l.wantOut("[true false]")
}

func TestFailMovesNothing(t *testing.T) {
	l := newLab(t, 3, placement.OnDownFail, 0)
	l.kill(0)
	l.wantOut("[]")
	if s := l.table.Spot(l.keyOn(0)); s.Node != 0 || s.Away() {
		t.Errorf("the key is looked for on %d", s.Node)
	}
}

func TestOnlyKeysOfTheDeadMove(t *testing.T) {
	l := newLab(t, 5, placement.OnDownEject, 0)
	l.kill(2)
	others := make(map[int]bool)
	for i := range 1000 {
		key := fmt.Appendf(nil, "key%d", i)
		home, s := l.ring.Lookup(key), l.table.Spot(key)
		if home != 2 && (s.Node != home || s.Away()) {
			t.Fatalf("%s moved from %d to %d", key, home, s.Node)
		}
		if home == 2 {
			others[s.Node] = true
			if s.Node == 2 || !s.Away() {
				t.Fatalf("%s did not move", key)
			}
		}
	}
	if len(others) != 4 {
		t.Errorf("%d backends share the keys, want 4", len(others))
	}
}

// TestStraysAreDeletedWhereTheyLie writes a key elsewhere and wants it deleted on both ends.
func TestStraysAreDeletedWhereTheyLie(t *testing.T) {
	l := newLab(t, 3, placement.OnDownEject, 0)
	key := l.keyOn(1)
	l.ask(1, fmt.Sprintf("set %s 0 0 3\r\nold\r\n", key))
	l.servers[1].KeepItems = true
	l.kill(1)
	s := l.table.Spot(key)
	if !s.Leave(key, l.loop.Now) {
		t.Fatal("the key cannot be noted")
	}
	l.ask(s.Node, fmt.Sprintf("set %s 0 0 3\r\nnew\r\n", key))
	if _, strays, _ := l.table.Figures(); strays[1] != 1 {
		t.Errorf("strays are %v", strays)
	}
	if got := l.ask(s.Node, fmt.Sprintf("get %s\r\n", key)); !strings.Contains(got, "new") {
		t.Errorf("on the stand-in stands %q", got)
	}
	l.start(1)
	l.wantOut("[]")
	for _, node := range []int{1, s.Node} {
		if got := l.ask(node, fmt.Sprintf("get %s\r\n", key)); got != "END" {
			t.Errorf("on %d stands %q", node, got)
		}
	}
	if _, strays, _ := l.table.Figures(); strays[1] != 0 {
		t.Errorf("strays are %v", strays)
	}
}

// TestMutants breaks one rule after the other, and finds what is old.
func TestMutants(t *testing.T) {
	for _, m := range []struct {
		mutant placement.Mutant
		away   bool // it is found on the stand-in
		want   string
	}{{placement.LeavesNoNote, false, "old"}, {placement.LeavesStrays, true, "new"}} {
		l := newLab(t, 3, placement.OnDownEject, 0)
		l.table.Mutant = m.mutant
		key := l.keyOn(1)
		l.ask(1, fmt.Sprintf("set %s 0 0 3\r\nold\r\n", key))
		l.servers[1].KeepItems = true
		l.kill(1)
		s := l.table.Spot(key)
		if !s.Leave(key, l.loop.Now) {
			t.Fatal("the key cannot be noted")
		}
		l.ask(s.Node, fmt.Sprintf("set %s 0 0 3\r\nnew\r\n", key))
		l.start(1)
		node := 1
		if m.away {
			node = s.Node
		}
		if got := l.ask(node, fmt.Sprintf("get %s\r\n", key)); !strings.Contains(got, m.want) {
			t.Errorf("mutant %d: on %d stands %q", m.mutant, node, got)
		}
	}
}

// TestWhatCannotBeNotedIsNotWritten fills the list of strays.
func TestWhatCannotBeNotedIsNotWritten(t *testing.T) {
	l := newLab(t, 3, placement.OnDownEject, 0)
	l.kill(1)
	noted := 0
	for i := 0; noted <= 10; i++ {
		key := fmt.Appendf(nil, "key%d", i)
		s := l.table.Spot(key)
		if !s.Away() {
			continue
		}
		if !s.Leave(key, l.loop.Now) {
			break
		}
		noted++
	}
	if noted != 10 {
		t.Errorf("%d keys were noted, want as many as the journal holds", noted)
	}
	l.net.Run(time.Second)
	if got := l.all[1].State(); got != backend.StateHeld {
		t.Errorf("the backend is %v", got)
	}
	l.wantOut("[false true false]")
	l.start(1)
	l.all[1].Release()
	l.net.Run(4 * time.Second)
	l.wantOut("[]")
}
