package admin_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"mcproxy/admin"
	"mcproxy/proxy"
)

var pictures = flag.String("pictures", "", "write pictures of the page to this directory, to look at")

// A stage is a source that plays a day at the proxy: its counters go on with time.
type stage struct {
	start time.Time

	mu     sync.Mutex
	hidden bool // guarded by mu, as all below
	split  bool
	dead   bool
	keys   []proxy.HotKey
	large  []proxy.OversizedKey
	failed bool
}

func newStage(start time.Time) *stage {
	return &stage{
		start: start,
		keys: []proxy.HotKey{
			{Key: "7f1b0ffb2ba1ed2fb1a1f1f61ee3a6a8c9f0e7d2", Hash: 1, Kind: "byte-hot", Hot: true, Since: start, Ops: 41.3, Reads: 21, Writes: 20.3, Bytes: 16.4e6, ValueBytes: 404_200, Share: .52, Err: .001, Load: 1.04, Backend: "b1", Action: "coalesced"},
			{Key: "2c9a7d0f5cf0b5f7ef1b5a4b5f2b0d0b7a6f1e33", Hash: 2, Kind: "byte-hot", Hot: true, Since: start, Ops: 38.9, Reads: 19, Writes: 19.9, Bytes: 15.2e6, ValueBytes: 398_112, Share: .31, Err: .001, Load: .62, Backend: "b1", Action: "coalesced"},
			{Key: "front-page", Hash: 3, Kind: "read-hot", Hot: true, Since: start, Ops: 2210, Reads: 2210, Bytes: 4.2e6, ValueBytes: 1912, Share: .09, Err: .002, Load: .18, Backend: "b2", Action: "coalesced"},
			{Key: `<img src=x onerror="document.title='pwned'">`, Hash: 4, Kind: "write-hot", Hot: true, Since: start, Ops: 910, Reads: 10, Writes: 900, Bytes: 91e3, ValueBytes: 100, Share: .03, Load: .06, Backend: "b2"},
			{Key: "lukewarm", Hash: 5, Kind: "write-hot", Ops: 12, Bytes: 1200, ValueBytes: 100, Share: .002, Load: .004, Backend: "b2"},
		},
		large: []proxy.OversizedKey{
			{Key: "7f1b0ffb2ba1ed2fb1a1f1f61ee3a6a8c9f0e7d2", Hash: 1, ValueBytes: 404_200, Ops: 41.3, Backend: "b1", Action: "splitting is off"},
			{Key: `a"'/></script><script>document.title='pwned'</script>`, Hash: 6, ValueBytes: 8_012_345, Ops: .1, Age: 20 * time.Second, Backend: "b1", Action: "too large, refused"},
		},
	}
}

func (s *stage) Ready() bool                 { return true }
func (s *stage) Release(string, string) bool { return false }

func (s *stage) Reload(context.Context) (string, error) { return "", errors.New("this is a stage") }

func (s *stage) Upgrade(context.Context) (string, error) { return "", errors.New("this is a stage") }

func (s *stage) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// at gives the figures of a moment.
func (s *stage) at(now time.Time) proxy.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := now.Sub(s.start).Seconds()
	wave := t + 10*math.Sin(t/40) + 2*math.Sin(t/7)
	count := func(rate float64) uint64 { return uint64(max(0, rate*wave)) }
	backend := func(name string, port int, part float64) proxy.BackendFigures {
		return proxy.BackendFigures{
			Name: name, Address: fmt.Sprintf("10.0.0.%d:11211", port), Version: "1.6.18", State: "up", Conns: 4, Pending: 1, Calls: count(2100 * part),
			BytesIn: count(21e6 * part), BytesOut: count(14e6 * part),
		}
	}
	a, b := 0.97, 0.03
	if s.split {
		a, b = 0.51, 0.49
	}
	p := proxy.PoolFigures{
		Name: "tokens", Oversized: s.large,
		PoolSum: proxy.PoolSum{Requests: map[string]uint64{"get": count(1800), "set": count(240)}, Hits: count(1730), Misses: count(70)},
		HotKeys: map[string]int{"byte-hot": 2}, Backends: []proxy.BackendFigures{backend("b1", 1, a), backend("b2", 2, b)},
	}
	for _, k := range []struct {
		op     string
		rate   float64
		bucket int
	}{{"get", 1800, 33}, {"store", 240, 38}} { // a quarter of a millisecond, and half of one
		d := proxy.OpDurations{Op: k.op, Histogram: proxy.Histogram{Counts: make([]uint64, 102)}}
		for i, part := range []float64{.2, .5, .2, .07, .02, .008, .0015, .0005} {
			d.Counts[k.bucket+2*i] = count(k.rate * part)
		}
		p.Durations = append(p.Durations, d)
	}
	p.Callers = map[uint64][]proxy.Caller{
		1: {{Address: "10.0.9.7", Share: .93}, {Address: "10.0.9.12", Share: .07}},
		2: {{Address: "10.0.9.12", Share: 1}},
		3: {{Address: "10.0.8.1", Share: .26}, {Address: "10.0.8.2", Share: .25}, {Address: "10.0.8.3", Share: .25}, {Address: "10.0.8.4", Share: .24}},
	}
	if s.dead {
		p.Backends[1].State, p.Backends[1].Version, p.Backends[1].JournalKeys = "down", "", 17
		p.Backends[1].Failures, p.Failures = count(3), count(3)
	}
	var many proxy.PoolFigures
	many.Name, many.Requests = "sessions", map[string]uint64{"get": count(900)}
	for i := range 12 {
		many.Backends = append(many.Backends, backend(fmt.Sprintf("10.1.0.%d:11211", i+1), i+1, .01+.002*float64(i%5)))
	}
	return proxy.Snapshot{
		Start: s.start, Workers: 2, Pools: []proxy.PoolFigures{p, many},
		Clients: proxy.ClientFigures{Conns: 64, Accepted: 70, BytesIn: count(15e6), BytesOut: count(22e6)},
		Addresses: []proxy.AddressFigures{
			address("10.0.9.7", count(40), count(15e6)), address("10.0.9.12", count(39), count(14e6)), address("10.0.8.1", count(570), count(1e6)),
			address("10.0.8.2", count(560), count(1e6)), address(proxy.OtherAddresses, count(800), count(1e6)),
		},
		Events: []proxy.Event{
			{ID: 1, At: s.start, Kind: proxy.EventStart, Text: "clients are accepted"},
			{ID: 2, At: s.start.Add(time.Minute), Kind: proxy.EventPromoted, Pool: "tokens", Key: s.keys[0].Name(), Text: s.keys[0].Name() + " is byte-hot: 52 % of the pool's cost"},
			{ID: 3, At: s.start.Add(2 * time.Minute), Kind: proxy.EventDown, Pool: "sessions", Backend: "10.1.0.3:11211", Text: "the backend is down: connection refused"},
			{ID: 4, At: s.start.Add(3 * time.Minute), Kind: proxy.EventUp, Pool: "sessions", Backend: "10.1.0.3:11211", Text: "the backend is up"},
		},
	}
}

// address gives what clients of one have done; one request of 20 brings a value.
func address(name string, requests, bytes uint64) proxy.AddressFigures {
	a := proxy.AddressFigures{Address: name}
	a.Conns, a.Requests, a.Stores, a.BytesIn, a.BytesOut = 8, requests, requests/20, bytes/2, bytes/2
	return a
}

func (s *stage) Snapshot(context.Context) (proxy.Snapshot, error) {
	s.mu.Lock()
	failed := s.failed
	s.mu.Unlock()
	if failed {
		return proxy.Snapshot{}, context.DeadlineExceeded
	}
	return s.at(time.Now()), nil
}

func (s *stage) HotKeys() []proxy.HotKeys {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []proxy.HotKeys{{Pool: "tokens", At: time.Now(), Hidden: s.hidden, Keys: s.keys}, {Pool: "sessions", At: time.Now()}}
}

func (s *stage) Lookup(_ context.Context, key []byte) (*proxy.KeyReport, error) {
	return &proxy.KeyReport{
		Placement: proxy.Placement{Key: string(key), Pool: "tokens", Ring: "cmemcache", Hash: 12345, Backend: "b1", Address: "10.0.0.1:11211"},
		WatchHash: 1, State: "up", Item: &proxy.Item{Found: true, ValueBytes: 404_200, Flags: 1, TTL: 3599 * time.Second, Idle: 2 * time.Second, Fetched: true},
	}, nil
}

// play serves a stage's page, with 15 minutes behind it.
func play(t *testing.T, s *stage) *httptest.Server {
	t.Helper()
	server := admin.New(s, admin.Options{Build: admin.Build{Version: "v1.2.3", GoVersion: "go1.26"}}, zap.NewNop())
	for at := s.start; at.Before(time.Now()); at = at.Add(time.Second) {
		server.Record(at, s.at(at), s.HotKeys())
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // ends with ctx
		defer close(done)
		server.Watch(ctx)
	}()
	web := httptest.NewServer(server.Handler(true))
	t.Cleanup(func() {
		web.Close()
		cancel()
		<-done
	})
	return web
}
