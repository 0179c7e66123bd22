package pool

import (
	"math"

	"mcproxy/backend"
	"mcproxy/protocol"
	"mcproxy/split"
)

// fetched says how a read of chunks ended.
type fetched uint8

const (
	whole   fetched = iota
	missing         // chunks are not there, on any of their servers
	failed          // chunks could not be read: their servers do not answer
)

// chunkStep is a step that reads a chunk straight into the value.
type chunkStep struct {
	step
	f      *fetching
	index  int
	server int
}

func (c *chunkStep) Answer(_ *backend.Call, r *protocol.Response, _ []byte) error {
	c.status = r.Status
	if r.Status == protocol.StatusHit && c.f.a.Add(c.index, r.ClientFlags, r.Value) != nil {
		c.status = protocol.StatusMiss // another's, or cut short: as good as missing
	}
	if r.Last {
		c.f.s.flight[c.server] -= c.f.m.Size(c.index)
		c.ended()
	}
	return nil
}

// Fail notes that the chunk did not come.
func (c *chunkStep) Fail(call *backend.Call, req []byte, err *backend.Error) {
	c.f.s.flight[c.server] -= c.f.m.Size(c.index)
	c.step.Fail(call, req, err)
}

// A fetching reads the chunks of one value.
type fetching struct {
	s     *splitter
	o     *op
	m     *split.Manifest
	touch *int32 // not nil: they get a lifetime on the way
	ahead *ahead // not nil: nobody knows yet whether the manifest still holds
	a     split.Assembler
	first []uint16 // of each chunk: the copy that is read first; nil: there is one of each
	lost  fetched
}

// fetch reads a value's chunks.
func (s *splitter) fetch(o *op, m *split.Manifest, touch *int32) reading {
	f := &fetching{s: s, o: o, m: m, touch: touch, lost: missing}
	value, how := f.run()
	return reading{value, how}
}

func (f *fetching) run() ([]byte, fetched) {
	if !f.o.reserve(f.m.Length) {
		return nil, failed
	}
	f.o.why = nil
	buf := f.o.room(f.m.Length)
	if f.a.Start(*f.m, buf) != nil {
		return nil, missing
	}
	if f.m.Copies > 1 {
		f.first = make([]uint16, f.m.Count)
	}
	for round := 0; round < f.m.Copies && f.a.Left() > 0; round++ {
		if round > 0 && f.ahead != nil && !f.ahead.wait() {
			return nil, missing // as is to be expected of chunks that were replaced
		}
		f.copies(round)
	}
	if f.a.Left() > 0 {
		return nil, f.lost
	}
	value, err := f.a.Value()
	if err != nil && f.s.p.Shared.mutant == skipsChecksum {
		return buf, whole
	}
	if err != nil {
		f.s.figures.Damaged++
		return nil, missing
	}
	return value, whole
}

// copies reads one copy of each chunk that is missing: first the one that choose says, then the others.
func (f *fetching) copies(round int) {
	steps := make([]chunkStep, 0, f.a.Left())
	var key []byte
	asked := 0 // bytes of those that have not ended
	for i := range f.a.Missing() {
		if asked > 0 && asked+f.m.Size(i) > Window {
			f.o.wait()
			asked = 0
			if steps[len(steps)-1].err != nil {
				break // late already; what is missing is read from the next copies
			}
			f.o.deadline = max(f.o.deadline, f.s.p.loop.Now+int64(f.s.p.Shared.timeout)) // each window has its time
		}
		asked += f.m.Size(i)
		c := 0
		if f.first != nil {
			if round == 0 {
				f.first[i] = uint16(f.s.choose(f.m, i))
			}
			c = (int(f.first[i]) + round) % f.m.Copies
		}
		server := f.m.Server(i, c)
		if server >= len(f.s.bulk) {
			continue
		}
		key = f.m.AppendChunkKey(key[:0], i, c)
		req := &protocol.Request{Verb: protocol.Get, Key: key, Keys: key, NumKeys: 1, ValueLen: -1}
		if f.touch != nil {
			req.Verb, req.Exptime = protocol.Gat, *f.touch
		}
		steps = append(steps, chunkStep{f: f, index: i, server: server})
		st := &steps[len(steps)-1]
		st.o = f.o
		st.call.Owner = st
		pl := f.s.bulk[server]
		if st.err = pl.SendBy(&st.call, req, f.o.affinity, min(pl.Deadline(), f.o.deadline)); st.err == nil {
			f.o.open++
			f.s.flight[server] += f.m.Size(i)
		}
	}
	f.o.wait()
	f.s.figures.ChunksRead += uint64(len(steps))
	if f.ahead != nil && round == 0 && f.a.Left() > 0 && !f.ahead.wait() {
		return
	}
	for i := range steps {
		switch st := &steps[i]; {
		case st.err != nil, st.status.IsError():
			f.lost, f.o.why = failed, st.err
		case st.status != protocol.StatusHit:
			f.s.figures.ChunksMissing++
		}
	}
}

// choose picks the copy of a chunk to read: of two at random the one whose server this worker waits for the fewest bytes of. The
// choice of one alone would leave the busiest server far above the mean; that of the least of all would have all workers run to
// the same.
func (s *splitter) choose(m *split.Manifest, index int) int {
	a := s.p.rand.IntN(m.Copies)
	b := s.p.rand.IntN(m.Copies - 1)
	if b >= a {
		b++
	}
	if s.burden(m.Server(index, b)) < s.burden(m.Server(index, a)) {
		return b
	}
	return a
}

// burden is how many bytes of chunks this worker waits for from a server; a server that does not answer has the greatest.
func (s *splitter) burden(server int) int {
	if server >= len(s.bulk) || s.bulk[server].Backend.State() != backend.StateUp {
		return math.MaxInt
	}
	return s.flight[server]
}

// resolve makes a client's item of what stands under its key: a split value is put together. If chunks are missing, the
// manifest is read again: another has another generation; the same is dead, and goes away, so that a following add works.
// not ok: a miss.
func (s *splitter) resolve(o *op, key []byte, it opened, touch *int32) (item split.Item, ok bool) {
	return s.resolveFrom(o, key, it, touch, nil)
}

// resolveFrom is resolve where the chunks were read already; first is nil: they were not.
func (s *splitter) resolveFrom(o *op, key []byte, it opened, touch *int32, first *reading) (item split.Item, ok bool) {
	for tries := 0; ; tries++ {
		if it.Kind != split.Split {
			s.p.sawWhole(key, len(it.Value), 0)
			return split.Item{Flags: it.Flags, Unique: it.shown(), Value: it.Value}, true
		}
		var now reading
		if tries == 0 && first != nil {
			now = *first
		} else {
			now = s.fetch(o, &it.Manifest, touch)
		}
		if now.how == whole {
			s.figures.Read++
			s.remember(key, &it.Manifest)
			s.p.sawSplit(key, &it.Manifest, 0)
			return split.Item{Flags: it.Flags, Unique: it.shown(), Value: now.value}, true
		}
		if now.how == failed || tries == 4 {
			return item, false
		}
		s.figures.Retried++
		var again step
		o.ask(&again, s.home(key), gets(key))
		next, ok := s.open(&again)
		if !ok {
			return item, false
		}
		if next.Kind == split.Split && next.Manifest == it.Manifest {
			s.figures.Dead++
			s.forget(key)
			s.unlink(o, key, next.unique)
			return item, false
		}
		it = next
	}
}

// unlink deletes an item if it still is the one with that cas number.
func (s *splitter) unlink(o *op, key []byte, unique uint64) {
	flags := appendUint([]byte("C"), unique)
	var st step
	o.ask(&st, s.home(key), &protocol.Request{Verb: protocol.MetaDelete, Key: key, RawKey: key, MetaFlags: flags, ValueLen: -1})
}
