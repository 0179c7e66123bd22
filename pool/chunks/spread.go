package chunks

import (
	"bytes"
	"strconv"

	"mcproxy/hotkey"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/split"
)

// A value that is not too large, but read so much that its bytes are too many for one server, is kept in chunks as well, with as many
// copies as its heat asks for (HotKey.Copies). The next write stores it so; and so that nobody has to wait for one, a read that finds
// it with fewer copies has it rewritten, by cas: what a client changes meanwhile stands. The item's lifetime is kept, and so is the
// number by which clients compare it (split.Manifest.Unique). A value that is no longer than a manifest stays as it is.

// spreadCopies says how many copies the chunks of a value of that length have, under the key, because of its heat; 0: it is not kept
// in chunks for that. So many chunks and copies as there are, so many servers share the reads: a value of several chunks needs fewer
// copies.
func (s *Splitter) spreadCopies(key []byte, length int) int {
	hot := s.hot()
	if !hot.Spread() || length <= s.shared.MinSpread {
		return 0
	}
	items := hot.Copies(hotkey.Hash(key))
	if items == 0 {
		return 0
	}
	chunks := (length + s.cfg.Chunk - 1) / s.cfg.Chunk
	g, err := split.Plan(length, s.optionsFor((items+chunks-1)/chunks))
	if err != nil {
		return 0
	}
	return g.Copies
}

// storedAs says how a client's value is stored, and with how many copies of each chunk.
func (s *Splitter) storedAs(key []byte, flags uint32, length int) (kind split.Kind, copies int) {
	kind = split.StoredAs(flags, length, s.cfg.Threshold)
	if copies = s.spreadCopies(key, length); copies > 0 {
		kind = split.Split
	}
	return kind, copies
}

// optionsFor are the options for a value whose heat asks for so many copies.
func (s *Splitter) optionsFor(copies int) split.Options {
	o := s.options
	o.Copies = max(o.Copies, copies)
	return o
}

// warm has a value rewritten that was read with so many copies (0: it is not in chunks), if its heat asks for more.
func (s *Splitter) warm(key []byte, length, copies int) {
	if s.spreadCopies(key, length) > copies {
		s.spread(bytes.Clone(key))
	}
}

// WarmPlain is warm for an item as a backend gave it.
func (s *Splitter) WarmPlain(r *protocol.Response) {
	if r.Status == protocol.StatusHit && r.Key != nil && len(r.Value) > s.shared.MinSpread {
		s.warm(r.Key, len(r.Value), 0)
	}
}

// spread rewrites a key's value with as many copies as its heat asks for. Nobody waits for it.
func (s *Splitter) spread(key []byte) {
	shared := s.shared
	if shared.marks.Has(key) || !shared.rewrites.Begin(key, s.loop.Now) {
		return
	}
	s.runner.Run(0, func(o *steps.Op) {
		m, unique, done := s.rewrite(o, key)
		for {
			exptime, touched := shared.rewrites.End(key, s.loop.Now, done)
			if !touched {
				return
			}
			if exptime >= 0 { // otherwise who touches it may still be reading them
				s.touchChunks(o, &m, exptime)
			}
			unique, done, _ = s.place(o, key, &m, exptime, unique)
		}
	})
}

// rewrite reads an item and swaps it for a manifest. It gives that and its cas number, if that is done.
func (s *Splitter) rewrite(o *steps.Op, key []byte) (m split.Manifest, unique uint64, done bool) {
	var st steps.Step
	s.host.Ask(o, &st, &protocol.Request{
		Verb: protocol.MetaGet, Key: key, RawKey: key, MetaFlags: []byte(split.LineFlags), ValueLen: -1,
	})
	if st.Err != nil || st.Status != protocol.StatusHit {
		return m, 0, false
	}
	seen, ok := split.ReadLine(st.Line)
	if seen.Won { // the token was for a client
		var back steps.Step
		s.host.Ask(o, &back, &protocol.Request{
			Verb: protocol.MetaDelete, Key: key, RawKey: key, MetaFlags: appendUint([]byte("I C"), seen.Unique), ValueLen: -1,
		})
	}
	if !ok {
		return m, 0, false
	}
	exptime := int32(0)
	if seen.Seconds > 0 {
		exptime = exptimeOf(seen.Seconds)
	}
	st.Flags, st.Unique = seen.Flags, seen.Unique
	it, sound := s.open(&st)
	if !sound {
		return m, 0, false
	}
	length, copies := len(it.Value), 0
	if it.Kind == split.Split {
		length, copies = it.Manifest.Length, it.Manifest.Copies
	}
	want := s.spreadCopies(key, length)
	if want <= copies || !s.reserve(o, 2*length) { // as it is put together, and as chunks
		return m, 0, false
	}
	item, ok := s.resolve(o, key, it, nil)
	if !ok {
		return m, 0, false
	}
	if m, _, ok = s.put(o, fresh{item.Value, item.Flags, exptime, want}); !ok {
		return m, 0, false
	}
	m.Unique = it.shown()
	if s.shared.rewrites.Spoiled(key) {
		s.clean(&m)
		return m, 0, false
	}
	unique, ok, known := s.place(o, key, &m, exptime, it.unique)
	if !ok {
		if known {
			s.clean(&m)
		}
		return m, 0, false
	}
	s.figures.Spread++
	s.shared.keys.Add(key)
	s.remember(key, &m)
	if it.Kind == split.Split {
		s.clean(&it.Manifest)
	}
	return m, unique, true
}

// place puts a manifest in the place of the item with that cas number, and gives its own. not ok: it does not stand
// there; if that is known, that is.
func (s *Splitter) place(o *steps.Op, key []byte, m *split.Manifest, exptime int32, unique uint64) (own uint64, ok, known bool) {
	value := m.Append(nil)
	flags := strconv.AppendInt(append(appendUint([]byte("F"), uint64(split.ReservedFlags)), " T"...), int64(exptime), 10)
	var st steps.Step
	s.host.Ask(o, &st, &protocol.Request{
		Verb: protocol.MetaSet, Key: key, RawKey: key, MetaFlags: append(appendUint(append(flags, " C"...), unique), " c"...),
		ValueLen: len(value), Value: value,
	})
	after, found := bytes.CutPrefix(st.Line, []byte("HD c"))
	if st.Err != nil || st.Status != protocol.StatusOK || !found {
		return 0, false, st.Err == nil
	}
	own, err := strconv.ParseUint(string(after), 10, 64)
	return own, err == nil, true
}

// noteMarks keeps book of what rewriting would undo: that an item is stale, or that the token to recache it is given away.
func (s *Splitter) noteMarks(req *protocol.Request) {
	var letters string
	switch req.Verb {
	case protocol.MetaSet, protocol.MetaDelete:
		letters = "Ix"
	case protocol.MetaGet:
		letters = "RN"
	default:
		return
	}
	for i := range len(letters) {
		if protocol.HasFlag(req.MetaFlags, letters[i]) {
			s.shared.marks.Add(req.Key)
			s.shared.rewrites.Mark(req.Key)
			return
		}
	}
}
