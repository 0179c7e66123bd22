// Package quarantine has any number of proxies, which know nothing of each other, agree when the keys of a backend are looked for
// elsewhere and when they are looked for on it again: so that a value which was written through one proxy while the backend was away is
// never hidden by an older one that another proxy finds. It is the protocol's codec and state machine; sockets and clocks are package
// placement's: time, answers and random numbers are arguments, and requests are asked for.
//
// # The item
//
// On the backend itself stands one reserved item (Key). It changes by cas alone, on the conn that it was read on, and every proxy that
// may pass the backend over asks for it all the time (Rules.Poll), also while it is away. It is in one of three states:
//
//	            a proxy that was away comes back ──────────────────────────────┐
//	                                                                           ▼
//	(no item) ──► Quarantine ──Notice, and all holders ready──► Handover ──Wait, no holder left──► Settled
//	                  ▲                                            │
//	                  └──────────── a holder is not ready ─────────┘
//
//	             Quarantine             Handover         Settled
//	a key is     elsewhere, for all     nowhere          on the backend
//	a holder     says that it is        has deleted all that it wrote elsewhere, there and here,
//	             here, and is ready     and leaves the list
//
// A holder is a proxy that was away from the backend since it last left the list: it may have written elsewhere. Any proxy takes the next
// step when it has itself seen the state for so long; so one that dies blocks nothing. A holder that has not moved its beat for Gone is
// struck from the list.
//
// # The standing of a proxy
//
//	Home   the keys are read and written on the backend
//	Away   on the stand-ins; each write is noted first
//	None   nowhere: reads are misses, and writes fail, as with a backend that is down
//
// All that is known ages: it holds for Lease from when it was asked, not from when the answer came. Who was stopped finds that what it
// knew is old, and is None until it has asked.
//
// # What must hold
//
// Never is one proxy Home while another is Away, and between the two all that was written on the one side is deleted on the other. The
// numbers are those of the comments in the code, and each is what a mutant breaks and the model finds.
//
//  1. Home is who was told Settled less than Lease ago, in a chain of answers of which none came later than Lease after the one before was
//     asked for, and which lasts for Watch at least (Member.home). So a backend that stopped for longer than Lease has nobody Home when it
//     goes on, though its item says Settled still; and before anybody is, whoever is Away has found it and stored Quarantine.
//  2. Away, because the backend does not answer, is who has heard nothing from it for Quiet, in polls that failed one after the other while
//     the proxy itself was not stopped (Member.Failed): by then nobody can be Home. It stays so for Reach from the last poll that failed.
//  3. Away, because the item says Quarantine, is who has seen that for Wait, or was Away all the time (Member.away).
//  4. Quarantine lasts Notice, in one chain of whoever ends it: longer than Reach, and than it takes a proxy to see that the backend is
//     back (Member.quarantine).
//  5. Handover lasts Wait, so that nobody is Away any more, and until each holder has left; it leaves when all that it has ever written
//     elsewhere is deleted there, and the same keys here (Member.handover).
//  6. An item that vanished, with a backend that was restarted or flushed, begins with Quarantine (Member.Next).
//
// # What is not promised
//
// Nobody can agree with a backend in between that only some can reach. If one proxy reaches it for longer than Wait and another does not,
// the one is Home and the other Away: see Member.Divided, by which the first knows it afterwards. A proxy that is stopped or cut off while a
// backend comes back, for longer than Notice before it is a holder or for longer than Gone after, is not waited for; nor is one that has
// died, whose notes, unless they are on disk, are gone. What they wrote elsewhere may be hidden by older values then. All proxies over the
// same backends must have the same Rules, ring and servers.
package quarantine
