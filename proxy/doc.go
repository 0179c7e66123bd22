// Package proxy serves memcached clients: listeners, workers, client sessions, routes.
//
//	Listener ─► acceptor ─► worker (one event loop) ─► session ─► protocol.ParseRequest ─► routes ─► pool.Pool
//	                                                      ▲                                             │
//	                                client socket ◄── out ◄── queue of exchanges, in request order ◄────┘
//
// A worker owns its clients, its view of every pool and its conns to every backend; workers share nothing but the state
// of the backends. A session parses what its client sent, hands each request to the pool of its key, and sends the answers
// in the order of the requests, whatever order they come back in.
package proxy
