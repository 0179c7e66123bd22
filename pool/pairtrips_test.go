package pool_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/simnet"
	"mcproxy/pool"
	"mcproxy/pool/copies"
	"mcproxy/protocol"
	"mcproxy/replica"
	"mcproxy/ring"
)

// trips is a proxy over a network on which a round trip takes a millisecond, and nothing else takes any time.
type trips struct {
	*pair
	t    *testing.T
	key  []byte
	name string // of its copies
	home int

	asked string // the last answer
}

const trip = time.Millisecond

func newTrips(t *testing.T, mode copies.Mode) *trips {
	w := &trips{pair: &pair{net: simnet.New(1)}, t: t, key: []byte("a")}
	w.name = string(replica.AppendCopyKey(nil, replica.HashOf(w.key)))
	w.net.Latency, w.net.Steady = trip/2, true
	w.plan = plan{servers: 4, workers: 1, keys: 1, copy: &copyPlan{mode: mode, lease: 500 * time.Millisecond}}
	cfg := pool.Config{
		Name: "sim", Ring: ring.Options{Kind: "cmemcache"}, HotKeysOff: true, OnError: pool.OnErrorError, Copies: pool.CopyConfig{Mode: mode},
	}
	for i := range w.plan.servers {
		s, addr := w.net.NewServer()
		w.servers = append(w.servers, s)
		cfg.Backends = append(cfg.Backends, pool.BackendConfig{Network: "tcp", Address: addr, Name: fmt.Sprintf("s%d", i+1)})
	}
	w.plan.configs[0] = cfg
	if err := w.launch(0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.kill(w.procs[0]) })
	w.home = w.procs[0].shared.Ring.Lookup(w.key)
	return w
}

// A tripper is a request under way.
type tripper struct {
	x      pool.Exchange
	req    protocol.Request
	net    *simnet.Net
	answer string
	over   bool
	at     int64
}

// Finish takes the answer.
func (r *tripper) Finish(_ *pool.Exchange, answer []byte) {
	r.answer, r.over, r.at = string(answer), true, r.net.Now()
}

// ask asks the proxy, and gives the round trips that the answer took.
func (w *trips) ask(line, want string) float64 {
	w.t.Helper()
	r := &tripper{net: w.net}
	wk := w.procs[0].workers[0]
	began := w.net.Now()
	wk.loop.Post(func() {
		n, err := protocol.ParseRequest([]byte(line), &r.req)
		if err != nil || n == 0 {
			panic("no request: " + line)
		}
		if r.req.ValueLen >= 0 {
			r.req.TakeValue([]byte(line)[n:])
		}
		r.x.To = r
		wk.pool.Do(&r.x, &r.req, 1)
	})
	w.net.RunUntil(10*time.Second, func() bool { return r.over })
	if w.asked = r.answer; want != "" && r.answer != want {
		w.t.Fatalf("%q was answered with %q, want %q", line, r.answer, want)
	}
	return float64(r.at-began) / float64(trip)
}

// activate has the key get copies on all other servers.
func (w *trips) activate() {
	w.net.Run(5 * time.Second)
	w.procs[0].shared.Copies().Promote(copies.Wish{Key: w.key, Home: w.home, Copies: len(w.servers) - 1, Forced: true})
	if w.net.Run(5 * time.Second); w.phaseOf(w.key, w.home) != replica.Active {
		w.t.Fatal("the key has no copies")
	}
}

// fill reads until there is a copy on every other server.
func (w *trips) fill() {
	for range 300 {
		if w.ask("get a\r\n", ""); w.places(func(value string) bool { _, ok := replica.DecodeCopy([]byte(value), w.key); return ok }) {
			return
		}
	}
	w.t.Fatal("300 reads made not all copies")
}

// places says whether something is true of what stands in the places of all copies.
func (w *trips) places(is func(value string) bool) bool {
	for i, s := range w.servers {
		if i != w.home && !is(s.Memory.Value(w.name)) {
			return false
		}
	}
	return true
}

// hosts has each server that may have a copy carry out a request.
func (w *trips) hosts(line string) {
	for i, s := range w.servers {
		if i != w.home {
			s.Memory.Serve([]byte(line))
		}
	}
}

// TestHotWriteTrips counts the round trips that writes of a key with copies take, whatever stands in the copies' places: two, and three in
// strict mode. A cold key's takes one.
func TestHotWriteTrips(t *testing.T) {
	const other = "\xb7mcr\x04another1" // the lock of a write that another proxy has under way
	places := []struct {
		name string
		put  func(w *trips)
		left string // in strict mode
	}{
		{"copies", (*trips).fill, ""},
		{"nothing", func(w *trips) { w.hosts("md " + w.name + "\r\n") }, ""},
		{"leases", func(w *trips) { w.hosts("mg " + w.name + " v N3\r\n") }, ""},
		{"another's lock", func(w *trips) { w.hosts("ms " + w.name + " 13\r\n" + other + "\r\n") }, other},
		{"copies with another's lock", func(w *trips) { w.fill(); w.hosts("ms " + w.name + " 13 MA\r\n" + other + "\r\n") }, other},
	}
	writes := []struct{ line, want string }{
		{"set a 0 0 1\r\n5\r\n", "STORED\r\n"},
		{"append a 0 0 1\r\n6\r\n", "STORED\r\n"},
		{"incr a 1\r\n", "57\r\n"},
		{"touch a 100\r\n", "TOUCHED\r\n"},
		{"ms a 1 T90\r\n7\r\n", "HD\r\n"},
		{"replace a 0 0 1\r\n7\r\n", "STORED\r\n"},
		{"delete a\r\n", "DELETED\r\n"},
		{"add a 0 0 1\r\n4\r\n", "STORED\r\n"},
	}
	for _, c := range []struct {
		mode           copies.Mode
		hot, unchanged float64
	}{{copies.Safe, 2, 1}, {copies.Strict, 3, 3}} {
		t.Run(c.mode.String(), func(t *testing.T) {
			w := newTrips(t, c.mode)
			w.net.Run(5 * time.Second) // the guards recover
			check := func(what, line, want string, trips float64) {
				t.Helper()
				if got := w.ask(line, want); got != trips {
					t.Errorf("%s: %q took %v round trips, want %v", what, line, got, trips)
				}
			}
			w.ask("set a 0 0 1\r\n5\r\n", "STORED\r\n") // opens the conn
			check("cold", "set a 0 0 1\r\n5\r\n", "STORED\r\n", 1)
			w.activate()
			for _, p := range places {
				if p.left != "" && c.mode == copies.Safe {
					continue // nobody locks
				}
				for _, r := range writes {
					w.ask("set a 0 0 1\r\n5\r\n", "STORED\r\n")
					for _, before := range writes {
						if before == r {
							break
						}
						w.ask(before.line, before.want)
					}
					w.hosts("md " + w.name + "\r\n")
					if r.want == "STORED\r\n" && r.line[:3] == "add" && p.name[0] == 'c' {
						continue // what is not there has no copy
					}
					p.put(w)
					check(p.name, r.line, r.want, c.hot)
					if !w.places(func(value string) bool { return value == p.left }) {
						t.Errorf("%s: %q leaves something in the places of copies", p.name, r.line)
					}
				}
				w.ask("set a 0 0 1\r\n4\r\n", "STORED\r\n")
				check(p.name, "add a 0 0 1\r\n4\r\n", "NOT_STORED\r\n", c.unchanged)
			}
			check("a read of the home", "mg a v\r\n", "VA 1\r\n4\r\n", 1)
		})
	}
}

// TestDeadLock has one writer die in the midst of its write. While others go on, its lock keeps copies from being read, but no longer than a
// lock's lifetime.
func TestDeadLock(t *testing.T) {
	w := newTrips(t, copies.Strict)
	w.net.Run(5 * time.Second)
	w.ask("set a 0 0 1\r\n5\r\n", "STORED\r\n")
	w.activate()
	w.hosts("ms " + w.name + " 13\r\n\xb7mcr\x04thedead1\r\n")
	began, locked := w.net.Now(), true
	for range 300 {
		w.ask("set a 0 0 1\r\n5\r\n", "STORED\r\n")
		still := w.places(func(value string) bool { return strings.Contains(value, "thedead1") })
		age, lifetime := time.Duration(w.net.Now()-began), replica.LockTTL*time.Second
		if !still && age < lifetime || still && (!locked || age > lifetime+time.Second) {
			t.Fatalf("after %v its lock stands: %v", age, still)
		}
		locked = still
		w.net.Run(100 * time.Millisecond)
	}
	if w.fill(); w.phaseOf(w.key, w.home) != replica.Active {
		t.Error("the key has no copies any more")
	}
}

// TestDeadLocks has writers die in the midst of their writes, again and again, while others go on: their locks do not pile up, for a key
// with too many of them loses its copies, until they are gone. No write fails.
func TestDeadLocks(t *testing.T) {
	w := newTrips(t, copies.Strict)
	w.net.Run(5 * time.Second)
	w.ask("set a 0 0 1\r\n5\r\n", "STORED\r\n")
	w.activate()
	w.fill()
	wish := copies.Wish{Key: w.key, Home: w.home, Copies: len(w.servers) - 1}
	const record = 13
	dead, most, gone := 0, 0, false
	for range 1200 { // two minutes
		if w.phaseOf(w.key, w.home) != replica.None { // who locks can die
			dead++
			for _, how := range []string{"MA", "ME T20"} {
				w.hosts(fmt.Sprintf("ms %s %d %s\r\n\xb7mcr\x04%08d\r\n", w.name, record, how, dead))
			}
		}
		w.ask("set a 0 0 1\r\n5\r\n", "STORED\r\n")
		w.net.Run(100 * time.Millisecond)
		w.procs[0].shared.Copies().Promote(wish)
		w.places(func(value string) bool { most = max(most, len(value)/record); return true })
		gone = gone || most > replica.MaxLocks && w.places(func(value string) bool { return len(value)/record < 10 })
	}
	f := &w.procs[0].workers[0].pool.Figures.Copies
	if dead < 2*replica.MaxLocks || most > 2*replica.MaxLocks || !gone {
		t.Errorf("of %d locks of the dead %d stood together; gone: %v", dead, most, gone)
	}
	if n := f.Demoted[replica.Crowded]; n < 2 || f.Promoted < 2 {
		t.Errorf("the key got copies %d times, and lost them because of its locks %d times", f.Promoted, n)
	}
}

// TestHotWriteEndsInTime has the home of a key with copies answer late, and the copies' servers not at all: the client waits for one timeout,
// or a little more, and not for one after the other.
func TestHotWriteEndsInTime(t *testing.T) {
	const timeout = 250 * time.Millisecond
	for mode, want := range map[copies.Mode]string{
		copies.Safe: "stored, but an old copy elsewhere could not be cleared", copies.Strict: "not stored: a copy elsewhere could not be locked",
	} {
		for _, late := range []time.Duration{0, 200 * time.Millisecond, 240 * time.Millisecond, time.Hour} {
			w := newTrips(t, mode)
			w.net.Run(5 * time.Second)
			w.ask("set a 0 0 1\r\n5\r\n", "STORED\r\n")
			w.activate()
			for _, s := range w.servers {
				s.Pause()
			}
			w.net.After(late, w.servers[w.home].Resume)
			if late > timeout && mode == copies.Safe {
				want = "timed out"
			}
			took := time.Duration(w.ask("set a 0 0 1\r\n6\r\n", "") * float64(trip))
			if limit := timeout*5/4 + 2*trip; took < timeout || took > limit || !strings.Contains(w.asked, want) {
				t.Errorf("%v: the home answers after %v, the others not: the client hears %q after %v, want %q within %v", mode, late, w.asked, took, want, limit)
			}
		}
	}
}

// TestHotReadEndsInTime asks for a key with copies when no server answers any more: a client who waits for a copy and then for the home waits
// no longer than a quarter more than for the home alone.
func TestHotReadEndsInTime(t *testing.T) {
	const timeout = 250 * time.Millisecond
	w := newTrips(t, copies.Safe)
	w.net.Run(5 * time.Second)
	w.ask("set a 0 0 1\r\n5\r\n", "STORED\r\n")
	w.activate()
	w.fill()
	elsewhere := 0
	for range 40 {
		for _, s := range w.servers {
			s.Pause()
		}
		if took := time.Duration(w.ask("get a\r\n", "") * float64(trip)); took > timeout*5/4+2*trip {
			t.Fatalf("answered after %v", took)
		} else if took > timeout+2*trip {
			elsewhere++
		}
		for _, s := range w.servers {
			s.Resume()
		}
		w.net.Run(5 * time.Second)
		w.ask("set a 0 0 1\r\n5\r\n", "STORED\r\n")
		if w.phaseOf(w.key, w.home) != replica.Active {
			w.activate()
		}
		w.fill()
	}
	if elsewhere == 0 {
		t.Error("no read waited for a copy first")
	}
}
