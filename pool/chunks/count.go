package chunks

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/split"
)

// count carries out incr or decr of a value that is split or wrapped, in which a backend cannot count. It is false for keys of which
// this process does not know that.
func (s *Splitter) count(x Client, req *protocol.Request, affinity uint32) bool {
	if !s.shared.keys.Has(req.Key) {
		return false
	}
	x.Wait()
	req = owned(req)
	s.runner.Run(affinity, func(o *steps.Op) {
		var st steps.Step
		s.host.Ask(o, &st, req)
		if now, counted := s.countHere(o, req, delta{n: req.Delta, decr: req.Verb == protocol.Decr}, &st); counted {
			st.Status, st.Line = protocol.StatusNumber, appendUint(st.Line[:0], now.n)
		}
		s.finishStep(x, req, &st)
	})
	return true
}

// countMeta is count for ma.
func (s *Splitter) countMeta(x Client, req *protocol.Request, affinity uint32) bool {
	if !s.shared.keys.Has(req.Key) {
		return false
	}
	x.Wait()
	req = owned(req)
	s.runner.Run(affinity, func(o *steps.Op) {
		var st steps.Step
		s.host.Ask(o, &st, req)
		if now, counted := s.countHere(o, req, deltaOf(req), &st); counted {
			s.tellNumber(o, req, now, &st)
		}
		if st.Err == nil && st.Status == protocol.StatusHit {
			s.finish(x, append(append(append(st.Line, "\r\n"...), st.Value...), "\r\n"...), st.Status)
			return
		}
		s.finishStep(x, req, &st)
	})
	return true
}

const notNumeric = "CLIENT_ERROR cannot increment or decrement non-numeric value"

// A number is what a value was counted to.
type number struct {
	n    uint64
	left int64 // the seconds that the item had left before; -1: it had no end
}

// countHere counts in a split or wrapped value, if st is the backend's word that the item is no number. It says whether it did;
// if not, st is the answer.
func (s *Splitter) countHere(o *steps.Op, req *protocol.Request, d delta, st *steps.Step) (now number, counted bool) {
	for range 64 {
		if st.Err != nil || string(st.Line) != notNumeric {
			return number{}, false
		}
		var before steps.Step
		s.host.Ask(o, &before, gets(req.Key))
		it, found := s.open(&before)
		if !found || it.Kind == split.Plain {
			return number{}, false
		}
		item, ok := s.resolve(o, req.Key, it, nil)
		if !ok {
			if o.Crowded {
				st.Status, st.Line = protocol.StatusServerError, append(st.Line[:0], steps.OutOfMemory[:len(steps.OutOfMemory)-2]...)
			}
			return number{}, false
		}
		result, n, ok := split.AppendDelta(nil, item.Value, d.n, d.decr)
		if !ok {
			return number{}, false
		}
		life, ok := s.life(o, req.Key)
		if !ok {
			return number{}, false
		}
		exptime := life.exptime
		if d.exptime != nil && *d.exptime >= 0 { // tellNumber sees to one that is over
			exptime = *d.exptime
		}
		asCAS := *req
		asCAS.Verb = protocol.CAS
		if life.base64 { // counting leaves a key spelled as it is
			asCAS.Verb, asCAS.RawKey, asCAS.MetaFlags = protocol.MetaSet, base64.StdEncoding.AppendEncode(nil, req.Key), []byte("b")
		}
		var swapped steps.Step
		s.swap(o, &asCAS, change{it: it, item: item, value: result, exptime: exptime}, &swapped)
		if swapped.Err == nil && (swapped.Status == protocol.StatusStored || swapped.Status == protocol.StatusOK) {
			return number{n, life.left()}, true
		}
		switch {
		case swapped.Err != nil, swapped.Status.IsError():
			*st = swapped
			return number{}, false
		case swapped.Status != protocol.StatusExists: // it is not there any more
			st.Status = protocol.StatusNotFound
			st.Line = bytes.TrimSuffix(protocol.AppendMiss(nil, req), []byte("\r\n"))
			return number{}, false
		}
	}
	return number{}, false
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

// tellNumber makes ma's answer after a swap, by what mg says of the item. The item counts also if its new lifetime is over, or somebody has
// deleted it since. As memcached does what the flags say one after the other, a t before the T tells of the lifetime that was; and as it
// names the key by the request, not by the item, that is spelled as it came.
func (s *Splitter) tellNumber(o *steps.Op, req *protocol.Request, now number, st *steps.Step) {
	ask := &protocol.Request{Verb: protocol.MetaGet, Key: req.Key, RawKey: req.RawKey, MetaFlags: []byte("c t"), ValueLen: -1}
	if e := newLifetime(req.MetaFlags); e != nil && *e < 0 { // the item goes when all is told of it
		ask.MetaFlags = []byte("c T-1 t")
	}
	binary := protocol.HasFlag(req.MetaFlags, 'b')
	if binary {
		ask.MetaFlags = append(ask.MetaFlags, " b"...)
	}
	s.host.Ask(o, st, ask)
	if st.Err != nil || st.Status != protocol.StatusOK && st.Status != protocol.StatusMiss {
		return
	}
	told := map[byte][]byte{'t': strconv.AppendInt([]byte("t"), now.left, 10)} // by flag; before T
	var left []byte                                                            // after it
	for tok, rest := protocol.NextKey(st.Line); tok != nil; tok, rest = protocol.NextKey(rest) {
		switch tok[0] {
		case 'c':
			told['c'] = tok
		case 't':
			left = tok
		}
	}
	told['k'] = append([]byte("k"), req.RawKey...)
	if binary {
		told['k'] = append(told['k'], " b"...)
	}
	if !protocol.HasFlag(req.MetaFlags, 'T') {
		told['t'] = left
	}
	line := []byte("HD")
	st.Status = protocol.StatusOK
	if protocol.HasFlag(req.MetaFlags, 'v') {
		st.Status, st.Value = protocol.StatusHit, appendUint(nil, now.n)
		line = strconv.AppendInt([]byte("VA "), int64(len(st.Value)), 10)
	}
	for tok, rest := protocol.NextKey(req.MetaFlags); tok != nil; tok, rest = protocol.NextKey(rest) {
		word := told[tok[0]]
		switch tok[0] {
		case 'T':
			told['t'] = left
		case 'O':
			word = tok
		}
		if len(word) > 0 {
			line = append(append(line, ' '), word...)
		}
	}
	st.Line = line
}
