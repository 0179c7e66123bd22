package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mcproxy/pool"
	"mcproxy/proxy/limits"
)

// TestSlowClientsAreBounded has many clients ask for values that they do not read. What is held for them stays below the limit; who is
// over it gets an error instead of the value; and somebody who wants little is served as ever.
func TestSlowClientsAreBounded(t *testing.T) {
	const clients, size, limit = 200, 200_000, 4 << 20
	cfg := only(limits.Config{Bytes: limit})
	cfg.Pools = []pool.Config{{Name: "main", Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:1"}}, Coalesce: pool.CoalesceOff}}
	c := newCrowd(t, cfg, clients)
	large, small := c.store("large", size), c.store("small", 3)
	for _, e := range c.clients {
		e.room = 0
		e.sends("get large\r\n")
	}
	most := 0
	c.until(1000, func() bool {
		most = max(most, c.metered())
		return c.w.counts.overLimit[limits.Answers] > 0 && c.w.counts.overLimit[limits.Answers]+uint64(limit/size) >= clients-20
	})
	c.turns(5)
	if held := c.held(); held > limit+clients*heavy || c.metered() > limit || most > limit {
		t.Errorf("%d bytes are held, %d by the meter, %d at most; the limit is %d", held, c.metered(), most, limit)
	}
	other := c.join()
	other.sends("get small\r\n")
	if n := c.until(10, func() bool { return string(other.got) == small }); n > 3 {
		t.Errorf("a small value took %d turns while the limit is reached", n)
	}
	if c.metered() < limit/2 {
		t.Errorf("%d bytes are held: the limit is not reached, and nothing is proved", c.metered())
	}
	refused := 0
	for i, e := range c.clients[:clients] {
		e.room = 1 << 30
		c.until(100, func() bool { return len(e.got) > 0 && (len(e.got) == len(large) || string(e.got) == limits.Overloaded) })
		switch string(e.got) {
		case large:
		case limits.Overloaded:
			refused++
		default:
			t.Fatalf("client %d got %.60q…, %d bytes", i, e.got, len(e.got))
		}
	}
	if got := int(c.w.counts.overLimit[limits.Answers]); got != refused || refused == 0 || refused == clients {
		t.Errorf("%d clients of %d got an error, and %d are counted", refused, clients, got)
	}
	other.got = nil
	other.sends("get large\r\n")
	c.until(10, func() bool { return string(other.got) == large })
	c.hangUp()
	if left := c.metered(); left != 0 {
		t.Errorf("%d bytes are counted when all are gone", left)
	}
}

// TestSlowClientsShareOneCopy has them get the value by one fetch: then they hold it once.
func TestSlowClientsShareOneCopy(t *testing.T) {
	const clients, size = 200, 200_000
	cfg := only(limits.Config{Bytes: 1 << 20})
	cfg.Pools = []pool.Config{{Name: "main", Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:1"}}, Coalesce: pool.CoalesceAll}}
	c := newCrowd(t, cfg, clients)
	large := c.store("large", size)
	for _, e := range c.clients {
		e.room = 0
		e.sends("get large\r\n")
	}
	c.turns(20)
	if c.metered() > 2*size || c.metered() < size {
		t.Errorf("%d bytes are counted, for a value of %d", c.metered(), size)
	}
	for i, e := range c.clients {
		e.room = 1 << 30
		if c.until(200, func() bool { return len(e.got) >= len(large) }); string(e.got) != large {
			t.Fatalf("client %d got %.60q…", i, e.got)
		}
	}
	if left := c.metered(); left != 0 {
		t.Errorf("%d bytes are counted when all have read", left)
	}
}

// TestStalledClientsGoWhenOthersAreRefused has clients hold all that may be held. Those that read nothing are disconnected when others have been
// refused; one that reads, however slowly, stays, and nobody goes while there is room.
func TestStalledClientsGoWhenOthersAreRefused(t *testing.T) {
	const clients, size, limit = 10, 200_000, 10 << 18 // as large as their buffers
	c := newCrowd(t, only(limits.Config{Bytes: limit}), clients)
	large := c.store("large", size)
	for _, e := range c.clients {
		e.room = 0
		e.sends("get large\r\n")
	}
	pass := func(d time.Duration) {
		c.now += int64(d)
		c.clients[0].room = 1
		c.turns(5)
	}
	c.turns(10)
	for range 60 {
		pass(time.Second)
	}
	if n, refused := len(c.w.sessions), c.w.counts.overLimit[limits.Answers]; n != clients || refused > 0 {
		t.Fatalf("%d of %d clients are there, %d were refused", n, clients, refused)
	}
	other := c.join()
	other.sends("get large\r\n")
	c.until(10, func() bool { return string(other.got) == limits.Overloaded })
	for range 3 { // it has no better luck
		other.sends("get large\r\n")
		pass(time.Second)
	}
	if closed := c.w.counts.closed[byStall]; closed != clients-1 || c.clients[0].gone {
		t.Errorf("%d clients were disconnected, want %d; the one that reads is gone: %v", closed, clients-1, c.clients[0].gone)
	}
	other.got = nil
	other.sends("get large\r\n")
	c.until(10, func() bool { return string(other.got) == large })
}

// TestManySmallAnswersAreBounded has clients pipeline requests for small values that they do not read.
func TestManySmallAnswersAreBounded(t *testing.T) {
	const clients, deep, limit = 50, 1000, 1 << 20
	c := newCrowd(t, only(limits.Config{Bytes: limit}), clients)
	answer := c.store("key", 1000)
	for _, e := range c.clients {
		e.room = 0
		e.sends(strings.Repeat("get key\r\n", deep))
	}
	c.turns(300)
	if held := c.held(); held > limit+clients*(2*heavy+crowdRead) {
		t.Errorf("%d bytes are held; the limit is %d", held, limit)
	}
	for i, e := range c.clients { // all that was asked is answered, in order
		e.room = 1 << 40
		c.until(3000, func() bool {
			return strings.Count(string(e.got), "END\r\n")+strings.Count(string(e.got), limits.Overloaded) == deep
		})
		if rest := strings.ReplaceAll(strings.ReplaceAll(string(e.got), answer, ""), limits.Overloaded, ""); rest != "" {
			t.Fatalf("client %d got %.60q… besides whole answers", i, rest)
		}
	}
	c.hangUp()
	if left := c.metered(); left != 0 {
		t.Errorf("%d bytes are counted when all are gone", left)
	}
}

// TestValuesOnTheirWayAreBounded has many clients announce values and send half of them. Past the limit they are refused when the value
// has gone by, and the old value is gone, as when memcached has no memory for it.
func TestValuesOnTheirWayAreBounded(t *testing.T) {
	const clients, size, limit = 50, 500_000, 4 << 20
	c := newCrowd(t, only(limits.Config{Bytes: limit}), clients)
	for i, e := range c.clients {
		c.store(fmt.Sprintf("key-%d", i), 3)
		e.sends(fmt.Sprintf("set key-%d 0 0 %d\r\n%s", i, size, strings.Repeat("x", size/2)))
	}
	c.turns(20)
	if held := c.held(); c.metered() > limit || held > 2*limit {
		t.Errorf("%d bytes are held, %d by the meter; the limit is %d", held, c.metered(), limit)
	}
	small := c.join()
	small.sends("set small 0 0 1\r\nx\r\nget small\r\n")
	if n := c.until(10, func() bool { return string(small.got) == "STORED\r\nVALUE small 0 1\r\nx\r\nEND\r\n" }); n > 3 {
		t.Errorf("a small value took %d turns", n)
	}
	stored, refused := 0, 0
	for i, e := range c.clients[:clients] {
		e.sends(strings.Repeat("x", size-size/2) + "\r\n")
		c.until(20, func() bool { return len(e.got) > 0 })
		_, now, _ := c.memory.Serve(fmt.Appendf(nil, "get key-%d\r\n", i))
		switch {
		case string(e.got) == "STORED\r\n" && len(now) > size:
			stored++
		case string(e.got) == limits.Overloaded && string(now) == "END\r\n":
			refused++
		default:
			t.Errorf("client %d got %q, and the item is %.20q", i, e.got, now)
		}
	}
	if stored < limit/size/2 || refused == 0 || c.w.counts.overLimit[limits.Values] != uint64(refused) {
		t.Errorf("%d values were stored, %d refused, %d are counted", stored, refused, c.w.counts.overLimit[limits.Values])
	}
	c.clients[0].got = nil
	c.clients[0].sends(fmt.Sprintf("set key-0 0 0 %d\r\n%s", size, strings.Repeat("x", size/2)))
	c.turns(3)
	c.hangUp()
	if left := c.metered(); left != 0 {
		t.Errorf("%d bytes are counted when all are gone", left)
	}
}

// TestGatheredValuesAreBounded has a client ask for more large values at once than there is room for.
func TestGatheredValuesAreBounded(t *testing.T) {
	const limit = 1 << 20
	c := newCrowd(t, only(limits.Config{Bytes: limit}), 1)
	e, keys, want := c.clients[0], "", ""
	for i := range 20 {
		keys += fmt.Sprintf(" key-%d", i)
		answer := c.store(fmt.Sprintf("key-%d", i), 100_000)
		if i < 5 {
			want += strings.TrimSuffix(answer, "END\r\n")
		}
	}
	e.sends("get key-0 key-1 key-2 key-3 key-4\r\n")
	c.until(10, func() bool { return string(e.got) == want+"END\r\n" })
	e.got = nil
	e.sends("get" + keys + "\r\nmn\r\n")
	c.until(20, func() bool { return string(e.got) == limits.Overloaded+"MN\r\n" })
	if c.w.gatherer.Shed != 1 {
		t.Errorf("%d answers are counted as given up, want 1", c.w.gatherer.Shed)
	}
	c.hangUp()
	if left := c.metered(); left != 0 {
		t.Errorf("%d bytes are counted at the end", left)
	}
}

// TestRequestsAreBounded has more clients ask at once than may be under way: the rest hear so at once, whatever they asked, and nothing of
// it is done.
func TestRequestsAreBounded(t *testing.T) {
	const most = 20
	c := newCrowd(t, only(limits.Config{Requests: most}), most)
	answer := c.store("key", 3)
	warm := c.join()
	warm.sends("get key\r\n")
	c.until(5, func() bool { return string(warm.got) == answer })
	for _, e := range c.clients[:most] {
		e.sends("get key\r\n")
	}
	late := c.join()
	c.perTurn = 1 // the backend's answers take their time
	c.turns(1)
	late.sends("set key 0 0 3\r\nnew\r\ndelete key\r\nget a b\r\nset key 0 0 3 noreply\r\nnew\r\nmn\r\n")
	if n := c.until(5, func() bool { return string(late.got) == strings.Repeat(limits.Overloaded, 3)+"MN\r\n" }); n > 2 {
		t.Errorf("it took %d turns", n)
	}
	if got := c.w.counts.overLimit[limits.Requests]; got != 4 {
		t.Errorf("%d requests are counted as refused, want 4", got)
	}
	c.perTurn = 0
	for i, e := range c.clients[:most] {
		c.until(5, func() bool { return string(e.got) == answer })
		if i == 0 {
			late.got = nil
			late.sends("get key\r\n")
		}
	}
	c.until(5, func() bool { return string(late.got) == answer })
}

// TestDeepPipelinesShare has clients with thousands of requests in their pipelines, and another who asks one at a time. It waits for no
// more of theirs than the worker has under way at once, however many they are.
func TestDeepPipelinesShare(t *testing.T) {
	for _, greedy := range []int{1, 64, 200} {
		t.Run(fmt.Sprint(greedy), func(t *testing.T) {
			const deep = 1000
			c := newCrowd(t, Config{}, greedy)
			answer := c.store("key", 10)
			other := c.join()
			for _, e := range c.clients[:greedy] {
				e.sends(strings.Repeat("get key\r\n", deep))
			}
			answered := func() (n int) {
				for _, e := range c.clients[:greedy] {
					n += len(e.got) / len(answer)
				}
				return n
			}
			c.turns(3)
			for asked := 0; answered() < greedy*deep/2; asked++ {
				before := answered()
				other.got = nil
				other.sends("get key\r\n")
				n := c.until(10, func() bool { return string(other.got) == answer })
				if n > 3 || answered()-before > 2*(fairRequests+greedy) {
					t.Fatalf("the %d. request took %d turns, and %d of others' were answered meanwhile", asked, n, answered()-before)
				}
			}
			least, most := len(c.clients[0].got), 0
			for _, e := range c.clients[:greedy] {
				least, most = min(least, len(e.got)), max(most, len(e.got))
			}
			if (most-least)/len(answer) > fairRequests {
				t.Errorf("one has %d answers and another %d", most/len(answer), least/len(answer))
			}
			c.until(10_000, func() bool { return answered() == greedy*deep })
		})
	}
}

// TestRates has two clients of one address ask more than it may. What is refused is not done, and a request counts once, in however many pieces
// it comes. A reload changes the rates.
func TestRates(t *testing.T) {
	c := newCrowd(t, only(limits.Config{
		Each: limits.Rate{PerSecond: 1, Burst: 4}, Prefixes: []limits.PrefixRate{{Prefix: "p/", Rate: limits.Rate{PerSecond: 1, Burst: 1}}},
	}), 2)
	one, other := c.clients[0], c.clients[1]
	expect := func(e *crowdConn, request, want string) {
		t.Helper()
		e.got = nil
		e.sends(request)
		c.turns(6)
		if string(e.got) != want {
			t.Errorf("%q: got %q, want %q", request, e.got, want)
		}
	}
	expect(one, "set a 0 0 10\r\n123", "")
	expect(one, "45", "")
	expect(one, "67890\r\n", "STORED\r\n")
	expect(one, "get a\r\n", "VALUE a 0 10\r\n1234567890\r\nEND\r\n")
	expect(other, "get p/a\r\nget p/a\r\nmn\r\n", "END\r\n"+limits.Overloaded+"MN\r\n")
	expect(other, "set a 0 0 3\r\nnew\r\nset a 0 0 3 noreply\r\nnew\r\nms a 3 q\r\nnew\r\ndelete a\r\nversion\r\n",
		strings.Repeat(limits.Overloaded, 3)+"VERSION 1.6.18\r\n")
	if _, now, _ := c.memory.Serve([]byte("get a\r\n")); string(now) != "VALUE a 0 10\r\n1234567890\r\nEND\r\n" {
		t.Errorf("the item is %q: what was refused has changed it", now)
	}
	if a, p := c.w.counts.overLimit[limits.Address], c.w.counts.overLimit[limits.Prefix]; a != 4 || p != 1 {
		t.Errorf("%d requests are counted as over the address's rate, want 4, and %d over the prefix's, want 1", a, p)
	}
	cfg := c.w.tables.cfg
	cfg.Limits.Each, cfg.Limits.Prefixes = limits.Rate{}, nil
	free, err := c.srv.newTables(c.w.tables, cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.w.use(free, c.w.views(free))
	expect(other, strings.Repeat("get p/a\r\n", 10), strings.Repeat("END\r\n", 10))
}

// A steady is clients that ask one after another, each its own key.
type steady struct {
	clients []*crowdConn
	answers []string
	counts  []int // requests by the turns that they took; 8 and more as 8
}

// run has each client ask so often, while others do what they do.
func (p *steady) run(c *crowd, requests int) (turns int) {
	p.counts = make([]int, 9)
	asked, since := make([]int, len(p.clients)), make([]int, len(p.clients))
	for i := range p.clients {
		p.clients[i].got = nil
	}
	for left := len(p.clients) * requests; left > 0; turns++ {
		if turns > 100*requests {
			c.tb.Fatalf("%d requests are not answered after %d turns", left, turns)
		}
		for i, e := range p.clients {
			if asked[i] > 0 && string(e.got) == p.answers[i] {
				p.counts[min(turns-since[i], 8)]++
				left--
				e.got = nil
			} else if asked[i] > 0 {
				continue
			}
			if asked[i] < requests {
				_, key, _ := strings.Cut(p.answers[i], " ")
				key, _, _ = strings.Cut(key, " ")
				e.sends("get " + key + "\r\n")
				asked[i]++
				since[i] = turns
			} else {
				asked[i] = 0
			}
		}
		c.turns(1)
	}
	return turns
}

// TestStoppedBackendCostsOthersNothing stops one of eight backends, of which many clients ask with deep pipelines. The clients of the other
// seven do not take a turn more for their requests than before.
func TestStoppedBackendCostsOthersNothing(t *testing.T) {
	p := pool.Config{Name: "main"}
	for i := range 8 {
		p.Backends = append(p.Backends, pool.BackendConfig{Network: "tcp", Address: fmt.Sprintf("127.0.0.1:%d", i+1)})
	}
	c := newCrowd(t, Config{Pools: []pool.Config{p}}, 0)
	const stopped = 4
	var well steady
	var unlucky []string
	for i := 0; len(well.clients) < 20 || len(unlucky) < 20; i++ {
		key := fmt.Sprintf("key-%d", i)
		answer := c.store(key, 10)
		if c.w.pools[0].Shared.Ring.Lookup([]byte(key)) == stopped-1 {
			unlucky = append(unlucky, key)
		} else if len(well.clients) < 20 {
			well.clients, well.answers = append(well.clients, c.join()), append(well.answers, answer)
		}
	}
	well.run(c, 10) // opens the conns
	before := well.run(c, 200)
	counts := well.counts
	c.stopped = stopped
	for _, key := range unlucky {
		c.join().sends(strings.Repeat("get "+key+"\r\n", 500))
	}
	during := well.run(c, 200)
	if during*100 > before*101 {
		t.Errorf("the same requests took %d turns before and %d while a backend is stopped", before, during)
	}
	if !slices.Equal(counts, well.counts) {
		t.Errorf("turns that requests took: %v before, %v while a backend is stopped", counts, well.counts)
	}
	if pl := c.w.pools[0].Pipelines[stopped-1]; pl.Figures.Failures() > 0 || pl.Figures.Calls() < 20 {
		t.Logf("of the stopped one %d calls, %d failed", pl.Figures.Calls(), pl.Figures.Failures())
	}
	if _, pending := c.w.pools[0].Pipelines[stopped-1].Conns(); pending < 20 {
		t.Errorf("%d calls wait for the stopped backend: the run proves little", pending)
	}
}

// TestSlowClientsCostOthersNothing has 1,000 clients hold all that may be held and read a byte now and then. Other clients do not take a turn
// more for their requests than before.
func TestSlowClientsCostOthersNothing(t *testing.T) {
	c := newCrowd(t, only(limits.Config{Bytes: 4 << 20}), 1000)
	slow := slices.Clone(c.clients)
	well := steady{clients: []*crowdConn{c.join(), c.join(), c.join()}}
	for i := range well.clients {
		well.answers = append(well.answers, c.store(fmt.Sprintf("key-%d", i), 10))
	}
	large, first := c.store("large", 100_000), c.join()
	first.sends("get large\r\n") // it is known to be large now
	c.until(10, func() bool { return string(first.got) == large })
	well.run(c, 10)
	before := well.run(c, 50)
	counts := well.counts
	for _, e := range slow {
		e.room = 0
		e.sends("get large\r\n")
	}
	c.turns(100)
	for _, e := range slow {
		e.room = 1
	}
	during := well.run(c, 50)
	if during*100 > before*110 || well.counts[8] > counts[8] {
		t.Errorf("the same requests took %d turns before and %d beside slow clients; by turns %v and %v", before, during, counts, well.counts)
	}
	if c.metered() < 3<<20 {
		t.Errorf("%d bytes are held: the run proves little", c.metered())
	}
}
