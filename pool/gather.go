package pool

import (
	"bytes"

	"mcproxy/backend"
	"mcproxy/hotkey"
	"mcproxy/internal/budget"
	"mcproxy/internal/epoll"
	"mcproxy/internal/tally"
	"mcproxy/placement"
	"mcproxy/pool/chunks"
	"mcproxy/pool/copies"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/split"
)

// maxGathered is how many bytes of values one request of many keys may collect before it is answered with an error.
const maxGathered = 256 << 20

// gatheredTooMuch is memcached's word for that.
const gatheredTooMuch = "SERVER_ERROR out of memory writing get response\r\n"

// A Gatherer divides a worker's multi-key retrievals into fragments, one for each backend, and puts the answers together: the
// values in the order of the keys on the request line, duplicates as often as they stand there (protocol.txt says nothing
// about order; memcached and its clients do so).
//
// Nothing is sent to the client before all fragments are there. So a failure never has to be said in the middle of a list:
// in a pool that answers failures as misses the fragment's keys are missing from the answer, otherwise the whole answer is
// one SERVER_ERROR line.
type Gatherer struct {
	// Dial counts what is gathered; nil: nobody does. Shed are the answers that were given up because it was too much.
	Dial *budget.Dial
	Shed uint64

	loop  *epoll.Loop
	free  []*gathering
	freeF []*fragment
	sent  uint64 // gatherings
}

// A splitUnit is a unit whose value stands in chunks; unit takes its place when it is put together.
type splitUnit struct {
	from, to int           // in fragment.got
	unit     *steps.Large  // its answer, END included; nil: there is none
	ahead    *chunks.Ahead // chunks that are read meanwhile; nil: none are
}

// NewGatherer makes loop's gatherer.
func NewGatherer(loop *epoll.Loop) *Gatherer { return &Gatherer{loop: loop} }

// A gathering is one request of several keys, under way.
type gathering struct {
	g       *Gatherer
	x       *Exchange
	verb    protocol.Verb
	exptime int32
	keys    []byte        // the request's keys, as on its line
	owner   []int32       // of each key: its fragment, or -1 if it was not asked for
	frags   []*fragment   // in the order of their first keys
	open    int           // fragments without their end
	size    int           // bytes of values gathered
	counted int           // of them: those that Dial knows
	refusal []byte        // the whole answer, if it is an error
	claim   *budget.Claim // for values that are put together
}

// A fragment is a gathering's part for one backend.
type fragment struct {
	of        *gathering
	pool      *Pool
	node      int
	index     int32
	nkeys     int
	call      backend.Call
	line      []byte // the request; its keys, from expect on, are not answered yet
	expect    []byte
	got       []byte // VALUE units, raw, in the order of the fragment's keys
	taken     int    // bytes of got that are in the answer already
	splits    []splitUnit
	aheads    []*chunks.Ahead // of keys whose manifests are remembered
	values    int
	large     int             // bytes of values that it is known to bring on a lane; 0: it takes none
	spot      placement.Spot  // of a key that is away; zero: none is
	elsewhere *copies.Reading // of the one key, if it is read from a copy; until it is there
}

// Begin takes up a retrieval of several keys; Add each key, then Send.
func (g *Gatherer) Begin(x *Exchange, req *protocol.Request) *gathering {
	var t *gathering
	if n := len(g.free); n > 0 {
		t = g.free[n-1]
		g.free = g.free[:n-1]
	} else {
		t = &gathering{g: g}
	}
	t.x, t.verb, t.exptime = x, req.Verb, req.Exptime
	x.Strays = false
	t.keys = append(g.loop.Buffers.Get(len(req.Keys)), req.Keys...)
	return t
}

// Add puts a key on the fragment of the backend where p places it.
func (t *gathering) Add(p *Pool, key []byte) {
	if (p.splitter != nil || p.guarded) && split.IsReserved(key) {
		p.Figures.Split.Refused++
		t.refusal = append(t.refusal[:0], split.Refusal...)
		t.owner = append(t.owner, -1)
		return
	}
	if p.splitter != nil && (t.verb == protocol.Gat || t.verb == protocol.Gats) {
		p.splitter.Touched(key, t.exptime)
	}
	if d := p.detector; d != nil && !d.Skip(0) {
		p.record(t.x.To, key, hotkey.Read, 0)
	}
	spot := p.Shared.Table.Spot(key)
	node := spot.Node
	if p.pipeline(node).Blocked(key) || spot.Away() && !spot.Holds(t.g.loop.Kernel.Elapsed()) {
		t.owner = append(t.owner, -1)
		p.Figures.Told(t.verb, tally.Failed, 1)
		if p.Shared.Config.OnError == OnErrorError {
			t.refuse(&backend.Error{Backend: p.pipeline(node).Backend.Name, Err: backend.ErrUnsettled})
		}
		return
	}
	if p.replicas != nil && t.addElsewhere(p, node, key) {
		return
	}
	f := p.building[node]
	if f == nil {
		f = t.fragment(p, node)
		f.line = protocol.AppendRetrieval(t.g.loop.Buffers.Get(512), t.verb, t.exptime)
		p.building[node] = f
	}
	b := &t.g.loop.Buffers
	f.line = b.Append(append(b.Grow(f.line, 1), ' '), key)
	f.nkeys++
	if spot.Away() {
		f.spot = spot
	}
	f.takesLane(key)
	t.owner = append(t.owner, f.index)
}

// fragment begins one.
func (t *gathering) fragment(p *Pool, node int) *fragment {
	f := t.g.fragment()
	f.of, f.pool, f.node, f.index = t, p, node, int32(len(t.frags))
	t.frags = append(t.frags, f)
	return f
}

// addElsewhere has a key read from a copy, as a fragment of its own, if it is a copy's turn, and says whether it is.
func (t *gathering) addElsewhere(p *Pool, node int, key []byte) bool {
	p.replicas.Used()
	if t.verb != protocol.Get && t.verb != protocol.Gets || t.x.Alone || !p.replicas.Spread(node) {
		return false
	}
	g := copies.Get{Verb: t.verb, Key: key, Node: node, Deadline: p.byTwo()}
	rd := p.replicas.Pick(g)
	if rd == nil {
		return false
	}
	t.x.Strays = true
	f := t.fragment(p, node)
	f.line = append(append(t.g.loop.Buffers.Get(512), ' '), key...)
	f.nkeys, f.elsewhere = 1, rd
	t.owner = append(t.owner, f.index)
	return true
}

// Send sends the fragments.
func (t *gathering) Send(affinity uint32) {
	t.x.affinity = affinity
	t.open = len(t.frags) + 1 // fragments may fail at once; nothing ends before all were sent
	t.g.sent++
	for _, f := range t.frags {
		p := f.pool
		if f.elsewhere == nil {
			p.building[f.node] = nil
		}
		if p.gathered != t.g.sent { // it counts once, however many fragments it has
			p.gathered = t.g.sent
			p.Figures.Came(t.verb)
		}
		if f.elsewhere != nil {
			f.expect = f.line
			f.readAhead(affinity)
			f.elsewhere.Tell(f, affinity)
			f.elsewhere.Begin()
			continue
		}
		f.line = t.g.loop.Buffers.Append(f.line, []byte("\r\n"))
		f.expect = f.line[len(t.verb.String()):]
		if t.verb == protocol.Gat || t.verb == protocol.Gats {
			_, f.expect = protocol.NextKey(f.expect)
		}
		f.expect = f.expect[:len(f.expect)-2]
		f.readAhead(affinity)
		f.call.Owner = f
		if pl := f.lane(); pl == nil {
			f.Fail(&f.call, nil, p.pipeline(f.node).Refuse())
		} else if err := pl.SendKeys(&f.call, t.verb, f.line, affinity); err != nil {
			f.Fail(&f.call, nil, err)
		}
	}
	t.ended()
}

// Answer takes a unit of a fragment's answer.
func (f *fragment) Answer(c *backend.Call, r *protocol.Response, raw []byte) error {
	switch {
	case r.Last && f.spot.Away() && !f.spot.Holds(f.pool.loop.Kernel.Elapsed()):
		f.Fail(c, nil, f.pool.moved(f.spot))
		return nil
	case r.Status == protocol.StatusHit:
		return f.hit(r, raw)
	case r.Last && r.Status == protocol.StatusEnd && f.owes(c.Request()):
		return nil
	}
	f.end(r, raw)
	return nil
}

// hit takes a value.
func (f *fragment) hit(r *protocol.Response, raw []byte) error {
	t := f.of
	for {
		key, rest := protocol.NextKey(f.expect)
		if key == nil {
			return backend.ErrProtocol // a value that was not asked for, or not in this order
		}
		f.expect = rest
		if bytes.Equal(key, r.Key) {
			break
		}
	}
	f.values++
	if t.size += len(raw); t.size > maxGathered {
		t.refusal = append(t.refusal[:0], gatheredTooMuch...)
		return nil
	}
	if t.size-t.counted > countGathered && !t.count() {
		return nil
	}
	if f.pool.reserved(r) {
		f.splits = append(f.splits, splitUnit{from: len(f.got), to: len(f.got) + len(raw), ahead: f.aheadOf(r.Key)})
	} else {
		f.pool.observeValue(nil, r)
		if f.pool.splitter != nil {
			f.pool.splitter.WarmPlain(r)
		}
	}
	f.got = t.g.loop.Buffers.Append(f.got, raw)
	return nil
}

// Read takes the answer to the one key that is read elsewhere.
func (f *fragment) Read(r *protocol.Response, raw []byte) {
	f.elsewhere = nil
	if r.Status == protocol.StatusHit {
		_ = f.hit(r, raw[:len(raw)-len(protocol.End)]) // it was asked for
		r.Status = protocol.StatusEnd
	}
	if r.Status == protocol.StatusMiss {
		r.Status = protocol.StatusEnd
	}
	f.end(r, raw)
}

// Unread is Fail, wherever the key was read.
func (f *fragment) Unread(err *backend.Error) {
	f.elsewhere = nil
	f.Fail(nil, nil, err)
}

// owes says whether copies of the fragment's keys are to be cleared before the client may hear that they have another lifetime. Then
// that is done in an op.
func (f *fragment) owes(sent []byte) bool {
	t, p := f.of, f.pool
	if p.replicas == nil || t.verb != protocol.Gat && t.verb != protocol.Gats || p.replicas.Plain(f.node) {
		return false
	}
	var req protocol.Request
	line := bytes.Clone(sent)
	if n, err := protocol.ParseRequest(line, &req); err != nil || n == 0 {
		panic("pool: a request of our own does not parse: " + string(line))
	}
	p.runner.RunBy(t.x.affinity, p.settleBy(&f.call), func(o *steps.Op) {
		for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
			if p.replicas.Settled(f.node, key) {
				continue
			}
			if err := p.replicas.Settle(o, f.node, key); err != nil {
				t.refuse(err)
				break
			}
		}
		f.end(&protocol.Response{Status: protocol.StatusEnd, Last: true}, nil)
	})
	return true
}

// end takes the last unit, which is no value.
func (f *fragment) end(r *protocol.Response, raw []byte) {
	t := f.of
	if r.Last {
		f.offLane()
	}
	switch {
	case r.Status != protocol.StatusEnd: // the backend itself says that it cannot
		f.drop()
		if len(t.frags) == 1 || r.Status != protocol.StatusServerError || f.pool.Shared.Config.OnError == OnErrorError {
			t.refusal = append(t.refusal[:0], raw...)
		}
	}
	if r.Last {
		for _, a := range f.aheads { // of keys that have no manifest any more
			if a != nil {
				f.pool.splitter.Forget(a.Key())
				a.Drop()
			}
		}
		f.pool.Figures.Told(t.verb, protocol.StatusHit, f.values-len(f.splits)) // those are counted when they are put together
		f.pool.Figures.Told(t.verb, protocol.StatusMiss, f.nkeys-f.values)
		t.ended()
	}
}

// Fail takes a fragment that was not answered, or not wholly.
func (f *fragment) Fail(_ *backend.Call, _ []byte, err *backend.Error) {
	f.offLane()
	f.drop()
	f.pool.Figures.Failures++
	f.pool.Figures.Told(f.of.verb, tally.Failed, f.nkeys)
	if err.Err == backend.ErrOverloaded || f.pool.Shared.Config.OnError == OnErrorError {
		f.of.refuse(err)
	}
	f.of.ended()
}

// drop forgets the values of a fragment that ended badly: they are misses, all or none.
func (f *fragment) drop() {
	f.of.size -= len(f.got)
	f.got = f.got[:0]
	f.dropAheads()
	f.splits = f.splits[:0]
	f.values = 0
}

// readAhead begins to read the chunks of keys whose manifests are remembered.
func (f *fragment) readAhead(affinity uint32) {
	s := f.pool.splitter
	if s == nil || !s.Remembers() || f.of.verb != protocol.Get && f.of.verb != protocol.Gets {
		return
	}
	for key, rest := protocol.NextKey(f.expect); key != nil; key, rest = protocol.NextKey(rest) {
		if a := s.ReadAhead(key, affinity); a != nil {
			f.aheads = append(f.aheads, a)
		}
	}
}

// aheadOf takes the ahead of a key off the list; nil: there is none.
func (f *fragment) aheadOf(key []byte) *chunks.Ahead {
	for i, a := range f.aheads {
		if a != nil && bytes.Equal(a.Key(), key) {
			f.aheads[i] = nil
			return a
		}
	}
	return nil
}

// dropAheads drops those that no unit was found for, and those of units that are not used.
func (f *fragment) dropAheads() {
	for _, a := range f.aheads {
		a.Drop()
	}
	f.aheads = nil
	for i := range f.splits {
		f.splits[i].ahead.Drop()
	}
}

func (t *gathering) refuse(err *backend.Error) {
	if len(t.refusal) == 0 {
		t.refusal = steps.AppendError(t.refusal, err)
	}
}

// ended counts a fragment's end; after the last one the client is answered.
func (t *gathering) ended() {
	if t.open--; t.open > 0 {
		return
	}
	if len(t.refusal) == 0 && t.join() {
		return
	}
	t.answer()
}

// join has the values that stand in chunks put together, and says whether there are any; then answer comes when they are. It
// asks the budget for all of them at once: two gatherings that each hold what the other waits for would wait in vain.
func (t *gathering) join() bool {
	var purse *budget.Purse
	need, units := 0, 0
	for _, f := range t.frags {
		for i := range f.splits {
			units++
			purse = f.pool.runner.Purse
			need += f.unitLength(&f.splits[i])
		}
	}
	if units == 0 {
		return false
	}
	if t.size+need > maxGathered {
		t.refusal = append(t.refusal[:0], gatheredTooMuch...)
		return false
	}
	claim, ok := purse.Claim(3*need, func(granted bool) { // as they come, as a fragment's answer, in the whole answer
		if granted {
			t.joinAll()
			return
		}
		t.refusal = append(t.refusal[:0], steps.OutOfMemory...)
		t.answer()
	})
	if t.claim = claim; ok {
		t.joinAll()
		return true
	}
	for _, f := range t.frags { // who waits holds nothing
		for i := range f.splits {
			f.splits[i].ahead.Drop()
			f.splits[i].ahead = nil
		}
	}
	return true
}

// unitLength is the length of a value that stands in chunks; 0 if it does not, or is damaged, which joinUnit finds too.
func (f *fragment) unitLength(u *splitUnit) int {
	var r protocol.Response
	if n, err := protocol.ParseResponse(f.got[u.from:u.to], protocol.ShapeValues, &r); err != nil || n == 0 {
		panic("pool: a unit that was parsed does not parse")
	}
	stored, err := split.Open(split.ReservedFlags, r.Value, f.pool.splitter.MaxValue())
	if err != nil || stored.Kind != split.Split {
		return 0
	}
	return stored.Manifest.Length
}

// joinAll has all units put together that stand in chunks.
func (t *gathering) joinAll() {
	t.open = 1 // wrapped values are there at once
	for _, f := range t.frags {
		for i := range f.splits {
			f.joinUnit(&f.splits[i])
		}
	}
	if t.open--; t.open == 0 {
		t.joined()
	}
}

func (f *fragment) joinUnit(u *splitUnit) {
	var r protocol.Response
	if n, err := protocol.ParseResponse(f.got[u.from:u.to], protocol.ShapeValues, &r); err != nil || n == 0 {
		panic("pool: a unit that was parsed does not parse")
	}
	t := f.of
	t.open++
	item := chunks.Item{
		Key: r.Key, Value: r.Value, Unique: r.Unique, Verb: t.verb, Exptime: t.exptime, Readers: 1, Ahead: u.ahead, Reserved: f.unitLength(u),
	}
	f.pool.splitter.Get(item, func(l *steps.Large, hit bool) {
		switch {
		case hit:
			l.Retain()
			u.unit = l
		case string(l.Bytes) != protocol.End:
			t.refusal = append(t.refusal[:0], l.Bytes...)
		}
		if t.open--; t.open == 0 {
			t.joined()
		}
	})
}

// joined puts the values in the place of their manifests, and answers.
func (t *gathering) joined() {
	b := &t.g.loop.Buffers
	for _, f := range t.frags {
		if len(f.splits) == 0 {
			continue
		}
		size := len(f.got) + len(protocol.End)
		for _, u := range f.splits {
			if u.unit != nil {
				size += len(u.unit.Bytes)
			}
		}
		whole, from := b.Get(size), 0
		for _, u := range f.splits {
			whole = b.Append(whole, f.got[from:u.from])
			if u.unit != nil {
				whole = b.Append(whole, u.unit.Bytes[:len(u.unit.Bytes)-len(protocol.End)])
				u.unit.Release()
			}
			from = u.to
		}
		whole = b.Append(whole, f.got[from:])
		t.size += len(whole) - len(f.got)
		b.Put(f.got)
		f.got, f.splits = whole, nil
	}
	t.answer()
}

// answer answers the client.
func (t *gathering) answer() {
	b := &t.g.loop.Buffers
	var answer []byte
	switch {
	case len(t.refusal) > 0:
		answer = t.refusal
	case len(t.frags) == 1:
		f := t.frags[0]
		answer, f.got = b.Append(f.got, []byte(protocol.End)), nil
	default:
		answer = t.assemble()
	}
	x, claim := t.x, t.claim
	switch {
	case claim == nil:
		x.To.Finish(x, answer)
		if len(t.refusal) == 0 {
			b.Put(answer)
		}
	case len(t.refusal) > 0:
		x.To.Finish(x, answer)
		claim.Drop()
	default:
		l := steps.Paid(answer, b, claim)
		x.finishLarge(l)
		l.Release()
	}
	size := len(answer)
	t.g.release(t)
	if claim != nil {
		claim.Shrink(size) // of the copies that there were
	}
}

func (g *Gatherer) fragment() *fragment {
	if n := len(g.freeF); n > 0 {
		f := g.freeF[n-1]
		g.freeF = g.freeF[:n-1]
		return f
	}
	return new(fragment)
}

// release takes a gathering back; what a large one grew is let go.
func (g *Gatherer) release(t *gathering) {
	for _, f := range t.frags {
		f.dropAheads()
		g.loop.Buffers.Put(f.line)
		g.loop.Buffers.Put(f.got)
		*f = fragment{}
		if len(g.freeF) < 256 {
			g.freeF = append(g.freeF, f)
		}
	}
	g.loop.Buffers.Put(t.keys)
	g.Dial.Add(-t.counted)
	clear(t.frags)
	owner, frags, refusal := t.owner[:0], t.frags[:0], t.refusal[:0]
	if cap(owner) > 4096 {
		owner = nil
	}
	*t = gathering{g: g, owner: owner, frags: frags, refusal: refusal}
	if len(g.free) < 256 {
		g.free = append(g.free, t)
	}
}
