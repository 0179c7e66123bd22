package pool

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"mcproxy/protocol"
	"mcproxy/split"
)

// count carries out incr or decr of a value that is split or wrapped, in which a backend cannot count. It is false for keys of which
// this process does not know that.
func (s *splitter) count(x *Exchange, req *protocol.Request, affinity uint32) bool {
	if !s.p.Shared.splitKeys.Has(req.Key) {
		return false
	}
	x.Waits = true
	req = owned(req)
	s.p.run(affinity, func(o *op) {
		var st step
		o.ask(&st, s.home(req.Key), req)
		if n, counted := s.countHere(o, req, delta{n: req.Delta, decr: req.Verb == protocol.Decr}, &st); counted {
			st.status, st.line = protocol.StatusNumber, appendUint(st.line[:0], n)
		}
		s.finishStep(x, req, &st)
	})
	return true
}

// countMeta is count for ma.
func (s *splitter) countMeta(x *Exchange, req *protocol.Request, affinity uint32) bool {
	if !s.p.Shared.splitKeys.Has(req.Key) {
		return false
	}
	x.Waits = true
	req = owned(req)
	s.p.run(affinity, func(o *op) {
		var st step
		o.ask(&st, s.home(req.Key), req)
		if n, counted := s.countHere(o, req, deltaOf(req), &st); counted {
			s.tellNumber(o, req, n, &st)
		}
		if st.err == nil && st.status == protocol.StatusHit {
			s.finish(x, append(append(append(st.line, "\r\n"...), st.value...), "\r\n"...), st.status)
			return
		}
		s.finishStep(x, req, &st)
	})
	return true
}

const notNumeric = "CLIENT_ERROR cannot increment or decrement non-numeric value"

// countHere counts in a split or wrapped value, if st is the backend's word that the item is no number. It says whether it did;
// if not, st is the answer.
func (s *splitter) countHere(o *op, req *protocol.Request, d delta, st *step) (n uint64, counted bool) {
	for range 64 {
		if st.err != nil || string(st.line) != notNumeric {
			return 0, false
		}
		var before step
		o.ask(&before, s.home(req.Key), gets(req.Key))
		it, found := s.open(&before)
		if !found || it.Kind == split.Plain {
			return 0, false
		}
		item, ok := s.resolve(o, req.Key, it, nil)
		if !ok {
			if o.crowded {
				st.status, st.line = protocol.StatusServerError, append(st.line[:0], OutOfMemory[:len(OutOfMemory)-2]...)
			}
			return 0, false
		}
		result, n, ok := split.AppendDelta(nil, item.Value, d.n, d.decr)
		if !ok {
			return 0, false
		}
		life, ok := s.life(o, req.Key)
		if !ok {
			return 0, false
		}
		exptime := life.exptime
		if d.exptime != nil {
			exptime = *d.exptime
		}
		asCAS := *req
		asCAS.Verb = protocol.CAS
		if life.base64 { // counting leaves a key spelled as it is
			asCAS.Verb, asCAS.RawKey, asCAS.MetaFlags = protocol.MetaSet, base64.StdEncoding.AppendEncode(nil, req.Key), []byte("b")
		}
		var swapped step
		s.swap(o, &asCAS, change{it: it, item: item, value: result, exptime: exptime}, &swapped)
		if swapped.err == nil && (swapped.status == protocol.StatusStored || swapped.status == protocol.StatusOK) {
			return n, true
		}
		switch {
		case swapped.err != nil, swapped.status.IsError():
			*st = swapped
			return 0, false
		case swapped.status != protocol.StatusExists: // it is not there any more
			st.status = protocol.StatusNotFound
			st.line = bytes.TrimSuffix(protocol.AppendMiss(nil, req), []byte("\r\n"))
			return 0, false
		}
	}
	return 0, false
}

// A delta is what incr, decr or ma does to a number.
type delta struct {
	n       uint64
	decr    bool
	exptime *int32 // not nil: the item's new lifetime
}

// deltaOf reads ma's.
func deltaOf(req *protocol.Request) delta {
	d := delta{n: 1, exptime: newLifetime(req.MetaFlags)}
	for f, arg, rest := protocol.NextFlag(req.MetaFlags); f != 0; f, arg, rest = protocol.NextFlag(rest) {
		switch f {
		case 'D':
			d.n, _ = strconv.ParseUint(string(arg), 10, 64)
		case 'M':
			d.decr = len(arg) > 0 && (arg[0] == 'D' || arg[0] == 'd' || arg[0] == '-')
		}
	}
	return d
}

// tellNumber makes ma's answer after a swap: what mg says of the item, and the number in place of the value.
func (s *splitter) tellNumber(o *op, req *protocol.Request, n uint64, st *step) {
	var flags []byte
	for tok, rest := protocol.NextKey(req.MetaFlags); tok != nil; tok, rest = protocol.NextKey(rest) {
		switch tok[0] {
		case 't', 'c', 'k', 'O', 'b':
			flags = append(append(flags, tok...), ' ')
		}
	}
	o.ask(st, s.home(req.Key), &protocol.Request{Verb: protocol.MetaGet, Key: req.Key, RawKey: req.RawKey, MetaFlags: flags, ValueLen: -1})
	if after, found := bytes.CutPrefix(st.line, []byte("HD")); found && protocol.HasFlag(req.MetaFlags, 'v') {
		st.status, st.value = protocol.StatusHit, appendUint(nil, n)
		st.line = append(strconv.AppendInt([]byte("VA "), int64(len(st.value)), 10), after...)
	}
}
