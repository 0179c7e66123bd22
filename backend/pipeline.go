package backend

import (
	"bytes"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/epoll"
	"mcproxy/internal/tally"
	"mcproxy/protocol"
)

// A Pipeline is one event loop's own conns to a backend. Only that loop may touch it.
type Pipeline struct {
	Backend *Backend
	Figures Figures

	loop     *epoll.Loop
	alarm    *epoll.Alarm
	conns    []*conn           // Options.Connections of them; nil: not open
	aside    []*conn           // that get no new calls
	response protocol.Response // what conns parse into
	request  protocol.Request  // scratch for requests that failed
	slow     []SlowCall
	free     []*Call // for internal calls, and for places in a stream that nobody waits for any more
	private  bool    // of the process's own calls: they are not admitted, and there is no greeting
	aloof    bool    // what becomes of its calls says nothing of the backend's state
	turn     int64   // the turn, by Loop.Now, in which elapsed was read
	elapsed  int64   // Kernel.Elapsed
	owners   int     // besides the first: Close is theirs too
	closed   bool
}

// NewPipeline gives loop its own conns to b. They are opened as calls need them.
func NewPipeline(b *Backend, loop *epoll.Loop) *Pipeline {
	p := &Pipeline{Backend: b, loop: loop, conns: make([]*conn, b.Options().Connections)}
	p.alarm = loop.NewAlarm(p)
	return p
}

// Pipelines gives loop a pipeline to each backend. Those of former that go to one of them are shared: see Share.
func Pipelines(backends []*Backend, former []*Pipeline, loop *epoll.Loop) []*Pipeline {
	all := make([]*Pipeline, len(backends))
	for i, b := range backends {
		if j := slices.IndexFunc(former, func(p *Pipeline) bool { return p.Backend == b }); j >= 0 {
			all[i] = former[j].Share()
			all[i].Adapt()
		} else {
			all[i] = NewPipeline(b, loop)
		}
	}
	return all
}

// Send sends a request of one key, or of none. affinity picks the conn: requests that must stay in order have the same. An
// error says that it was not sent and that c's owner hears no more of it; a write's key is in the journal then.
func (p *Pipeline) Send(c *Call, req *protocol.Request, affinity uint32) *Error {
	return p.SendBy(c, req, affinity, p.Deadline())
}

// Deadline is the Loop time by which a call that is sent now must be answered.
func (p *Pipeline) Deadline() int64 { return p.loop.Now + int64(p.Backend.Options().Timeout) }

// SendBy is Send for a request that has waited already: it must be answered by deadline, a Loop time.
func (p *Pipeline) SendBy(c *Call, req *protocol.Request, affinity uint32, deadline int64) *Error {
	cn, err := p.admit(req.Verb.IsWrite() && c.Care != Once, req.Key, affinity)
	if err != nil {
		return err
	}
	p.sendOn(cn, c, req, affinity, deadline)
	return nil
}

// SendOn is SendBy for a call that is of use on one conn alone: the one of that ConnID. It is sent Once.
func (p *Pipeline) SendOn(id uint64, c *Call, req *protocol.Request, deadline int64) *Error {
	c.Care = Once
	for _, cn := range p.conns {
		if cn != nil && cn.id == id && p.Backend.State() == StateUp && !p.leaseEnded() && cn.calls.n < p.Backend.Options().MaxPending {
			p.sendOn(cn, c, req, 0, deadline)
			return nil
		}
	}
	why := &Error{Backend: p.Backend.Name, Err: ErrClosed}
	p.Figures.failed(why)
	return why
}

func (p *Pipeline) sendOn(cn *conn, c *Call, req *protocol.Request, affinity uint32, deadline int64) {
	c.verb, c.shape = req.Verb, req.Verb.Shape()
	c.keyLen = 0
	if c.shape == protocol.ShapeValue {
		c.keyLen = uint8(len(req.Key))
	}
	p.prepare(c, affinity, deadline)
	off := len(cn.out)
	cn.out = p.loop.Buffers.Grow(cn.out, 160+len(req.Keys)+len(req.RawKey)+len(req.Key)+len(req.MetaFlags)+len(req.Arg)+len(req.Value))
	cn.out = protocol.AppendRequest(cn.out, req)
	cn.enqueue(c, off)
}

// SendKeys sends a retrieval of several keys: line is the whole request, CRLF included. The caller has asked Blocked
// about each key.
func (p *Pipeline) SendKeys(c *Call, verb protocol.Verb, line []byte, affinity uint32) *Error {
	cn, err := p.admit(verb.IsWrite(), nil, affinity)
	if err != nil {
		return err
	}
	c.verb, c.shape, c.keyLen = verb, protocol.ShapeValues, 0
	p.prepare(c, affinity, p.Deadline())
	off := len(cn.out)
	cn.out = p.loop.Buffers.Append(cn.out, line)
	cn.enqueue(c, off)
	return nil
}

// Doubt has a key Doubted from now on, because a write of it failed though this backend may have it.
func (p *Pipeline) Doubt(key []byte) {
	p.Backend.journal.doubt(key, p.Backend.Options().JournalLimit, p.loop.Now)
}

// Doubted says whether a key is Blocked, or was within the last patience, or its Doubt was: then what stands of it elsewhere may be older than its
// writes that failed here.
func (p *Pipeline) Doubted(key []byte, patience time.Duration) bool {
	return p.Backend.journal.doubts(key, p.loop.Now-int64(patience))
}

// Refuse gives the error of a request that is not sent because too much is on its way, and counts it.
func (p *Pipeline) Refuse() *Error {
	p.Figures.failed(p.Backend.busy)
	return p.Backend.busy
}

// Blocked says whether a key must not be read or written at present, because a write to it is unsettled.
func (p *Pipeline) Blocked(key []byte) bool { return p.Backend.journal.has(key) }

func (p *Pipeline) prepare(c *Call, affinity uint32, deadline int64) {
	c.affinity = affinity
	c.internal, c.retried = false, false
	c.deadline, c.at = deadline, tally.TickOf(p.loop.Now)
	p.alarm.Set(c.deadline)
	p.Figures.called(c.verb)
}

// admit gives the conn for a request, or says why there is none. A write that is turned away is journalled.
func (p *Pipeline) admit(write bool, key []byte, affinity uint32) (*conn, *Error) {
	b := p.Backend
	var why *Error
	switch s := b.State(); {
	case key != nil && b.journal.has(key):
		p.Figures.failed(b.waits)
		if write {
			b.journal.refuse(key, p.loop.Now, 2*b.Options().Timeout) // twice: a busy loop may be late
		}
		return nil, b.waits // and in the journal it is
	case s == StateDown:
		why = b.down
	case s == StateHeld:
		why = b.held
	case p.leaseEnded():
		why = b.away
	default:
		cn, err := p.conn(affinity)
		if err == nil {
			return cn, nil
		}
		why = err
	}
	p.Figures.failed(why)
	if write {
		if owed := b.missed(key, 1, p.loop.Now); owed != nil {
			b.journal.leave(owed, 0)
		}
	}
	return nil, why
}

// conn gives the conn of that affinity, opened if need be, unless its queue is full.
func (p *Pipeline) conn(affinity uint32) (*conn, *Error) {
	if p.closed {
		return nil, &Error{Backend: p.Backend.Name, Err: ErrShutdown}
	}
	i := int(affinity) % len(p.conns)
	cn := p.conns[i]
	if cn != nil && cn.addr != p.Backend.addr.Load() {
		p.leave(i)
		cn = nil
	}
	if cn != nil {
		if cn.calls.n >= p.Backend.Options().MaxPending || len(cn.out) >= p.Backend.Options().MaxPendingBytes {
			return nil, p.Backend.busy
		}
		return cn, nil
	}
	return p.open(i)
}

// leave ends a conn that leads to where the backend is no more. Whoever waits for its answers hears of it later, not while another sends.
func (p *Pipeline) leave(i int) {
	cn := p.conns[i]
	p.conns[i] = nil
	p.aside = append(p.aside, cn)
	p.loop.Post(func() { cn.fail(ErrMoved) })
}

func (p *Pipeline) open(i int) (*conn, *Error) {
	p.Figures.Connects++
	to := p.Backend.addr.Load()
	if to == nil {
		return nil, p.noConn(ErrUnresolved)
	}
	addr := to.Address
	addr.Keepalive = p.Backend.Options().Keepalive
	fd, errno := p.loop.Kernel.Connect(addr)
	if errno != 0 && errno != unix.EINPROGRESS {
		return nil, p.noConn(errno)
	}
	cn := &conn{p: p, addr: to, fd: fd, id: p.Backend.connIDs.Add(1), state: connOpen}
	if t := p.Backend.transport.Load(); t != nil {
		cn.opening = &opening{t: t}
	}
	want := epoll.In
	if errno == unix.EINPROGRESS || cn.opening != nil {
		cn.state, cn.held = connConnecting, true
		want = epoll.Out
		cn.connectBy = p.loop.Now + int64(p.Backend.Options().ConnectTimeout)
		p.alarm.Set(cn.connectBy)
	}
	var err error
	if cn.tag, err = p.loop.Register(fd, cn, want); err != nil {
		p.loop.Kernel.Close(fd)
		return nil, p.noConn(err)
	}
	p.conns[i] = cn
	if !p.private {
		p.sendInternal(cn, (*greeting)(p.Backend), appendVersion, 0)
	}
	return cn, nil
}

func (p *Pipeline) noConn(cause error) *Error {
	p.Figures.ConnectErrors++
	if !p.aloof {
		p.Backend.failure(cause)
	}
	return &Error{Backend: p.Backend.Name, Err: cause, connect: true}
}

// connectFailed ends a conn that was not connected.
func (p *Pipeline) connectFailed(c *conn, cause error) {
	p.noConn(cause)
	c.fail(cause)
}

// forget takes a conn off the lists.
func (p *Pipeline) forget(c *conn) {
	for i, cn := range p.conns {
		if cn == c {
			p.conns[i] = nil
		}
	}
	for i, cn := range p.aside {
		if cn == c {
			p.aside = append(p.aside[:i], p.aside[i+1:]...)
			return
		}
	}
}

// sendInternal sends a request of the backend's own on a certain conn. timeout 0: it is as patient as the conn.
func (p *Pipeline) sendInternal(cn *conn, owner Completer, build func([]byte) ([]byte, protocol.Verb), timeout int64) {
	c := p.newCall()
	*c = Call{Owner: owner, internal: true}
	if timeout > 0 {
		c.deadline = p.loop.Now + timeout
		p.alarm.Set(c.deadline)
	}
	off := len(cn.out)
	cn.out, c.verb = build(p.loop.Buffers.Grow(cn.out, 512))
	c.shape = c.verb.Shape()
	cn.enqueue(c, off)
}

// fail tells a call's owner that there will be no answer; a write is journalled first, owing confirm deletes. The debt is
// the caller's to place.
func (p *Pipeline) fail(call *Call, req []byte, why *Error, confirm int) (owed *debt) {
	p.Figures.failed(why)
	if d := p.slowness(call); d > 0 && !call.internal {
		p.tellSlow(call, req, d, 0, why.Err)
	}
	if call.verb.IsWrite() && !call.internal && call.Care != Once {
		if n, err := protocol.ParseRequest(req, &p.request); err == nil && n > 0 {
			owed = p.Backend.missed(p.request.Key, confirm, p.loop.Now)
		}
	}
	call.Owner.Fail(call, req, why)
	return owed
}

// mayRetry says whether a call whose conn broke may be sent once more: a read of which nothing came back, or anything of
// which nothing was sent. Its time must not be over.
func (p *Pipeline) mayRetry(call *Call, req []byte, sent bool) bool {
	if p.closed || call.internal || call.Care == Once || call.retried || call.begun || call.deadline <= p.loop.Now {
		return false
	}
	if !sent || call.Care == Repeatable {
		return true
	}
	return call.verb.IsRead() && !leavesMark(call.verb, req, &p.request)
}

// leavesMark says whether a meta read changes the item (vivify, recache): then the first try may have won what the second
// would lose.
func leavesMark(v protocol.Verb, line []byte, req *protocol.Request) bool {
	if v != protocol.MetaGet {
		return false
	}
	if n, err := protocol.ParseRequest(line, req); err != nil || n == 0 {
		return true
	}
	for f, _, rest := protocol.NextFlag(req.MetaFlags); f != 0; f, _, rest = protocol.NextFlag(rest) {
		if bytes.IndexByte([]byte("NRE"), f) >= 0 {
			return true
		}
	}
	return false
}

// resend sends a call's request again on another conn, within its old deadline.
func (p *Pipeline) resend(call *Call, req []byte) bool {
	if n, err := protocol.ParseRequest(req, &p.request); err != nil || n == 0 {
		return false
	}
	if p.Backend.State() != StateUp || p.leaseEnded() || p.unsettled(&p.request) {
		return false
	}
	cn, err := p.conn(call.affinity)
	if err != nil {
		return false
	}
	call.retried = true
	p.Figures.Retries++
	p.Figures.called(call.verb)
	off := len(cn.out)
	cn.out = p.loop.Buffers.Append(cn.out, req)
	cn.enqueue(call, off)
	p.alarm.Set(call.deadline)
	return true
}

func (p *Pipeline) unsettled(req *protocol.Request) bool {
	if req.NumKeys <= 1 {
		return req.Key != nil && p.Blocked(req.Key)
	}
	for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
		if p.Blocked(key) {
			return true
		}
	}
	return false
}

// Expire is the loop's timer.
func (p *Pipeline) Expire(now int64) (next int64) {
	sooner := func(at int64) {
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	for _, cn := range p.conns {
		if cn != nil {
			sooner(cn.check(now))
		}
	}
	for i := len(p.aside) - 1; i >= 0; i-- {
		sooner(p.aside[i].check(now))
	}
	return next
}

// Conns gives how many conns are open, those set aside included, and how many calls wait on them.
func (p *Pipeline) Conns() (conns, pending int) {
	for _, list := range [][]*conn{p.conns, p.aside} {
		for _, cn := range list {
			if cn != nil {
				conns++
				pending += cn.calls.n
			}
		}
	}
	return conns, pending
}

// Share adds an owner: one more must call Close.
func (p *Pipeline) Share() *Pipeline {
	p.owners++
	return p
}

// Close ends, when the last owner calls it, all conns for good; calls on them fail, and so do later ones.
func (p *Pipeline) Close() {
	if p.owners--; p.owners >= 0 {
		return
	}
	p.closed = true
	p.hangUp()
	p.alarm.Remove()
}

// Suspend is Close until Resume: every write without an answer is in the journal then.
func (p *Pipeline) Suspend() {
	p.closed = true
	p.hangUp()
}

// Resume undoes Suspend: conns are opened as calls need them.
func (p *Pipeline) Resume() { p.closed = false }

func (p *Pipeline) hangUp() {
	for _, cn := range append(append([]*conn(nil), p.conns...), p.aside...) {
		if cn != nil {
			cn.fail(ErrShutdown)
		}
	}
}

// Adapt follows a change of Options.Connections. The calls on conns that are too many are answered before those end. Requests
// that must stay in order must not be on their way, as their conns may be others from now on.
func (p *Pipeline) Adapt() {
	n := p.Backend.Options().Connections
	if n >= len(p.conns) {
		p.conns = append(p.conns, make([]*conn, n-len(p.conns))...)
		return
	}
	surplus := slices.Clone(p.conns[n:])
	p.conns = slices.Clone(p.conns[:n])
	for _, cn := range surplus {
		switch {
		case cn == nil:
		case cn.calls.n == 0:
			cn.fail(ErrClosed)
		default:
			cn.surplus = true
			p.aside = append(p.aside, cn)
		}
	}
}

func (p *Pipeline) newCall() *Call {
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c
	}
	return new(Call)
}

func (p *Pipeline) recycle(c *Call) {
	if len(p.free) < 64 {
		p.free = append(p.free, c)
	}
}

func appendVersion(dst []byte) ([]byte, protocol.Verb) {
	return append(dst, "version\r\n"...), protocol.Version
}

// A greeting is the first request on each conn: the backend's version may differ from what the last conn found.
type greeting Backend

func (g *greeting) Answer(_ *Call, r *protocol.Response, _ []byte) error {
	return (*Backend)(g).learn(r)
}

func (g *greeting) Fail(*Call, []byte, *Error) {}
