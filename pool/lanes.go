package pool

import (
	"time"

	"mcproxy/backend"
	"mcproxy/hotkey"
	"mcproxy/protocol"
)

// On a conn answers come one after another: a small get behind a thousand large ones waits for a gigabyte. So what is known to be large goes
// on conns of its own, the lanes, as chunks do where values are split. A key is known by its value: the last that a worker saw written or
// read.
//
// A client's requests must not overtake each other on the way. So a request takes the lane only when nothing else of its client is under way
// that does not, and what the client asks later of the same key waits for it (Exchange.Strays; a write: Exchange.Waits).
//
// The answers that are on their way on a lane have lengths that are known. More than a backend brings in the pool's time is refused at
// once: it would be too late, and would make what comes after it late too.

const (
	laneValue   = 32 << 10 // bytes of a value from which on it is large
	laneRate    = 256      // bytes a microsecond that a backend is expected to bring at most: 256 MB/s
	laneKeys    = 1024     // keys that a worker knows to have large values, at most
	laneOverrun = 1 << 20  // bytes that may be on their way whatever the time is
)

// lanes are a worker's conns for large values. The zero value has none yet.
type lanes struct {
	pipelines []*backend.Pipeline // by backend
	load      []int               // by backend: bytes of answers on their way
	most      int                 // of them
	known     []largeKey          // by hash, laneKeys long; nil: none was seen
}

type largeKey struct {
	hash uint64
	size int
}

func newLanes(s *Shared, former *lanes, p *Pool) *lanes {
	l := &lanes{load: make([]int, len(s.Backends)), most: max(laneOverrun, laneRate*int(s.timeout/time.Microsecond))}
	var before []*backend.Pipeline
	if former != nil {
		before, l.known = former.pipelines, former.known
	}
	l.pipelines = backend.Pipelines(s.Backends, before, p.loop)
	return l
}

// note takes up the length of a key's value.
func (l *lanes) note(key []byte, size int) {
	if l == nil || size < laneValue && l.known == nil || key == nil {
		return
	}
	hash := hotkey.Hash(key)
	switch {
	case size >= laneValue:
		if l.known == nil {
			l.known = make([]largeKey, laneKeys)
		}
		l.known[hash%laneKeys] = largeKey{hash, size}
	case l.known[hash%laneKeys].hash == hash:
		l.known[hash%laneKeys] = largeKey{}
	}
}

// size gives the length of the key's value if it is known to be large, else 0.
func (l *lanes) size(key []byte) int {
	hash := hotkey.Hash(key)
	if k := &l.known[hash%laneKeys]; k.hash == hash {
		return k.size
	}
	return 0
}

// knows says whether the request of a client that has nothing else under way may be one for a lane.
func (l *lanes) knows(x *Exchange) bool { return l != nil && l.known != nil && x.Sole }

// enter gives the conns for an answer of size bytes; false: there are too many on their way.
func (l *lanes) enter(node, size int) (*backend.Pipeline, bool) {
	if l.load[node] > 0 && l.load[node]+size > l.most {
		return nil, false
	}
	l.load[node] += size
	return l.pipelines[node], true
}

// leave is when the answer has come, or will not.
func (l *lanes) leave(node, size int) { l.load[node] -= size }

// lane gives the conns that a request of a Sole exchange takes to its key's own backend.
func (p *Pool) lane(x *Exchange, req *protocol.Request, node int) (*backend.Pipeline, *backend.Error) {
	main := p.pipeline(node)
	switch l := p.lanes; {
	case req.Verb == protocol.Get || req.Verb == protocol.Gets:
		size := 0
		if l.known != nil {
			size = l.size(req.Key)
		}
		if size == 0 {
			break
		}
		pl, ok := l.enter(node, size)
		if !ok {
			return nil, main.Refuse()
		}
		x.Strays, x.expects = true, size
		x.Lane, x.Cold, x.node = true, true, int32(node)
		return pl, nil
	case len(req.Value) >= laneValue:
		x.Waits, x.Lane = true, true
		return l.pipelines[node], nil
	}
	return main, nil
}

// offLane is when an exchange that took a lane has its answer, of a value of size bytes, or will have none (0).
func (x *Exchange) offLane(key []byte, size int) {
	p := x.pool
	p.lanes.leave(int(x.node), x.expects)
	x.expects = 0
	if size < laneValue {
		p.lanes.note(key, size)
	}
}

// unsent undoes what lane did for an exchange that was not sent.
func (x *Exchange) unsent() {
	if x.expects > 0 {
		x.pool.lanes.leave(int(x.node), x.expects)
		x.expects = 0
	}
	if x.Lane {
		x.Lane, x.Strays, x.Waits = false, false, false
	}
}

// takeLane has a fetch take the lane, if the key's value is known to be large and the client that asks first may.
func (f *fetch) takeLane(x *Exchange, req *protocol.Request) {
	if l := f.p.lanes; l.knows(x) {
		f.expects = l.size(req.Key)
	}
}

// offLane is when a fetch that took the lane has ended.
func (f *fetch) offLane() {
	if f.entered {
		f.entered = false
		f.p.lanes.leave(f.spot.Node, f.expects)
	}
}

// takesLane adds a key to what a fragment is known to bring of large values.
func (f *fragment) takesLane(key []byte) {
	if l := f.pool.lanes; l.knows(f.of.x) && f.of.verb.IsRead() {
		f.large += l.size(key)
	}
}

// lane gives the conns that a fragment takes; nil: too much is on its way.
func (f *fragment) lane() *backend.Pipeline {
	p := f.pool
	if f.large == 0 || f.node >= len(p.lanes.pipelines) {
		f.large = 0
		return p.pipeline(f.node)
	}
	pl, ok := p.lanes.enter(f.node, f.large)
	if !ok {
		f.large = 0
		return nil
	}
	f.of.x.Strays, f.of.x.Lane = true, true
	return pl
}

// offLane is when a fragment that took the lane has ended.
func (f *fragment) offLane() {
	if f.large > 0 {
		f.pool.lanes.leave(f.node, f.large)
		f.large = 0
	}
}

func (l *lanes) close() {
	for _, pl := range l.pipelines {
		pl.Close()
	}
}
