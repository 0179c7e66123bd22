// Package order keeps book of what one client has under way, so that what it pipelines takes effect in its order.
//
// Requests to one backend are in order on their conn, large values aside (pool.Exchange.Lane). But a get may share a fetch that was asked
// before (Alone, Behind, Waits), a split value takes several calls, and a copy is read from another backend (Strays): then what comes
// later waits.
package order

import (
	"mcproxy/hotkey"
	"mcproxy/pool"
	"mcproxy/protocol"
)

// A Book is one client's. The zero value is that of a client that has nothing under way. It is not safe for concurrent use.
type Book struct {
	pending int  // requests without their answer sent
	writes  int  // of them: those without an answer that may change what a get finds
	waits   int  // those that later ones must not overtake, and other reasons to begin none
	reads   int  // those that read
	strays  int  // reads that went elsewhere than to their keys' own backends
	laned   int  // those that are on conns for large values
	unsure  int  // those that may be begun a second time
	behind  int  // those up to the last that fences: a retrieval of several keys, which shares no fetch, or a get that another fetch stood beside
	blocked bool // the next request must not overtake what reads or is unsure

	reading hashes // of the keys that are read
	doubted hashes // of the keys of what is unsure
}

// hashes has a bit for each hash of a key.
type hashes [4]uint64

func (h *hashes) add(hash uint64)      { h[hash>>6&3] |= 1 << (hash & 63) }
func (h *hashes) has(hash uint64) bool { return h[hash>>6&3]&(1<<(hash&63)) != 0 }

// Pending is how many requests there are whose answers were not sent.
func (b *Book) Pending() int { return b.pending }

// Holds says whether the next request must not be begun yet.
func (b *Book) Holds() bool { return b.waits > 0 || b.blocked && b.reads+b.unsure > 0 }

// Hold has nothing begin until Release is called as often.
func (b *Book) Hold() { b.waits++ }

// Release undoes one Hold.
func (b *Book) Release() { b.waits-- }

// Overtakes says whether a request must wait for others of the same client, where values may be split or copied: a write for reads, because
// a read takes several calls, or is far away, and the write would be there before the last; and anything for what is unsure. It notes
// what reads. splits: values may be split. Holds is true then until nothing is in the way.
func (b *Book) Overtakes(req *protocol.Request, splits bool) bool {
	b.blocked = false
	if !splits && b.strays == 0 {
		return false
	}
	if b.reads == 0 {
		b.reading = hashes{}
	}
	if b.unsure == 0 {
		b.doubted = hashes{}
	}
	b.blocked = b.overtakes(req)
	return b.blocked
}

func (b *Book) overtakes(req *protocol.Request) bool {
	if req.Verb == protocol.FlushAll {
		return b.reads+b.unsure > 0
	}
	if len(req.Key) == 0 {
		return false
	}
	if req.NumKeys <= 1 {
		return b.overtakesKey(req, req.Key)
	}
	for key, rest := protocol.NextKey(req.Keys); key != nil; key, rest = protocol.NextKey(rest) {
		if b.overtakesKey(req, key) {
			return true
		}
	}
	return false
}

func (b *Book) overtakesKey(req *protocol.Request, key []byte) bool {
	h := hotkey.Hash(key)
	if changes := req.Verb.IsWrite() || req.Verb == protocol.Gat || req.Verb == protocol.Gats || req.Verb == protocol.MetaGet; changes {
		if b.reads > 0 && b.reading.has(h) { // a lifetime in the past is as good as a delete
			return true
		}
	}
	if b.unsure > 0 && b.doubted.has(h) {
		return true
	}
	if b.laned > 0 && b.reading.has(h) { // a read that comes later must not find what is older
		return true
	}
	if req.Verb.IsRead() {
		b.reading.add(h)
	}
	return false
}

// Begin notes a request that its pool is to begin. It tells the pool what else the client has under way.
func (b *Book) Begin(x *pool.Exchange) {
	x.Sole = b.pending == b.laned
	b.pending++
}

// Read notes that an exchange reads.
func (b *Book) Read(x *pool.Exchange) {
	x.Reads = true
	b.reads++
}

// Write notes that an exchange may change what a get finds, until it is finished: the client's gets behind it read alone.
func (b *Book) Write() { b.writes++ }

// Get has an exchange that gets one key share a fetch only if the client may see what that finds.
func (b *Book) Get(x *pool.Exchange) { x.Alone, x.Behind = b.writes > 0, b.behind > 0 }

// Gather is Get for a retrieval of several keys.
func (b *Book) Gather(x *pool.Exchange) {
	b.Get(x)
	b.behind = b.pending
}

// Doubt notes an exchange that its pool may begin a second time, when it has seen what stands in the place of a client's value: one
// that counts, or compares cas numbers. What the client asks of that key later must not come in between. Call it where values may be
// split.
func (b *Book) Doubt(x *pool.Exchange, req *protocol.Request) {
	switch req.Verb {
	case protocol.CAS, protocol.Incr, protocol.Decr, protocol.MetaArithmetic:
	case protocol.MetaSet, protocol.MetaDelete:
		if !protocol.HasFlag(req.MetaFlags, 'C') {
			return
		}
	default:
		return
	}
	b.doubted.add(hotkey.Hash(req.Key))
	x.Unsure = true
	b.unsure++
}

// Begun notes what became of the exchange when its pool began it; key is nil if it has several. It may be finished already, but Finished
// was not told of it.
func (b *Book) Begun(x *pool.Exchange, key []byte, splits bool) {
	if x.Lane {
		b.laned++
	}
	if x.Done {
		return
	}
	if x.Waits {
		b.waits++
	}
	if x.Fences {
		b.behind = b.pending
	}
	if !x.Strays {
		return
	}
	if b.strays == 0 && !splits { // so that nobody keeps book otherwise
		b.reading = hashes{}
	}
	b.strays++
	if key == nil {
		b.reading = hashes{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	} else {
		b.reading.add(hotkey.Hash(key))
	}
}

// Finished notes that an exchange has its answer. beginning: its pool is beginning it, and Begun was not called yet.
func (b *Book) Finished(x *pool.Exchange, beginning bool) {
	if x.Size > 0 {
		b.writes--
	}
	if !beginning {
		if x.Waits {
			b.waits--
		}
		if x.Strays {
			b.strays--
		}
	}
	if x.Reads {
		b.reads--
	}
	if x.Unsure {
		b.unsure--
	}
}

// Sent notes that the oldest exchange is done with: its answer is sent. beginning is Finished's.
func (b *Book) Sent(x *pool.Exchange, beginning bool) {
	b.pending--
	if b.behind > 0 {
		b.behind--
	}
	if x.Lane && !beginning {
		b.laned--
	}
}
