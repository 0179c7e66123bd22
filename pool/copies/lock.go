package copies

import (
	"strconv"

	"mcproxy/backend"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/replica"
)

// A locking is what DoLock sends before the command whose answer it is.
type locking [2]steps.Step

// sendLock sends the three commands of a lock, which is nobody's alone, so that it takes one round trip: its record goes behind what stands in
// the place of a copy, or stands there alone, and then the item is shown and gets the lifetime of a lock, which memcached's append does not
// give. Others' commands may come between: the item shown is what counts. All go on one conn, on which what it shows is worth something.
func (r *Replicator) sendLock(o *steps.Op, t *trip, s *asking) {
	pl := r.pipelines[t.hosts[s.ask.Host]]
	way := steps.Way{Care: backend.Once}
	s.lock = new(locking)
	for i, req := range lockRequests(&s.ask, t.name) {
		if req == nil {
			continue
		}
		if i == len(s.lock) {
			o.SendFor(s, &s.Step, pl, req, way)
			return
		}
		step := &s.lock[i]
		if !o.SendFor(step, step, pl, req, way) {
			s.Err = step.Err
			return
		}
		way.Conn = step.ConnID()
		s.begun = true
	}
}

// lockRequests are the commands of a lock in their order; nil is none.
func lockRequests(a *replica.Ask, key []byte) [len(locking{}) + 1]*protocol.Request {
	lifetime := strconv.AppendInt([]byte("T"), a.TTL, 10)
	set := func(flags string) *protocol.Request {
		return &protocol.Request{
			Verb: protocol.MetaSet, Key: key, RawKey: key, Value: a.Value, ValueLen: len(a.Value), MetaFlags: append([]byte(flags), lifetime...),
		}
	}
	show := &protocol.Request{Verb: protocol.MetaGet, Key: key, RawKey: key, MetaFlags: append([]byte("v c "), lifetime...), ValueLen: -1}
	if a.Do == replica.DoLockAlone { // a mutant's
		return [...]*protocol.Request{nil, set(""), show}
	}
	behind := set("")
	behind.MetaFlags = []byte("MA")
	return [...]*protocol.Request{behind, set("ME "), show}
}

// lockAnswer is what came back for a lock.
func (a *asking) lockAnswer() replica.Answer {
	ans := a.stepAnswer()
	switch ans.Result {
	case replica.Unsent:
		if a.begun {
			ans.Result = replica.NoAnswer
		}
	case replica.Missing: // because it was deleted in between, or could not be stored
		for i := range a.lock {
			if res := resultOf(a.ask.Do, a.lock[i].Status); res == replica.Refused || res == replica.Unsupported {
				ans.Result = res
			}
		}
	}
	return ans
}
