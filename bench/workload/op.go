package workload

import (
	"strconv"
	"time"

	"mcproxy/protocol"
)

// A Kind is what an operation's latency is counted under.
type Kind uint8

// The kinds; Kinds is how many there are.
const (
	KindGet Kind = iota
	KindSet
	KindDelete
	KindTouch
	KindIncr
	KindOther // replayed commands of other verbs
	Kinds
)

// kindNames are the words of the reports, by kind.
var kindNames = [Kinds]string{"get", "set", "delete", "touch", "incr", "other"}

// String gives the word of the reports: get, set, delete, touch, incr or other.
func (k Kind) String() string { return kindNames[k] }

// An Op is one operation of a load, from its making until its answer is whole. Ops live in the slots of their conn's
// ring and are filled again and again, so their slices keep their memory.
type Op struct {
	Kind Kind
	Verb protocol.Verb

	Key     []byte // the key, or the keys of a multi-get with blanks between them
	Width   int    // how many keys; 1 but for a multi-get
	Value   []byte // storage verbs; not the op's own memory
	Flags   uint32
	Exptime int32
	Delta   uint64
	raw     []byte // a replayed command as it stands, in place of all of the above but Kind, Verb and Width

	Follows bool          // belongs to the op before, so that an open loop does not wait for another arrival
	At      time.Duration // when it was to be sent, since the run's start: its latency counts from here; 0: when it is sent
	Sent    time.Duration // when it was

	Hits  int // keys found so far
	Units int // units of the answer seen so far

	index  int    // the key's number, where the workload numbers its keys
	more   []int  // the numbers of a multi-get's keys
	buffer []byte // memory for a value that is made for this op alone

	plain          bool  // its value is the workload's own business, and not the verifier's
	seq            int64 // the verifier's number of it
	passed, cursor int   // of a multi-get's keys: how many, and bytes of Key, the verifier is through with
}

// Reset empties an op and keeps its memory.
func (o *Op) Reset() {
	*o = Op{Key: o.Key[:0], more: o.more[:0], buffer: o.buffer[:0], Width: 1}
}

// A Step is what a stream has to say when it is asked for an operation.
type Step uint8

// The steps.
const (
	Ready Step = iota // the op is filled
	Later             // nothing before o.At, or the answer to an operation in flight
	Ended             // nothing any more
)

// A Stream makes the operations of one conn, in order. It is used by one goroutine at a time and is deterministic: the
// same seed and the same conn give the same operations (those that depend on answers or on the time aside).
type Stream interface {
	// Next fills o, which is empty; at is the time since the run's start, in an open loop that of the arrival. With Later, it may
	// set o.At to when it is to be asked again.
	Next(o *Op, at time.Duration) Step
}

// An Observer learns of the operations of one conn, on the goroutine of its stream.
type Observer interface {
	// Sending is told of a filled op before its bytes are made, and may change its value.
	Sending(o *Op)
	// Value is told of each item found; the response's slices are valid during the call.
	Value(o *Op, resp *protocol.Response)
	// Done is told of the end: the status of the last unit, or StatusInvalid when the conn broke before the answer was whole.
	Done(o *Op, status protocol.Status)
}

// Append appends the bytes of a command that is answered in full: never noreply, never quiet. With meta, a meta command
// does the work, unless the op is a replayed one.
func (o *Op) Append(dst []byte, meta bool) []byte {
	if o.raw != nil {
		return append(dst, o.raw...)
	}
	if meta {
		return o.appendMeta(dst)
	}
	req := protocol.Request{
		Verb: o.Verb, Key: o.Key, NumKeys: o.Width, ClientFlags: o.Flags, Exptime: o.Exptime, Delta: o.Delta,
		ValueLen: len(o.Value), Value: o.Value,
	}
	if o.Width > 1 {
		req.Keys = o.Key
	}
	return protocol.AppendRequest(dst, &req)
}

// appendMeta appends the meta command that does what the classic verb does: mg for a get (one for each key) and a touch,
// ms, md, ma.
func (o *Op) appendMeta(dst []byte) []byte {
	if o.Kind == KindGet {
		for key, rest := protocol.NextKey(o.Key); key != nil; key, rest = protocol.NextKey(rest) {
			dst = append(dst, "mg "...)
			dst = append(dst, key...)
			dst = append(dst, " f k v\r\n"...)
		}
		return dst
	}
	dst = append(dst, metaVerbs[o.Kind]...)
	dst = append(dst, o.Key...)
	switch o.Kind {
	case KindSet:
		dst = strconv.AppendInt(append(dst, ' '), int64(len(o.Value)), 10)
		if o.Flags != 0 {
			dst = strconv.AppendUint(append(dst, " F"...), uint64(o.Flags), 10)
		}
		dst = appendTTL(dst, o.Exptime)
		dst = append(dst, "\r\n"...)
		dst = append(dst, o.Value...)
	case KindTouch:
		dst = strconv.AppendInt(append(dst, " T"...), int64(o.Exptime), 10)
	case KindIncr:
		dst = strconv.AppendUint(append(dst, " D"...), o.Delta, 10)
	}
	return append(dst, "\r\n"...)
}

// metaVerbs begin the meta command of each kind that has one.
var metaVerbs = [Kinds]string{KindSet: "ms ", KindDelete: "md ", KindTouch: "mg ", KindIncr: "ma "}

func appendTTL(dst []byte, exptime int32) []byte {
	if exptime == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, " T"...), int64(exptime), 10)
}

// Shape says how the answer is framed, and how many units it has: 0 where the answer itself says when it ends.
func (o *Op) Shape(meta bool) (protocol.Shape, int) {
	switch {
	case meta && o.raw == nil:
		return protocol.ShapeMeta, o.Width
	case o.Width > 1 && o.Verb.IsRetrieval():
		return protocol.ShapeValues, 0
	case o.Verb == protocol.Stats:
		return protocol.ShapeStats, 0
	}
	return o.Verb.Shape(), 1
}
