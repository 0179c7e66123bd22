package backend

import (
	"bytes"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"mcproxy/internal/epoll"
	"mcproxy/protocol"
)

// A keeper looks after one backend, on one of the process's loops, over a conn of its own: it probes the backend while
// that is down, sends the deletes that the journal owes, and then lets it be used again.
type keeper struct {
	b      *Backend
	loop   *epoll.Loop
	pipe   *Pipeline
	alarm  *epoll.Alarm
	kicked atomic.Bool

	// Owned by the loop.
	debts     []*debt // to be sent when due
	open      int     // deletes sent and not answered
	old       int     // of them, those of debts that were there when the backend had proved itself
	probing   bool
	proved    bool  // probes succeeded since the backend went down, for as long as flapping asks for
	provedAt  int64 // when that was
	nextProbe int64 // while down
	wait      time.Duration
	jitter    *rand.Rand
	survey    survey
	out       bool  // the backend is not used
	calm      int64 // since when every probe was answered; 0: the last was not
	cameUp    int64 // when the backend was last used again; 0: never
	flaps     int   // how often it went down soon after that, in a row
	flush     flush // OnReturnFlush's
}

// replayBatch is how many deletes the keeper has on the wire at once.
const replayBatch = 512

// Keep puts the backend under the care of loop: call it once, from the loop, before the backend is used. It probes the
// backend at once, to learn its version.
func (b *Backend) Keep(loop *epoll.Loop) {
	k := &keeper{b: b, loop: loop, pipe: NewPipeline(b, loop)}
	// The clock tells processes apart, so that they do not probe together; in a simulation it makes runs repeatable.
	k.jitter = rand.New(rand.NewPCG(uint64(loop.Kernel.Now()), xxhash.Sum64String(b.Name)))
	k.survey.k = k
	k.pipe.private = true
	k.pipe.conns = k.pipe.conns[:1]
	k.alarm = loop.NewAlarm(k)
	b.keeper.Store(k)
	b.journal.hire(k)
	k.probe()
	if keys, _ := b.Journal(); keys > 0 { // from before
		k.kick()
	}
}

// Unkeep ends the keeper and its conn; call it from the keeper's loop. What the journal holds stays there.
func (b *Backend) Unkeep() {
	if k := b.keeper.Swap(nil); k != nil {
		k.pipe.Close()
		k.alarm.Remove()
		b.journal.dismiss(k)
	}
}

func (k *keeper) kick() {
	if k.kicked.CompareAndSwap(false, true) {
		k.loop.Post(func() {
			k.kicked.Store(false)
			if next := k.Expire(k.loop.Now); next != 0 {
				k.alarm.Set(next)
			}
		})
	}
}

// Expire does what is due and gives when to look again.
func (k *keeper) Expire(now int64) (next int64) {
	if k.b.keeper.Load() != k {
		return 0
	}
	for _, d := range k.b.journal.take(k) {
		d.due, d.taken = now+int64(d.delay), now
		k.debts = append(k.debts, d)
	}
	if k.b.State() != StateUp && !k.out {
		k.out = true
		k.wentDown(now)
	}
	if k.b.State() == StateDown && !k.proved {
		return k.nurse(now)
	}
	k.proved = k.proved && k.b.State() == StateDown
	if k.proved && k.mustHold() {
		k.proved = false
	}
	next = k.pay(now)
	if k.proved {
		next = sooner(next, k.comeBack(now))
	}
	if due := k.survey.due(now); due != 0 && (next == 0 || due < next) {
		next = due
	}
	return next
}

// nurse probes a backend that is down, at growing intervals.
func (k *keeper) nurse(now int64) (next int64) {
	if k.probing {
		return 0
	}
	if k.nextProbe == 0 {
		k.schedule(now)
	}
	if now < k.nextProbe {
		return k.nextProbe
	}
	k.nextProbe = 0
	k.probe()
	if k.probing {
		return 0
	}
	k.schedule(now)
	return k.nextProbe
}

// schedule sets the time of the next probe: each wait is twice the last, and somewhere in its second half.
func (k *keeper) schedule(now int64) {
	o := k.b.Options()
	k.wait = min(max(2*k.wait, o.ProbeInterval), o.ProbeMax)
	k.nextProbe = now + int64(k.wait/2) + k.jitter.Int64N(int64(k.wait/2)+1)
}

// probe asks for the version. A probe waits longer than a client's call would: a server that was stopped answers it in
// the moment when it goes on.
func (k *keeper) probe() {
	cn, err := k.pipe.conn(0)
	if err != nil {
		return
	}
	k.probing = true
	k.pipe.sendInternal(cn, k, appendVersion, int64(k.b.Options().StallTimeout))
}

// Answer takes a probe's answer.
func (k *keeper) Answer(_ *Call, r *protocol.Response, _ []byte) error {
	k.probing = false
	err := k.b.learn(r)
	if err != nil {
		k.calm = 0
	} else if k.calm == 0 {
		k.calm = k.loop.Now
	}
	if err == nil && k.b.State() == StateDown && k.loop.Now-k.calm >= int64(k.damping()) {
		k.proved, k.provedAt = true, k.loop.Now
	}
	k.b.kick()
	return err
}

// Fail takes a probe that was not answered.
func (k *keeper) Fail(*Call, []byte, *Error) {
	k.probing = false
	k.calm = 0
	k.b.kick()
}

// pay sends the deletes that are due, and gives when the next one will be.
func (k *keeper) pay(now int64) (next int64) {
	rest := k.debts[:0]
	for _, d := range k.debts {
		if d.due <= now && k.open < replayBatch && k.send(d) {
			continue
		}
		at := max(d.due, now+int64(k.b.Options().ProbeInterval))
		if d.due <= now && k.open >= replayBatch {
			at = 0 // an answer will bring the keeper back
		}
		next = sooner(next, at)
		rest = append(rest, d)
	}
	clear(k.debts[len(rest):])
	k.debts = rest
	if len(rest) == 0 {
		k.debts = nil
	}
	return next
}

func (k *keeper) send(d *debt) bool {
	cn, err := k.pipe.conn(0)
	if err != nil {
		k.proved = false
		return false
	}
	p := &payment{k, d, k.proved && d.taken <= k.provedAt}
	k.open++
	if p.old {
		k.old++
	}
	k.pipe.sendInternal(cn, p, d.appendDelete, int64(k.b.Options().StallTimeout))
	return true
}

// A payment is a debt's delete on the keeper's conn.
type payment struct {
	k   *keeper
	d   *debt
	old bool // it is among keeper.old
}

func (p *payment) ended() {
	p.k.open--
	if p.old {
		p.k.old--
	}
}

func (p *payment) Answer(c *Call, r *protocol.Response, raw []byte) error {
	p.ended()
	p.k.b.kick()
	return p.d.Answer(c, r, raw)
}

func (p *payment) Fail(c *Call, req []byte, err *Error) {
	p.ended()
	p.k.proved = false // the backend must be probed again before it is used
	p.d.Fail(c, req, err)
}

// sooner is the earlier of two times of which each may be 0, that is never.
func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// learn takes an answer to `version`.
func (b *Backend) learn(r *protocol.Response) error {
	v, ok := bytes.CutPrefix(r.Line, []byte("VERSION "))
	if !ok {
		return ErrProtocol // whatever it is, it is no memcached that can be used
	}
	if string(v) != b.Version() {
		s := string(v)
		b.version.Store(&s)
	}
	return nil
}
