// Package epoll is the event loop under the data path.
//
// A Loop belongs to one goroutine, the one in Run. Everything registered with it, and its buffers, are touched by that
// goroutine alone; others hand it work with Post. One turn:
//
//	Kernel.Wait ─► Handler.Ready for each ready descriptor ─► Flusher.Flush for everything deferred ─► posted functions ─► Timer.Expire
//
// Handlers append to their outgoing buffers and Defer themselves; the one write of the turn happens in Flush. So batching
// follows the load by itself, and a lone request is never delayed.
//
// The Kernel is an interface so that conns that misbehave, and whole networks, can be simulated; Linux is the real one.
package epoll
