package pool_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mcproxy/hotkey"
	"mcproxy/internal/simnet"
	"mcproxy/pool"
	"mcproxy/protocol"
)

// A hall is a pool of split values over simulated backends, as two proxies see it that know nothing of each other.
type hall struct {
	t        *testing.T
	net      *simnet.Net
	servers  []*simnet.Server
	proxies  [2]*table // with t, net, shared, loop and pool
	gatherer *pool.Gatherer
	last     string // value of k
}

// newHall makes one; values over 1000 bytes are split, into chunks of at most 4000, and k is such a value.
func newHall(t *testing.T, mode pool.Coalesce, servers int) *hall {
	h := &hall{t: t, net: simnet.New(1)}
	cfg := pool.Config{Name: "main", Coalesce: mode, Split: pool.SplitConfig{Enabled: true, Threshold: 1000, Chunk: 4000}}
	for range servers {
		s, addr := h.net.NewServer()
		h.servers = append(h.servers, s)
		cfg.Backends = append(cfg.Backends, pool.BackendConfig{Network: "tcp", Address: addr})
	}
	for i := range h.proxies {
		shared, err := pool.NewShared(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		shared.SetRandom(func(p []byte) {
			for i := range p {
				p[i] = byte(h.net.Rand.Uint32())
			}
		})
		loop := h.net.NewLoop()
		h.proxies[i] = &table{t: t, net: h.net, shared: shared, loop: loop, pool: pool.New(shared, loop, uint64(i))}
	}
	h.gatherer = pool.NewGatherer(h.proxies[0].loop)
	h.set(0, "k", 20_000)
	return h
}

// set stores a value of so many bytes through a proxy, each time another.
func (h *hall) set(proxy int, key string, size int) {
	h.t.Helper()
	h.last = strings.Repeat("x", size-20) + fmt.Sprintf("%020d", h.net.Rand.Uint64())
	h.want(proxy, fmt.Sprintf("set %s 7 0 %d\r\n%s\r\n", key, size, h.last), protocol.Stored)
}

// want sends a request through a proxy and checks the answer.
func (h *hall) want(proxy int, request, answer string) {
	h.t.Helper()
	r := h.proxies[proxy].ask(request)
	h.net.Run(50 * time.Millisecond)
	if r.text != answer {
		h.t.Errorf("%.60q: got %.60q (%d bytes), want %.60q (%d bytes)", request, r.text, len(r.text), answer, len(answer))
	}
}

func (h *hall) value(key string) string {
	return fmt.Sprintf("VALUE %s 7 %d\r\n%s\r\n", key, len(h.last), h.last)
}

// get gets a key and checks its value, the last one that was set.
func (h *hall) get(proxy int, key string) {
	h.t.Helper()
	h.want(proxy, "get "+key+"\r\n", h.value(key)+protocol.End)
}

// heat makes keys hot, for both proxies; copies as of pool.HotKey.
func (h *hall) heat(copies int, keys ...string) {
	var set []pool.HotKey
	for _, k := range keys {
		set = append(set, pool.HotKey{Hash: hotkey.Hash([]byte(k)), Copies: copies})
	}
	for _, p := range h.proxies {
		p.shared.SetHot(pool.NewHotSet(set))
	}
}

func (h *hall) figures(proxy int) pool.SplitFigures { return h.proxies[proxy].pool.Figures.Split }

func (h *hall) wantAhead(proxy int, kept, dropped uint64) {
	h.t.Helper()
	if f := h.figures(proxy); f.AheadKept != kept || f.AheadDropped != dropped {
		h.t.Errorf("%d reads ahead were kept and %d dropped, want %d and %d", f.AheadKept, f.AheadDropped, kept, dropped)
	}
}

// home is the number of a key's server.
func (h *hall) home(key string) int { return h.proxies[0].shared.Ring.Lookup([]byte(key)) }

// TestChunksAreAskedForWithTheManifest stops the home server of a hot key: the other servers' chunks are asked for all the same,
// and not again when it goes on.
func TestChunksAreAskedForWithTheManifest(t *testing.T) {
	h := newHall(t, pool.CoalesceOff, 4)
	h.heat(0, "k")
	h.get(0, "k")
	h.wantAhead(0, 0, 0)
	calls := func() (n uint64) {
		for i := range h.servers {
			n += h.proxies[0].pool.Bulk(i).Figures.Calls()
		}
		return n
	}
	before := calls()
	home := h.servers[h.home("k")]
	home.Pause()
	r := h.proxies[0].ask("get k\r\n")
	h.net.Run(20 * time.Millisecond)
	asked := calls() - before
	if r.done || asked != 8 { // of 20,000 bytes over 4 servers
		t.Errorf("while its home stands still, %d chunks were asked for, and answered is %v", asked, r.done)
	}
	home.Resume()
	h.net.Run(20 * time.Millisecond)
	if r.text != h.value("k")+protocol.End || calls() != before+asked {
		t.Errorf("got %d bytes, %d calls more", len(r.text), calls()-before-asked)
	}
	h.wantAhead(0, 1, 0)
}

// TestRememberedManifestThatIsOld lets another proxy change the value in every way.
func TestRememberedManifestThatIsOld(t *testing.T) {
	h := newHall(t, pool.CoalesceAll, 4)
	h.heat(0, "k")
	h.get(0, "k")
	h.set(1, "k", 9_000)
	h.get(0, "k")
	h.wantAhead(0, 0, 1)
	h.get(0, "k")
	h.wantAhead(0, 1, 1)
	h.set(1, "k", 500) // plain
	h.get(0, "k")
	h.wantAhead(0, 1, 2)
	h.get(0, "k") // forgotten
	h.set(1, "k", 9_000)
	h.get(0, "k")
	h.wantAhead(0, 1, 2)
	h.want(1, "delete k\r\n", protocol.Deleted)
	h.want(0, "get k\r\n", protocol.End)
	h.wantAhead(0, 1, 3)
	if f := h.figures(0); f.Retried != 0 || f.ChunksMissing != 0 || f.Dead != 0 {
		t.Errorf("%+v: what is read ahead in vain is no loss of chunks", f)
	}
}

// TestJoinedGetsOfASplitValue asks many times in one turn: the value is put together once.
func TestJoinedGetsOfASplitValue(t *testing.T) {
	h := newHall(t, pool.CoalesceHot, 4)
	h.heat(0, "k")
	h.get(0, "k")
	before := h.figures(0)
	hits := h.proxies[0].pool.Figures.Hits()
	var replies []*reply
	for range 100 {
		replies = append(replies, h.proxies[0].ask("get k\r\n"))
	}
	h.net.Run(50 * time.Millisecond)
	for i, r := range replies {
		if r.text != h.value("k")+protocol.End {
			t.Fatalf("get %d got %d bytes", i, len(r.text))
		}
	}
	after := h.figures(0)
	if after.Read-before.Read != 1 || after.AheadKept-before.AheadKept != 1 || after.ChunksRead-before.ChunksRead != 8 {
		t.Errorf("before 100 gets in one turn %+v, after them %+v", before, after)
	}
	if n := h.proxies[0].pool.Figures.Hits() - hits; n != 100 {
		t.Errorf("100 gets count as %d hits", n)
	}
}

// TestGetOfSeveralReadsAhead gets hot split values, one of them twice, one changed by another proxy, and small ones together.
func TestGetOfSeveralReadsAhead(t *testing.T) {
	h := newHall(t, pool.CoalesceAll, 4)
	h.heat(0, "k", "changed", "gone", "small")
	h.set(0, "changed", 8_000)
	h.get(0, "changed")
	h.set(0, "gone", 8_000)
	h.get(0, "gone")
	h.set(1, "changed", 7_000)
	changed := h.value("changed")
	h.want(1, "delete gone\r\n", protocol.Deleted)
	h.set(0, "small", 50)
	small := h.value("small")
	h.set(0, "k", 20_000)
	h.get(0, "k")
	before, hits, misses := h.figures(0), h.proxies[0].pool.Figures.Hits(), h.proxies[0].pool.Figures.Misses()
	keys := []string{"k", "changed", "gone", "small", "k"}
	r := &reply{}
	h.proxies[0].loop.Post(func() {
		var req protocol.Request
		if _, err := protocol.ParseRequest([]byte("get "+strings.Join(keys, " ")+"\r\n"), &req); err != nil {
			t.Error(err)
		}
		g := h.gatherer.Begin(&pool.Exchange{To: r}, &req)
		for _, k := range keys {
			g.Add(h.proxies[0].pool, []byte(k))
		}
		g.Send(1)
	})
	h.net.Run(50 * time.Millisecond)
	if want := h.value("k") + changed + small + h.value("k") + protocol.End; r.text != want {
		t.Errorf("got %d bytes, want %d", len(r.text), len(want))
	}
	h.wantAhead(0, before.AheadKept+2, before.AheadDropped+2)
	if f := h.proxies[0].pool.Figures; f.Hits()-hits != 4 || f.Misses()-misses != 1 {
		t.Errorf("%d hits and %d misses", f.Hits()-hits, f.Misses()-misses)
	}
}

// TestColdKeysAreForgotten reads a key that is hot no more.
func TestColdKeysAreForgotten(t *testing.T) {
	h := newHall(t, pool.CoalesceAll, 2)
	h.heat(0, "k")
	h.get(0, "k")
	h.heat(0, "other")
	h.get(0, "k")
	h.heat(0, "k")
	h.get(0, "k") // not known from before
	h.wantAhead(0, 0, 0)
	h.get(0, "k")
	h.wantAhead(0, 1, 0)
}

// TestReadAheadOfAServerThatFails fails the home server under a read ahead.
func TestReadAheadOfAServerThatFails(t *testing.T) {
	h := newHall(t, pool.CoalesceOff, 4)
	h.heat(0, "k")
	h.get(0, "k")
	h.servers[h.home("k")].Kill()
	h.want(0, "get k\r\n", protocol.End)
	h.wantAhead(0, 0, 1)
}
