// Package pool is one pool of backends as a worker sees it: where a key belongs, how a request of many keys is divided and
// its answer put together, and what a client is told when a backend does not answer.
//
//	Exchange ─► Pool.Do ─► ring ─► backend.Pipeline ─► … ─► Exchange.Answer ─► Requester.Finish
//	Gatherer ─► fragments, one a backend ─► … ─► all there ─► values in request order ─► Requester.Finish
//
// A Shared is what the workers of a process have in common of a pool; each worker has a Pool of its own over it.
package pool
