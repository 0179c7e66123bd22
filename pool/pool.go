package pool

import (
	"bytes"
	"math/rand/v2"
	"time"

	"mcproxy/backend"
	"mcproxy/hotkey"
	"mcproxy/internal/budget"
	"mcproxy/internal/epoll"
	"mcproxy/internal/keybook"
	"mcproxy/internal/tally"
	"mcproxy/placement"
	"mcproxy/pool/chunks"
	"mcproxy/pool/copies"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
)

// A Pool is one worker's view of a pool. Only that worker's loop may touch it.
type Pool struct {
	Shared    *Shared
	Pipelines []*backend.Pipeline // one a backend
	Figures   *Figures            // views of one pool count together
	Dial      *budget.Dial        // counts answers that several clients share; nil: nobody does

	loop      *epoll.Loop
	spare     []*backend.Pipeline // of the pool that stands in for this one's backends; nil: none does
	clock     int64               // nanoseconds since 1970 when Loop time was 0
	callers   keybook.Callers     // of the keys that are hot or have large values
	oversized oversized           // keys with long values
	runner    steps.Runner        // of requests that take several calls
	replicas  *copies.Replicator  // nil: keys have no copies
	guarded   bool                // the proxies' own items stand among the clients'
	splitter  *chunks.Splitter    // nil: values are not split
	lanes     *lanes              // nil: values are split
	detector  *hotkey.Detector    // nil: keys are not watched
	building  []*fragment         // by backend: of the gathering under construction
	gathered  uint64              // Gatherer.sent of the last gathering with a fragment here
	coalescer coalescer
	rand      *rand.Rand
	request   protocol.Request // scratch for requests that failed
	answer    []byte           // scratch for answers made here
}

// Figures count what a pool did for clients.
type Figures struct {
	tally.Pool
	Failures  uint64        // requests, or fragments, whose backend did not answer
	Oversized [Fates]uint64 // requests with values longer than the split threshold, by what becomes of those
	Fetches   uint64        // gets sent that others could join
	Joined    uint64        // gets that joined another's fetch
	Split     SplitFigures
	Copies    CopyFigures
}

// New gives loop its own view of a pool. seed, which nobody outside should know, is another for each loop.
func New(s *Shared, loop *epoll.Loop, seed uint64) *Pool { return NewAfter(nil, s, loop, seed) }

// NewAfter is New for a pool that had another configuration before: former is the loop's view of that, or nil. They share the figures,
// the conns to the backends that both have, and the detector if its configuration is the same. The former goes on with the requests that it has;
// when those are finished Close it.
func NewAfter(former *Pool, s *Shared, loop *epoll.Loop, seed uint64) *Pool {
	if former == nil {
		former = &Pool{Shared: &Shared{}, Figures: new(Figures)}
	}
	p := &Pool{Shared: s, Figures: former.Figures, loop: loop, building: make([]*fragment, s.Table.Nodes()), rand: rand.New(rand.NewPCG(seed, 0))}
	p.runner = steps.Runner{Loop: loop, Timeout: s.timeout, Places: (*places)(p)}
	p.SetClock(time.Now().UnixNano())
	p.oversized.counts, p.oversized.callers = &p.Figures.Oversized, &p.callers
	p.oversized.threshold = s.Config.Split.WithDefaults().Threshold
	if former.detector != nil && s.Config.WatchedAs(&former.Shared.Config) {
		p.detector = former.detector
	} else if !s.Config.HotKeysOff {
		p.detector = hotkey.NewDetector(s.Config.HotKeys, seed, loop.Now)
	}
	p.Pipelines = backend.Pipelines(s.Backends, former.Pipelines, loop)
	p.replicas = copies.New(s.copies, &p.runner, copies.Use{Pipelines: p.Pipelines, Rand: p.rand, Figures: &p.Figures.Copies})
	p.guarded = p.replicas != nil || s.Config.OnDown != placement.OnDownFail
	if s.Config.Split.Enabled {
		p.runner.Purse = budget.NewPurse(s.Budget, loop)
		use := chunks.Use{Rand: p.rand, Figures: &p.Figures.Split, Former: former.splitter}
		p.splitter = chunks.New(&s.split, (*host)(p), &p.runner, s.Backends, use)
	} else {
		p.lanes = newLanes(s, former.lanes, p)
	}
	return p
}

// Close ends the pool's conns that no later view shares; what is in flight on them fails.
func (p *Pool) Close() {
	for _, pl := range p.Pipelines {
		pl.Close()
	}
	if p.splitter != nil {
		p.splitter.Close()
	} else {
		p.lanes.close()
	}
	p.runner.Purse.Close()
	if p.replicas != nil {
		p.replicas.Close()
	}
}

// Suspend ends the pool's conns, and has none opened before Resume: calls fail meanwhile.
func (p *Pool) Suspend() { p.eachPipeline((*backend.Pipeline).Suspend) }

// Resume undoes Suspend.
func (p *Pool) Resume() { p.eachPipeline((*backend.Pipeline).Resume) }

func (p *Pool) eachPipeline(fn func(*backend.Pipeline)) {
	for i, pl := range p.Pipelines {
		fn(pl)
		fn(p.Bulk(i))
	}
}

// A Requester gets the answers to its exchanges.
type Requester interface {
	// Finish takes the whole answer of an exchange, CRLF included; it is empty when the client is to hear nothing. answer is
	// valid until Finish returns. The exchange is the requester's again.
	Finish(x *Exchange, answer []byte)
}

// A Caller is a Requester that knows which client asks.
type Caller interface {
	Client() string // its address
}

// An Exchange is one client request with a pool, from the request to its answer. The zero value is ready for use, and so is
// one that was finished and forgotten.
type Exchange struct {
	// What every request uses comes first, in two cache lines. To gets the answer. Set it before the exchange is begun; it may be changed until it is finished.
	To Requester
	// Next, Size, Done, Reads and Unsure are the requester's own, and Held, Kept, Claim and Body too: its queue, how many bytes of value the
	// request has, whether the answer is there, whether it reads, whether it may be begun twice; the answer that must wait for its turn, or is
	// large, what it has of the budget, what its value lies in.
	Next *Exchange
	call backend.Call
	pool *Pool
	Size int

	Done, Reads, Unsure bool
	// Cold must be set by whoever sets Held, Kept, Claim, Body or Heavy. Lent says that Held is a part of another buffer.
	Cold, Lent bool
	// Alone keeps a get from sharing a fetch with others: its client has unanswered writes. Behind keeps it from fetches that may have been
	// asked before: its client has unanswered reads that share none. Blunt has failures told as errors, whatever the pool's OnError says. Sole
	// says that its client has nothing else under way, but for what has Lane set. Set them before the exchange is begun.
	Alone, Behind, Blunt, Sole bool
	// Lane is set by Do: the request went to its backend on the conns for large values.
	Lane bool
	// Waits is set by Do: what the client asks later must not be begun before this exchange is finished.
	Waits bool
	// Fences is set by Do: gets that the client asks later must not share a fetch that is queued already (Behind).
	Fences       bool
	quiet, again bool // again: begun a second time
	// Strays is set by Do: the read went to another backend than the key's own, or in a lane, and later requests must not overtake it.
	Strays   bool
	changes  bool // copies of the key may become untrue
	away     bool // it was sent to a stand-in: spot is set
	verb     protocol.Verb
	op       tally.Op // timed: whose duration it is
	timed    bool
	affinity uint32
	began    tally.Tick // timed: when it was

	node    int32 // the key's backend, if changes is set, or expects
	expects int   // bytes of the answer that a lane was entered for; 0: none was
	Heavy   bool  // the requester's own: the value is counted against the process's limit
	Held    []byte
	Kept    *steps.Large
	Claim   *budget.Claim
	Body    []byte
	// Large is set when Finish is called with a large answer: its bytes, which the requester may retain instead of copying them.
	Large *steps.Large

	spot   placement.Spot // where it was sent, if away
	flags  []byte         // the request's meta flags, if echo is not nil
	ahead  *chunks.Ahead  // chunks that are read meanwhile; nil: none are
	joined *Exchange      // the next of those who share a fetch
	echo   *protocol.Echo // the key that is added to the answer; nil: none
}

// Forget makes a finished exchange like new, but for what is its requester's.
func (x *Exchange) Forget() {
	x.Cold, x.Large, x.ahead, x.flags, x.echo, x.spot = false, nil, nil, nil, nil, placement.Spot{}
}

// Do sends a request of one key to the backend where the key belongs. affinity picks the conn: the requests of one client
// have the same, so that they stay in order.
func (p *Pool) Do(x *Exchange, req *protocol.Request, affinity uint32) {
	p.Figures.Came(req.Verb)
	x.pool, x.quiet, x.verb = p, req.NoReply, req.Verb
	if d := p.detector; d != nil && !d.Skip(len(req.Value)) {
		p.record(x.To, req.Key, opOf(req.Verb), len(req.Value))
	}
	if req.ValueLen >= 0 {
		p.sawStore(req)
	}
	x.affinity, x.again = affinity, false
	p.begin(x, req, affinity)
}

// begin begins what Do has counted, or begins it again.
func (p *Pool) begin(x *Exchange, req *protocol.Request, affinity uint32) {
	if x.again {
		x.ahead, x.flags, x.echo = nil, nil, nil
	}
	if p.replicas != nil {
		p.replicas.Used()
	}
	if p.guarded && p.refuses(x, req) {
		return
	}
	x.changes, x.Strays = false, false
	if p.splitter != nil && p.splitter.Take((*asker)(x), req, affinity) || p.share(x, req, affinity) {
		return
	}
	if p.splitter != nil && (req.Verb == protocol.Get || req.Verb == protocol.Gets) {
		x.Cold, x.ahead = true, p.splitter.ReadAhead(req.Key, affinity)
	}
	x.call.Owner = x
	if req.Base64 && req.EchoesKey() {
		x.Cold, x.echo = true, req.Echo()
		if p.splitter != nil {
			x.flags = bytes.Clone(req.MetaFlags)
		}
	}
	spot := p.Shared.Table.Spot(req.Key)
	if p.replicas != nil && p.spread(x, req, spot.Node) {
		return
	}
	var err *backend.Error
	if x.away = spot.Away(); x.away {
		x.Cold, x.spot = true, spot
		err = p.leave(spot, req)
	}
	pl := p.pipeline(spot.Node)
	if x.Sole && p.lanes != nil && (p.lanes.known != nil || len(req.Value) >= laneValue) && err == nil && !x.away {
		pl, err = p.lane(x, req, spot.Node)
	}
	if err == nil {
		err = pl.Send(&x.call, req, affinity)
	}
	if err != nil {
		x.unsent()
		x.ahead.Drop()
		p.fail(x, req, err)
	}
}

// Answer takes the backend's answer; it is the client's as it stands, unless copies of the item are to be cleared first, or the value is in
// chunks.
func (x *Exchange) Answer(c *backend.Call, r *protocol.Response, raw []byte) error {
	sent := c.Request()
	if x.away && !x.arrived(sent, r) {
		return nil
	}
	if x.expects > 0 {
		x.offLane(r.Key, len(r.Value))
	}
	if x.changes && x.owes(sent, r, raw) {
		return nil
	}
	x.answered(sent, r, raw)
	return nil
}

// answered takes the answer to a request as it was sent; sent is nil for a get or gets that was answered elsewhere.
func (x *Exchange) answered(sent []byte, r *protocol.Response, raw []byte) {
	if x.pool.reserved(r) {
		item := x.pool.reservedItem(x.verb, sent, r)
		item.Ahead = x.ahead
		x.pool.splitter.Get(item, func(l *steps.Large, _ bool) { x.finishLarge(l) })
		return
	}
	if s := x.pool.splitter; s != nil {
		x.ahead.DropFor(r)
		if s.LookAgain((*asker)(x), sent, r) {
			return
		}
		s.WarmPlain(r)
	}
	switch {
	case r.Status == protocol.StatusHit:
		x.pool.observeValue(sent, r)
	case r.Status == protocol.StatusServerError:
		x.pool.sawError(sent, r)
	}
	x.pass(r.Status, r.Line, raw)
}

// pass gives the client a backend's answer.
func (x *Exchange) pass(status protocol.Status, line, raw []byte) {
	x.pool.Figures.Told(x.verb, status, 1)
	if x.quiet && protocol.Suppressed(x.verb, status) {
		raw = nil
	}
	if x.Cold && x.echo != nil && raw != nil && !status.IsError() {
		raw = protocol.AppendEcho(nil, raw, line, x.echo)
	}
	x.To.Finish(x, raw)
}

// Fail takes a request that was not answered.
func (x *Exchange) Fail(_ *backend.Call, req []byte, err *backend.Error) {
	p := x.pool
	if x.expects > 0 {
		x.offLane(nil, 0)
	}
	x.ahead.Drop()
	if n, perr := protocol.ParseRequest(req, &p.request); perr != nil || n == 0 {
		panic("pool: a request of our own does not parse: " + string(req))
	}
	p.request.NoReply = x.quiet
	p.fail(x, &p.request, err)
}

func (p *Pool) fail(x *Exchange, req *protocol.Request, err *backend.Error) {
	p.Figures.Failures++
	p.Figures.Told(req.Verb, tally.Failed, 1)
	p.answer = p.appendFailure(p.answer[:0], x.Blunt, req, err)
	x.To.Finish(x, p.answer)
}

// appendFailure appends what a client is told about a request of one key that no backend answered.
func (p *Pool) appendFailure(dst []byte, blunt bool, req *protocol.Request, err *backend.Error) []byte {
	overloaded := err.Err == backend.ErrOverloaded
	if p.Shared.Config.OnError == OnErrorMiss && !overloaded && !blunt && !mustSay(err) {
		return protocol.AppendMiss(dst, req)
	}
	if req.NoReply && !req.Verb.IsMeta() {
		return dst
	}
	return steps.AppendError(dst, err)
}

// Delete deletes a key, which may hold any bytes, for a client who hears the answer or something instead of it.
func (p *Pool) Delete(x *Exchange, key []byte, affinity uint32) {
	line := backend.AppendDelete(nil, key)
	var req protocol.Request
	if n, err := protocol.ParseRequest(line, &req); err != nil || n != len(line) {
		panic("pool: a request of our own does not parse: " + string(line))
	}
	p.Do(x, &req, affinity)
}
