package chunks

import (
	"bytes"
	"math"
	"strconv"

	"mcproxy/pool/steps"
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

// LookAgain takes up a request, as it was sent, that a backend refused in words that may be about what stands there in a client's value's place: a
// comparison with a number that a rewritten item does not have any more, or counting in what is no number. It is false if they
// cannot be.
func (s *Splitter) LookAgain(x Client, sent []byte, r *protocol.Response) bool {
	counts := x.Verb() == protocol.Incr || x.Verb() == protocol.Decr || x.Verb() == protocol.MetaArithmetic
	noNumber := counts && string(r.Line) == notNumeric
	if x.Again() || !noNumber && r.Status != protocol.StatusExists {
		return false
	}
	line := bytes.Clone(sent)
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
	req.NoReply = x.Quiet()
	if flags := x.Flags(); flags != nil { // the backend has got fewer
		req.MetaFlags = flags
	}
	answer := append(append([]byte(nil), r.Line...), "\r\n"...)
	status := r.Status
	s.runner.Run(x.Affinity(), func(o *steps.Op) {
		var st steps.Step
		if s.host.Ask(o, &st, gets(req.Key)); st.Err != nil { // nobody knows whether it was refused with reason
			s.spoil(o, req.Key)
			x.Fail(req, st.Err)
			return
		}
		it, found := s.open(&st)
		again, ok := knownBy(req, &it)
		switch {
		case st.Status == protocol.StatusMiss: // gone since: the backend says so in its words
		case !found, !ok && !(noNumber && it.Kind != split.Plain):
			x.Pass(status, answer[:len(answer)-2], answer)
			return
		default:
			s.shared.keys.Add(req.Key)
		}
		x.Begin(again)
	})
	return true
}

// compare sends a request that may compare with a cas number, by the number that the item has: it, which was read before. If that has
// changed meanwhile, though not for its clients, it sends it again.
func (s *Splitter) compare(o *steps.Op, req *protocol.Request, it *opened, st *steps.Step) {
	for range 4 {
		now, _ := knownBy(req, it)
		s.host.Ask(o, st, now)
		if st.Err != nil || st.Status != protocol.StatusExists || compared(req) == 0 {
			return
		}
		var again steps.Step
		if s.host.Ask(o, &again, gets(req.Key)); again.Err != nil { // nobody knows whether it was refused with reason
			s.spoil(o, req.Key)
			st.Err = again.Err
			return
		}
		if again.Status == protocol.StatusMiss { // gone since: the backend says so in its words
			s.host.Ask(o, st, req)
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
func (s *Splitter) lookFirst(x Client, req *protocol.Request, affinity uint32) bool {
	if x.Again() || req.Verb != protocol.MetaSet || compares(req.MetaFlags) == 0 || !protocol.HasFlag(req.MetaFlags, 'I') {
		return false
	}
	x.Wait()
	value := bytes.Clone(req.Value)
	req = owned(req)
	s.runner.Run(affinity, func(o *steps.Op) {
		var st steps.Step
		s.host.Ask(o, &st, gets(req.Key))
		again := req
		if it, found := s.open(&st); found {
			again, _ = knownBy(req, &it)
		}
		final := *again
		final.Value = value
		x.Begin(&final)
	})
	return true
}

// invalidate carries out a md that leaves the item, marks it stale and gives it another cas number. A number that its clients know a
// rewritten value by would outlive that; so it is taken away first. It is false if there is nothing to be done before.
func (s *Splitter) invalidate(x Client, req *protocol.Request, affinity uint32) bool {
	if x.Again() {
		return false
	}
	x.Wait()
	req = owned(req)
	s.runner.Run(affinity, func(o *steps.Op) {
		final := req
		for range 64 {
			var st steps.Step
			s.host.Ask(o, &st, gets(req.Key))
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
			if s.host.Ask(o, &st, probe); st.Status != protocol.StatusExists {
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
		x.Begin(final)
	})
	return true
}

// ownUnique swaps a manifest for the same one without Unique, and gives the cas number that it has then. not ok: it is not there any
// more.
func (s *Splitter) ownUnique(o *steps.Op, key []byte, it *opened) (unique uint64, ok bool) {
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
