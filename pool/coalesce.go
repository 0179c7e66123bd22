package pool

import (
	"bytes"
	"fmt"

	"mcproxy/backend"
	"mcproxy/hotkey"
	"mcproxy/placement"
	"mcproxy/pool/chunks"
	"mcproxy/pool/copies"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
)

// Coalesce says which reads may share a fetch.
type Coalesce uint8

// The values of Coalesce.
const (
	CoalesceHot Coalesce = iota // "hot": of keys that the detector calls hot
	CoalesceAll                 // "all": of every key
	CoalesceOff                 // "off": of none
)

func (c Coalesce) String() string {
	switch c {
	case CoalesceHot:
		return "hot"
	case CoalesceAll:
		return "all"
	case CoalesceOff:
		return "off"
	}
	return fmt.Sprintf("Coalesce(%d)", uint8(c))
}

// A coalescer lets gets of one key share a fetch, within one worker.
//
// A get may join a fetch whose request has not been handed to the kernel: then the answer is read later than the get was
// asked, and cannot be older than a write that was acknowledged before. Joining a fetch that is on its way, as singleflight
// does, would be wrong: its answer may have been read already when another client's write was acknowledged. So of each key
// there is at most one fetch on the wire, and one that waits for its end, which all later gets join.
//
//	get ──► none ──► send ──► on the wire ──► answer to all who joined
//	get ──► not sent yet ──► join               │
//	get ──► on the wire ──► join the waiting ◄──┘ sent now
//
// Nor may a get join one whose key has gone into the journal since it was let through, though it was not sent: what it reads
// may be older than the write that failed.
//
// A client whose own writes are unanswered reads alone, so that it cannot miss them; a client that waits for a fetch is not
// parsed further (Exchange.Waits), so that its later writes cannot overtake it. Nor does a get join a fetch that may be before
// what its client reads already: behind a retrieval of several keys, which joins none, and behind a get that a fetch of the
// other verb stood beside, it is asked for itself if the fetch is not on the wire (Exchange.Behind, Exchange.Fences).
type coalescer struct {
	fetches map[uint64]*fetch // by key and verb: the newest, or the one on the wire with the waiting one behind it
	withCAS int               // of them: those of gets
	free    []*fetch
	joined  map[uint64]uint64 // by hotkey.Hash: gets that joined others' fetches since AddJoined
}

// A fetch is one get of a key for all who joined it.
type fetch struct {
	p           *Pool
	id          uint64
	verb        protocol.Verb
	key         []byte
	affinity    uint32
	spot        placement.Spot // where it was sent
	call        backend.Call
	held        bool // it waits for the end of the one on the wire
	deadline    int64
	first, last *Exchange
	next        *fetch          // the waiting one
	ahead       *chunks.Ahead   // chunks that are read meanwhile, for all; nil: none are
	elsewhere   *copies.Reading // of a copy, until it is there; nil: the home was asked
	answered    bool
	joins       uint64 // gets that share it, but for the first
	expects     int    // bytes of the value, if it is known to be large: it takes a lane. 0: it does not
	entered     bool   // it is on the lane
}

// share answers a get by a fetch that it may share with others, and says whether it does.
func (p *Pool) share(x *Exchange, req *protocol.Request, affinity uint32) bool {
	if req.Verb != protocol.Get && req.Verb != protocol.Gets || x.Alone {
		return false
	}
	id, ok := p.sharedID(req)
	if !ok {
		return false
	}
	c := &p.coalescer
	if c.withCAS > 0 || req.Verb == protocol.Gets {
		if o := c.fetches[^id]; o != nil && !o.sent() {
			x.Fences = true // what this client asks later could join that one, and find what was there before this one
		}
	}
	f := c.fetches[id]
	switch {
	case f == nil:
		f = p.newFetch(id, req, affinity)
		f.takeLane(x, req)
		f.join(x)
		c.fetches[id] = f
		f.send()
		x.Waits = x.Waits || f.expects > 0 // 0 too if it has failed
		return true
	case f.verb != req.Verb || !bytes.Equal(f.key, req.Key): // two keys with one hash: one of them does without
		x.Fences = true // as above
		return false
	case p.pipeline(f.spot.Node).Blocked(req.Key): // a write has failed since the fetch was let through
		return false
	case !p.Shared.Table.Current(f.spot, req.Key): // it reads where the key is no more
		return false
	case f.expects > 0 && !x.Sole:
		return false
	case f.sent() && p.Shared.mutant != joinsSent:
		if f.next == nil {
			f.next = p.newFetch(id, req, affinity)
			f.next.held = true
			f.next.takeLane(x, req)
			f.next.deadline = p.Pipelines[0].Deadline()
		}
		f = f.next
		if f.expects > 0 && !x.Sole { // it would be on another conn than what the client has asked before
			return false
		}
		x.Waits = true
	case x.Behind:
		return false
	case affinity != f.affinity && len(p.Pipelines) > 0 && p.Shared.Config.Backend.Connections > 1:
		x.Waits = true // what this client asks later may go on another conn
	}
	if f.first != nil { // the first who waits has the fetch sent
		p.Figures.Joined++
		f.joins++
	}
	f.join(x)
	x.Waits = x.Waits || f.expects > 0
	x.Strays = f.elsewhere != nil
	return true
}

// sent says whether it is too late to join: what is read may be read already, or not be true any more.
func (f *fetch) sent() bool {
	if f.elsewhere != nil {
		return !f.elsewhere.Fresh()
	}
	return f.answered || f.call.Sent()
}

// sharedID names the fetches that a get may join; not ok: it reads alone.
func (p *Pool) sharedID(req *protocol.Request) (id uint64, ok bool) {
	switch p.Shared.Config.Coalesce {
	case CoalesceOff:
		return 0, false
	case CoalesceHot:
		hot := p.Shared.hot.Load()
		if hot == nil {
			return 0, false
		}
		id = hotkey.Hash(req.Key)
		if !hot.Has(id) {
			return 0, false
		}
	case CoalesceAll:
		id = hotkey.Hash(req.Key)
	}
	if req.Verb == protocol.Gets {
		id = ^id
	}
	return id, true
}

func (p *Pool) newFetch(id uint64, req *protocol.Request, affinity uint32) *fetch {
	c := &p.coalescer
	f := new(fetch)
	if n := len(c.free); n > 0 {
		f = c.free[n-1]
		c.free = c.free[:n-1]
	} else if c.fetches == nil {
		c.fetches = make(map[uint64]*fetch)
	}
	if req.Verb == protocol.Gets {
		c.withCAS++
	}
	f.p, f.id, f.verb, f.affinity = p, id, req.Verb, affinity
	f.key = append(f.key[:0], req.Key...)
	f.call.Owner = f
	return f
}

func (f *fetch) join(x *Exchange) {
	if f.first == nil {
		f.first = x
	} else {
		f.last.joined = x
	}
	f.last = x
	x.joined = nil
}

// send sends the fetch, within the time of the first who joined.
func (f *fetch) send() {
	p := f.p
	req := &p.request
	*req = protocol.Request{Verb: f.verb, Key: f.key, Keys: f.key, NumKeys: 1, ValueLen: -1}
	f.spot = p.Shared.Table.Spot(f.key)
	node := f.spot.Node
	pl := p.pipeline(node)
	if !f.held {
		f.deadline = pl.Deadline()
	}
	f.held = false
	p.Figures.Fetches++
	if p.splitter != nil {
		f.ahead = p.splitter.ReadAhead(f.key, f.affinity)
	}
	if p.replicas != nil && p.replicas.Spread(node) {
		g := copies.Get{To: f, Verb: f.verb, Key: f.key, Node: node, Affinity: f.affinity, Deadline: f.deadline + int64(p.Shared.timeout)/4}
		if f.elsewhere = p.replicas.Pick(g); f.elsewhere != nil {
			for x := f.first; x != nil; x = x.joined {
				x.Strays = true
			}
			f.elsewhere.Begin()
			return
		}
	}
	if f.spot.Away() && !f.spot.Holds(p.loop.Kernel.Elapsed()) {
		f.fail(p.moved(f.spot))
		return
	}
	if f.expects > 0 && !f.spot.Away() {
		if pl, f.entered = p.lanes.enter(node, f.expects); !f.entered {
			f.fail(p.pipeline(node).Refuse())
			return
		}
	}
	if err := pl.SendBy(&f.call, req, f.affinity, f.deadline); err != nil {
		f.fail(err)
	}
}

// Answer gives the answer to all who joined.
func (f *fetch) Answer(_ *backend.Call, r *protocol.Response, raw []byte) error {
	f.Read(r, raw)
	return nil
}

// Read is Answer, wherever it comes from.
func (f *fetch) Read(r *protocol.Response, raw []byte) {
	f.elsewhere, f.answered = nil, true
	if f.spot.Away() && !f.spot.Holds(f.p.loop.Kernel.Elapsed()) {
		f.fail(f.p.moved(f.spot))
		return
	}
	f.offLane()
	if f.p.reserved(r) {
		item := f.p.reservedItem(f.verb, nil, r)
		item.Ahead, item.Readers = f.ahead, f.readers()
		f.p.splitter.Get(item, func(l *steps.Large, _ bool) { f.deliver(l.Bytes, l) })
		return
	}
	f.ahead.DropFor(r)
	if f.p.splitter != nil {
		f.p.splitter.WarmPlain(r)
	}
	f.p.Figures.Told(f.verb, r.Status, f.readers())
	hash := f.hash()
	if r.Status == protocol.StatusHit {
		f.p.sawWhole(f.key, len(r.Value), f.readers())
		f.p.lanes.note(f.key, len(r.Value))
		for x := f.first; x != nil; x = x.joined {
			f.p.Figures.Read.Observe(len(r.Value))
			if d := f.p.detector; d != nil { // what clients ask for counts, not what it costs the backend
				d.ObserveValue(hash, f.key, len(r.Value))
			}
		}
	}
	if len(raw) >= laneValue && f.first != f.last && !f.p.Dial.Over(len(raw)) { // none of them gets a copy of his own
		l := steps.Copied(raw, &f.p.loop.Buffers, f.p.Dial)
		f.deliver(l.Bytes, l)
		l.Release()
		return
	}
	f.deliver(raw, nil)
}

// hash is hotkey.Hash of the key.
func (f *fetch) hash() uint64 {
	if f.verb == protocol.Gets {
		return ^f.id
	}
	return f.id
}

// AddJoined adds, for each key, the gets that joined others' fetches since the last time. The loop calls it.
func (p *Pool) AddJoined(to map[uint64]uint64) {
	for h, n := range p.coalescer.joined {
		to[h] += n
	}
	clear(p.coalescer.joined)
}

// readers is how many have joined.
func (f *fetch) readers() int {
	n := 0
	for x := f.first; x != nil; x = x.joined {
		n++
	}
	return n
}

// deliver gives all who joined the answer; l is the same if it is large, else nil.
func (f *fetch) deliver(answer []byte, l *steps.Large) {
	if f.next != nil && len(answer) > chunks.Window { // a value that takes several windows takes longer than a timeout, and those who wait too
		f.next.deadline = f.p.Pipelines[0].Deadline()
	}
	for x := f.first; x != nil; {
		next := x.joined
		x.joined = nil
		if l != nil {
			x.Cold, x.Large = true, l
		}
		x.To.Finish(x, answer)
		x = next
	}
	f.ended()
}

// Fail fails the gets of all who joined.
func (f *fetch) Fail(_ *backend.Call, _ []byte, err *backend.Error) { f.fail(err) }

// Unread is Fail, wherever it was read.
func (f *fetch) Unread(err *backend.Error) { f.fail(err) }

func (f *fetch) fail(err *backend.Error) {
	p := f.p
	f.offLane()
	f.ahead.Drop()
	for x := f.first; x != nil; {
		next := x.joined
		x.joined = nil
		p.request = protocol.Request{Verb: f.verb, Key: f.key, Keys: f.key, NumKeys: 1, ValueLen: -1}
		p.fail(x, &p.request, err)
		x = next
	}
	f.ended()
}

// ended sends the fetch that waited, if any.
func (f *fetch) ended() {
	c := &f.p.coalescer
	if f.joins > 0 && f.p.detector != nil {
		if c.joined == nil {
			c.joined = make(map[uint64]uint64)
		}
		c.joined[f.hash()] += f.joins
	}
	next := f.next
	delete(c.fetches, f.id)
	if f.verb == protocol.Gets {
		c.withCAS--
	}
	*f = fetch{key: f.key[:0]}
	if len(c.free) < 256 {
		c.free = append(c.free, f)
	}
	if next != nil {
		c.fetches[next.id] = next
		next.send()
	}
}
