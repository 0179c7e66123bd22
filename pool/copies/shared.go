package copies

import (
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"mcproxy/backend"
	"mcproxy/replica"
)

// Mode says whether keys get copies, and what readers are promised then.
type Mode uint8

// The modes.
const (
	Off    Mode = iota
	Safe        // no read gives a value older than a write that was acknowledged before the read began
	Strict      // and reads do not go back in time either
)

func (m Mode) String() string {
	switch m {
	case Off:
		return "off"
	case Safe:
		return "safe"
	case Strict:
		return "strict"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// Config says which keys get copies. The zero Config is off.
type Config struct {
	Mode Mode
	Max  int // copies of a key at most, 1..replica.MaxCopies; 0: as many as there are other backends
}

// MinBackends is how many backends a pool needs for copies.
const MinBackends = 2

const (
	// idleAfter is how long nobody must have used a pool for its guards to be polled no more.
	idleAfter = int64(10 * time.Second)
	// noteUse is how often the use of a pool is noted.
	noteUse = int64(time.Second)
	// rest is how long a key that was demoted keeps from getting copies again. In strict mode it is longer than a lock lives, so that those
	// of writes that have died are gone.
	rest       = int64(10 * time.Second)
	restStrict = replica.LockTTL*int64(time.Second) + rest
	// doubt is longer than a copy lives: so long after a failed write was made good, copies may be older than it.
	doubt = 12 * time.Second
)

// Shared is what all workers of a process have in common of a pool's copies.
type Shared struct {
	// For tests. Set them before the first Replicator is made.
	Random func([]byte) // fills epochs; nil: crypto/rand
	Mutant Mutant

	rules    replica.Rules // immutable
	notify   func(Event)   // immutable; nil: nobody is told
	backends []*backend.Backend
	names    []uint64     // hashes of the backends' names
	homes    []home       // by backend
	used     atomic.Int64 // Loop time of the last use, about
	hired    atomic.Bool  // somebody looks after the guards
}

// A Mutant is a rule broken on purpose, so that tests can show that they would notice. There is none but in tests.
type Mutant uint8

// The mutants. Package replica has its own.
const (
	NoMutant      Mutant = iota
	TrustsOld            // a write is acknowledged by what was seen last, however long ago
	ReadsOld             // a copy is read by what was seen last, however long ago
	TrustsTurn           // the time is that of the turn's begin
	ForgetsFailed        // a copy is read though a write failed that it may be older than
)

// home is what is known of one backend's keys.
type home struct {
	sight  atomic.Pointer[Sight]  // never nil
	poller atomic.Pointer[poller] // nil: nobody polls
}

// NewShared prepares copies for a pool. ring is a hash of all that decides where keys belong. It is nil if there are to be none.
func NewShared(cfg Config, backends []*backend.Backend, ring uint64) *Shared {
	if cfg.Mode == Off || len(backends) < MinBackends {
		return nil
	}
	s := &Shared{backends: backends, homes: make([]home, len(backends))}
	for _, b := range backends {
		s.names = append(s.names, xxhash.Sum64String(b.Name))
	}
	s.rules = replica.Rules{Ring: ring, MaxCopies: cfg.Max}
	if cfg.Mode == Strict {
		s.rules.Mode = replica.Strict
		s.rules.Ring += 2 // who does not lock must not share copies with who does, nor with who locks in another way (1)
	}
	s.rules = s.rules.WithDefaults()
	s.rules.MaxCopies = min(s.rules.MaxCopies, len(backends)-1)
	for i := range s.homes {
		s.homes[i].sight.Store(&Sight{})
	}
	return s
}

// Hire says, once, that somebody is to look after the guards: see Replicator.Keep.
func (s *Shared) Hire() bool { return s.hired.CompareAndSwap(false, true) }

// Rules are the protocol's. Tests may change them before the first Replicator is made.
func (s *Shared) Rules() *replica.Rules { return &s.rules }

// rest is how long a key that was demoted rests.
func (s *Shared) rest() int64 {
	if s.rules.Mode == replica.Strict {
		return restStrict
	}
	return rest
}

func (s *Shared) random(b []byte) {
	if s.Random != nil {
		s.Random(b)
		return
	}
	rand.Read(b) // never fails: crypto/rand ends the process instead
}

// use notes that the pool is used at a Loop time, and wakes pollers that sleep.
func (s *Shared) use(now int64) {
	last := s.used.Load()
	if last != 0 && now-last < noteUse {
		return
	}
	s.used.Store(now)
	if last != 0 && now-last < idleAfter/2 {
		return
	}
	for i := range s.homes {
		if p := s.homes[i].poller.Load(); p != nil {
			p.r.loop.Post(p.wake)
		}
	}
}

// A Wish is a key that is to have copies, or not.
type Wish struct {
	Key    []byte
	Home   int // the backend where it belongs
	Copies int
	Forced bool // at once, even if it was demoted a moment ago
}

// Promote has the key get so many copies, and keep them until it is demoted or released.
func (s *Shared) Promote(w Wish) {
	h := replica.HashOf(w.Key)
	s.tell(w.Home, func(p *poller) { p.promote(h, w.Copies, w.Forced) })
}

// Demote has the key lose its copies.
func (s *Shared) Demote(w Wish, why replica.Reason) {
	h := replica.HashOf(w.Key)
	s.tell(w.Home, func(p *poller) { p.keeper.Demote(h, why) })
}

// Release says that this process does not need the key to have copies any more; others may.
func (s *Shared) Release(w Wish) {
	h := replica.HashOf(w.Key)
	s.tell(w.Home, func(p *poller) { p.keeper.Release(h) })
}

// tell has a home's poller do something in its loop.
func (s *Shared) tell(home int, do func(p *poller)) {
	if p := s.homes[home].poller.Load(); p != nil {
		p.r.loop.Post(func() {
			do(p)
			p.wake()
		})
	}
}

// A Key is one that the guards know, as this process sees them.
type Key struct {
	Hash   uint64 // hotkey.Hash of it
	Home   int    // the backend where it belongs
	Phase  replica.Phase
	Copies int
}

// Keys gives the keys that have copies, or are about to get or lose them.
func (s *Shared) Keys() []Key {
	var all []Key
	for i := range s.homes {
		t := s.homes[i].sight.Load().table
		if t == nil {
			continue
		}
		for j := range t.entries {
			e := &t.entries[j]
			all = append(all, Key{Hash: e.short, Home: i, Phase: e.Phase, Copies: e.Copies})
		}
	}
	return all
}

// A Summary is what a process knows of a pool's copies now.
type Summary struct {
	Figures                     // of its workers, to be added
	Prep, Active, Drain int     // keys by phase
	Guards              []Guard // by backend
}

// A Guard is what is known of one backend's guard.
type Guard struct {
	Backend string
	Age     float64 // seconds since it was asked for with success; negative: it never was
	Trusted bool    // it is known which keys of the backend have copies
	Foreign bool    // proxies with another ring, or another mode, use the backend
	Unable  bool    // the backend can have none
}

// Summary tells of a pool's copies; nil if it has none. now is a Kernel.Elapsed.
func (s *Shared) Summary(now int64) *Summary {
	if s == nil {
		return nil
	}
	sum := &Summary{Guards: make([]Guard, len(s.homes))}
	for _, k := range s.Keys() {
		switch k.Phase {
		case replica.Prep:
			sum.Prep++
		case replica.Active:
			sum.Active++
		case replica.Drain:
			sum.Drain++
		}
	}
	for i := range s.homes {
		sight := s.homes[i].sight.Load()
		view := sight.Look(&s.rules, replica.Hash{}, now)
		g := &sum.Guards[i]
		*g = Guard{
			Backend: s.backends[i].Name, Age: -1, Trusted: view.Fresh(now) && view.Phase != replica.Unknown,
			Foreign: sight.Foreign(&s.rules), Unable: sight.Kind == replica.Unable,
		}
		if sight.Kind != replica.Unseen {
			g.Age = float64(now-sight.Sent) / 1e9
		}
	}
	return sum
}

// PhaseOf is how far the copies of a key are, and how many it has.
func (s *Shared) PhaseOf(w Wish) (replica.Phase, int) {
	t := s.homes[w.Home].sight.Load().table
	if t == nil {
		return replica.None, 0
	}
	if e := t.find(w.Key, shortOf(w.Key)); e != nil {
		return e.Phase, e.Copies
	}
	return replica.None, 0
}

// Able says whether the backends that would have a key's copies can have them now.
func (s *Shared) Able(w Wish) bool {
	hosts := replica.AppendHosts(nil, replica.HashOf(w.Key), s.names, w.Home)
	for _, host := range hosts[:min(w.Copies, len(hosts))] {
		if b := s.backends[host]; b.State() != backend.StateUp || !backend.SpeaksMeta(b.Version()) {
			return false
		}
	}
	return true
}
