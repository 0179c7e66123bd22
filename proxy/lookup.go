package proxy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"mcproxy/hotkey"
	"mcproxy/pool"
	"mcproxy/protocol"
	"mcproxy/proxy/figures"
	"mcproxy/split"
)

// A KeyReport says where a key belongs, and what its backend says of it; never its value.
type KeyReport struct {
	Placement
	WatchHash uint64 // by which hot and oversized keys are told apart, whatever the ring
	State     string // of the backend: "up", "down" or "held"
	Item      *Item  // nil: it is not known, and Failure says why
	Failure   string
}

// An Item is what a backend tells of an item without its value.
type Item = figures.Item

// Lookup finds out about a key of 1..250 bytes, as a request of a client would: in the pool's time, and through the splitting of
// values. It gives ctx's error when that is done first.
func (s *Server) Lookup(ctx context.Context, key []byte) (*KeyReport, error) {
	line := append(append([]byte("mg "), key...), " "+figures.LookupFlags+"\r\n"...)
	var req protocol.Request
	if n, err := protocol.ParseRequest(line, &req); err != nil || n != len(line) || !bytes.Equal(req.Key, key) {
		return nil, errors.New("no key is like that: it has 1 to 250 bytes, and no blank, line end or control character")
	}
	if split.IsReserved(key) {
		return nil, errors.New("keys that begin with " + split.ReservedPrefix + " are the proxies' own")
	}
	q := &inquiry{answer: make(chan []byte, 1)}
	w := s.workers[0]
	down := errors.New("the proxy does not run")
	if !s.ready.Load() {
		return nil, down
	}
	var p *pool.Shared
	err := w.loop.Visit(ctx, func() {
		index := w.tables.routes.Pool(key)
		p = w.tables.pools[index]
		q.exchange.To, q.exchange.Blunt = q, true
		w.nextID++
		w.pools[index].Do(&q.exchange, &req, w.nextID)
	})
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, down
	}
	b := p.Backends[p.Ring.Lookup(key)]
	report := &KeyReport{
		Placement: Placement{
			Key: string(key), Pool: p.Config.Name, Ring: cmp.Or(p.Config.Ring.Kind, "consistent"), Hash: p.Ring.Hash(key), Backend: b.Name, Address: b.Address,
		},
		WatchHash: hotkey.Hash(key),
	}
	select {
	case raw := <-q.answer:
		report.Item, report.Failure = figures.ItemOf(raw)
	case <-ctx.Done():
		return nil, fmt.Errorf("lookup: %w", ctx.Err())
	}
	report.State = b.State().String()
	return report, nil
}

// An inquiry is a request that no client has sent. Its exchange is the loop's.
type inquiry struct {
	exchange pool.Exchange
	answer   chan []byte // gets the one answer
}

// Finish is pool.Requester's.
func (q *inquiry) Finish(_ *pool.Exchange, answer []byte) { q.answer <- bytes.Clone(answer) }
