package pool

import (
	"bytes"
	"errors"

	"mcproxy/backend"
	"mcproxy/pool/copies"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/replica"
	"mcproxy/split"
)

// What package copies needs of a pool, and a pool of it.

// CopyConfig says which keys get copies on other backends.
type CopyConfig = copies.Config

// CopyFigures count what was done for copies.
type CopyFigures = copies.Figures

// Copies are the pool's; nil: keys get none.
func (s *Shared) Copies() *copies.Shared { return s.copies }

// Replicator is the worker's part in them; nil: keys get none.
func (p *Pool) Replicator() *copies.Replicator { return p.replicas }

// mayChange says whether a request may make copies of its keys untrue.
func mayChange(req *protocol.Request) bool {
	switch req.Verb {
	case protocol.Gat, protocol.Gats:
		return true
	case protocol.MetaGet: // it can give the item a lifetime, and make one
		return protocol.HasFlag(req.MetaFlags, 'T') || protocol.HasFlag(req.MetaFlags, 'N')
	}
	return req.Verb.IsWrite()
}

// refuses answers a request for a key of the proxies' own, and says whether it is one.
func (p *Pool) refuses(x *Exchange, req *protocol.Request) bool {
	if p.splitter != nil || !split.IsReserved(req.Key) { // the splitter refuses them too
		return false
	}
	p.Figures.Split.Refused++
	p.Figures.Told(req.Verb, protocol.StatusClientError, 1)
	answer := []byte(split.Refusal)
	if req.NoReply && !req.Verb.IsMeta() {
		answer = nil
	}
	x.To.Finish(x, answer)
	return true
}

// spread sends a request that copies are concerned with, and says whether it has. It notes what is to be done when the home has
// answered.
func (p *Pool) spread(x *Exchange, req *protocol.Request, node int) bool {
	r := p.replicas
	x.changes, x.node = mayChange(req), int32(node)
	if x.changes {
		if req.Verb.IsWrite() && r.Locks(node, req.Key) {
			p.lockFirst(x, req, node)
			return true
		}
		return false
	}
	if req.Verb != protocol.Get && req.Verb != protocol.Gets || x.Alone || !r.Spread(node) {
		return false
	}
	g := copies.Get{To: (*copyReader)(x), Verb: req.Verb, Key: req.Key, Node: node, Affinity: x.affinity}
	g.Deadline = p.byTwo()
	if rd := r.Pick(g); rd != nil {
		x.Strays = true
		rd.Begin()
		return true
	}
	return false
}

// A copyReader is an exchange that reads a copy.
type copyReader Exchange

// Read takes the answer.
func (a *copyReader) Read(r *protocol.Response, raw []byte) {
	x := (*Exchange)(a)
	x.answered(nil, r, raw)
}

// Unread takes the reason why there is none.
func (a *copyReader) Unread(err *backend.Error) {
	x := (*Exchange)(a)
	x.ahead.Drop()
	p := x.pool
	p.request = protocol.Request{Verb: x.verb, NumKeys: 1, ValueLen: -1, NoReply: x.quiet}
	p.fail(x, &p.request, err)
}

// owes says whether something is to be done before the client may hear that its request was carried out: then the rest is done in an
// op.
func (x *Exchange) owes(sent []byte, r *protocol.Response, raw []byte) bool {
	p, node := x.pool, int(x.node)
	if p.replicas.Plain(node) || !p.replicas.Changes(x.verb, r.Status) {
		return false
	}
	if n, err := protocol.ParseRequest(sent, &p.request); err != nil || n == 0 {
		panic("pool: a request of our own does not parse: " + string(sent))
	}
	if p.replicas.Settled(node, p.request.Key) {
		return false
	}
	line, answer := bytes.Clone(sent), bytes.Clone(raw)
	p.runner.RunBy(x.affinity, p.settleBy(&x.call), func(o *steps.Op) {
		if err := p.replicas.SettleRequest(o, node, line); err != nil {
			req := copies.Parse(line)
			req.NoReply = x.quiet
			p.fail(x, req, err)
			return
		}
		x.resume(line, answer)
	})
	return true
}

// byTwo is by when a client has its answer who may have to wait for one backend, and then for another.
func (p *Pool) byTwo() int64 { return p.loop.Now + int64(p.Shared.timeout)*5/4 }

// settleBy is by when a write is settled that its home has answered: within its own time, or a little more if hardly any is left of that.
func (p *Pool) settleBy(c *backend.Call) int64 {
	return max(c.Deadline(), p.loop.Now+int64(p.Shared.timeout)/4)
}

// resume goes on with the home's answer.
func (x *Exchange) resume(sent, raw []byte) {
	var r protocol.Response
	if n, err := protocol.ParseResponse(raw, x.verb.Shape(), &r); err != nil || n != len(raw) {
		panic("pool: an answer that was parsed does not parse")
	}
	x.answered(sent, &r, raw)
}

// lockFirst carries out a write that locks copies before it goes home.
func (p *Pool) lockFirst(x *Exchange, req *protocol.Request, node int) {
	(*asker)(x).Wait()
	p.runner.RunBy(x.affinity, p.byTwo(), func(o *steps.Op) { // if the locks fail, there is time left to delete what it was to replace
		sent := protocol.AppendRequest(nil, req)
		own := copies.Parse(sent)
		own.NoReply = req.NoReply
		var h homeStep
		p.replicas.Ask(o, copies.Request{Owner: &h, Step: &h.Step, Req: own, Node: node})
		if h.Err != nil {
			p.fail(x, own, h.Err)
			return
		}
		x.resume(sent, h.raw)
	})
}

// A homeStep keeps all of its answer.
type homeStep struct {
	steps.Step
	raw []byte
}

// Answer keeps a unit.
func (h *homeStep) Answer(c *backend.Call, r *protocol.Response, raw []byte) error {
	h.raw = append(h.raw, raw...)
	return h.Step.Answer(c, r, raw)
}

// mustSay says whether a client is told of a failure whatever OnError says: what it wrote is there, though others may read what
// was before.
func mustSay(err *backend.Error) bool {
	return errors.Is(err.Err, copies.ErrUnconfirmed) || errors.Is(err.Err, copies.ErrUnlocked)
}

// Copied gives the keys that are read from copies, by hotkey.Hash, and how many copies each has.
func (s *Shared) Copied() map[uint64]int {
	if s.copies == nil {
		return nil
	}
	all := make(map[uint64]int)
	for _, k := range s.copies.Keys() {
		if k.Phase == replica.Active {
			all[k.Hash] = k.Copies
		}
	}
	return all
}
