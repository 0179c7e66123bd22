package chunks

import (
	"math"

	"mcproxy/backend"
	"mcproxy/pool/steps"
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
	steps.Step
	f      *fetching
	index  int
	server int
}

func (c *chunkStep) Answer(_ *backend.Call, r *protocol.Response, _ []byte) error {
	c.Status = r.Status
	if r.Status == protocol.StatusHit && c.f.a.Add(c.index, r.ClientFlags, r.Value) != nil {
		c.Status = protocol.StatusMiss // another's, or cut short: as good as missing
	}
	if r.Last {
		c.f.s.flight[c.server] -= c.f.m.Size(c.index)
		c.f.o.Ended()
	}
	return nil
}

// Fail notes that the chunk did not come.
func (c *chunkStep) Fail(call *backend.Call, req []byte, err *backend.Error) {
	c.f.s.flight[c.server] -= c.f.m.Size(c.index)
	c.Step.Fail(call, req, err)
}

// A fetching reads the chunks of one value.
type fetching struct {
	s     *Splitter
	o     *steps.Op
	m     *split.Manifest
	touch *int32 // not nil: they get a lifetime on the way
	ahead *Ahead // not nil: nobody knows yet whether the manifest still holds
	a     split.Assembler
	first []uint16 // of each chunk: the copy that is read first; nil: there is one of each
	lost  fetched
}

// fetch reads a value's chunks.
func (s *Splitter) fetch(o *steps.Op, m *split.Manifest, touch *int32) reading {
	f := &fetching{s: s, o: o, m: m, touch: touch, lost: missing}
	value, how := f.run()
	return reading{value, how}
}

func (f *fetching) run() ([]byte, fetched) {
	if !f.s.reserve(f.o, f.m.Length) {
		return nil, failed
	}
	f.o.Why = nil
	buf := f.o.Room(f.m.Length)
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
	if err != nil && f.s.shared.Mutant == SkipsChecksum {
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
	asks := make([]chunkStep, 0, f.a.Left())
	var key []byte
	asked := 0 // bytes of those that have not ended
	for i := range f.a.Missing() {
		if asked > 0 && asked+f.m.Size(i) > Window {
			f.o.Wait()
			asked = 0
			if asks[len(asks)-1].Err != nil {
				break // late already; what is missing is read from the next copies
			}
			f.o.Deadline = max(f.o.Deadline, f.s.loop.Now+int64(f.s.runner.Timeout)) // each window has its time
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
		asks = append(asks, chunkStep{f: f, index: i, server: server})
		st := &asks[len(asks)-1]
		if f.o.SendFor(st, &st.Step, f.s.bulk[server], req, steps.Way{}) {
			f.s.flight[server] += f.m.Size(i)
		}
	}
	f.o.Wait()
	f.s.figures.ChunksRead += uint64(len(asks))
	if f.ahead != nil && round == 0 && f.a.Left() > 0 && !f.ahead.wait() {
		return
	}
	for i := range asks {
		switch st := &asks[i]; {
		case st.Err != nil, st.Status.IsError():
			f.lost, f.o.Why = failed, st.Err
		case st.Status != protocol.StatusHit:
			f.s.figures.ChunksMissing++
		}
	}
}

// choose picks the copy of a chunk to read: of two at random the one whose server this worker waits for the fewest bytes of. The
// choice of one alone would leave the busiest server far above the mean; that of the least of all would have all workers run to
// the same.
func (s *Splitter) choose(m *split.Manifest, index int) int {
	a := s.rand.IntN(m.Copies)
	b := s.rand.IntN(m.Copies - 1)
	if b >= a {
		b++
	}
	if s.burden(m.Server(index, b)) < s.burden(m.Server(index, a)) {
		return b
	}
	return a
}

// burden is how many bytes of chunks this worker waits for from a server; a server that does not answer has the greatest.
func (s *Splitter) burden(server int) int {
	if server >= len(s.bulk) || s.bulk[server].Backend.State() != backend.StateUp {
		return math.MaxInt
	}
	return s.flight[server]
}

// resolve makes a client's item of what stands under its key: a split value is put together. If chunks are missing, the
// manifest is read again: another has another generation; the same is dead, and goes away, so that a following add works.
// not ok: a miss.
func (s *Splitter) resolve(o *steps.Op, key []byte, it opened, touch *int32) (item split.Item, ok bool) {
	return s.resolveFrom(o, key, it, touch, nil)
}

// resolveFrom is resolve where the chunks were read already; first is nil: they were not.
func (s *Splitter) resolveFrom(o *steps.Op, key []byte, it opened, touch *int32, first *reading) (item split.Item, ok bool) {
	for tries := 0; ; tries++ {
		if it.Kind != split.Split {
			s.host.SawWhole(key, len(it.Value), 0)
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
			s.sawSplit(key, &it.Manifest, 0)
			return split.Item{Flags: it.Flags, Unique: it.shown(), Value: now.value}, true
		}
		if now.how == failed || tries == 4 {
			return item, false
		}
		s.figures.Retried++
		var again steps.Step
		s.host.Ask(o, &again, gets(key))
		next, ok := s.open(&again)
		if !ok {
			return item, false
		}
		if next.Kind == split.Split && next.Manifest == it.Manifest {
			s.figures.Dead++
			s.Forget(key)
			s.unlink(o, key, next.unique)
			return item, false
		}
		it = next
	}
}

// unlink deletes an item if it still is the one with that cas number.
func (s *Splitter) unlink(o *steps.Op, key []byte, unique uint64) {
	flags := appendUint([]byte("C"), unique)
	var st steps.Step
	s.host.Ask(o, &st, &protocol.Request{Verb: protocol.MetaDelete, Key: key, RawKey: key, MetaFlags: flags, ValueLen: -1})
}

// lost is the answer to a retrieval whose value cannot be had.
func (s *Splitter) lost(o *steps.Op) *steps.Large {
	answer := []byte(protocol.End)
	switch why := s.refusal(o); {
	case o.Crowded:
		answer = []byte(steps.OutOfMemory)
	case why != nil:
		answer = steps.AppendError(nil, why)
	}
	return steps.Plain(answer)
}

// refusal is why a value cannot be had, if that is to be said; nil: it is a miss.
func (s *Splitter) refusal(o *steps.Op) *backend.Error {
	if o.Why == nil {
		return nil
	}
	return s.host.Refuse(o.Why)
}

// reserve is Op.Reserve.
func (s *Splitter) reserve(o *steps.Op, n int) bool {
	if o.Reserve(n) {
		return true
	}
	s.figures.Crowded++
	return false
}
