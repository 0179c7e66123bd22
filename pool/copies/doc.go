// Package copies reads hot keys from several backends, and keeps that true: the conns, the clock and the random numbers for the
// protocol of package replica, whose documentation says what is promised and why it holds.
//
//	poller, one a backend and process ── each quarter of a lease ──► the backend's guard
//	   ├─► Sight, an atomic pointer ◄─── Replicator.Settled (writes), Replicator.Read (reads): the data path looks, and waits for nobody
//	   └─► the guard's next step: promote, clean, demote
//
//	a write:  the home answers ─► Settled? ── yes: the client is told
//	                                 └────── no: Settle: ask the guard, clear the copies ─► the client is told
//	a read:   the key has copies ─► Read: the less loaded of two backends ─► a copy; or the home, and a fill
//
// In strict mode a write of a key that has copies locks them before it goes to the home: Ask does all of it.
//
// A Shared is what the workers of a process have in common of a pool; each has a Replicator of its own over it. While nobody
// uses the pool nobody polls: the first write after that asks the guard itself.
package copies
