package replica

import "errors"

// A Mode says what readers are promised.
type Mode uint8

// The modes.
const (
	Safe   Mode = iota // promise A: no read gives a value older than a write that was acknowledged before the read began
	Strict             // promise B: A, and reads do not go back in time either
)

// Bounds and figures of the protocol. Proxies of different builds meet over the same backends, so a change of one that others
// rely on (MaxCopies, the lease) needs another version of the guard.
const (
	// MaxCopies is how many copies a key can have. A conservative write clears so many backends, whatever Rules.MaxCopies is:
	// another proxy's may be greater.
	MaxCopies = 16
	// MaxKeys is how many keys of one home can be replicated at once. The whole table stands in the guard, which every proxy
	// reads several times a second.
	MaxKeys = 128
	// MaxLocks is how many locks a copy's place may have in strict mode before the key is demoted: writes that have died leave theirs, and
	// others renew them.
	MaxLocks = 64

	second      = 1_000_000_000
	millisecond = 1_000_000

	lease   = second / 2
	copyTTL = 8 // seconds
	// LockTTL is the seconds that a lock lasts, longer than any write takes.
	LockTTL = 20
	// StubTTL is the seconds that a lease lasts: the N of the mg that asks a copy.
	StubTTL = 3
	// disputeTTL is the seconds that a dispute lasts.
	disputeTTL = 60
	copyBytes  = 256 << 10
	renew      = 10 * second
	disowned   = 3 // renewals that did not come
	// shortTTL: an item with no more seconds than this to live is not copied.
	shortTTL = 2
)

// Rules are what a pool's proxies agree upon. Zero fields take the defaults named here.
type Rules struct {
	Mode Mode
	// Ring is a hash of all that makes proxies send a key to the same backends: the backends, their weights, the ring, and the
	// mode. Proxies with different ones do not replicate with each other.
	Ring uint64
	// Lease is T: for how many nanoseconds what a guard said holds, from when it was asked; 500 ms. Every proxy's is the same.
	Lease int64
	// Wait is T': for how many nanoseconds a phase must have been seen before the next; longer than every Lease by the
	// clocks' drift. 1.01 Lease + 50 ms.
	Wait int64
	// Renew is how often, in nanoseconds, a proxy that wants a key to have copies says so in the guard, unless another one has; 10 s.
	// Nobody having said so for three times that, whoever sees it demotes the key.
	Renew int64
	// MaxCopies is the most copies that this proxy asks for, 1..MaxCopies; MaxCopies.
	MaxCopies int
	// MaxValue is the longest value in bytes that is copied; 256 KiB.
	MaxValue int

	// Mutant is for tests alone.
	Mutant Mutant
}

// ErrRules says that Rules are out of bounds.
var ErrRules = errors.New("replica: rules are out of bounds")

// WithDefaults gives r with its zero fields set.
func (r Rules) WithDefaults() Rules {
	if r.Lease == 0 {
		r.Lease = lease
	}
	if r.Wait == 0 {
		r.Wait = r.Lease + r.Lease/100 + 50*millisecond
	}
	if r.Renew == 0 {
		r.Renew = renew
	}
	if r.MaxCopies == 0 {
		r.MaxCopies = MaxCopies
	}
	if r.MaxValue == 0 {
		r.MaxValue = copyBytes
	}
	return r
}

// Validate checks r with its defaults set. The error is ErrRules.
func (r Rules) Validate() error {
	r = r.WithDefaults()
	if r.Mode > Strict || r.Lease < 0 || r.Wait < r.Lease || r.Renew < 0 || r.MaxCopies < 1 || r.MaxCopies > MaxCopies || r.MaxValue < 0 {
		return ErrRules
	}
	return nil
}

// A Mutant is a rule broken on purpose, so that tests can show that they would notice. There is none but in tests.
type Mutant uint8

// The mutants.
const (
	NoMutant       Mutant = iota
	TrustsStart           // what was known when a write began is not checked again when it ends
	SkipsPrep             // a key becomes active at once
	SkipsDrain            // an active key becomes none at once
	SkipsRecov            // a guard that was lost comes back as if it had never been away
	SkipsClean            // copies of an earlier activation are left
	CleansEarly           // copies are deleted before the wait, not after it
	SkipsWait             // phases follow each other at once
	FillsBlindly          // a fill is a plain set
	FillsAnywhere         // a fill is sent on whatever conn there is
	UpdatesCopies         // copies get the new value instead of being deleted
	IgnoresLoss           // a guard that is missing or recovering is not feared
	DatesByAnswer         // what a guard said holds from when its answer came
	TrustsNotFound        // a delete that found nothing clears nothing
	LeavesLocks           // strict: locks stand before the write, and nothing is cleared after it
	LocksAlone            // strict: a lock has one owner, the last who asked
	ClearsLocks           // strict: who takes its own lock out takes others' out too
	ReadsLocked           // strict: a copy is read though there are locks behind it
	TrustsLock            // strict: a lock that was asked for is not looked for in what is there
)
