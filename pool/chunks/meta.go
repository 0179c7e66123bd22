package chunks

import (
	"strconv"

	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/split"
)

// metaGet answers a mg that speaks of the value, its size, its flags or its cas number, or gives it a lifetime.
func (s *Splitter) metaGet(x Client, req *protocol.Request, affinity uint32) bool {
	touch := newLifetime(req.MetaFlags)
	speaks := touch != nil
	for f, _, rest := protocol.NextFlag(req.MetaFlags); f != 0; f, _, rest = protocol.NextFlag(rest) {
		speaks = speaks || f == 'v' || f == 's' || f == 'f' || f == 'c'
	}
	if !speaks {
		return false
	}
	if touch != nil {
		s.shared.rewrites.Mark(req.Key)
	}
	req = owned(req)
	s.runner.Run(affinity, func(o *steps.Op) {
		ask := *req
		ask.MetaFlags = split.AppendMetaFlags(nil, req.MetaFlags, "fv")
		var early *Ahead
		if touch == nil {
			early = s.ReadAhead(req.Key, affinity)
		}
		var st steps.Step
		s.host.Ask(o, &st, &ask)
		if st.Err != nil || st.Status != protocol.StatusHit {
			early.Drop()
			if st.Err == nil {
				s.Forget(req.Key)
			}
			s.finishStep(x, req, &st)
			return
		}
		if touch != nil {
			s.shared.rewrites.Touch(req.Key, *touch)
		}
		st.Flags = lineFlags(st.Line)
		it, sound := s.open(&st)
		answer := func(o *steps.Op, first *reading) {
			var item split.Item
			if sound {
				item, sound = s.resolveFrom(o, req.Key, it, touch, first)
			}
			if !sound {
				s.gone(o, x, req)
				return
			}
			s.answerMeta(o, x, req, &item, st.Line)
			if it.Kind == split.Split {
				s.warm(req.Key, it.Manifest.Length, it.Manifest.Copies)
			} else {
				s.warm(req.Key, len(it.Value), 0)
			}
		}
		if sound && early.matches(&it.Stored) {
			early.keep(func(o *steps.Op, first reading) { answer(o, &first) })
			return
		}
		early.Drop()
		answer(o, nil)
	})
	return true
}

// answerMeta answers a mg that found an item; line is what the backend answered.
func (s *Splitter) answerMeta(o *steps.Op, x Client, req *protocol.Request, item *split.Item, line []byte) {
	s.host.SawRead(req.Key, len(item.Value), 1)
	head, data := item.AppendMetaHead(nil, req, line)
	if !data {
		s.finish(x, head, protocol.StatusHit)
		return
	}
	s.host.Count(req.Verb, protocol.StatusHit, 1)
	l := o.Framed(head, item.Value, "\r\n") // a hit is never suppressed
	x.FinishLarge(l)
	l.Release()
}

// lineFlags gives the f of a meta answer's line.
func lineFlags(line []byte) uint32 {
	_, rest := protocol.NextKey(line) // VA
	_, rest = protocol.NextKey(rest)  // size
	for f, arg, rest := protocol.NextFlag(rest); f != 0; f, arg, rest = protocol.NextFlag(rest) {
		if f == 'f' {
			v, _ := strconv.ParseUint(string(arg), 10, 32)
			return uint32(v)
		}
	}
	return 0
}

// noInvalidExtend refuses what cannot be done by a swap: to append to a value and mark it stale if its cas number is higher.
const noInvalidExtend = "CLIENT_ERROR flag I with an append mode is not taken where values may be split\r\n"

// metaSet carries out a ms.
func (s *Splitter) metaSet(x Client, req *protocol.Request, affinity uint32) bool {
	switch req.Mode {
	case 'A', 'a', 'P', 'p':
		s.extend(x, req, affinity)
		return true
	}
	flags, ok := split.ClientFlags(req)
	if !ok {
		return false // the backend refuses it
	}
	kind, copies := s.storedAs(req.Key, flags, len(req.Value))
	switch kind {
	case split.Plain:
		return req.Mode != 'E' && req.Mode != 'e' && s.replaces(x, req, affinity)
	case split.Wrapped:
		s.wrap(req)
		return false
	}
	list, ok := split.AppendMetaSetFlags(nil, req.MetaFlags, split.ReservedFlags)
	if !ok {
		return false
	}
	s.storeMeta(x, req, metaStore{flags, list, copies}, affinity)
	return true
}

// metaStore says how a ms is stored in chunks.
type metaStore struct {
	flags  uint32 // the client's
	list   []byte // the meta flags for the manifest
	copies int
}

// storeMeta carries out a ms of a value that is split.
func (s *Splitter) storeMeta(x Client, req *protocol.Request, how metaStore, affinity uint32) {
	x.Wait()
	var exptime int32
	if e := newLifetime(req.MetaFlags); e != nil {
		exptime = *e
	}
	value := req.Value
	req = owned(req)
	s.runner.Run(affinity, func(o *steps.Op) {
		home := o.Home(req.Key)
		var before, st steps.Step
		if protocol.HasFlag(req.MetaFlags, 'I') && compares(req.MetaFlags) != 0 { // if it is stored as stale it keeps the old item's lifetime
			if old, ok := s.glance(o, req.Key); ok {
				exptime = longer(exptime, old.exptime)
			}
		}
		v := fresh{value, how.flags, exptime, how.copies}
		m, why, ok := s.put(o, v, func() { o.Send(&before, home, gets(req.Key)) })
		if !ok {
			s.notStored(o, x, req, why)
			return
		}
		final := *req
		final.MetaFlags = how.list
		final.Value = m.Append(nil)
		final.ValueLen = len(final.Value)
		old, known := s.open(&before)
		s.compare(o, &final, &old, &st)
		switch {
		case st.Err == nil && st.Status == protocol.StatusOK:
			s.stored(req.Key, &m)
			if known && old.Kind == split.Split {
				s.clean(&old.Manifest)
			}
		case st.Err == nil:
			s.clean(&m)
		}
		s.finishStep(x, req, &st)
	})
}
