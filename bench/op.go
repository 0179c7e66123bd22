package bench

import (
	"strconv"
	"time"

	"mcproxy/protocol"
)

// A kind is what an operation's latency is counted under.
type kind uint8

const (
	kindGet kind = iota
	kindSet
	kindDelete
	kindTouch
	kindIncr
	kindOther // replayed commands of other verbs
	numKinds
)

// kindNames are the words of the report, by kind.
var kindNames = [numKinds]string{"get", "set", "delete", "touch", "incr", "other"}

// An op is one operation of a load, from its making until its answer is whole. Ops live in the slots of their conn's
// ring and are filled again and again, so their slices keep their memory.
type op struct {
	kind kind
	verb protocol.Verb

	key   []byte // the key, or the keys of a multi-get with blanks between them
	width int    // how many keys; 1 but for a multi-get
	index int    // the key's number, where the workload numbers its keys
	more  []int  // the numbers of a multi-get's keys

	value   []byte // storage verbs; not the op's own memory unless it is buffer
	buffer  []byte // memory for a value that is made for this op alone
	flags   uint32
	exptime int32
	delta   uint64
	raw     []byte // a replayed command as it stands, in place of all of the above but kind, verb and width

	follows bool          // belongs to the op before, so that an open loop does not wait for another arrival
	at      time.Duration // when it was to be sent, since the run's start: its latency counts from here; 0: when it is sent
	sent    time.Duration // when it was
	plain   bool          // its value is the workload's own business, and not the verifier's
	seq     int64         // the verifier's number of it

	hits  int // keys found so far
	units int // units of the answer seen so far

	passed, cursor int // of a multi-get's keys: how many, and bytes of key, the verifier is through with
}

// reset empties an op and keeps its memory.
func (o *op) reset() {
	*o = op{key: o.key[:0], more: o.more[:0], buffer: o.buffer[:0], width: 1}
}

// A step is what a stream has to say when it is asked for an operation.
type step uint8

const (
	ready step = iota // the op is filled
	later             // nothing before o.at, or the answer to an operation in flight
	ended             // nothing any more
)

// A stream makes the operations of one conn, in order. It is used by one goroutine at a time and is deterministic: the
// same seed and the same conn give the same operations (those that depend on answers or on the time aside).
type stream interface {
	// next fills o, which is empty; at is the time since the run's start, in an open loop that of the arrival. With later, it may
	// set o.at to when it is to be asked again.
	next(o *op, at time.Duration) step
}

// An observer learns of the operations of one conn, on the goroutine of its stream.
type observer interface {
	// sending is told of a filled op before its bytes are made, and may change its value.
	sending(o *op)
	// value is told of each item found; the response's slices are valid during the call.
	value(o *op, resp *protocol.Response)
	// done is told of the end: the status of the last unit, or StatusInvalid when the conn broke before the answer was whole.
	done(o *op, status protocol.Status)
}

// appendOp appends the bytes of a command that is answered in full: never noreply, never quiet.
func appendOp(dst []byte, o *op, meta bool) []byte {
	if o.raw != nil {
		return append(dst, o.raw...)
	}
	if meta {
		return appendMetaOp(dst, o)
	}
	req := protocol.Request{
		Verb: o.verb, Key: o.key, NumKeys: o.width, ClientFlags: o.flags, Exptime: o.exptime, Delta: o.delta,
		ValueLen: len(o.value), Value: o.value,
	}
	if o.width > 1 {
		req.Keys = o.key
	}
	return protocol.AppendRequest(dst, &req)
}

// appendMetaOp appends the meta command that does what the classic verb does: mg for a get (one for each key) and a touch,
// ms, md, ma.
func appendMetaOp(dst []byte, o *op) []byte {
	if o.kind == kindGet {
		for key, rest := protocol.NextKey(o.key); key != nil; key, rest = protocol.NextKey(rest) {
			dst = append(dst, "mg "...)
			dst = append(dst, key...)
			dst = append(dst, " f k v\r\n"...)
		}
		return dst
	}
	dst = append(dst, metaVerbs[o.kind]...)
	dst = append(dst, o.key...)
	switch o.kind {
	case kindSet:
		dst = strconv.AppendInt(append(dst, ' '), int64(len(o.value)), 10)
		if o.flags != 0 {
			dst = strconv.AppendUint(append(dst, " F"...), uint64(o.flags), 10)
		}
		dst = appendTTL(dst, o.exptime)
		dst = append(dst, "\r\n"...)
		dst = append(dst, o.value...)
	case kindTouch:
		dst = strconv.AppendInt(append(dst, " T"...), int64(o.exptime), 10)
	case kindIncr:
		dst = strconv.AppendUint(append(dst, " D"...), o.delta, 10)
	}
	return append(dst, "\r\n"...)
}

// metaVerbs begin the meta command of each kind that has one.
var metaVerbs = [numKinds]string{kindSet: "ms ", kindDelete: "md ", kindTouch: "mg ", kindIncr: "ma "}

func appendTTL(dst []byte, exptime int32) []byte {
	if exptime == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, " T"...), int64(exptime), 10)
}

// shape says how the answer is framed, and how many units it has: 0 where the answer itself says when it ends.
func (o *op) shape(meta bool) (protocol.Shape, int) {
	switch {
	case meta && o.raw == nil:
		return protocol.ShapeMeta, o.width
	case o.width > 1 && o.verb.IsRetrieval():
		return protocol.ShapeValues, 0
	case o.verb == protocol.Stats:
		return protocol.ShapeStats, 0
	}
	return o.verb.Shape(), 1
}
