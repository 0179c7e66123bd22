package copies

import (
	"time"

	"mcproxy/backend"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/replica"
)

// A canary looks whether copies are what they should be: of a key that has some, now and then, it reads one and then the home's item. If
// the home has another it looks again when every write that was under way has ended; if both are still the same, the copy is older than it may be. It is
// counted, and deleted. Nothing relies on the canary.
type canary struct {
	next  int64 // Loop time of the next look
	turn  int   // counts the looks, to choose keys and hosts one after the other
	doubt *suspicion
}

// A suspicion is a copy that is not what the home has.
type suspicion struct {
	entry  *entry
	host   int
	unique uint64 // of the copy,
	home   uint64 // and of the home's item
}

const canaryEvery = int64(time.Second)

// patience is for how long a copy may be older than the home's item: longer than a write can take, and than two polls.
func (p *poller) patience() int64 {
	return max(3*int64(p.r.runner.Timeout), 2*p.r.shared.rules.Poll())
}

// look has the canary look, if it is time. Polls go on meanwhile.
func (p *poller) look(now int64) {
	c := &p.canary
	if now < c.next {
		return
	}
	c.next = now + canaryEvery
	if s := c.doubt; s != nil {
		c.doubt = nil
		p.r.runner.Run(0, func(o *steps.Op) { p.confirm(o, s) })
		return
	}
	t := p.r.shared.homes[p.node].sight.Load().table
	if t == nil || !t.active {
		return
	}
	c.turn++
	e := &t.entries[c.turn%len(t.entries)]
	copies := min(e.Copies, len(e.hosts))
	if e.Phase != replica.Active || copies == 0 {
		return
	}
	host := e.hosts[c.turn/len(t.entries)%copies]
	p.r.runner.Run(0, func(o *steps.Op) {
		unique, home, ok := p.compare(o, e, host)
		if !ok {
			return
		}
		p.r.figures.Checked++
		if unique != home && !p.closed {
			c.doubt = &suspicion{entry: e, host: host, unique: unique, home: home}
			c.next = p.r.loop.Now + p.patience()
		}
	})
}

// compare gives the cas number that a copy was made of, and the one that the home's item has. Not ok: there is no copy, or no item, or
// nobody knows.
func (p *poller) compare(o *steps.Op, e *entry, host int) (unique, home uint64, ok bool) {
	var st steps.Step
	o.SendFor(&st, &st, p.r.pipelines[host], &protocol.Request{
		Verb: protocol.MetaGet, Key: e.name, RawKey: e.name, MetaFlags: []byte("v"), ValueLen: -1,
	}, steps.Way{Care: backend.Once})
	o.Wait()
	if st.Err != nil || st.Status != protocol.StatusHit {
		return 0, 0, false
	}
	key, ok := replica.KeyOf(st.Value)
	if !ok || !protocol.TextKey(key) {
		return 0, 0, false
	}
	c, ok := replica.DecodeCopy(st.Value, key)
	if !ok || c.Incarnation != p.r.shared.homes[p.node].sight.Load().Incarnation {
		return 0, 0, false
	}
	unique = c.Unique
	key = append([]byte(nil), key...)
	o.Ask(&st, p.r.pipelines[p.node], &protocol.Request{Verb: protocol.Gets, Key: key, Keys: key, NumKeys: 1, ValueLen: -1})
	return unique, st.Unique, st.Err == nil && st.Status == protocol.StatusHit
}

// confirm looks a second time, and counts what is found.
func (p *poller) confirm(o *steps.Op, s *suspicion) {
	unique, home, ok := p.compare(o, s.entry, s.host)
	if !ok || unique != s.unique || home != s.home || unique == home {
		return
	}
	p.r.figures.Stale++
	p.r.shared.tellOf(Event{Kind: Stale, Home: p.node, Hash: s.entry.short, Host: s.host})
	var st steps.Step
	o.SendFor(&st, &st, p.r.pipelines[s.host], requestFor(&replica.Ask{Do: replica.DoClear}, s.entry.name), steps.Way{Care: backend.Once})
	o.Wait()
}
