// Package bench loads memcached text endpoints of any kind, and measures what they answer. It is a black box over TCP and unix
// sockets: it knows the protocol and nothing of the proxy.
//
//	Config ─► Run ─► run: conns, shared out among drivers
//	                  │
//	     worker (a thread, an epoll instance, many conns)        goClient (gomemcache, a goroutine a conn)
//	     Stream.Next ─► Op.Append ─► one write a conn            Stream.Next ─► Get, Set, …
//	     one read ─► protocol.ParseResponse ─► recorder          what it returns ─► recorder
//	                  │
//	                  └─► tally, and a histogram each second ─► Result ─► summary, JSON, page
//
// A closed loop sends when a conn has room in its pipeline. An open loop sends when an operation is due, by independent Poisson
// processes or evenly; when its conn has no room it waits, and its latency counts from when it was due.
//
// Compare and SLO.Search run a load several times. Tee records one.
//
// A worker owns its conns and its recorder, and shares nothing on the way of an operation; once a second it hands its
// histogram over. Nothing on that way allocates.
package bench
