package pool

import (
	"bytes"
	"strconv"

	"mcproxy/backend"
	"mcproxy/protocol"
	"mcproxy/split"
)

func appendUint(dst []byte, v uint64) []byte { return strconv.AppendUint(dst, v, 10) }

// reserved says whether an answer's value is the proxies' own: a manifest, or a wrapped value.
func (p *Pool) reserved(r *protocol.Response) bool {
	return p.splitter != nil && r.Status == protocol.StatusHit && r.ClientFlags == split.ReservedFlags && r.Key != nil
}

// reservedItem is the reserved unit r of an answer to a retrieval.
func (p *Pool) reservedItem(c *backend.Call, r *protocol.Response) reservedItem {
	if n, err := protocol.ParseRequest(c.Request(), &p.request); err != nil || n == 0 {
		panic("pool: a request of our own does not parse: " + string(c.Request()))
	}
	return reservedItem{key: r.Key, value: r.Value, unique: r.Unique, verb: p.request.Verb, exptime: p.request.Exptime, readers: 1}
}

// A reservedItem is an item with the reserved flags, in the answer to a retrieval.
type reservedItem struct {
	key, value []byte
	unique     uint64
	verb       protocol.Verb
	exptime    int32  // of gat and gats
	readers    int    // clients who get it
	ahead      *ahead // chunks that are being read; nil: none are
	reserved   int    // bytes of the budget that are held for it already
}

// get answers a retrieval of one key whose item carries the reserved flags. deliver gets the whole answer, which is gone when it
// returns, unless it was retained.
func (s *splitter) get(item reservedItem, deliver func(l *Large, hit bool)) {
	s.p.Shared.splitKeys.Add(item.key)
	stored, err := split.Open(split.ReservedFlags, item.value, s.cfg.MaxValue)
	if err != nil {
		item.ahead.drop()
		s.figures.Damaged++
		s.p.Figures.Misses += uint64(item.readers)
		deliver(plain([]byte(protocol.End)), false)
		return
	}
	key := bytes.Clone(item.key)
	stored.Value = bytes.Clone(stored.Value)
	var touch *int32
	if item.verb == protocol.Gat || item.verb == protocol.Gats {
		touch = &item.exptime
	}
	answer := func(o *op, first *reading) {
		o.reserved = max(o.reserved, item.reserved)
		it, ok := s.resolveFrom(o, key, opened{stored, item.unique}, touch, first)
		if !ok {
			s.p.Figures.Misses += uint64(item.readers)
			deliver(o.lost(), false)
			return
		}
		s.p.Figures.Hits += uint64(item.readers)
		s.p.observeJoined(key, len(it.Value), item.readers)
		l := o.framed(it.AppendHead(nil, item.verb, key), it.Value, "\r\n"+protocol.End)
		deliver(l, true)
		l.Release()
		if stored.Kind == split.Split {
			s.warm(key, stored.Manifest.Length, stored.Manifest.Copies)
		} else {
			s.warm(key, len(stored.Value), 0)
		}
	}
	if item.ahead.matches(&stored) {
		item.ahead.keep(func(o *op, first reading) { answer(o, &first) })
		return
	}
	item.ahead.drop()
	// The manifest has taken up to one timeout; another is left.
	s.p.runBy(0, s.p.loop.Now+int64(s.p.Shared.timeout), func(o *op) { answer(o, nil) })
}

// store carries out set, add, replace or cas of a value that is split: its chunks first, then the manifest by the client's
// own verb.
func (s *splitter) store(x *Exchange, req *protocol.Request, copies int, affinity uint32) {
	x.Waits = true
	value := req.Value
	req = owned(req)
	s.p.run(affinity, func(o *op) {
		home := s.home(req.Key)
		var before step
		v := fresh{value, req.ClientFlags, req.Exptime, copies}
		m, why, ok := s.put(o, v, func() { o.send(&before, home, gets(req.Key)) })
		if !ok {
			s.notStored(o, x, req, why)
			return
		}
		var st step
		manifest := m.Append(nil)
		final := *req
		final.ClientFlags, final.Value, final.ValueLen = split.ReservedFlags, manifest, len(manifest)
		old, known := s.open(&before)
		for tries := 0; ; tries++ {
			swap := final
			if known && old.Kind == split.Split && req.Verb == protocol.Set && tries < 4 {
				swap.Verb, swap.Unique = protocol.CAS, old.unique // so that it is this generation that goes
			}
			if s.p.Shared.mutant == cleansFirst && known && old.Kind == split.Split {
				s.clean(&old.Manifest)
			}
			s.compare(o, &swap, &old, &st)
			if swap.Verb == req.Verb || st.status != protocol.StatusExists && st.status != protocol.StatusNotFound {
				break
			}
			o.ask(&before, home, gets(req.Key))
			old, known = s.open(&before)
		}
		stored := st.err == nil && st.status == protocol.StatusStored
		switch {
		case stored:
			s.stored(req.Key, &m)
			if known && old.Kind == split.Split {
				s.clean(&old.Manifest)
			}
		case st.err == nil:
			s.clean(&m)
		}
		s.finishStep(x, req, &st)
	})
}

// stored notes that a key has a manifest now.
func (s *splitter) stored(key []byte, m *split.Manifest) {
	s.figures.Stored++
	s.p.Shared.splitKeys.Add(key)
	s.remember(key, m)
	s.p.sawSplit(key, m, 1)
}

// notStored answers a write whose chunks do not all stand. As after any write that failed, the old value does not come back.
func (s *splitter) notStored(o *op, x *Exchange, req *protocol.Request, why *backend.Error) {
	if req.Verb != protocol.Add {
		s.spoil(o, req.Key)
	}
	if why != nil {
		s.p.fail(x, req, why)
		return
	}
	answer := []byte(protocol.TooLarge)
	if req.NoReply && !req.Verb.IsMeta() {
		answer = nil
	}
	x.To.Finish(x, answer)
}

// spoil deletes the value that a write which failed, or was not even sent, was to replace. A backend that cannot be asked
// now has it in its journal.
func (s *splitter) spoil(o *op, key []byte) {
	var st step
	o.ask(&st, s.home(key), &protocol.Request{Verb: protocol.Delete, Key: key, ValueLen: -1})
}

// replaces carries out a small write or a delete of a key whose value was split: its chunks go when the new state stands. It
// is false for keys of which this process does not know that.
func (s *splitter) replaces(x *Exchange, req *protocol.Request, affinity uint32) bool {
	if !s.p.Shared.splitKeys.Has(req.Key) || req.Verb == protocol.Add {
		return false
	}
	if req.Verb == protocol.MetaDelete && protocol.HasFlag(req.MetaFlags, 'x') {
		return false // the item stays
	}
	x.Waits = true
	value := req.Value
	if compared(req) != 0 { // it may be sent twice
		value = bytes.Clone(value)
	}
	req = owned(req)
	s.p.run(affinity, func(o *op) {
		home := s.home(req.Key)
		var before, st step
		final := *req
		final.Value = value
		o.send(&before, home, gets(req.Key))
		o.send(&st, home, &final)
		o.wait()
		old, known := s.open(&before)
		if _, ok := knownBy(&final, &old); ok && st.err == nil && st.status == protocol.StatusExists {
			s.compare(o, &final, &old, &st)
		}
		if changed := st.err == nil && (st.status == protocol.StatusStored || st.status == protocol.StatusDeleted || st.status == protocol.StatusOK); changed {
			s.p.Shared.splitKeys.Remove(req.Key)
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
func (s *splitter) touch(x *Exchange, req *protocol.Request, affinity uint32) {
	x.Waits = true
	req = owned(req)
	s.p.Shared.rewrites.Touch(req.Key, req.Exptime)
	s.p.run(affinity, func(o *op) {
		var st step
		s.touchItem(o, req.Key, req.Exptime, &st)
		switch {
		case st.err != nil, st.status.IsError():
			s.finishStep(x, req, &st)
		case st.status == protocol.StatusHit:
			s.finish(x, []byte(protocol.Touched), protocol.StatusTouched)
		default:
			s.finish(x, []byte(protocol.NotFound), protocol.StatusNotFound)
		}
	})
}

// touchItem gives an item a lifetime, and its chunks.
func (s *splitter) touchItem(o *op, key []byte, exptime int32, st *step) {
	gat := gets(key)
	gat.Verb, gat.Exptime = protocol.Gats, exptime
	o.ask(st, s.home(key), gat)
	if it, ok := s.open(st); ok && it.Kind == split.Split {
		s.touchChunks(o, &it.Manifest, exptime)
	}
}

func (s *splitter) touchChunks(o *op, m *split.Manifest, exptime int32) {
	steps := make([]step, m.Count*m.Copies)
	var key []byte
	for i := range m.Count {
		for c := range m.Copies {
			if server := m.Server(i, c); server < len(s.bulk) {
				key = m.AppendChunkKey(key[:0], i, c)
				o.send(&steps[i*m.Copies+c], s.bulk[server], &protocol.Request{Verb: protocol.Touch, Key: key, Exptime: exptime, ValueLen: -1})
			}
		}
	}
	o.wait()
}
