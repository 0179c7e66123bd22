package tally

import "mcproxy/protocol"

// An Op is a kind of request whose durations are counted together.
type Op uint8

// The ops.
const (
	OpGet      Op = iota // one key: get, gets, gat, gats, mg, me
	OpMultiget           // several
	OpStore              // set, add, replace, append, prepend, cas, ms
	OpDelete
	OpCount // incr, decr, ma
	OpTouch
	numOps
)

// Ops are how many there are.
const Ops = int(numOps)

// String gives the name that people see.
func (o Op) String() string {
	return [...]string{"get", "multiget", "store", "delete", "count", "touch"}[o]
}

// OpOf gives the op of a request for one key.
func OpOf(v protocol.Verb) Op {
	switch v {
	case protocol.Delete, protocol.MetaDelete:
		return OpDelete
	case protocol.Incr, protocol.Decr, protocol.MetaArithmetic:
		return OpCount
	case protocol.Touch:
		return OpTouch
	}
	if v.IsStorage() {
		return OpStore
	}
	return OpGet
}

const statuses = int(protocol.StatusServerError) + 1

// Failed stands in the place of a status where no backend answered.
const Failed = protocol.StatusInvalid

// statusNames are what people see.
var statusNames = [statuses]string{
	Failed:             "failed",
	protocol.StatusHit: "hit", protocol.StatusMiss: "miss",
	protocol.StatusStored: "stored", protocol.StatusNotStored: "not_stored", protocol.StatusExists: "exists",
	protocol.StatusNotFound: "not_found", protocol.StatusDeleted: "deleted", protocol.StatusTouched: "touched",
	protocol.StatusNumber: "number", protocol.StatusOK: "ok", protocol.StatusVersion: "version",
	protocol.StatusStat: "stat", protocol.StatusEnd: "end",
	protocol.StatusError: "error", protocol.StatusClientError: "client_error", protocol.StatusServerError: "server_error",
}

// A Pool is what one worker counted of one pool. The zero value is empty.
type Pool struct {
	Requests  [protocol.Verbs]uint64           // a request for several keys counts once
	Keys      [protocol.Verbs][statuses]uint64 // what clients were told of each key; Failed: no backend answered
	Durations [numOps]Durations                // of requests, from when they were read to when their answers were there
	Read      Sizes                            // bytes of values that were read
	Written   Sizes                            // and written
	Lifetimes Lifetimes                        // that storing requests gave to items
}

// Told counts what a client was told of n keys.
func (p *Pool) Told(v protocol.Verb, s protocol.Status, n int) {
	if Counting {
		p.Keys[v][s] += uint64(n)
	}
}

// Came counts a request.
func (p *Pool) Came(v protocol.Verb) {
	if Counting {
		p.Requests[v]++
	}
}

// Hits are the keys that were read and found, and Misses those that were not, failures included.
func (p *Pool) Hits() uint64 {
	n := p.Keys[protocol.MetaGet][protocol.StatusOK]
	for v := range p.Keys {
		if protocol.Verb(v).IsRead() {
			n += p.Keys[v][protocol.StatusHit]
		}
	}
	return n
}

// Misses are the keys that were read and not found, those included that no backend answered for.
func (p *Pool) Misses() uint64 {
	n := uint64(0)
	for v := range p.Keys {
		if protocol.Verb(v).IsRead() {
			n += p.Keys[v][protocol.StatusMiss] + p.Keys[v][Failed]
		}
	}
	return n
}

// A KeyCount is how often clients were told something of a key.
type KeyCount struct {
	Verb, Status string
	Count        uint64
}

// A PoolSum is a copy of several workers' tallies of a pool.
type PoolSum struct {
	Requests  map[string]uint64 // by the verb on the wire ("get", "ms"); those that came
	Keys      []KeyCount        // in the order of the protocol; those that came
	Durations []OpDurations     // of each Op
	Read      Histogram         // bytes of values
	Written   Histogram
	Lifetimes LifetimeSum
	Hits      uint64 // keys read and found
	Misses    uint64 // keys read and not found, failures included
}

// OpDurations are the durations of one kind of request, in seconds.
type OpDurations struct {
	Op string
	Histogram
}

// Add adds another worker's tally.
func (s *PoolSum) Add(p *Pool) {
	if s.Requests == nil {
		s.Requests = make(map[string]uint64)
	}
	if s.Durations == nil {
		for op := range numOps {
			s.Durations = append(s.Durations, OpDurations{Op: op.String()})
		}
	}
	for v, n := range p.Requests {
		if n > 0 {
			s.Requests[protocol.Verb(v).String()] += n
		}
	}
	for op := range p.Durations {
		p.Durations[op].AddTo(&s.Durations[op].Histogram)
	}
	p.Read.AddTo(&s.Read)
	p.Written.AddTo(&s.Written)
	p.Lifetimes.AddTo(&s.Lifetimes)
	s.Hits += p.Hits()
	s.Misses += p.Misses()
	s.addKeys(p)
}

// addKeys merges the counts of keys, both in the order of the protocol.
func (s *PoolSum) addKeys(p *Pool) {
	var merged []KeyCount
	rest := s.Keys
	for v := range p.Keys {
		for st, n := range p.Keys[v] {
			c := KeyCount{protocol.Verb(v).String(), statusNames[st], n}
			if len(rest) > 0 && rest[0].Verb == c.Verb && rest[0].Status == c.Status {
				c.Count += rest[0].Count
				rest = rest[1:]
			}
			if c.Count > 0 {
				merged = append(merged, c)
			}
		}
	}
	s.Keys = merged
}
