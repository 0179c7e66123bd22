// Package chunks keeps a pool's large values, and the byte-hot ones, in chunks over its backends, and makes every command work on
// them. Package split says what stands where; here are the calls, as ops (package steps).
//
//	write:  chunks, under fresh names ─► the manifest, in the item's place, by the client's own verb ─► the old chunks go
//	read:   the item at home ─► a manifest? ─► its chunks, from the less loaded of two backends ─► the client's value
//
// A Splitter is a worker's, for one pool; a Shared is what all workers have in common. The pool offers each request to Take, and each
// item that carries the reserved flags to Get; what it is told by them it passes to its client.
package chunks
