package quarantine

// Rules are what all proxies over a backend agree upon.
type Rules struct {
	// Patience is how many nanoseconds a poll may take. All else follows from it.
	Patience int64

	// Mutant is for tests alone.
	Mutant Mutant
}

const (
	millisecond = 1_000_000
	second      = 1000 * millisecond

	// LeastPatience is the least that Rules.Patience may be.
	LeastPatience = 300 * millisecond
	// MostPatience is the most that it should be: the service is down for several times as long.
	MostPatience = 2 * second
	// Gone is for how many nanoseconds a holder's beat must not have moved for the holder to count as dead.
	Gone = 5 * second
	// beat is how often a holder moves it.
	beat = second
)

// Poll is how often the item is asked for. A poll that fails later than that is followed by the next at once.
func (r *Rules) Poll() int64 { return r.Patience / 2 }

// Lease is for how long what was answered holds, from when it was asked.
func (r *Rules) Lease() int64 { return 2 * r.Patience }

// Wait is longer than every Lease, by the clocks' drift.
func (r *Rules) Wait() int64 { return r.Lease() + r.Lease()/100 + 50*millisecond }

// Quiet is for how long all polls must have failed before a backend counts as away: a Wait, and as long again as one poll may have hidden that the
// proxy was stopped and its conn lost.
func (r *Rules) Quiet() int64 { return r.Wait() + r.Patience + r.late() }

// Watch is how long a backend must have been watched before it is used: longer than it takes who is Away to see that it is back, and to
// store that.
func (r *Rules) Watch() int64 { return r.Patience + r.Patience/2 }

// Reach is for how long a proxy is Away after a poll that failed was sent: until the next one has failed, at least.
func (r *Rules) Reach() int64 { return 3 * r.Patience }

// Notice is how long the quarantine lasts, so that everybody sees it: longer than Reach.
func (r *Rules) Notice() int64 { return 5 * r.Patience }

// late is how much longer than Patience a poll may have taken to fail. One that took longer says that the proxy was stopped, not the backend.
func (r *Rules) late() int64 { return r.Patience / 2 }

// A Mutant is a rule broken on purpose, so that tests can show that they would notice. There is none but in tests.
type Mutant uint8

// The mutants.
const (
	NoMutant      Mutant = iota
	TrustsItem           // Home as soon as the item says Settled, however long the backend was silent
	SkipsWatch           // a chain of answers need not last
	LeavesAtOnce         // Away as soon as a poll fails
	DatesByAnswer        // what was answered holds from when the answer came
	BlamesBackend        // polls that failed because the proxy was stopped count
	SkipsNotice          // the quarantine ends as soon as its holders are ready
	SkipsHandover        // it is followed by Settled at once
	SkipsWait            // nobody waits for what others believe to become old
	ForgetsDebts         // a holder leaves though not all is deleted
	IgnoresLoss          // an item that vanished comes back as Settled
	StaysAway            // a proxy is Away for ever until it hears otherwise
)
