// Package tlsrelay lets an event loop serve TLS without knowing of it: each TLS conn has two goroutines that carry its bytes, in plain, to
// and from one end of a socket pair, and the loop has the other end.
//
//	peer ◄── TLS ──► Relay (two goroutines) ◄── socket pair ──► a loop's descriptor
//
// A relay that is idle holds no buffer but a small one. What one side does not read fills the sockets on the way, and the other side
// must wait, as it would on a single conn.
package tlsrelay
