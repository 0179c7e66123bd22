// Package replica lets several backends answer for one key that is read too much, by any number of proxies that know nothing
// of each other, and no read ever gives a value older than a write that was acknowledged before the read began. It is the
// protocol's codec and state machines; sockets, clocks and randomness are package pool's: time, answers and random numbers are
// arguments, and requests are asked for.
//
// # The parts
//
// A key's home is the backend that the ring names. A copy of its item may stand on other backends, under a name made of the
// key's hash (AppendCopyKey, AppendHosts). On every backend one item, the guard, says which of the keys that are at home
// there have copies, and is the only authority: it changes by cas alone, so proxies need no list of each other.
//
//	proxy                                                                                 home
//	Keeper, one a home ── each Rules.Poll: mg guard ──────────────────────────────────►  guard
//	   ├─► Sight ─► Look(key) ─► View: a phase, and until when it holds                    ▲
//	   └─► Next: Store ── ms guard, by cas, on the conn that was polled ───────────────────┘
//	             Clean ── Write.StartClean ──────────────────────────────►  the copies' hosts
//
//	a write:  View ─► Write ─► the home ─► check the view ─► clear the copies ─► acknowledge
//	a read:   View ─► Read  ─► a copy; or a lease there, the home, and a fill
//
// # Phases
//
//	a guard   lost ──add──► Recov ──T'──► Normal ──another ring is seen──► Disputed ──its lifetime ends──► lost
//
//	a key     None ──cas──► Prep ──T', delete all copies, cas──► Active ──cas──► Drain ──T', cas──► None
//	                         └───────────────────────────cas───────────────────────────────────────► None
//
//	            None         Prep      Active    Drain     Unknown
//	who writes  checks       clears    clears    clears    clears every host that could have a copy
//	who reads   the home     home      a copy    home      home
//
// T (Rules.Lease) is how long a proxy believes what a guard said, from when it asked. T' (Rules.Wait) is longer: who has seen
// something for T' knows that nobody believes what was before. Any proxy takes the next step when it has itself seen the present
// one for so long, so one that dies blocks nothing. A key is Unknown, and slower, but safe, to whoever does not know its guard:
// it was polled too long ago, it is lost, it recovers, it cannot be read.
//
// # What must hold
//
// The numbers are those of the comments in the code. Each is what a mutant breaks and the model's test finds.
//
//  1. A copy is read only by who asked the guard less than T ago and was told Active (View.MayRead).
//  2. Active comes at least T' after Prep. So every write that is acknowledged later was either begun by who saw Prep, and
//     clears; or finds, when it checks before the acknowledgement, that what it began with is too old (Write.known).
//  3. All copies are deleted after that wait and before Active, so nothing of an earlier activation is left (Keeper.clean). A
//     lease given before that is void.
//  4. A fill succeeds only if nothing has cleared the copy since its lease, and it carries what the home had after its lease:
//     cas, on the conn that gave the lease, for cas numbers begin anew with a server (Read.fill).
//  5. A write is acknowledged only when every copy that may be read was cleared after the home had applied it (Write.settle).
//     Copies are deleted, never updated: two writers' updates can come in another order than their writes.
//  6. A guard that vanished comes back only through Recov, T' long (Keeper.Next).
//
// # Strict
//
// So far two reads that follow each other may see a write and then not, as long as it is not acknowledged. In Strict mode a
// write first puts a record with its number into the place of every copy, and takes it out when the home has answered:
//
//	round trip   1 lock                                     2 the home   3 clear
//	a copy's     ms c MA    a record behind what is there   the          md c C<cas>       what the lock has shown, if it is still that;
//	host         ms c ME T  or alone, if nothing is         request      ms c C<cas> T     with the records of others, if there were some
//	             mg c v c T what is there now: a lock, if
//	                        our record is among it
//
// While a record stands, behind a copy too, reads go to the home, a lease from before is void, and none is given; and a copy that was
// locked is never read again, for whoever takes records out drops it. So reads do not go back in time. Other requests may come between
// the three of a lock, which are one after the other on one conn: what the last of them shows is what counts, and if our record is missing
// the lock is tried anew. If the place has changed before it is cleared, it is looked at, and then cleared by cas, until that succeeds. The last who
// takes its record out deletes the item.
//
// That holds as long as the home applies a write before what its proxy knew when it began is T old (three quarters of T when polls keep
// pace), and no lock is lost to an eviction, a restart of its host, or its lifetime of 20 s. A write that has died leaves its
// record, and as long as others come it does not expire; who has seen it for a lock's lifetime takes it out with its own (Roll). A key whose
// copies' places have more than MaxLocks records all the same is demoted, after which nobody locks.
//
// # Rings
//
// Proxies whose rings differ do not know where each other's copies are. A guard carries the hash of the ring of those who
// promote; who has another one reads the homes alone, cannot acknowledge writes of keys that are replicated (Unconfirmed), and
// stores Disputed, in which all keys drain and none is promoted. It ends with the guard's lifetime of a minute, and begins again
// if both are still there. It is an alert (Sight.Foreign). Between a guard's loss and the end of Recov such a proxy cannot know of
// others' copies: rings that differ are a mistake of configuration, and then keys may have two homes anyway.
//
// # Costs and lives
//
// A key that is None in a fresh view costs nothing but looking (Sight.Plain) and, when a write is answered, looking at the time
// (Write.StartWritten for the rest). A hot write takes two round trips; in strict mode three, and two more
// for each other writer that got between its lock and its clear. Machines belong to who made them; a Sight may be read by anybody. What they give out is the
// caller's, and answers' bytes are not kept, but for a copy that was read, which points into its answer.
package replica
