package chunks

import (
	"mcproxy/backend"
	"mcproxy/internal/keybook"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
)

// A Host is the pool that a Splitter works for, as its worker sees it.
type Host interface {
	// Ask sends a request for a key's item to that backend, and waits until it has been carried out: copies that the item may have
	// elsewhere are true then.
	Ask(o *steps.Op, st *steps.Step, req *protocol.Request)
	// Hot gives the keys that are hot now.
	Hot() *keybook.HotSet
	// Count counts what a client was told of keys, where it is not by Fail or Pass.
	Count(verb protocol.Verb, status protocol.Status, keys int)
	// Refuse counts a failure to read chunks, and gives what a client is told of it; nil: a miss.
	Refuse(why *backend.Error) *backend.Error
	// SawRead notes that a value of size bytes was put together for so many readers.
	SawRead(key []byte, size, readers int)
	// SawWhole notes reads of a value that stands in one piece.
	SawWhole(key []byte, size, readers int)
	// SawSplit notes requests for a value of size bytes that stands in so many chunks, each in so many copies.
	SawSplit(key []byte, size, chunks, copies, requests int)
}

// A Client waits for the answer to its request. After one of Finish, FinishLarge, Fail and Pass it is gone.
type Client interface {
	Verb() protocol.Verb
	Quiet() bool
	Affinity() uint32
	// Flags are the request's meta flags, if the backend has got fewer; else nil.
	Flags() []byte
	// Wait keeps what the client asks later from being begun before this request is finished. Call it before the request is taken.
	Wait()
	// Begin begins the request anew, as req; Again says that it was.
	Begin(req *protocol.Request)
	Again() bool

	// Finish gives the whole answer; it is empty when the client is to hear nothing.
	Finish(answer []byte)
	// FinishLarge gives an answer that may be retained.
	FinishLarge(l *steps.Large)
	// Fail tells that req was not answered.
	Fail(req *protocol.Request, err *backend.Error)
	// Pass gives what a backend answered.
	Pass(status protocol.Status, line, raw []byte)
}

// Shared is what all workers of a process have in common of a pool's split values.
type Shared struct {
	Config Config

	// For tests. Set them before the first Splitter is made.
	Random    func([]byte) // fills generations; nil: crypto/rand
	Mutant    Mutant
	MinSpread int // bytes; a value must be longer to be spread for its heat

	*Known
}

// Known is what a process remembers of a pool's keys, under whatever configuration. The zero value knows none.
type Known struct {
	keys     keybook.Set      // those whose values this process saw in chunks: a small write or a delete cleans up
	marks    keybook.Set      // those whose values must not be rewritten for their heat: what clients did to the items would be undone
	rewrites keybook.Rewrites // those whose values are being rewritten
}

// A Mutant is a promise broken on purpose, so that tests can show that they would notice. There is none but in tests.
type Mutant uint8

// The mutants.
const (
	NoMutant      Mutant = iota
	ManifestFirst        // the manifest is sent together with its chunks
	SkipsChecksum        // a value is given out whatever its checksum says
	TrustsMemory         // what was read ahead is given out although the manifest is another now
	CleansFirst          // the old generation is deleted before the new one stands
)
