package pool

import (
	"mcproxy/backend"
	"mcproxy/internal/budget"
	"mcproxy/internal/keybook"
	"mcproxy/pool/chunks"
	"mcproxy/pool/copies"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/split"
)

// What package chunks needs of a pool, and a pool of it.

// SplitConfig says which values are divided into chunks.
type SplitConfig = chunks.Config

// Large is an answer that may be too large to be copied.
type Large = steps.Large

// OutOfMemory is the answer to a request for whose value the budget had no bytes in time.
const OutOfMemory = steps.OutOfMemory

// Window is how many bytes of one large value are on their way at most. A longer value that is written must stay as it is until its
// exchange is finished.
const Window = chunks.Window

// Needs is how many bytes of the budget a request takes whose value is length bytes, which its client has announced. 0: it goes as it
// comes, and needs none.
func (p *Pool) Needs(length int) int {
	if p.splitter == nil {
		return 0
	}
	return p.splitter.Needs(length)
}

// Purse gives the worker's access to the budget.
func (p *Pool) Purse() *budget.Purse { return p.runner.Purse }

// AddSplit adds the hot keys whose values stand in chunks, as far as the worker has seen them: to copies of each chunk, by
// hotkey.Hash. The loop calls it.
func (p *Pool) AddSplit(to map[uint64]int) {
	if p.splitter != nil {
		p.splitter.AddSplit(to)
	}
}

// reserved says whether an answer's value is the proxies' own: a manifest, or a wrapped value.
func (p *Pool) reserved(r *protocol.Response) bool {
	return p.splitter != nil && r.Status == protocol.StatusHit && r.ClientFlags == split.ReservedFlags && r.Key != nil
}

// reservedItem is the reserved unit r of an answer to a retrieval.
func (p *Pool) reservedItem(verb protocol.Verb, sent []byte, r *protocol.Response) chunks.Item {
	item := chunks.Item{Key: r.Key, Value: r.Value, Unique: r.Unique, Verb: verb, Readers: 1}
	if verb == protocol.Gat || verb == protocol.Gats {
		if n, err := protocol.ParseRequest(sent, &p.request); err != nil || n == 0 {
			panic("pool: a request of our own does not parse: " + string(sent))
		}
		item.Exptime = p.request.Exptime
	}
	return item
}

// A host is the pool as package chunks sees it.
type host Pool

// Ask sends a request for a key's item to where it is to be found.
func (h *host) Ask(o *steps.Op, st *steps.Step, req *protocol.Request) {
	if h.replicas == nil || !mayChange(req) {
		o.Ask(st, o.Home(req.Key), req)
		return
	}
	h.replicas.Ask(o, copies.Request{Step: st, Req: req, Node: h.Shared.Ring.Lookup(req.Key)})
}

// Hot gives the keys that are hot now.
func (h *host) Hot() *keybook.HotSet { return h.Shared.hot.Load() }

// Count counts what a client was told of keys.
func (h *host) Count(verb protocol.Verb, status protocol.Status, keys int) {
	h.Figures.Told(verb, status, keys)
}

// Refuse counts a failure to read chunks, and gives what a client is told of it; nil: a miss.
func (h *host) Refuse(why *backend.Error) *backend.Error {
	h.Figures.Failures++
	if h.Shared.Config.OnError != OnErrorError && why.Err != backend.ErrOverloaded {
		return nil
	}
	return why
}

// SawRead notes that a value was put together.
func (h *host) SawRead(key []byte, size, readers int) { (*Pool)(h).observeJoined(key, size, readers) }

// SawWhole notes reads of a value that stands in one piece.
func (h *host) SawWhole(key []byte, size, readers int) { (*Pool)(h).sawWhole(key, size, readers) }

// SawSplit notes requests for a value that stands in chunks.
func (h *host) SawSplit(key []byte, size, n, copies, requests int) {
	if size > h.oversized.threshold { // a shorter one is split for its heat
		h.oversized.note(h.loop.Now, key, Oversized{Size: size, Fate: InChunks, Chunks: n, Copies: copies}, requests)
	}
}

// An asker is an exchange as package chunks sees it.
type asker Exchange

// Verb is the request's.
func (a *asker) Verb() protocol.Verb { return a.verb }

// Quiet says that the client wants no answer.
func (a *asker) Quiet() bool { return a.quiet }

// Affinity picks the client's conns.
func (a *asker) Affinity() uint32 { return a.affinity }

// Flags are the request's meta flags, if the backend has got fewer.
func (a *asker) Flags() []byte { return a.flags }

// Wait keeps what the client asks later from being begun.
func (a *asker) Wait() {
	if !a.again { // whether it waits was told when it was begun
		a.Waits = true
	}
}

// Again says that the request was begun anew.
func (a *asker) Again() bool { return a.again }

// Begin begins the request anew.
func (a *asker) Begin(req *protocol.Request) {
	a.again = true
	a.pool.begin((*Exchange)(a), req, a.affinity)
}

// Finish gives the whole answer.
func (a *asker) Finish(answer []byte) { a.To.Finish((*Exchange)(a), answer) }

// FinishLarge gives an answer that may be retained.
func (a *asker) FinishLarge(l *steps.Large) { (*Exchange)(a).finishLarge(l) }

// Fail tells that req was not answered.
func (a *asker) Fail(req *protocol.Request, err *backend.Error) {
	a.pool.fail((*Exchange)(a), req, err)
}

// Pass gives what a backend answered.
func (a *asker) Pass(status protocol.Status, line, raw []byte) {
	(*Exchange)(a).pass(status, line, raw)
}

// finishLarge gives an exchange its answer.
func (x *Exchange) finishLarge(l *Large) {
	x.Cold, x.Large = true, l
	x.To.Finish(x, l.Bytes)
}
