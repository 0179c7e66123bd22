package chunks

import (
	"cmp"
	crand "crypto/rand"
	"math/rand/v2"

	"mcproxy/backend"
	"mcproxy/internal/epoll"
	"mcproxy/internal/keybook"
	"mcproxy/pool/steps"
	"mcproxy/protocol"
	"mcproxy/split"
)

// Config says which values are divided into chunks over the pool's backends. Zero sizes take the defaults named here.
type Config struct {
	Enabled   bool
	Threshold int // bytes; a longer value is split; 64 KiB
	Chunk     int // bytes of a chunk at most; 64 KiB
	Copies    int // of each chunk, on different backends; 1
	MaxValue  int // bytes of the longest value that is split; 64 MiB
}

// WithDefaults gives c with its zero sizes set.
func (c Config) WithDefaults() Config {
	c.Threshold = cmp.Or(c.Threshold, 64<<10)
	c.Chunk = cmp.Or(c.Chunk, 64<<10)
	c.Copies = cmp.Or(c.Copies, 1)
	c.MaxValue = cmp.Or(c.MaxValue, 64<<20)
	return c
}

// A Splitter keeps the pool's large values in chunks: see package split for what stands where. It is the worker's.
type Splitter struct {
	host    Host
	shared  *Shared
	runner  *steps.Runner
	loop    *epoll.Loop
	rand    *rand.Rand
	cfg     Config
	options split.Options
	bulk    []*backend.Pipeline // by backend: chunks go on conns of their own, so that a small get never waits behind them
	flight  []int               // by backend: bytes of chunks that were asked for and are not there
	wrapped []byte              // scratch

	memories map[uint64]memory // by hotkey.Hash, of keys that are hot in hotSeen
	hotSeen  *keybook.HotSet
	figures  *Figures
}

// Use is what a Splitter is given beside.
type Use struct {
	Rand    *rand.Rand
	Figures *Figures // what it counts in
	// Former had the pool under another configuration, and has its own requests to the end; they share conns. nil: there was none.
	Former *Splitter
}

// New makes a worker's splitter.
func New(shared *Shared, host Host, runner *steps.Runner, backends []*backend.Backend, use Use) *Splitter {
	cfg := shared.Config.WithDefaults()
	s := &Splitter{
		host: host, shared: shared, runner: runner, loop: runner.Loop, rand: use.Rand, cfg: cfg, figures: use.Figures,
		options: split.Options{Chunk: cfg.Chunk, MaxValue: cfg.MaxValue, Copies: cfg.Copies, Servers: len(backends)},
	}
	var former []*backend.Pipeline
	if use.Former != nil {
		former = use.Former.bulk
	}
	s.bulk = backend.Pipelines(backends, former, runner.Loop)
	s.flight = make([]int, len(s.bulk))
	s.memories = make(map[uint64]memory)
	return s
}

// Close ends the conns for chunks.
func (s *Splitter) Close() {
	for _, pl := range s.bulk {
		pl.Close()
	}
}

// Take does what a request needs because values may be split, and says whether it has taken the request over. Retrievals
// are not: their answers tell.
func (s *Splitter) Take(x Client, req *protocol.Request, affinity uint32) bool {
	if split.IsReserved(req.Key) {
		s.figures.Refused++
		answer := []byte(split.Refusal)
		if req.NoReply && !req.Verb.IsMeta() {
			answer = nil
		}
		s.host.Count(req.Verb, protocol.StatusClientError, 1)
		x.Finish(answer)
		return true
	}
	if appends := req.Mode == 'A' || req.Mode == 'a' || req.Mode == 'P' || req.Mode == 'p'; appends && req.Verb == protocol.MetaSet && protocol.HasFlag(req.MetaFlags, 'I') {
		s.finish(x, []byte(noInvalidExtend), protocol.StatusClientError)
		return true
	}
	if !protocol.TextKey(req.Key) {
		return false // no classic command can carry it; such keys are left alone
	}
	s.noteMarks(req)
	if s.lookFirst(x, req, affinity) {
		return true
	}
	switch req.Verb {
	case protocol.Set, protocol.Add, protocol.Replace, protocol.CAS:
		switch kind, copies := s.storedAs(req.Key, req.ClientFlags, len(req.Value)); kind {
		case split.Split:
			s.store(x, req, copies, affinity)
			return true
		case split.Wrapped:
			s.wrap(req)
		}
		return s.replaces(x, req, affinity)
	case protocol.Append, protocol.Prepend:
		s.extend(x, req, affinity)
		return true
	case protocol.Incr, protocol.Decr:
		return s.count(x, req, affinity)
	case protocol.MetaArithmetic:
		return s.countMeta(x, req, affinity)
	case protocol.Touch:
		s.touch(x, req, affinity)
		return true
	case protocol.Gat, protocol.Gats:
		s.shared.rewrites.Touch(req.Key, req.Exptime)
		return false
	case protocol.MetaDelete:
		if protocol.HasFlag(req.MetaFlags, 'I') {
			return s.invalidate(x, req, affinity)
		}
		return s.replaces(x, req, affinity)
	case protocol.Delete:
		return s.replaces(x, req, affinity)
	case protocol.MetaGet:
		return s.metaGet(x, req, affinity)
	case protocol.MetaSet:
		return s.metaSet(x, req, affinity)
	}
	return false
}

// wrap puts a client's value behind a head, in place of the value itself.
func (s *Splitter) wrap(req *protocol.Request) {
	s.figures.Wrapped++
	s.wrapped = split.AppendWrapped(s.wrapped[:0], req.Value)
	req.Value, req.ValueLen = s.wrapped, len(s.wrapped)
}

// unwrap undoes wrap, in a request as a backend got it.
func (s *Splitter) unwrap(req *protocol.Request) {
	flags, ok := split.ClientFlags(req)
	if !ok || flags != split.ReservedFlags {
		return
	}
	if it, err := split.Open(flags, req.Value, s.cfg.MaxValue); err == nil && it.Kind == split.Wrapped {
		req.Value, req.ValueLen = it.Value, len(it.Value)
	}
}

// owned is a request that outlives the buffer it was parsed from; its value does not.
func owned(req *protocol.Request) *protocol.Request {
	r := *req
	line := append(append(append(append([]byte(nil), req.Key...), req.RawKey...), req.MetaFlags...), req.Opaque...)
	cut := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		head := line[:len(b):len(b)]
		line = line[len(b):]
		return head
	}
	r.Key, r.RawKey, r.MetaFlags, r.Opaque = cut(req.Key), cut(req.RawKey), cut(req.MetaFlags), cut(req.Opaque)
	r.Keys, r.Value = nil, nil
	if req.Keys != nil {
		r.Keys = r.Key
	}
	return &r
}

// finish ends an op's exchange with an answer; a quiet client hears what memcached would tell it.
func (s *Splitter) finish(x Client, answer []byte, status protocol.Status) {
	s.host.Count(x.Verb(), status, 1)
	if x.Quiet() && protocol.Suppressed(x.Verb(), status) {
		answer = nil
	}
	x.Finish(answer)
}

// finishStep answers with what the home server said.
func (s *Splitter) finishStep(x Client, req *protocol.Request, st *steps.Step) {
	if st.Err != nil {
		x.Fail(req, st.Err)
		return
	}
	s.finish(x, append(st.Line, "\r\n"...), st.Status)
}

// gets is a request for the item at home, with its cas number.
func gets(key []byte) *protocol.Request {
	return &protocol.Request{Verb: protocol.Gets, Key: key, Keys: key, NumKeys: 1, ValueLen: -1}
}

// Window is how many bytes of chunks one write, or one read, has on their way at most, so that many large values at once do not
// make each other late. A longer value that is written must stay as it is until its exchange is
// finished; a shorter one is used before the exchange is begun.
const Window = 1 << 20

// fresh is a value to be written in chunks.
type fresh struct {
	value   []byte
	flags   uint32
	exptime int32
	copies  int // of each chunk, if its heat asks for more than there are anyway
}

// put writes a value's chunks under a fresh generation, waits, and gives the manifest. ok: all stand. What also sends is sent with the
// first of them.
func (s *Splitter) put(o *steps.Op, v fresh, also ...func()) (m split.Manifest, why *backend.Error, ok bool) {
	g, err := split.Plan(len(v.value), s.optionsFor(v.copies))
	if err != nil {
		s.figures.TooLarge++
		for _, f := range also {
			f()
		}
		o.Wait()
		return m, nil, false
	}
	var gen split.Generation
	s.generation(&gen)
	m = split.NewManifest(gen, g, v.value, v.flags)
	asks := make([]steps.Step, 0, g.Count*g.Copies)
	var key []byte
	waited, sent := 0, 0 // steps that have ended; bytes of the others
	ok = true
	end := func() {
		for _, f := range also {
			f()
		}
		also, sent = nil, 0
		if s.shared.Mutant == ManifestFirst {
			return
		}
		o.Wait()
		for ; waited < len(asks); waited++ {
			if st := &asks[waited]; st.Err != nil {
				why, ok = st.Err, false
			} else if st.Status != protocol.StatusStored {
				ok = false
			}
		}
	}
	for i := range g.Count {
		from, to := g.Bounds(i)
		if sent > 0 && sent+(to-from)*g.Copies > Window {
			if end(); !ok {
				break
			}
			o.Deadline = max(o.Deadline, s.loop.Now+2*int64(s.runner.Timeout)) // each window has its time: a long value takes longer
		}
		for c := range g.Copies {
			key = m.AppendChunkKey(key[:0], i, c)
			asks = append(asks, steps.Step{})
			o.Send(&asks[len(asks)-1], s.bulk[m.Server(i, c)], &protocol.Request{
				Verb: protocol.Set, Key: key, ClientFlags: m.Mark(i), Exptime: v.exptime, ValueLen: to - from, Value: v.value[from:to],
			})
		}
		sent += (to - from) * g.Copies
	}
	end()
	s.figures.ChunksWritten += uint64(len(asks))
	if !ok {
		s.clean(&m)
	}
	return m, why, ok
}

func (s *Splitter) generation(gen *split.Generation) {
	if s.shared.Random != nil {
		s.shared.Random(gen[:])
		return
	}
	crand.Read(gen[:]) // never fails: crypto/rand ends the process instead
}

// clean deletes a generation's chunks; nobody waits for it.
func (s *Splitter) clean(m *split.Manifest) {
	var key []byte
	for i := range m.Count {
		for c := range m.Copies {
			key = m.AppendChunkKey(key[:0], i, c)
			server := m.Server(i, c)
			if server >= len(s.bulk) {
				continue
			}
			s.figures.Cleaned++
			call := &backend.Call{Owner: nobody{}}
			// One that cannot be sent is journalled, and one that gets lost is evicted some day: nothing names the chunk any more.
			_ = s.bulk[server].Send(call, &protocol.Request{Verb: protocol.Delete, Key: key, ValueLen: -1}, 0)
		}
	}
}

// nobody waits for an answer.
type nobody struct{}

func (nobody) Answer(*backend.Call, *protocol.Response, []byte) error { return nil }
func (nobody) Fail(*backend.Call, []byte, *backend.Error)             {}

// opened is an item of a home server and what it is.
type opened struct {
	split.Stored
	unique uint64
}

// open understands a step's item. ok: there is one, and it is sound.
func (s *Splitter) open(st *steps.Step) (it opened, ok bool) {
	if st.Err != nil || st.Status != protocol.StatusHit {
		return it, false
	}
	stored, err := split.Open(st.Flags, st.Value, s.cfg.MaxValue)
	if err != nil {
		s.figures.Damaged++
		return it, false
	}
	return opened{stored, st.Unique}, true
}

// Bulk gives the conns to the i-th backend that chunks use.
func (s *Splitter) Bulk(i int) *backend.Pipeline { return s.bulk[i] }

// MaxValue is how many bytes the longest value has that is split.
func (s *Splitter) MaxValue() int { return s.cfg.MaxValue }

// Needs is how many bytes of the budget a request takes whose value is length bytes, which its client has announced: the value
// itself, and its chunks until their backends have answered. 0: it goes as it comes, and needs none.
func (s *Splitter) Needs(length int) int {
	if !split.Oversized(length, s.cfg.Threshold) {
		return 0
	}
	return length + min(length*min(s.cfg.Copies, len(s.bulk)), Window)
}

func (s *Splitter) sawSplit(key []byte, m *split.Manifest, requests int) {
	s.host.SawSplit(key, m.Length, m.Count, m.Copies, requests)
}

// Touched notes that a client gives a key's item another lifetime.
func (s *Splitter) Touched(key []byte, exptime int32) { s.shared.rewrites.Touch(key, exptime) }
