// Package budget bounds the bytes that a process holds at once for what many of its event loops do: who finds none left waits, first
// come, first served.
package budget

import (
	"sync"

	"mcproxy/internal/epoll"
)

// A Budget bounds the bytes that a process holds at once for values that are split: while they are received, on their way in
// chunks, put together, and until clients have taken them. Who finds no bytes left waits; first come, first served, so that neither
// small nor large ones starve. A value that is larger than the whole budget has it alone. It is safe for concurrent use.
type Budget struct {
	// Whole counts what is held for values that are not split.
	Whole *Meter

	filling chan struct{} // has room for one word

	mu          sync.Mutex
	wait        int64   // guarded by mu: nanoseconds that a claim waits at most
	figures     Figures // guarded by mu
	first, last *Claim  // guarded by mu: those that wait, the oldest first
}

// Figures tell of a budget.
type Figures struct {
	Limit   int64
	Bytes   int64  // held now
	Peak    int64  // the most that were ever held at once
	Waiting int    // claims that wait now
	Waits   uint64 // claims that had to wait
	Expired uint64 // claims that waited in vain
}

// New makes a budget of limit bytes, for which a claim waits so many nanoseconds at most.
func New(limit, wait int64) *Budget {
	b := &Budget{filling: make(chan struct{}, 1)}
	b.Whole = &Meter{filling: b.filling}
	b.Whole.SetLimit(limit)
	b.Change(limit, wait)
	return b
}

// Change sets other bounds. What is held stays held, and who waits has the time that it was given.
func (b *Budget) Change(limit, wait int64) {
	b.mu.Lock()
	b.wait, b.figures.Limit = wait, limit
	granted := b.grant()
	b.mu.Unlock()
	tell(granted)
}

// Figures gives the figures of one moment.
func (b *Budget) Figures() Figures {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.figures
}

// Filling gives a word when a quarter of the budget, or of Whole's limit, has come into use, or more, since the last.
func (b *Budget) Filling() <-chan struct{} { return b.filling }

// Busy says whether a quarter of the budget is in use, or of Whole's limit.
func (b *Budget) Busy() bool {
	f := b.Figures()
	return f.Bytes >= f.Limit/4 || b.Whole.busy()
}

// Crowded says whether somebody waits.
func (b *Budget) Crowded() bool { return b.Figures().Waiting > 0 }

// A Purse is one loop's access to a budget. A nil one has no bounds. It is the loop's.
type Purse struct {
	budget  *Budget
	loop    *epoll.Loop
	alarm   *epoll.Alarm
	waiting []*Claim // of this loop; those that were granted meanwhile may still be among them
}

// NewPurse gives loop access to a budget; nil if there is none.
func NewPurse(b *Budget, loop *epoll.Loop) *Purse {
	if b == nil {
		return nil
	}
	p := &Purse{budget: b, loop: loop}
	p.alarm = loop.NewAlarm(p)
	return p
}

type claimState uint8

const (
	claimFree    claimState = iota // nothing is held: dropped, expired, or no budget
	claimWaiting                   // in the budget's queue
	claimHeld                      // its bytes are its own
)

// A Claim is bytes of a budget. Its methods are the loop's. Once dropped it is not used again.
type Claim struct {
	purse    *Purse
	done     func(granted bool)
	deadline int64 // Loop time
	told     bool  // done is not called any more

	state      claimState // guarded by budget.mu, and so is what follows
	bytes      int64
	next, prev *Claim
}

// Claim asks for n bytes. ok: they are held, until Drop. Otherwise done is called in a later turn of the loop, once, unless the
// claim is dropped before: granted, or not if time ran out.
func (p *Purse) Claim(n int, done func(granted bool)) (c *Claim, ok bool) {
	if p == nil {
		return &Claim{}, true
	}
	if c, ok = p.Try(n); ok {
		return c, true
	}
	b := p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	c = &Claim{purse: p, done: done, bytes: min(int64(n), b.figures.Limit), deadline: p.loop.Now + b.wait}
	c.state = claimWaiting
	c.prev = b.last
	if b.last == nil {
		b.first = c
	} else {
		b.last.next = c
	}
	b.last = c
	b.figures.Waiting++
	b.figures.Waits++
	p.waiting = append(p.waiting, c)
	p.alarm.Set(c.deadline)
	return c, false
}

// Try is Claim for who would rather do without than wait.
func (p *Purse) Try(n int) (c *Claim, ok bool) {
	if p == nil {
		return &Claim{}, true
	}
	b := p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	c = &Claim{purse: p, told: true, bytes: min(int64(n), b.figures.Limit)}
	if b.first != nil || !b.fits(c) {
		return nil, false
	}
	b.hold(c)
	return c, true
}

// fits says whether a claim can be granted now. The caller holds mu.
func (b *Budget) fits(c *Claim) bool {
	// One that is larger than the whole, which may have shrunk since, has it alone.
	return b.figures.Bytes+min(c.bytes, b.figures.Limit) <= b.figures.Limit
}

// hold grants a claim. The caller holds mu.
func (b *Budget) hold(c *Claim) {
	c.state = claimHeld
	b.figures.Bytes += c.bytes
	if b.figures.Bytes >= b.figures.Limit/4 {
		select {
		case b.filling <- struct{}{}:
		default:
		}
	}
	b.figures.Peak = max(b.figures.Peak, b.figures.Bytes)
}

// unlink takes a claim out of the queue. The caller holds mu.
func (b *Budget) unlink(c *Claim) {
	if c.prev == nil {
		b.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		b.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
	b.figures.Waiting--
}

// grant grants what can be granted and gives it as a list, by next. The caller holds mu, and tells them when he does not any more.
func (b *Budget) grant() (granted *Claim) {
	for end := &granted; b.first != nil && b.fits(b.first); {
		c := b.first
		b.unlink(c)
		b.hold(c)
		*end, end = c, &c.next
	}
	return granted
}

// tell tells the loops of claims that theirs were granted.
func tell(granted *Claim) {
	for c := granted; c != nil; {
		next := c.next
		c.next = nil
		if !c.purse.loop.Post(c.granted) {
			c.Shrink(0) // its loop has ended
		}
		c = next
	}
}

// granted is the loop's word that its claim was granted.
func (c *Claim) granted() {
	if !c.told {
		c.told = true
		c.done(true)
	}
}

// Drop gives the bytes back, or stops waiting for them.
func (c *Claim) Drop() {
	c.told = true
	c.Shrink(0)
}

// Shrink gives back what is held above n bytes.
func (c *Claim) Shrink(n int) {
	if c.purse == nil {
		return
	}
	b := c.purse.budget
	b.mu.Lock()
	switch c.state {
	case claimWaiting:
		b.unlink(c)
		c.state = claimFree
	case claimHeld:
		if less := c.bytes - int64(n); less > 0 {
			b.figures.Bytes -= less
			c.bytes -= less
		}
		if n == 0 {
			c.state = claimFree
		}
	}
	granted := b.grant()
	b.mu.Unlock()
	tell(granted)
}

// expire ends a claim that still waits, and says whether it did.
func (b *Budget) expire(c *Claim) bool {
	b.mu.Lock()
	if c.state != claimWaiting {
		b.mu.Unlock()
		return false
	}
	b.unlink(c)
	c.state = claimFree
	b.figures.Expired++
	granted := b.grant() // it may have stood before others that fit
	b.mu.Unlock()
	tell(granted)
	return true
}

// Close ends the purse: who waits, waits in vain. What is held is held until it is dropped.
func (p *Purse) Close() {
	if p == nil {
		return
	}
	p.alarm.Remove()
	for _, c := range p.waiting {
		if !c.told && p.budget.expire(c) {
			c.told = true
			c.done(false)
		}
	}
	p.waiting = nil
}

// Expire tells the claims whose time is over.
func (p *Purse) Expire(now int64) (next int64) {
	var late []*Claim
	still := p.waiting[:0]
	for _, c := range p.waiting {
		switch {
		case c.told:
		case c.deadline > now:
			still = append(still, c)
			if next == 0 || c.deadline < next {
				next = c.deadline
			}
		default: // if it was granted meanwhile, the word is on its way
			late = append(late, c)
		}
	}
	clear(p.waiting[len(still):])
	p.waiting = still
	for _, c := range late {
		if !c.told && p.budget.expire(c) {
			c.told = true
			c.done(false)
		}
	}
	return next
}
