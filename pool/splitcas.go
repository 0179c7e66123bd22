package pool

import (
	"bytes"
	"math"
	"strconv"

	"mcproxy/backend"
	"mcproxy/protocol"
	"mcproxy/split"
)

// shown is the cas number that clients know an item by.
func (it *opened) shown() uint64 {
	if it.Kind == split.Split && it.Manifest.Unique != 0 {
		return it.Manifest.Unique
	}
	return it.unique
}

// compared is the cas number that a request compares with; 0: it compares with none.
func compared(req *protocol.Request) uint64 {
	switch req.Verb {
	case protocol.CAS:
		return req.Unique
	case protocol.MetaSet, protocol.MetaDelete, protocol.MetaArithmetic:
		return compares(req.MetaFlags)
	}
	return 0
}

// comparing gives a request that compares with another cas number.
func comparing(req *protocol.Request, unique uint64) *protocol.Request {
	r := *req
	if r.Verb == protocol.CAS {
		r.Unique = unique
		return &r
	}
	r.MetaFlags = appendUint(append(without(req.MetaFlags, 'C'), 'C'), unique)
	return &r
}

// knownBy gives a request that compares with the number that the item has, if its client knows the item by another one. Not ok: it
// does not; the request is as it should be.
func knownBy(req *protocol.Request, it *opened) (again *protocol.Request, ok bool) {
	if c := compared(req); c == 0 || it.Kind != split.Split || it.Manifest.Unique != c {
		return req, false
	}
	return comparing(req, it.unique), true
}

// lookAgain takes up a request that a backend refused in words that may be about what stands there in a client's value's place: a
// comparison with a number that a rewritten item does not have any more, or counting in what is no number. It is false if they
// cannot be.
func (s *splitter) lookAgain(x *Exchange, c *backend.Call, r *protocol.Response) bool {
	counts := x.verb == protocol.Incr || x.verb == protocol.Decr || x.verb == protocol.MetaArithmetic
	noNumber := counts && string(r.Line) == notNumeric
	if x.again || !noNumber && r.Status != protocol.StatusExists {
		return false
	}
	line := bytes.Clone(c.Request())
	req := new(protocol.Request)
	n, err := protocol.ParseRequest(line, req)
	if err != nil || n == 0 || !protocol.TextKey(req.Key) {
		return false
	}
	if req.ValueLen >= 0 {
		req.TakeValue(line[n:])
		s.unwrap(req)
	}
	if !noNumber && compared(req) == 0 {
		return false
	}
	req.NoReply = x.quiet
	if x.flags != nil { // the backend has got fewer
		req.MetaFlags = x.flags
	}
	answer := append(append([]byte(nil), r.Line...), "\r\n"...)
	status := r.Status
	s.p.run(x.affinity, func(o *op) {
		var st step
		if o.ask(&st, s.home(req.Key), gets(req.Key)); st.err != nil { // nobody knows whether it was refused with reason
			s.spoil(o, req.Key)
			s.p.fail(x, req, st.err)
			return
		}
		it, found := s.open(&st)
		again, ok := knownBy(req, &it)
		switch {
		case st.status == protocol.StatusMiss: // gone since: the backend says so in its words
		case !found, !ok && !(noNumber && it.Kind != split.Plain):
			x.pass(status, answer[:len(answer)-2], answer)
			return
		default:
			s.p.Shared.splitKeys.Add(req.Key)
		}
		x.again = true
		waits := x.Waits
		s.p.begin(x, again, x.affinity)
		x.Waits = waits // whether it does was told when it was begun
	})
	return true
}

// compare sends a request that may compare with a cas number, by the number that the item has: it, which was read before. If that has
// changed meanwhile, though not for its clients, it sends it again.
func (s *splitter) compare(o *op, req *protocol.Request, it *opened, st *step) {
	for range 4 {
		now, _ := knownBy(req, it)
		o.ask(st, s.home(req.Key), now)
		if st.err != nil || st.status != protocol.StatusExists || compared(req) == 0 {
			return
		}
		var again step
		if o.ask(&again, s.home(req.Key), gets(req.Key)); again.err != nil { // nobody knows whether it was refused with reason
			s.spoil(o, req.Key)
			st.err = again.err
			return
		}
		if again.status == protocol.StatusMiss { // gone since: the backend says so in its words
			o.ask(st, s.home(req.Key), req)
			return
		}
		next, found := s.open(&again)
		if !found || next.unique == it.unique {
			return
		}
		if _, ok := knownBy(req, &next); !ok {
			return
		}
		*it = next
	}
}

// lookFirst looks at the item before a ms that marks it stale if it compares as older, so that it is compared by the number that its
// client knows. It is false for any other request.
func (s *splitter) lookFirst(x *Exchange, req *protocol.Request, affinity uint32) bool {
	if x.again || req.Verb != protocol.MetaSet || compares(req.MetaFlags) == 0 || !protocol.HasFlag(req.MetaFlags, 'I') {
		return false
	}
	x.Waits, x.again = true, true
	value := bytes.Clone(req.Value)
	req = owned(req)
	s.p.run(affinity, func(o *op) {
		var st step
		o.ask(&st, s.home(req.Key), gets(req.Key))
		again := req
		if it, found := s.open(&st); found {
			again, _ = knownBy(req, &it)
		}
		final := *again
		final.Value = value
		s.p.begin(x, &final, affinity)
	})
	return true
}

// invalidate carries out a md that leaves the item, marks it stale and gives it another cas number. A number that its clients know a
// rewritten value by would outlive that; so it is taken away first. It is false if there is nothing to be done before.
func (s *splitter) invalidate(x *Exchange, req *protocol.Request, affinity uint32) bool {
	if x.again {
		return false
	}
	x.Waits, x.again = true, true
	req = owned(req)
	s.p.run(affinity, func(o *op) {
		final := req
		for range 64 {
			var st step
			o.ask(&st, s.home(req.Key), gets(req.Key))
			it, found := s.open(&st)
			if !found || it.Kind != split.Split {
				break
			}
			e, c := newLifetime(req.MetaFlags), compared(req)
			longer := e != nil && *e >= 0
			if it.Manifest.Unique == 0 && !longer || c != 0 && c != it.shown() {
				break
			}
			probe := comparing(req, math.MaxUint64)
			if o.ask(&st, s.home(req.Key), probe); st.status != protocol.StatusExists {
				break // its flags are not to the backend's taste
			}
			if longer { // the chunks first
				s.touchChunks(o, &it.Manifest, *e)
			}
			if it.Manifest.Unique == 0 {
				break
			}
			unique, done := s.ownUnique(o, req.Key, &it)
			if !done {
				continue
			}
			if c != 0 {
				final = comparing(req, unique)
			}
			break
		}
		s.p.begin(x, final, affinity)
	})
	return true
}

// ownUnique swaps a manifest for the same one without Unique, and gives the cas number that it has then. not ok: it is not there any
// more.
func (s *splitter) ownUnique(o *op, key []byte, it *opened) (unique uint64, ok bool) {
	exptime, ok := s.lifetime(o, key)
	if !ok {
		return 0, false
	}
	m := it.Manifest
	m.Unique = 0
	unique, ok, _ = s.place(o, key, &m, exptime, it.unique)
	return unique, ok
}

// newLifetime is the lifetime that a meta command gives an item; nil: none.
func newLifetime(flags []byte) (exptime *int32) {
	for f, arg, rest := protocol.NextFlag(flags); f != 0; f, arg, rest = protocol.NextFlag(rest) {
		if f != 'T' {
			continue
		}
		if v, err := strconv.ParseInt(string(arg), 10, 64); err == nil {
			e := int32(v) // as memcached cuts it off
			exptime = &e
		}
	}
	return exptime
}
