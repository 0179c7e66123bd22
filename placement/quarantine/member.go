package quarantine

import "slices"

// A Standing says where a proxy looks for a backend's keys.
type Standing uint8

// The standings.
const (
	None  Standing = iota // nowhere
	Home                  // on the backend
	Away                  // on its stand-ins
	Alone                 // the backend can hold no item: the proxy judges alone
)

func (s Standing) String() string {
	switch s {
	case None:
		return "none"
	case Home:
		return "home"
	case Away:
		return "away"
	case Alone:
		return "alone"
	}
	return "invalid"
}

// A Result is what came of a poll that was answered.
type Result uint8

// The results.
const (
	Found   Result = iota
	Missing        // there is no item
	Unable         // nor can there be one
	Refused        // the answer tells nothing
)

// An Answer is one to mg Key v c.
type Answer struct {
	Result Result
	Value  []byte // Found
	CAS    uint64 // Found
	Conn   uint64 // on which it came
}

// Local is what a proxy says of itself.
type Local struct {
	Ready bool // it could use the backend: that answers calls, and nobody holds it
	Clean bool // since it saw Handover all that it had written elsewhere was deleted, there and here
}

// A Step is what is to be stored next.
type Step struct {
	Value []byte // nil: nothing
	Add   bool   // only if there is no item; otherwise only if it is CAS's still
	CAS   uint64
	Conn  uint64 // on which it must be sent; Add: 0, on any
}

// A Member is one proxy's part in the agreement on one backend. It has one owner.
//
//	each Rules.Poll:  mg Key v c ─► Polled or Failed ─► Standing
//	                                    └─► Next ─► ms Key ─► poll again
type Member struct {
	rules *Rules
	id    uint64

	known   bool   // kind and item tell what was answered last
	kind    Result // Found: item can be read, or is broken
	broken  bool   // it cannot be read
	item    Item
	cas     uint64
	conn    uint64
	spent   bool  // cas was used: wait for the next poll
	sent    int64 // when the last poll that was answered was sent
	chain   int64 // when the first answer of the chain came
	since   int64 // when an answer first showed the item's epoch
	beats   []seenBeat
	dirty   bool // it was away, and has not left the list since
	leaving bool // a step takes it off the list

	failing  int64 // since when polls fail one after the other; 0: the last did not
	failedAt int64 // when the last of them did
	away     int64 // until when it is Away, if it was when last asked; 0: it was not
	divided  bool
}

// seenBeat is a holder's beat, and when it was first seen.
type seenBeat struct {
	Holder
	since int64
}

// NewMember makes a member that has asked nothing yet. id is random, not 0, and no other member's. dirty says that the process, or
// the one before it, may have written elsewhere.
func NewMember(r *Rules, id uint64, dirty bool) *Member {
	return &Member{rules: r, id: id, dirty: dirty, spent: true}
}

// Succeed has the member go on under another owner.
func (m *Member) Succeed(r *Rules) { m.rules, m.spent = r, true }

// Dirty notes that keys must be deleted on the backend before it is used.
func (m *Member) Dirty() { m.dirty, m.leaving = true, false }

// State is what the item said when it was last read; 0: it was not, or could not be.
func (m *Member) State() State {
	if m.known && m.kind == Found && !m.broken {
		return m.item.State
	}
	return 0
}

// Handover gives the epoch of the Handover that the item says; 0: it says something else.
func (m *Member) Handover() uint64 {
	if m.State() == Handover {
		return m.item.Epoch | 1
	}
	return 0
}

// Polled takes the answer to a poll.
func (m *Member) Polled(a *Answer, sent, now int64) {
	m.spent = true
	if a.Result == Refused {
		m.Failed(sent, now)
		return
	}
	m.failing = 0
	if m.rules.Mutant == DatesByAnswer {
		sent = now
	}
	lease := m.rules.Lease()
	if now >= sent+lease { // the proxy was stopped meanwhile: it knows nothing new
		return
	}
	m.settleAway(now)
	wasHome := m.home(now)
	if !m.known || now >= m.sent+lease {
		m.chain = now
	}
	before, beforeState := m.item.Epoch, m.State()
	m.known, m.kind, m.broken, m.sent = true, a.Result, false, sent
	m.item = Item{}
	if a.Result == Found {
		m.cas, m.conn = a.CAS, a.Conn
		switch it, err := Decode(a.Value); err {
		case nil:
			m.item = it
		case ErrVersion:
			m.kind = Unable
		default:
			m.broken = true
		}
	}
	m.spent = false
	if m.item.Epoch != before || m.State() != beforeState {
		m.since = now
		m.divided = m.divided || wasHome && m.State() == Quarantine && len(m.item.Holders) > 0
	}
	m.watchBeats(now)
	m.left()
	m.settleAway(now)
}

// Skipped says that the clock has skipped d nanoseconds, as when the machine slept. What is known is older by that; nothing has lasted longer.
func (m *Member) Skipped(d int64) {
	m.chain += d
	m.since += d
	m.failedAt += d
	if m.failing != 0 {
		m.failing += d
	}
	for i := range m.beats {
		m.beats[i].since += d
	}
}

// left notes that the member is off the list, if it has wanted that.
func (m *Member) left() {
	if m.leaving && m.find() < 0 && (m.State() == Handover || m.State() == Settled) {
		m.dirty = false
	}
	m.leaving = false
}

// watchBeats notes which holders are alive.
func (m *Member) watchBeats(now int64) {
	old := m.beats
	m.beats = nil
	for _, h := range m.item.Holders {
		b := seenBeat{h, now}
		if i := slices.IndexFunc(old, func(o seenBeat) bool { return o.Holder == h }); i >= 0 {
			b = old[i]
		}
		m.beats = append(m.beats, b)
	}
}

// Failed takes a poll that got no answer in time.
func (m *Member) Failed(sent, now int64) {
	m.settleAway(now)
	late := m.rules.late()
	if m.rules.Mutant == BlamesBackend {
		late = 1 << 60
	}
	if now-sent > m.rules.Patience+late { // the proxy was stopped meanwhile: it says nothing of the backend
		m.failing = 0
		return
	}
	if m.failing == 0 || sent-m.failedAt > m.rules.Poll()+late {
		m.failing = now
	}
	m.failedAt = now
	// Invariant 2.
	wait := m.rules.Quiet()
	if m.rules.Mutant == LeavesAtOnce {
		wait = 0
	}
	if now-m.failing >= wait && now >= m.sent+m.rules.Lease() || m.rules.Mutant == LeavesAtOnce {
		m.away = max(m.away, sent+m.rules.Reach())
		m.dirty = true
	}
}

// settleAway brings away up to date.
func (m *Member) settleAway(now int64) {
	if now >= m.away && m.rules.Mutant != StaysAway {
		m.away = 0
	}
	fresh := m.sent + m.rules.Lease()
	switch {
	case !m.known || now >= fresh:
	case m.State() == Handover, m.kind == Unable, m.home(now):
		m.away = 0
	case m.State() == Quarantine && (m.away != 0 || m.waited(m.since, now)): // invariant 3
		m.away = max(m.away, fresh)
		m.dirty = true
	}
}

// home is invariant 1.
func (m *Member) home(now int64) bool {
	if !m.known || m.State() != Settled || m.dirty {
		return false
	}
	if m.rules.Mutant == TrustsItem {
		return now < m.sent+m.rules.Lease()
	}
	watch := m.rules.Watch()
	if m.rules.Mutant == SkipsWatch {
		watch = 0
	}
	return now < m.sent+m.rules.Lease() && m.sent-m.chain >= watch
}

// Standing says where the backend's keys are looked for, and until when that is so unless another poll says more.
func (m *Member) Standing(now int64) (s Standing, until int64) {
	m.settleAway(now)
	switch {
	case m.known && m.kind == Unable:
		return Alone, 0
	case m.away != 0:
		return Away, m.away
	case m.home(now):
		return Home, m.sent + m.rules.Lease()
	}
	return None, 0
}

// Divided says, once, that another proxy found the backend away, or back, while this one had its answers all the time: they may
// have looked for the same keys in different places.
func (m *Member) Divided() bool {
	d := m.divided
	m.divided = false
	return d
}

func (m *Member) waited(since, now int64) bool {
	return now-since >= m.rules.Wait() || m.rules.Mutant == SkipsWait
}

// find gives the member's place in the list; -1: it has none.
func (m *Member) find() int {
	return slices.IndexFunc(m.item.Holders, func(h Holder) bool { return h.ID == m.id })
}
