// Package handover gives what one process holds to the process that takes its place: listeners, what is known of servers, and clients'
// conns, with the few bytes of state that each has between two requests.
//
// The two talk over a socket of packets, which one of them has inherited. Descriptors travel beside the packets (SCM_RIGHTS).
//
//	old                                              new
//	 ── hello, listeners ───────────────────────────►   opens what else it needs
//	 ◄───────────────────────────────────── ready ──    or failed, with a reason, or its end
//	 begins nothing more, and lets what it has begun end
//	 ── servers… sessions… end ─────────────────────►   keeps them, and touches none
//	 ◄───────────────────────────────────── taken ──
//	 ── go ─────────────────────────────────────────►   serves
//
// Until go the old one may still end the new one and carry on, so that nothing is lost whatever happens to the new one; from go on it
// touches nothing of what it gave. Packets are JSON, so that versions of the program that differ understand each other; what a
// version does not know it leaves out.
package handover
