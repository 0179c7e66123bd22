package chunks

import (
	"bytes"
	"strconv"

	"mcproxy/backend"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/split"
)

func appendUint(dst []byte, v uint64) []byte { return strconv.AppendUint(dst, v, 10) }

// An Item is one with the reserved flags, in the answer to a retrieval.
type Item struct {
	Key, Value []byte
	Unique     uint64
	Verb       protocol.Verb
	Exptime    int32  // of gat and gats
	Readers    int    // clients who get it
	Ahead      *Ahead // chunks that are being read; nil: none are
	Reserved   int    // bytes of the budget that are held for it already
}

// Get answers a retrieval of one key whose item carries the reserved flags. deliver gets the whole answer, which is gone when it
// returns, unless it was retained.
func (s *Splitter) Get(item Item, deliver func(l *steps.Large, hit bool)) {
	s.shared.keys.Add(item.Key)
	stored, err := split.Open(split.ReservedFlags, item.Value, s.cfg.MaxValue)
	if err != nil {
		item.Ahead.Drop()
		s.figures.Damaged++
		s.host.Count(item.Verb, protocol.StatusMiss, item.Readers)
		deliver(steps.Plain([]byte(protocol.End)), false)
		return
	}
	key := bytes.Clone(item.Key)
	stored.Value = bytes.Clone(stored.Value)
	var touch *int32
	if item.Verb == protocol.Gat || item.Verb == protocol.Gats {
		touch = &item.Exptime
	}
	answer := func(o *steps.Op, first *reading) {
		o.Hold(item.Reserved, nil)
		it, ok := s.resolveFrom(o, key, opened{stored, item.Unique}, touch, first)
		if !ok {
			s.host.Count(item.Verb, protocol.StatusMiss, item.Readers)
			deliver(s.lost(o), false)
			return
		}
		s.host.Count(item.Verb, protocol.StatusHit, item.Readers)
		s.host.SawRead(key, len(it.Value), item.Readers)
		l := o.Framed(it.AppendHead(nil, item.Verb, key), it.Value, "\r\n"+protocol.End)
		deliver(l, true)
		l.Release()
		if stored.Kind == split.Split {
			s.warm(key, stored.Manifest.Length, stored.Manifest.Copies)
		} else {
			s.warm(key, len(stored.Value), 0)
		}
	}
	if item.Ahead.matches(&stored) {
		item.Ahead.keep(func(o *steps.Op, first reading) { answer(o, &first) })
		return
	}
	item.Ahead.Drop()
	// The manifest has taken up to one timeout; another is left.
	s.runner.RunBy(0, s.loop.Now+int64(s.runner.Timeout), func(o *steps.Op) { answer(o, nil) })
}

// store carries out set, add, replace or cas of a value that is split: its chunks first, then the manifest by the client's
// own verb.
func (s *Splitter) store(x Client, req *protocol.Request, copies int, affinity uint32) {
	x.Wait()
	value := req.Value
	req = owned(req)
	s.runner.Run(affinity, func(o *steps.Op) {
		home := o.Home(req.Key)
		var before steps.Step
		v := fresh{value, req.ClientFlags, req.Exptime, copies}
		m, why, ok := s.put(o, v, func() { o.Send(&before, home, gets(req.Key)) })
		if !ok {
			s.notStored(o, x, req, why)
			return
		}
		var st steps.Step
		manifest := m.Append(nil)
		final := *req
		final.ClientFlags, final.Value, final.ValueLen = split.ReservedFlags, manifest, len(manifest)
		old, known := s.open(&before)
		for tries := 0; ; tries++ {
			swap := final
			if known && old.Kind == split.Split && req.Verb == protocol.Set && tries < 4 {
				swap.Verb, swap.Unique = protocol.CAS, old.unique // so that it is this generation that goes
			}
			if s.shared.Mutant == CleansFirst && known && old.Kind == split.Split {
				s.clean(&old.Manifest)
			}
			s.compare(o, &swap, &old, &st)
			if swap.Verb == req.Verb || st.Status != protocol.StatusExists && st.Status != protocol.StatusNotFound {
				break
			}
			o.Ask(&before, home, gets(req.Key))
			old, known = s.open(&before)
		}
		stored := st.Err == nil && st.Status == protocol.StatusStored
		switch {
		case stored:
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

// stored notes that a key has a manifest now.
func (s *Splitter) stored(key []byte, m *split.Manifest) {
	s.figures.Stored++
	s.shared.keys.Add(key)
	s.remember(key, m)
	s.sawSplit(key, m, 1)
}

// notStored answers a write whose chunks do not all stand. As after any write that failed, the old value does not come back.
func (s *Splitter) notStored(o *steps.Op, x Client, req *protocol.Request, why *backend.Error) {
	if req.Verb != protocol.Add {
		s.spoil(o, req.Key)
	}
	if why != nil {
		x.Fail(req, why)
		return
	}
	answer := []byte(protocol.TooLarge)
	if req.NoReply && !req.Verb.IsMeta() {
		answer = nil
	}
	s.host.Count(req.Verb, protocol.StatusServerError, 1)
	x.Finish(answer)
}

// spoil deletes the value that a write which failed, or was not even sent, was to replace. A backend that cannot be asked
// now has it in its journal.
func (s *Splitter) spoil(o *steps.Op, key []byte) {
	var st steps.Step
	s.host.Ask(o, &st, &protocol.Request{Verb: protocol.Delete, Key: key, ValueLen: -1})
}

// replaces carries out a small write or a delete of a key whose value was split: its chunks go when the new state stands. It
// is false for keys of which this process does not know that.
func (s *Splitter) replaces(x Client, req *protocol.Request, affinity uint32) bool {
	if !s.shared.keys.Has(req.Key) || req.Verb == protocol.Add {
		return false
	}
	if req.Verb == protocol.MetaDelete && protocol.HasFlag(req.MetaFlags, 'x') {
		return false // the item stays
	}
	x.Wait()
	value := req.Value
	if compared(req) != 0 { // it may be sent twice
		value = bytes.Clone(value)
	}
	req = owned(req)
	s.runner.Run(affinity, func(o *steps.Op) {
		home := o.Home(req.Key)
		var before, st steps.Step
		final := *req
		final.Value = value
		o.Send(&before, home, gets(req.Key))
		s.host.Ask(o, &st, &final)
		old, known := s.open(&before)
		if _, ok := knownBy(&final, &old); ok && st.Err == nil && st.Status == protocol.StatusExists {
			s.compare(o, &final, &old, &st)
		}
		if changed := st.Err == nil && (st.Status == protocol.StatusStored || st.Status == protocol.StatusDeleted || st.Status == protocol.StatusOK); changed {
			s.shared.keys.Remove(req.Key)
			if known && old.Kind == split.Split {
				s.clean(&old.Manifest)
			}
		}
		s.finishStep(x, req, &st)
	})
	return true
}

// touch gives a value another lifetime. It reads the item on the way, by gat, to know whether there are chunks to touch: mg would
// tell with fewer bytes, but take the token of an item that waits to be recached.
func (s *Splitter) touch(x Client, req *protocol.Request, affinity uint32) {
	x.Wait()
	req = owned(req)
	s.shared.rewrites.Touch(req.Key, req.Exptime)
	s.runner.Run(affinity, func(o *steps.Op) {
		var st steps.Step
		s.touchItem(o, req.Key, req.Exptime, &st)
		switch {
		case st.Err != nil, st.Status.IsError():
			s.finishStep(x, req, &st)
		case st.Status == protocol.StatusHit:
			s.finish(x, []byte(protocol.Touched), protocol.StatusTouched)
		default:
			s.finish(x, []byte(protocol.NotFound), protocol.StatusNotFound)
		}
	})
}

// touchItem gives an item a lifetime, and its chunks.
func (s *Splitter) touchItem(o *steps.Op, key []byte, exptime int32, st *steps.Step) {
	gat := gets(key)
	gat.Verb, gat.Exptime = protocol.Gats, exptime
	s.host.Ask(o, st, gat)
	if it, ok := s.open(st); ok && it.Kind == split.Split {
		s.touchChunks(o, &it.Manifest, exptime)
	}
}

func (s *Splitter) touchChunks(o *steps.Op, m *split.Manifest, exptime int32) {
	asks := make([]steps.Step, m.Count*m.Copies)
	var key []byte
	for i := range m.Count {
		for c := range m.Copies {
			if server := m.Server(i, c); server < len(s.bulk) {
				key = m.AppendChunkKey(key[:0], i, c)
				o.Send(&asks[i*m.Copies+c], s.bulk[server], &protocol.Request{Verb: protocol.Touch, Key: key, Exptime: exptime, ValueLen: -1})
			}
		}
	}
	o.Wait()
}
