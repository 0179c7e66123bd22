package copies

import (
	"errors"
	"math/rand/v2"
	"strconv"

	"mcproxy/backend"
	"mcproxy/internal/epoll"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/replica"
)

// Why a write is not acknowledged though its home has it, or was not sent there.
var (
	ErrUnconfirmed = errors.New("stored, but an old copy elsewhere could not be cleared")
	ErrUnlocked    = errors.New("not stored: a copy elsewhere could not be locked")
)

// A Replicator is a worker's part in a pool's copies. Only that worker's loop may touch it.
type Replicator struct {
	shared    *Shared
	runner    *steps.Runner
	loop      *epoll.Loop
	pipelines []*backend.Pipeline // the worker's own, by backend
	rand      *rand.Rand
	figures   *Figures
	pollers   []*poller
	free      []*Reading
	copyFlags []byte // what a copy is asked for
	homeFlags []byte // what the home is asked for by who has a lease
	load      load
	roll      replica.Roll
}

// Use is what a Replicator is given.
type Use struct {
	Pipelines []*backend.Pipeline
	Rand      *rand.Rand
	Figures   *Figures // what it counts in
}

// New makes a worker's replicator; nil if s is.
func New(s *Shared, runner *steps.Runner, use Use) *Replicator {
	if s == nil {
		return nil
	}
	return &Replicator{
		shared: s, runner: runner, loop: runner.Loop, pipelines: use.Pipelines, rand: use.Rand, figures: use.Figures,
		load:      load{nodes: make([]nodeLoad, len(use.Pipelines))},
		copyFlags: strconv.AppendInt([]byte("v f c N"), replica.StubTTL, 10), homeFlags: []byte("v f t c"),
	}
}

// Close ends the pollers.
func (r *Replicator) Close() {
	for _, p := range r.pollers {
		p.close()
	}
	r.pollers = nil
}

// Unkeep ends the poller of a backend; call it from the loop of Keep.
func (r *Replicator) Unkeep(node int) {
	for i, p := range r.pollers {
		if p.node == node {
			p.close()
			r.pollers = append(r.pollers[:i], r.pollers[i+1:]...)
			return
		}
	}
}

// Used notes that a client uses the pool.
func (r *Replicator) Used() { r.shared.use(r.loop.Now) }

// elapsed is the time by which it is judged how old knowledge is. It is read from the clock each time: the process may have been stopped
// since the turn began.
func (r *Replicator) elapsed() int64 {
	if r.shared.Mutant == TrustsTurn {
		return r.loop.Now
	}
	return r.loop.Kernel.Elapsed()
}

// A target is a key whose copies a request is about.
type target struct {
	node  int // its home
	key   []byte
	hash  replica.Hash
	name  []byte // of its copies
	hosts []int  // the backends that can have one
}

func (r *Replicator) targetOf(node int, key []byte, h replica.Hash) target {
	return target{node, key, h, replica.AppendCopyKey(nil, h), replica.AppendHosts(nil, h, r.shared.names, node)}
}

func (t *target) replica() replica.Target {
	return replica.Target{Key: t.key, Hash: t.hash, Hosts: len(t.hosts)}
}

// Settled says that a write of a key, which its home has just answered, can be acknowledged as it is: it is known that no copy of it
// can be read.
func (r *Replicator) Settled(node int, key []byte) bool {
	s := r.shared.homes[node].sight.Load()
	now := r.elapsed()
	if r.shared.Mutant == TrustsOld && s.until > 0 {
		now = s.until - 1
	}
	if now >= s.until {
		return false
	}
	if s.plain {
		return true
	}
	view := s.Look(&r.shared.rules, replica.HashOf(key), now)
	return view.Phase == replica.None
}

// Plain is Settled for all keys of a backend; false if it takes a key to know.
func (r *Replicator) Plain(node int) bool {
	s := r.shared.homes[node].sight.Load()
	return s.plain && (r.elapsed() < s.until || r.shared.Mutant == TrustsOld)
}

// Changes says whether an answer to a client's request may have made copies untrue.
func (r *Replicator) Changes(verb protocol.Verb, status protocol.Status) bool {
	return r.shared.rules.Changes(verb, status)
}

// Locks says whether a write of a key must lock copies before it goes home: then Ask does it.
func (r *Replicator) Locks(node int, key []byte) bool {
	if r.shared.rules.Mode != replica.Strict {
		return false
	}
	return !r.Settled(node, key)
}

// Settle does what is left to do when the home has answered a write that is not Settled. It gives why the write cannot be acknowledged;
// nil: it can.
func (r *Replicator) Settle(o *steps.Op, node int, key []byte) *backend.Error {
	return r.settle(o, node, &protocol.Request{Key: key})
}

// SettleRequest is Settle for a request as it was sent.
func (r *Replicator) SettleRequest(o *steps.Op, node int, sent []byte) *backend.Error {
	req := Parse(sent)
	return r.settle(o, node, req)
}

func (r *Replicator) settle(o *steps.Op, node int, req *protocol.Request) *backend.Error {
	t := r.targetOf(node, req.Key, replica.HashOf(req.Key))
	now := r.elapsed()
	view := r.shared.homes[node].sight.Load().Look(&r.shared.rules, t.hash, now)
	var w replica.Write
	w.StartWritten(&r.shared.rules, r.id(), t.replica(), view, now)
	return r.verdict(r.carry(o, &trip{target: t, write: &w, care: careOf(&view), value: req.Value, flags: req.ClientFlags}), &t)
}

// A Request is a client's, on its way home as a step.
type Request struct {
	Owner backend.Completer // of its call; nil: the step
	Step  *steps.Step
	Req   *protocol.Request
	Node  int

	sent *bool // set when it has gone home
}

// Ask sends a request for a key's item home and waits, and does what copies ask for before and after it. If the write cannot be
// acknowledged the step's Err says why.
func (r *Replicator) Ask(o *steps.Op, q Request) {
	if r.Locks(q.Node, q.Req.Key) {
		r.askLocked(o, q)
		return
	}
	r.sendHome(o, &q)
	o.Wait()
	if q.Step.Err != nil || !r.Changes(q.Req.Verb, q.Step.Status) || r.Settled(q.Node, q.Req.Key) {
		return
	}
	q.Step.Err = r.settle(o, q.Node, q.Req)
}

// askLocked is Ask in strict mode, for a key that may have copies.
func (r *Replicator) askLocked(o *steps.Op, q Request) {
	q.Req = ownRequest(q.Req) // it outlives the buffer that it was parsed from
	t := r.targetOf(q.Node, q.Req.Key, replica.HashOf(q.Req.Key))
	now := r.elapsed()
	view := r.shared.homes[q.Node].sight.Load().Look(&r.shared.rules, t.hash, now)
	var w replica.Write
	w.Start(&r.shared.rules, r.id(), t.replica(), view, now)
	sent := false
	q.sent = &sent
	outcome := r.carry(o, &trip{target: t, write: &w, care: careOf(&view), home: &q})
	switch err := r.verdict(outcome, &t); {
	case err == nil, outcome == replica.Failed, sent && outcome == replica.NotWritten: // the step knows
	case outcome == replica.NotWritten:
		q.Step.Err = err
		r.spoil(o, &q)
	default:
		q.Step.Err = err
	}
}

// spoil deletes the value that a write was to replace which was not even sent: as after any write that failed, it does not come back.
func (r *Replicator) spoil(o *steps.Op, q *Request) {
	if q.Req.Verb == protocol.Add {
		return
	}
	req := Parse(backend.AppendDelete(nil, q.Req.Key))
	var st steps.Step
	o.Ask(&st, r.pipelines[q.Node], req)
	if st.Err == nil {
		_ = r.Settle(o, q.Node, q.Req.Key) // the client hears of a failure anyway
	}
}

// ownRequest is a request with bytes of its own.
func ownRequest(req *protocol.Request) *protocol.Request {
	own := Parse(protocol.AppendRequest(nil, req))
	own.NoReply = req.NoReply
	return own
}

// Parse makes a request of what a backend gets, or panics.
func Parse(line []byte) *protocol.Request {
	req := new(protocol.Request)
	n, err := protocol.ParseRequest(line, req)
	if err != nil || n == 0 {
		panic("copies: a request of our own does not parse: " + string(line))
	}
	if req.ValueLen >= 0 {
		req.TakeValue(line[n:])
	}
	return req
}

func (r *Replicator) sendHome(o *steps.Op, q *Request) {
	if q.sent != nil {
		*q.sent = true
	}
	var owner backend.Completer = q.Step
	if q.Owner != nil {
		owner = q.Owner
	}
	o.SendFor(owner, q.Step, r.pipelines[q.Node], q.Req, steps.Way{})
}

// careOf says what becomes of a clear that fails. Where the key is known to have copies, the host's journal keeps this process from
// reading an old one there; while nothing is known, each write would fill the journals of hosts that are down.
func careOf(v *replica.View) backend.Care {
	if v.Phase == replica.Unknown {
		return backend.Once
	}
	return backend.Repeatable
}

func (r *Replicator) id() uint64 { return r.rand.Uint64() | 1 }

// verdict counts how a write ended, and gives what keeps it from being acknowledged. If copies may be older than it, this process does not
// read them.
func (r *Replicator) verdict(o replica.Outcome, t *target) *backend.Error {
	err := &backend.Error{Backend: r.shared.backends[t.node].Name, Sent: true}
	switch o {
	case replica.Acked:
		r.figures.Settled++
		return nil
	case replica.NotWritten:
		err.Sent, err.Err = false, ErrUnlocked
	default:
		err.Err = ErrUnconfirmed
		r.pipelines[t.node].Doubt(t.key)
	}
	r.figures.Refused++
	return err
}

// A trip is one machine's way through its steps.
type trip struct {
	target
	write *replica.Write
	care  backend.Care
	home  *Request // what DoHome sends
	value []byte   // what a mutant makes copies of
	flags uint32
}

// carry sends what a machine asks for until it has ended.
func (r *Replicator) carry(o *steps.Op, t *trip) replica.Outcome {
	t.write.Know(&r.roll)
	for t.write.Outcome() == replica.Pending {
		var asked []*asking
		for a, ok := t.write.Next(); ok; a, ok = t.write.Next() {
			s := &asking{ask: a}
			asked = append(asked, s)
			r.send(o, t, s)
		}
		if len(asked) == 0 {
			panic("copies: a write waits for nothing")
		}
		o.Wait()
		now := r.elapsed()
		for _, s := range asked {
			ans := r.heard(t, s)
			t.write.Answer(&s.ask, &ans, now)
		}
	}
	if why, ok := t.write.Demote(); ok {
		r.demote(&t.target, why)
	}
	return t.write.Outcome()
}

// send sends one step.
func (r *Replicator) send(o *steps.Op, t *trip, s *asking) {
	way := steps.Way{Care: backend.Once, Conn: s.ask.Conn}
	switch s.ask.Do {
	case replica.DoHome:
		r.sendHome(o, t.home)
	case replica.DoGuard:
		r.figures.Asked++
		o.SendFor(s, &s.Step, r.pipelines[t.node], requestFor(&s.ask, []byte(replica.GuardKey)), way)
	case replica.DoLock, replica.DoLockAlone:
		r.sendLock(o, t, s)
	default:
		if s.ask.Do == replica.DoClear {
			way.Care = t.care
		}
		if s.ask.Do == replica.DoOverwrite { // a mutant's
			s.ask.Value = (&replica.Copy{Incarnation: r.shared.homes[t.node].sight.Load().Incarnation, Value: t.value}).Append(nil, t.key)
			s.ask.Flags = t.flags
		}
		o.SendFor(s, &s.Step, r.pipelines[t.hosts[s.ask.Host]], requestFor(&s.ask, t.name), way)
	}
}

// heard gives the machine's answer to a step.
func (r *Replicator) heard(t *trip, s *asking) replica.Answer {
	if s.ask.Do != replica.DoHome {
		ans := s.answer()
		switch {
		case s.ask.Do == replica.DoClear && (ans.Result == replica.Done || ans.Result == replica.Missing):
			r.figures.Clears++
		case s.ask.Do == replica.DoLock && ans.Result == replica.Hit:
			r.figures.Locks++
		}
		return ans
	}
	switch st := t.home.Step; {
	case st.Err != nil && st.Err.Sent:
		return replica.Answer{Result: replica.NoAnswer}
	case st.Err != nil:
		return replica.Answer{Result: replica.Unsent}
	case r.Changes(t.home.Req.Verb, st.Status):
		return replica.Answer{Result: replica.Done}
	}
	return replica.Answer{Result: replica.Unchanged}
}

// unreachable has a key demoted because a backend that may have a copy of it does not answer.
func (r *Replicator) unreachable(t *target) { r.demote(t, replica.Unreachable) }

// demote has a key lose its copies.
func (r *Replicator) demote(t *target, why replica.Reason) {
	table := r.shared.homes[t.node].sight.Load().table
	if table == nil {
		return
	}
	for i := range table.entries {
		if e := &table.entries[i]; e.Hash == t.hash && e.Phase != replica.Drain {
			r.shared.tell(t.node, func(p *poller) { p.keeper.Demote(t.hash, why) })
			return
		}
	}
}
