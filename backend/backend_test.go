package backend_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/epoll"
	"mcproxy/internal/simnet"
	"mcproxy/protocol"
)

// lab is one backend on a simulated network, with two loops that use it.
type lab struct {
	t      *testing.T
	net    *simnet.Net
	server *simnet.Server
	b      *backend.Backend
	loops  []*epoll.Loop
	pipes  []*backend.Pipeline
	states []string // "up", "down: cause" …
}

func newLab(t *testing.T, o backend.Options) *lab {
	l := &lab{t: t, net: simnet.New(1)}
	var addr string
	l.server, addr = l.net.NewServer()
	var err error
	l.b, err = backend.New("m1", "tcp", addr, o, func(_ *backend.Backend, s backend.State, cause error) {
		text := s.String()
		if cause != nil {
			text += ": " + cause.Error()
		}
		l.states = append(l.states, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		loop := l.net.NewLoop()
		l.loops = append(l.loops, loop)
		l.pipes = append(l.pipes, backend.NewPipeline(l.b, loop))
	}
	l.loops[0].Post(func() { l.b.Keep(l.loops[0]) })
	l.net.Run(10 * time.Millisecond)
	return l
}

// result is what became of a call.
type result struct {
	answer string
	err    *backend.Error
	at     int64
	n      *simnet.Net
}

func (r *result) Answer(_ *backend.Call, _ *protocol.Response, raw []byte) error {
	r.answer += string(raw)
	r.at = r.n.Now()
	return nil
}

func (r *result) Fail(_ *backend.Call, _ []byte, err *backend.Error) {
	r.err = err
	r.at = r.n.Now()
}

func (r *result) String() string {
	if r.err != nil {
		return r.err.Error()
	}
	return strings.TrimSpace(r.answer)
}

// parse makes a request of its bytes.
func parse(t *testing.T, request string) *protocol.Request {
	req := &protocol.Request{}
	n, err := protocol.ParseRequest([]byte(request), req)
	if err != nil || n == 0 {
		t.Fatalf("%q does not parse: %v", request, err)
	}
	if req.ValueLen >= 0 {
		req.TakeValue([]byte(request)[n:])
	}
	return req
}

// send sends a request from the i-th loop and gives where its outcome will be.
func (l *lab) send(i int, request string) *result {
	r := &result{n: l.net}
	l.loops[i].Post(func() {
		req := parse(l.t, request)
		if err := l.pipes[i].Send(&backend.Call{Owner: r}, req, 0); err != nil {
			r.Fail(nil, nil, err)
		}
	})
	return r
}

// ask sends a request and lets d pass.
func (l *lab) ask(i int, request string, d time.Duration) string {
	r := l.send(i, request)
	l.net.Run(d)
	return r.String()
}

func (l *lab) want(got, want string) {
	l.t.Helper()
	if got != want {
		l.t.Errorf("got %q, want %q", got, want)
	}
}

const moment = 20 * time.Millisecond

func TestVersionIsLearned(t *testing.T) {
	l := newLab(t, backend.Options{})
	l.want(l.b.Version(), "1.6.18")
}

func TestDownFailsFastAndComesBack(t *testing.T) {
	l := newLab(t, backend.Options{})
	l.want(l.ask(0, "set k 0 0 1\r\nx\r\n", moment), "STORED")
	l.server.Kill()
	for range 3 {
		l.ask(0, "get k\r\n", moment)
	}
	l.want(l.b.State().String(), "down")
	before := l.net.Now()
	r := l.send(1, "get k\r\n")
	l.net.Run(moment)
	if r.err == nil || !errors.Is(r.err, backend.ErrDown) || r.at-before > int64(time.Millisecond) {
		t.Errorf("a call to a backend that is down: %v after %v", r, time.Duration(r.at-before))
	}
	l.net.Run(3 * time.Second)
	l.server.Start()
	l.net.Run(time.Second)
	l.want(l.b.State().String(), "up")
	l.want(l.ask(1, "get k\r\n", moment), "END")
	if len(l.states) != 2 || !strings.HasPrefix(l.states[0], "down: ") || l.states[1] != "up" {
		t.Errorf("states were %q", l.states)
	}
	if !strings.Contains(l.states[0], syscall.ECONNREFUSED.Error()) {
		t.Errorf("the cause is not told: %q", l.states[0])
	}
}

func TestTimeoutIsKept(t *testing.T) {
	l := newLab(t, backend.Options{Timeout: 100 * time.Millisecond})
	l.want(l.ask(0, "get k\r\n", moment), "END")
	l.server.Pause()
	before := l.net.Now()
	r := l.send(0, "get k\r\n")
	l.net.Run(time.Second)
	if r.err == nil || !errors.Is(r.err, backend.ErrTimeout) || !r.err.Sent {
		t.Fatalf("got %v, want a timeout of a request that was sent", r)
	}
	if waited := time.Duration(r.at - before); waited < 100*time.Millisecond || waited > 102*time.Millisecond {
		t.Errorf("the call waited %v, want 100 ms", waited)
	}
}

// TestJournalledKeyIsLeftAlone stops the server after a set was sent. The key is neither read nor written by anybody until
// the delete behind the late set was confirmed; other keys are.
func TestJournalledKeyIsLeftAlone(t *testing.T) {
	l := newLab(t, backend.Options{FailureLimit: 100})
	l.want(l.ask(0, "set k 0 0 3\r\nold\r\n", moment), "STORED")
	l.server.Pause()
	l.want(l.ask(0, "set k 0 0 3\r\nnew\r\n", 300*time.Millisecond), "m1: timed out")
	for i := range 2 {
		l.want(l.ask(i, "get k\r\n", moment), "m1: earlier write unsettled")
		l.want(l.ask(i, "set k 0 0 1\r\nx\r\n", moment), "m1: earlier write unsettled")
	}
	if keys, missed := l.b.Journal(); keys != 1 || missed != 1 {
		t.Errorf("journal: %d keys, %d missed writes; want 1, 1", keys, missed)
	}
	l.server.Resume()
	l.net.Run(moment)
	l.want(l.ask(1, "get k\r\n", moment), "END")
	l.want(l.ask(1, "set k 0 0 1\r\nx\r\n", moment), "STORED")
	if keys, _ := l.b.Journal(); keys != 0 {
		t.Errorf("%d keys are left in the journal", keys)
	}
}

// TestBase64KeyIsDeleted journals a key that no classic command can carry.
func TestBase64KeyIsDeleted(t *testing.T) {
	l := newLab(t, backend.Options{})
	l.server.Kill()
	for range 4 {
		l.ask(0, "md YSBi b\r\n", moment) // "a b"
	}
	if keys, _ := l.b.Journal(); keys != 1 {
		t.Errorf("%d keys in the journal, want 1", keys)
	}
	l.server.Start()
	l.net.Run(3 * time.Second)
	if keys, _ := l.b.Journal(); keys != 0 || l.b.State() != backend.StateUp {
		t.Errorf("%d keys left in the journal of a backend that is %v", keys, l.b.State())
	}
}

// outage has the server fail with writes missed, and come back.
func (l *lab) outage() {
	l.t.Helper()
	l.want(l.ask(0, "set k 0 0 3\r\nold\r\n", moment), "STORED")
	l.want(l.ask(0, "set other 0 0 1\r\nx\r\n", moment), "STORED")
	l.server.KeepItems = true
	l.server.Kill()
	for range 3 {
		l.ask(0, "set k 0 0 3\r\nnew\r\n", moment)
	}
	l.want(l.b.State().String(), "down")
	l.server.Start()
	l.net.Run(3 * time.Second)
}

func TestOnReturnReplay(t *testing.T) {
	l := newLab(t, backend.Options{})
	l.outage()
	l.want(l.b.State().String(), "up")
	l.want(l.ask(0, "get k\r\n", moment), "END")
	l.want(l.ask(0, "get other\r\n", moment), "VALUE other 0 1\r\nx\r\nEND")
}

func TestOnReturnFlush(t *testing.T) {
	l := newLab(t, backend.Options{OnReturn: backend.OnReturnFlush})
	l.outage()
	l.want(l.b.State().String(), "up")
	l.want(l.ask(0, "get k\r\n", moment), "END")
	l.want(l.ask(0, "get other\r\n", moment), "END")
}

// TestOverflowIsFlushed wants a journal that overflows to be no matter for an operator where the backend is flushed anyway.
func TestOverflowIsFlushed(t *testing.T) {
	l := newLab(t, backend.Options{OnReturn: backend.OnReturnFlush, JournalLimit: 2})
	l.want(l.ask(0, "set k4 0 0 3\r\nold\r\n", moment), "STORED")
	l.server.KeepItems = true
	l.server.Kill()
	for i := range 6 {
		l.ask(0, fmt.Sprintf("set k%d 0 0 3\r\nnew\r\n", i), moment)
	}
	l.want(l.b.State().String(), "down")
	if !l.b.Overflowed() || l.b.Lost() != 4 {
		t.Errorf("overflowed: %v, lost: %d; want 4", l.b.Overflowed(), l.b.Lost())
	}
	l.server.Start()
	l.net.Run(3 * time.Second)
	l.want(l.b.State().String(), "up")
	l.want(l.ask(0, "get k4\r\n", moment), "END")
	if l.b.Overflowed() {
		t.Error("it counts as overflowed still")
	}
}

func TestOnReturnHold(t *testing.T) {
	l := newLab(t, backend.Options{OnReturn: backend.OnReturnHold})
	l.outage()
	l.want(l.b.State().String(), "held")
	l.want(l.ask(0, "get other\r\n", moment), "m1: held for the operator")
	if !l.b.Release() {
		t.Error("it was not released")
	}
	l.net.Run(time.Second)
	l.want(l.b.State().String(), "up")
	l.want(l.ask(0, "get k\r\n", moment), "END")
	l.want(l.ask(0, "get other\r\n", moment), "VALUE other 0 1\r\nx\r\nEND")
}

// TestFlappingIsDamped has a server fail again and again, and wants it to be left alone longer and longer.
func TestFlappingIsDamped(t *testing.T) {
	l := newLab(t, backend.Options{Damping: 3 * time.Second})
	var waits []time.Duration
	for range 7 {
		l.server.Kill()
		for range 3 {
			l.ask(0, "get k\r\n", moment)
		}
		l.want(l.b.State().String(), "down")
		l.server.Start()
		begin := l.net.Now()
		for range 1000 {
			if l.b.State() == backend.StateUp {
				break
			}
			l.net.Run(10 * time.Millisecond)
		}
		waits = append(waits, time.Duration(l.net.Now()-begin))
	}
	least := []time.Duration{0, 0, 0, time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second}
	for i, w := range waits {
		if w < least[i] || w > least[i]+time.Second {
			t.Errorf("after failure %d it was used again after %v, want %v and less than a second more", i+1, w, least[i])
		}
	}
	l.net.Run(2 * time.Minute)
	l.server.Kill()
	for range 3 {
		l.ask(0, "get k\r\n", moment)
	}
	l.server.Start()
	l.net.Run(time.Second)
	l.want(l.b.State().String(), "up") // it was calm for so long
}

func TestOverflowingJournalHoldsTheBackend(t *testing.T) {
	l := newLab(t, backend.Options{JournalLimit: 10})
	l.server.Kill()
	for i := range 12 {
		l.ask(i%2, fmt.Sprintf("set k%d 0 0 1\r\nx\r\n", i), moment)
	}
	l.server.Start()
	l.net.Run(5 * time.Second)
	l.want(l.b.State().String(), "held")
	l.want(l.ask(0, "get other\r\n", moment), "m1: held for the operator")
	if !l.b.Release() {
		t.Error("a held backend was not released")
	}
	l.net.Run(2 * time.Second)
	l.want(l.b.State().String(), "up")
	l.want(l.ask(0, "get k1\r\n", moment), "END")
	if l.b.Release() {
		t.Error("a backend that is up was released")
	}
}

func TestQueueIsBounded(t *testing.T) {
	l := newLab(t, backend.Options{MaxPending: 5, Timeout: time.Second})
	l.ask(0, "get k\r\n", moment)
	l.server.Pause()
	var results []*result
	for i := range 8 {
		results = append(results, l.send(0, fmt.Sprintf("get k%d\r\n", i)))
	}
	l.net.Run(moment)
	for i, r := range results {
		if refused := r.err != nil && errors.Is(r.err, backend.ErrOverloaded); refused != (i >= 5) {
			t.Errorf("call %d: %v", i, r)
		}
	}
}

// TestStalledConnIsSetAside stops the server for longer than StallTimeout. Afterwards everything works, on a new conn, and
// the one that stalled is gone.
func TestStalledConnIsSetAside(t *testing.T) {
	l := newLab(t, backend.Options{StallTimeout: 500 * time.Millisecond})
	l.want(l.ask(0, "set k 0 0 3\r\nold\r\n", moment), "STORED")
	l.server.Pause()
	l.want(l.ask(0, "set k 0 0 3\r\nnew\r\n", 300*time.Millisecond), "m1: timed out")
	l.net.Run(2 * time.Second)
	l.server.Resume()
	l.net.Run(2 * time.Second)
	l.want(l.ask(0, "get k\r\n", moment), "END")
	l.net.Run(time.Minute)
	if conns, pending := l.pipes[0].Conns(); conns != 1 || pending != 0 {
		t.Errorf("%d conns with %d calls are open, want one that is idle", conns, pending)
	}
}

// TestReadIsRetriedOnADeadConn breaks conns under reads that are on their way: those are sent again.
func TestReadIsRetriedOnADeadConn(t *testing.T) {
	l := newLab(t, backend.Options{})
	l.want(l.ask(0, "set k 0 0 1\r\nx\r\n", moment), "STORED")
	for range 20 {
		r := l.send(0, "get k\r\n")
		l.net.Run(100 * time.Microsecond)
		l.server.Reset()
		l.net.Run(moment)
		l.want(r.String(), "VALUE k 0 1\r\nx\r\nEND")
	}
	if l.pipes[0].Figures.Retries == 0 {
		t.Error("no read was sent twice")
	}
}

func TestResolve(t *testing.T) {
	for _, tc := range []struct{ network, address, want string }{
		{"tcp", "127.0.0.1", "missing port"},
		{"tcp", "127.0.0.1:http:1", "too many colons"},
		{"tcp", "127.0.0.1:http", "port"},
	} {
		if _, err := backend.New("m", tc.network, tc.address, backend.Options{}, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New(%q, %q): %v, want an error with %q", tc.network, tc.address, err, tc.want)
		}
	}
	for _, address := range []string{"127.0.0.1:11211", "[::1]:11211"} {
		if _, err := backend.New("m", "tcp", address, backend.Options{}, nil); err != nil {
			t.Errorf("New(%q): %v", address, err)
		}
	}
}

// TestTurnedAway: a write that is turned away, because its key waits for a delete, has the key deleted once more. The first delete may have
// been carried out already, and have left a value there that came after it.
func TestTurnedAway(t *testing.T) {
	l := newLab(t, backend.Options{})
	l.want(l.ask(0, "set k 0 0 3\r\nold\r\n", 5*time.Millisecond), "STORED")
	l.server.Pause()
	l.want(l.ask(0, "set k 0 0 3\r\nnew\r\n", 260*time.Millisecond), "m1: timed out")
	l.server.Resume()
	for len(l.server.Memory.Keys()) > 0 {
		l.net.Run(time.Microsecond) // until the delete is carried out; its answer is on its way
	}
	other := "set k 0 0 5\r\nother\r\n"
	if _, answer, _ := l.server.Memory.Serve([]byte(other)); string(answer) != protocol.Stored {
		t.Fatalf("the server says %q", answer)
	}
	l.want(l.ask(1, "delete k\r\n", 5*time.Millisecond), "m1: earlier write unsettled")
	l.want(l.ask(1, "get k\r\n", 5*time.Millisecond), "END")
	if n, _ := l.b.Journal(); n != 0 {
		t.Errorf("%d keys in the journal", n)
	}
}
