package backend

import (
	"math"
	"strconv"
	"strings"

	"mcproxy/internal/epoll"
	"mcproxy/protocol"
)

// A lease keeps a backend from being used by who does not know that all others use it too: package placement has it renewed as long as
// the proxies agree. Calls without one are refused as if the backend were down, and what is answered when it has ended does not count: a
// client hears of a failure, and a write is deleted. So it is enough that it stands when the answer is there, in a later turn than the request came in.

// NoLease is for a backend that is used by whoever has one.
const NoLease = int64(0)

// LeaseEnded is a lease that has.
const LeaseEnded = int64(math.MinInt64)

// SetLease says until which Kernel.Elapsed the backend is used: a time, NoLease or LeaseEnded.
func (b *Backend) SetLease(until int64) { b.lease.Store(until) }

// Lease is what SetLease has set.
func (b *Backend) Lease() int64 { return b.lease.Load() }

// Kept says whether a loop looks after the backend.
func (b *Backend) Kept() bool { return b.keeper.Load() != nil }

// leaseEnded says whether the backend is not to be used. The clock is read once a turn.
func (p *Pipeline) leaseEnded() bool {
	until := p.Backend.lease.Load()
	if until == NoLease {
		return false
	}
	if p.turn != p.loop.Now {
		p.turn, p.elapsed = p.loop.Now, p.loop.Kernel.Elapsed()
	}
	return p.elapsed >= until
}

// NewQuery gives loop a conn to b for Query alone.
func NewQuery(b *Backend, loop *epoll.Loop) *Pipeline {
	p := NewPipeline(b, loop)
	p.private, p.aloof = true, true
	p.conns = p.conns[:1]
	return p
}

// Query asks something for the process itself, whatever the backend's state is; the answer has so many nanoseconds. on is the ConnID of the conn that it
// must go on; 0: any. An error says that it was not sent, and that owner hears no more of it.
func (p *Pipeline) Query(owner Completer, req *protocol.Request, on uint64, patience int64) *Error {
	cn, err := p.conn(0)
	if err != nil {
		return err
	}
	if on != 0 && cn.id != on {
		return &Error{Backend: p.Backend.Name, Err: ErrClosed}
	}
	p.sendInternal(cn, owner, func(dst []byte) ([]byte, protocol.Verb) { return protocol.AppendRequest(dst, req), req.Verb }, patience)
	return nil
}

// HangUp ends the conns; later calls open others. Call it while none waits for an answer, not from one's end.
func (p *Pipeline) HangUp() { p.hangUp() }

// Owes says whether a key is in the journal.
func (b *Backend) Owes(key string) bool { return b.journal.has([]byte(key)) }

// OwesFrom says whether a key is in the journal that came before a Loop time.
func (b *Backend) OwesFrom(before int64) bool {
	j := b.journal
	if j.size.Load() == 0 {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, o := range j.debts {
		if o.since < before {
			return true
		}
	}
	return false
}

// SpeaksMeta says whether a backend of that version takes meta commands as they are since 1.6.10; before, they were experimental, and
// others.
func SpeaksMeta(version string) bool {
	want := [3]int{1, 6, 10}
	fields := strings.SplitN(version, ".", 3)
	for i, w := range want {
		if i >= len(fields) {
			return false
		}
		digits := fields[i]
		if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			digits = digits[:end]
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < w {
			return false
		}
		if n > w {
			return true
		}
	}
	return true
}
