package pool

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"mcproxy/backend"
	"mcproxy/placement"
	"mcproxy/protocol"
)

// Where requests go while backends are down.

// Link gives the pools of a process that have one the pool that stands in for their backends. Call it before the first Pool is made; what
// is linked already stays as it is.
func Link(pools []*Shared) error {
	for _, s := range pools {
		if s.Config.OnDown != placement.OnDownGutter || s.Table.Spared() {
			continue
		}
		i := slices.IndexFunc(pools, func(o *Shared) bool { return o.Config.Name == s.Config.Gutter })
		if i < 0 || pools[i] == s {
			return fmt.Errorf("pool %s: gutter %q is no other pool", s.Config.Name, s.Config.Gutter)
		}
		s.Table.SetSpare(pools[i].Table)
	}
	return nil
}

// OnStanding has tell told when it changes where the proxies have agreed to look for a backend's keys, and when it shows that they had not: kind is
// placement.Event.Kind, text a line for people. It must not block. Call it before the table is kept.
func (s *Shared) OnStanding(tell func(kind, pool, backend, text string)) {
	s.Table.SetNotify(func(e placement.Event) {
		name := s.Backends[e.Node].Name
		tell(e.Kind(), s.Config.Name, name, e.Text(name))
	})
}

// LinkPools does for a worker's views of them what Link did for the pools.
func LinkPools(pools []*Pool) {
	for _, p := range pools {
		for _, o := range pools {
			if p.Shared.Config.OnDown == placement.OnDownGutter && o.Shared.Config.Name == p.Shared.Config.Gutter {
				p.spare = o.Pipelines
			}
		}
	}
}

// pipeline is the one to the backend of a placement.Spot.
func (p *Pool) pipeline(node int) *backend.Pipeline {
	if n := len(p.Pipelines); node >= n {
		return p.spare[node-n]
	}
	return p.Pipelines[node]
}

// leave prepares a request for a stand-in. An error says that it must not be sent.
func (p *Pool) leave(spot placement.Spot, req *protocol.Request) *backend.Error {
	if !spot.Holds(p.loop.Kernel.Elapsed()) {
		return p.moved(spot)
	}
	if spot.Spare() {
		placement.CapTTL(req, cmp.Or(p.Shared.Config.GutterTTL, DefaultGutterTTL))
	}
	if req.Verb.IsWrite() && !spot.Leave(req.Key, p.loop.Now) {
		return &backend.Error{Backend: p.pipeline(spot.Node).Backend.Name, Err: backend.ErrOverflow}
	}
	return nil
}

// moved is why a request to a stand-in fails when it is not known any more that the key is looked for there.
func (p *Pool) moved(spot placement.Spot) *backend.Error {
	return &backend.Error{Backend: p.pipeline(spot.Node).Backend.Name, Sent: true, Err: backend.ErrAway}
}

// arrived takes note of a stand-in's answer, and says whether it counts: the key may be looked for elsewhere by now. If not, the client has heard.
func (x *Exchange) arrived(sent []byte, r *protocol.Response) bool {
	p := x.pool
	if x.verb.IsWrite() {
		x.spot.Arrived(p.keyOf(sent, r), p.loop.Now)
	}
	if x.spot.Holds(p.loop.Kernel.Elapsed()) {
		return true
	}
	x.Fail(nil, sent, p.moved(x.spot))
	return false
}

// places is the pool as package steps sees it.
type places Pool

// Place says where a key is to be found.
func (p *places) Place(key []byte) (placement.Spot, *backend.Pipeline) {
	spot := p.Shared.Table.Spot(key)
	return spot, (*Pool)(p).pipeline(spot.Node)
}

// Holds says why the answer of a stand-in does not count; nil: it does.
func (p *places) Holds(spot placement.Spot) *backend.Error {
	if spot.Holds(p.loop.Kernel.Elapsed()) {
		return nil
	}
	return (*Pool)(p).moved(spot)
}

// Leave prepares a request for a stand-in.
func (p *places) Leave(spot placement.Spot, req *protocol.Request) *backend.Error {
	return (*Pool)(p).leave(spot, req)
}

// Await waits, for a moment, until it is known where the pools' keys are looked for: see placement.Table.
func Await(ctx context.Context, pools []*Shared) {
	began := time.Now()
	for _, p := range pools {
		p.Table.Await(ctx, began)
	}
}
