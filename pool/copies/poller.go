package copies

import (
	"encoding/binary"

	"mcproxy/backend"
	"mcproxy/internal/epoll"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/replica"
)

// A poller looks after one backend's guard for the whole process, on one of its loops and on a conn of its own.
//
//	alarm ─► poll ─► answer ─► the sight is published ─► the keeper's step ─┬─► none: wait for the alarm
//	          ▲                                              ▲             ├─► clean, an op ──┐
//	          └──────────────── it was stored ───────────────┼── store ◄───┘                  │
//	                                                         └────────────────────────────────┘
type poller struct {
	r       *Replicator // of the loop
	node    int
	pipe    *backend.Pipeline
	alarm   *epoll.Alarm
	keeper  *replica.Keeper
	call    backend.Call
	busy    bool  // a poll or a step is under way
	next    int64 // Loop time of the next poll
	sent    int64 // Kernel.Elapsed when the last was sent
	step    replica.Step
	rests   map[replica.Hash]int64 // until when keys that were demoted get no copies; Loop time
	closed  bool
	foreign bool // proxies with another ring were seen
	canary  canary
}

// Keep has r's loop look after the guard of a backend; call it once a backend and process, from that loop.
func (r *Replicator) Keep(node int) {
	p := &poller{r: r, node: node, keeper: replica.NewKeeper(&r.shared.rules), rests: make(map[replica.Hash]int64)}
	p.pipe = backend.NewPipeline(r.shared.backends[node], r.loop)
	p.alarm = r.loop.NewAlarm(p)
	r.pollers = append(r.pollers, p)
	r.shared.used.CompareAndSwap(0, r.loop.Now) // it will be used: who comes first is not to wait for the guards
	r.shared.homes[node].poller.Store(p)
	p.wake()
}

// close ends the poller.
func (p *poller) close() {
	p.closed = true
	p.r.shared.homes[p.node].poller.CompareAndSwap(p, nil)
	p.pipe.Close()
	p.alarm.Remove()
}

// wake has the guard polled as soon as it is time.
func (p *poller) wake() {
	if next := p.Expire(p.r.loop.Now); next != 0 {
		p.alarm.Set(next)
	}
}

// Expire polls if it is time, and gives when to look again.
func (p *poller) Expire(now int64) (next int64) {
	if p.closed || now-p.r.shared.used.Load() > idleAfter {
		return 0
	}
	p.look(now)
	switch {
	case p.busy:
		return 0
	case now < p.next:
		return p.next
	}
	return p.poll(now)
}

// guardFlags ask for all of a guard.
const guardFlags = "v f c"

// poll asks for the guard.
func (p *poller) poll(now int64) (next int64) {
	p.next = now + p.r.shared.rules.Poll()
	p.sent = p.r.elapsed()
	p.r.figures.Polls++
	p.call = backend.Call{Owner: (*polling)(p), Care: backend.Once}
	req := protocol.Request{
		Verb: protocol.MetaGet, Key: []byte(replica.GuardKey), RawKey: []byte(replica.GuardKey), MetaFlags: []byte(guardFlags), ValueLen: -1,
	}
	if err := p.pipe.Send(&p.call, &req, 0); err != nil {
		p.r.figures.Unheard++
		return p.next
	}
	p.busy = true
	return 0
}

// A polling is a poller that waits for a guard.
type polling poller

// Answer takes the guard.
func (g *polling) Answer(c *backend.Call, r *protocol.Response, _ []byte) error {
	p := (*poller)(g)
	ans := replica.Answer{Conn: c.ConnID(), Result: resultOf(replica.DoGuard, r.Status), Value: r.Value}
	readFlags(&ans, r.Line)
	if !backend.SpeaksMeta(p.r.shared.backends[p.node].Version()) { // it may speak a dialect of it
		ans = replica.Answer{Conn: ans.Conn, Result: replica.Unsupported}
	}
	p.busy = false
	if ans.Result == replica.Refused {
		p.r.figures.Unheard++
	}
	p.keeper.Polled(&ans, p.sent, p.r.loop.Kernel.Now())
	p.publish()
	p.proceed()
	return nil
}

// Fail takes a poll that was not answered.
func (g *polling) Fail(*backend.Call, []byte, *backend.Error) {
	p := (*poller)(g)
	p.busy = false
	p.r.figures.Unheard++
	p.wake()
}

// publish tells the workers what was seen.
func (p *poller) publish() {
	h := &p.r.shared.homes[p.node]
	seen := p.keeper.Sight()
	h.sight.Store(p.r.shared.newSight(p.node, seen, h.sight.Load()))
	if foreign := seen.Foreign(&p.r.shared.rules); foreign != p.foreign {
		p.foreign = foreign
		kind := Agreed
		if foreign {
			kind = Foreign
		}
		p.r.shared.tellOf(Event{Kind: kind, Home: p.node})
	}
	now := p.r.loop.Now
	for i := range seen.Guard.Keys {
		if e := &seen.Guard.Keys[i]; e.Phase == replica.Drain {
			p.rests[e.Hash] = now + p.r.shared.rest()
		}
	}
	for h, until := range p.rests {
		if until < now {
			delete(p.rests, h)
		}
	}
}

func (p *poller) promote(h replica.Hash, copies int, forced bool) {
	if _, rests := p.rests[h]; rests && !forced {
		return
	}
	p.keeper.Promote(h, copies)
}

// proceed takes the keeper's next step.
func (p *poller) proceed() {
	if p.closed {
		return
	}
	var epoch replica.Epoch
	var incarnation [4]byte
	p.r.shared.random(epoch[:])
	p.r.shared.random(incarnation[:])
	p.step = p.keeper.Next(epoch, binary.BigEndian.Uint32(incarnation[:]), p.r.loop.Kernel.Now())
	switch p.step.Deed {
	case replica.Clean:
		p.clean()
	case replica.Store:
		p.store()
	default:
		p.wake()
	}
}

// clean deletes what an earlier time has left of a key's copies.
func (p *poller) clean() {
	p.busy = true
	by := p.r.loop.Now + int64(p.r.runner.Timeout) // meanwhile the guard is not polled
	p.r.runner.RunBy(0, by, func(o *steps.Op) {
		t := p.r.targetOf(p.node, nil, p.step.Hash)
		var w replica.Write
		w.StartClean(&p.r.shared.rules, t.replica(), p.step.Copies)
		outcome := p.r.carry(o, &trip{target: t, write: &w, care: backend.Repeatable})
		p.busy = false
		if outcome == replica.Acked {
			p.r.figures.Cleaned++
			p.keeper.Cleaned(&p.step, true)
		} else {
			p.keeper.Cleaned(&p.step, false)
		}
		p.proceed()
	})
}

// store stores the guard as the step says.
func (p *poller) store() {
	a := &p.step.Ask
	p.call = backend.Call{Owner: (*storing)(p), Care: backend.Once}
	req := requestFor(a, []byte(replica.GuardKey))
	var err *backend.Error
	if a.Conn != 0 {
		err = p.pipe.SendOn(a.Conn, &p.call, req, p.pipe.Deadline())
	} else {
		err = p.pipe.Send(&p.call, req, 0)
	}
	if err != nil {
		p.wake()
		return
	}
	p.busy = true
}

// A storing is a poller that waits for a guard to be stored.
type storing poller

// Answer polls at once if the guard was stored, or another proxy was faster, so that the workers know.
func (s *storing) Answer(_ *backend.Call, r *protocol.Response, _ []byte) error {
	p := (*poller)(s)
	p.busy = false
	switch r.Status {
	case protocol.StatusOK:
		p.r.figures.Steps++
		p.count()
		p.next = 0
	case protocol.StatusExists, protocol.StatusNotStored, protocol.StatusNotFound:
		p.next = 0
	}
	p.wake()
	return nil
}

// Fail leaves it to the next poll to see what became of the guard.
func (s *storing) Fail(*backend.Call, []byte, *backend.Error) {
	p := (*poller)(s)
	p.busy = false
	p.wake()
}

// count counts what a stored step has done to keys.
func (p *poller) count() {
	for _, c := range p.step.Changes {
		switch {
		case c.To == replica.Active:
			p.r.figures.Promoted++
			p.r.shared.tellOf(Event{Kind: Copied, Home: p.node, Hash: c.Hash.Short(), Copies: c.Copies})
		case c.To == replica.Drain, c.To == replica.None && c.From != replica.Drain:
			p.r.figures.Demoted[c.Reason]++
			if c.From == replica.Active {
				p.r.shared.tellOf(Event{Kind: Withdrawn, Home: p.node, Hash: c.Hash.Short(), Reason: c.Reason})
			}
		}
	}
}
