package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"mcproxy/bench/workload"
	"mcproxy/protocol"
)

// A goClient sends a load through gomemcache, the client that most Go applications have: one Client, and a goroutine for
// each conn, each with one operation at a time. So its figures are what an application sees, the client's own time and the
// scheduler's included.
type goClient struct {
	client *memcache.Client
	cfg    *Config
	pace   pace

	sent, received atomic.Int64 // bytes since the start

	mu       sync.Mutex
	recorder // guarded by mu

	goers []*goer
}

// A goer is one goroutine's stream.
type goer struct {
	*goClient
	stream   workload.Stream
	watch    workload.Observer // may be nil
	quota    int64             // operations that it may still begin; < 0: no limit
	due      time.Duration
	arrivals *rand.Rand
}

func newGoClient(r *run) *goClient {
	g := &goClient{client: memcache.New(r.address.name), cfg: r.cfg, pace: newPace(r.cfg), recorder: newRecorder(r)}
	g.client.Timeout, g.client.MaxIdleConns = r.cfg.Timeout, r.cfg.Conns
	g.client.DialContext = func(ctx context.Context, network, name string) (net.Conn, error) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, network, name)
		if err != nil {
			return nil, err
		}
		return &countedConn{Conn: conn, client: g}, nil
	}
	for i := range r.cfg.Conns {
		a := &goer{
			goClient: g, quota: share(r.cfg.Requests, i, r.cfg.Conns),
			arrivals: rand.New(rand.NewPCG(r.cfg.Seed, 1<<62+uint64(i))),
		}
		a.stream, a.watch = r.streams(i)
		a.due = a.pace.first(a.arrivals, i, r.cfg.Conns)
		g.goers = append(g.goers, a)
	}
	return g
}

// A countedConn counts the bytes of the measured time.
type countedConn struct {
	net.Conn
	client *goClient
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.client.run.clock() >= c.client.measureFrom {
		c.client.received.Add(int64(n))
	}
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	if c.client.run.clock() >= c.client.measureFrom {
		c.client.sent.Add(int64(len(p)))
	}
	return c.Conn.Write(p)
}

func (g *goClient) loop() error {
	var wait sync.WaitGroup
	for _, a := range g.goers {
		wait.Go(a.loop) // ends by itself; loop waits
	}
	wait.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.run.clock()
	g.ended = g.now
	for _, a := range g.goers {
		if a.quota != 0 {
			g.tally.late += g.pace.late(max(a.due, g.measureFrom), min(g.now, g.until))
		}
	}
	g.tally.sentOut, g.tally.received = g.sent.Load(), g.received.Load()
	g.close()
	return g.client.Close()
}

func (g *goClient) leave() {}

// loop sends one operation after the other until the end.
func (a *goer) loop() {
	var o workload.Op
	for {
		now := a.run.clock()
		if a.run.stopped.Load() || now >= a.until || a.quota == 0 {
			return
		}
		o.Reset()
		switch a.stream.Next(&o, max(now, a.due)) {
		case workload.Ended:
			return
		case workload.Later:
			if !a.sleep(max(o.At, now+time.Millisecond)) {
				return
			}
			continue
		}
		if a.pace.open() && !o.Follows {
			if !a.sleep(a.due) {
				return
			}
			o.At = a.due
			a.due += a.pace.gap(a.arrivals)
		}
		o.Sent = a.run.clock()
		if o.At == 0 {
			o.At = o.Sent
		}
		if o.At >= a.measureFrom && a.quota > 0 {
			a.quota--
		}
		if a.watch != nil {
			a.watch.Sending(&o)
		}
		items, status, err := a.do(&o)
		a.answered(&o, items, status, err)
	}
}

// sleep waits until a moment of the run's clock; not when the run ends before.
func (a *goer) sleep(until time.Duration) bool {
	for {
		now := a.run.clock()
		if a.run.stopped.Load() || now >= a.until {
			return false
		}
		if now >= until {
			return true
		}
		time.Sleep(min(until-now, maxWait))
	}
}

// answered counts an operation. items are in the order of the keys asked for.
func (a *goer) answered(o *workload.Op, items []*memcache.Item, status protocol.Status, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = a.run.clock()
	for _, item := range items {
		a.unit(a.watch, o, &protocol.Response{
			Status: protocol.StatusHit, Key: []byte(item.Key), ClientFlags: item.Flags, Value: item.Value,
		})
	}
	if err != nil && o.At >= a.measureFrom {
		a.tally.failure(truncate(err.Error()), 1)
		var netError net.Error
		switch {
		case errors.As(err, &netError) && netError.Timeout():
			a.tally.timeouts++
			a.tally.broken++
		case status == protocol.StatusInvalid:
			a.tally.broken++
		}
	}
	a.finish(a.watch, o, status)
	for a.now >= a.windowEnd {
		a.closeWindow()
	}
}

// do sends one operation and waits for its answer. err is for what is no ordinary answer.
func (a *goer) do(o *workload.Op) (items []*memcache.Item, status protocol.Status, err error) {
	key := string(o.Key)
	switch o.Verb {
	case protocol.Get, protocol.Gets: // the client sends gets for both
		return a.get(o)
	case protocol.Set:
		status, err = protocol.StatusStored, a.client.Set(itemOf(o))
	case protocol.Add:
		status, err = protocol.StatusStored, a.client.Add(itemOf(o))
	case protocol.Replace:
		status, err = protocol.StatusStored, a.client.Replace(itemOf(o))
	case protocol.Append:
		status, err = protocol.StatusStored, a.client.Append(itemOf(o))
	case protocol.Prepend:
		status, err = protocol.StatusStored, a.client.Prepend(itemOf(o))
	case protocol.Delete:
		status, err = protocol.StatusDeleted, a.client.Delete(key)
	case protocol.Touch:
		status, err = protocol.StatusTouched, a.client.Touch(key, o.Exptime)
	case protocol.Incr:
		status = protocol.StatusNumber
		_, err = a.client.Increment(key, o.Delta)
	case protocol.Decr:
		status = protocol.StatusNumber
		_, err = a.client.Decrement(key, o.Delta)
	default:
		return nil, protocol.StatusInvalid, errors.New("gomemcache has no " + o.Verb.String())
	}
	switch {
	case err == nil:
		return nil, status, nil
	case errors.Is(err, memcache.ErrCacheMiss):
		return nil, protocol.StatusNotFound, nil
	case errors.Is(err, memcache.ErrNotStored):
		return nil, protocol.StatusNotStored, nil
	}
	return nil, protocol.StatusInvalid, err
}

func (a *goer) get(o *workload.Op) (items []*memcache.Item, status protocol.Status, err error) {
	if o.Width == 1 {
		item, err := a.client.Get(string(o.Key))
		switch {
		case err == nil:
			return []*memcache.Item{item}, protocol.StatusHit, nil
		case errors.Is(err, memcache.ErrCacheMiss):
			return nil, protocol.StatusMiss, nil
		}
		return nil, protocol.StatusInvalid, err
	}
	var keys []string
	for key, rest := protocol.NextKey(o.Key); key != nil; key, rest = protocol.NextKey(rest) {
		keys = append(keys, string(key))
	}
	found, err := a.client.GetMulti(keys)
	if err != nil {
		return nil, protocol.StatusInvalid, err
	}
	for _, key := range keys { // a key asked for twice is found twice
		if item, ok := found[key]; ok {
			items = append(items, item)
		}
	}
	return items, protocol.StatusEnd, nil
}

func itemOf(o *workload.Op) *memcache.Item {
	return &memcache.Item{Key: string(o.Key), Value: o.Value, Flags: o.Flags, Expiration: o.Exptime}
}
