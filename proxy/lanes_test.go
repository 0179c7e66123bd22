package proxy

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"mcproxy/backend"
	"mcproxy/internal/simnet"
	"mcproxy/pool"
	"mcproxy/proxy/limits"
)

var laneSeeds = flag.Int("lane-seeds", 8, "of TestLanes…: how many runs")

// TestSmallAnswersPassLargeOnes has many clients ask for large values at once, over conns that bring so many bytes in a turn. Somebody who
// asks for a small value of the same backend does not wait for theirs; and no more is asked for than can come in time.
func TestSmallAnswersPassLargeOnes(t *testing.T) {
	const clients, size = 200, 1_000_000
	for _, request := range []string{"get large\r\n", "get large none\r\n"} {
		c := newCrowd(t, Config{}, clients)
		large, small := c.store("large", size), c.store("small", 3)
		other := c.join()
		other.sends("get large\r\n") // it is known now
		c.until(5, func() bool { return string(other.got) == large })
		c.perTurn = 256 << 10
		for _, e := range c.clients[:clients] {
			e.sends(request)
		}
		c.turns(5)
		for range 5 {
			other.got = nil
			other.sends("get small\r\n")
			if n := c.until(1000, func() bool { return string(other.got) == small }); n > 3 {
				t.Errorf("%q: a small value took %d turns behind large ones", request, n)
			}
		}
		got, refused := 0, 0
		c.until(10_000, func() bool {
			got, refused = 0, 0
			for _, e := range c.clients[:clients] {
				switch {
				case string(e.got) == limits.Overloaded:
					refused++
				case len(e.got) == len(large):
					got++
				}
			}
			return got+refused == clients
		})
		if most := 64_000_000 / size; got < most-1 || got > most+1 {
			t.Errorf("%q: %d clients got their value and %d were refused; there is time for %d", request, got, refused, most)
		}
		_, pending := c.w.pools[0].Bulk(0).Conns()
		if other.got = nil; pending != 0 {
			t.Errorf("%q: %d calls are left", request, pending)
		}
		other.sends("get large\r\n") // the lane is free again
		c.until(20, func() bool { return string(other.got) == large })
	}
}

// TestLanesKeepOrder has clients pipeline requests of a few keys whose values are large and small in turns, over conns that are looked at
// in any order. Each client has keys of its own, and gets what one conn to one memcached would give.
func TestLanesKeepOrder(t *testing.T) {
	lanes := 0
	for seed := range uint64(*laneSeeds) {
		rng := rand.New(rand.NewPCG(seed, 1))
		coalesce := []pool.Coalesce{pool.CoalesceAll, pool.CoalesceOff}[seed%2]
		c := newCrowd(t, Config{Pools: []pool.Config{{
			Name: "main", Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:1"}}, Coalesce: coalesce,
			Backend: backend.Options{Connections: 1 + int(seed%3)},
		}}}, 6)
		c.lazy = rng
		want := make([][]byte, len(c.clients))
		model := simnet.NewMemory()
		for round := range 30 {
			for i, e := range c.clients {
				var batch strings.Builder
				for range rng.IntN(6) {
					batch.WriteString(randomOf(rng, i, round))
				}
				e.sends(batch.String())
				for rest := []byte(batch.String()); len(rest) > 0; {
					used, answer, ok := model.Serve(rest)
					if !ok || used == 0 {
						t.Fatalf("%.60q", rest)
					}
					rest, want[i] = rest[used:], append(want[i], answer...)
				}
			}
			c.turns(rng.IntN(20))
		}
		for i, e := range c.clients {
			c.until(5000, func() bool { return len(e.got) >= len(want[i]) })
			if !bytes.Equal(e.got, want[i]) {
				at := 0
				for at < len(e.got) && at < len(want[i]) && e.got[at] == want[i][at] {
					at++
				}
				t.Fatalf("seed %d: client %d: at %d it got %.60q, want %.60q", seed, i, at, e.got[at:], want[i][at:])
			}
		}
		lanes += int(c.w.pools[0].Bulk(0).Figures.Calls())
	}
	if lanes < 9**laneSeeds {
		t.Errorf("%d requests took a lane: the runs prove little", lanes)
	}
}

// randomOf makes a request for one of a client's few keys, or several.
func randomOf(rng *rand.Rand, client, round int) string {
	key := func() string { return fmt.Sprintf("%d-%d", client, rng.IntN(2)) }
	switch rng.IntN(8) {
	case 0, 1:
		size := 1 + rng.IntN(10)
		if rng.IntN(3) > 0 {
			size = 40_000
		}
		value := fmt.Sprintf("%d:%s", round, strings.Repeat(string(rune('a'+rng.IntN(26))), size))
		return fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key(), len(value), value)
	case 2:
		return "delete " + key() + "\r\n"
	case 3:
		return "get " + key() + " " + key() + "\r\n"
	default:
		return "get " + key() + "\r\n"
	}
}

// TestLanesReadForward has clients read a key that another writes, with values that are large and small in turns. What one client reads does
// not go back in time, whichever way it came.
func TestLanesReadForward(t *testing.T) {
	lanes := 0
	for seed := range uint64(*laneSeeds) {
		rng := rand.New(rand.NewPCG(seed, 2))
		c := newCrowd(t, Config{Pools: []pool.Config{{
			Name: "main", Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:1"}}, Coalesce: pool.CoalesceOff,
		}}}, 5)
		c.lazy = rng
		for version := range 60 {
			size := 1
			if rng.IntN(3) > 0 {
				size = 40_000
			}
			value := fmt.Sprintf("%06d%s", version, strings.Repeat("x", size))
			c.clients[0].sends(fmt.Sprintf("set key 0 0 %d\r\n%s\r\n", len(value), value))
			for _, e := range c.clients[1:] {
				for range rng.IntN(4) {
					e.sends([]string{"get key\r\n", "get key none\r\n", "get key\r\n", "get none\r\n"}[rng.IntN(4)])
				}
			}
			c.turns(rng.IntN(20))
		}
		c.turns(2000)
		for i, e := range c.clients[1:] {
			last := ""
			for rest, found := string(e.got), true; found; {
				var version string
				if _, rest, found = strings.Cut(rest, "VALUE key 0 "); !found {
					break
				}
				_, version, _ = strings.Cut(rest, "\r\n")
				if version = version[:6]; version < last {
					t.Fatalf("seed %d: client %d read version %s after %s", seed, i+1, version, last)
				}
				last = version
			}
			if last == "" {
				t.Fatalf("seed %d: client %d read nothing: %.60q", seed, i+1, e.got)
			}
		}
		lanes += int(c.w.pools[0].Bulk(0).Figures.Calls())
	}
	if lanes < 20**laneSeeds {
		t.Errorf("%d requests took a lane: the runs prove little", lanes)
	}
}

// TestSharedAnswerIsWrittenInTurns has 1,000 clients get the same large value by one fetch. They share one copy of it; and in no turn so much is
// written that somebody who asks for a small value would wait for it.
func TestSharedAnswerIsWrittenInTurns(t *testing.T) {
	const clients, size = 1000, 1_000_000
	c := newCrowd(t, Config{Pools: []pool.Config{{
		Name: "main", Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:1"}}, Coalesce: pool.CoalesceAll,
	}}, Limits: limits.Config{Bytes: 8 << 20}}, clients)
	large, small := c.store("large", size), c.store("small", 3)
	other := c.join()
	other.sends("get large\r\n") // it is known now
	c.until(50, func() bool { return string(other.got) == large })
	for _, e := range c.clients[:clients] {
		e.discards = true
		e.sends("get large\r\n")
	}
	done := func() (n int) {
		for _, e := range c.clients[:clients] {
			if e.written == len(large) {
				n++
			}
		}
		return n
	}
	most, last := 0, 0
	for turns := 0; done() < clients; turns++ {
		if turns > 2000 {
			t.Fatalf("%d of %d clients have their value after %d turns", done(), clients, turns)
		}
		other.got = nil
		other.sends("get small\r\n")
		if n := c.until(20, func() bool { return string(other.got) == small }); n > 4 {
			t.Errorf("a small value took %d turns", n)
		}
		wrote := 0
		for _, e := range c.clients[:clients] {
			wrote += e.written
		}
		most, last = max(most, wrote-last), wrote
	}
	if most > 4*3*writeAll {
		t.Errorf("%d bytes were written while a client waited for a small value", most)
	}
	if f := c.srv.budget.Whole.Figures(); f.Peak > 8<<20 || c.w.counts.overLimit[limits.Answers] > 0 {
		t.Errorf("%d bytes were held, %d answers were refused", f.Peak, c.w.counts.overLimit[limits.Answers])
	}
	c.hangUp()
	if left := c.metered(); left != 0 {
		t.Errorf("%d bytes are counted when all are gone", left)
	}
}
