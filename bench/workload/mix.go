package workload

import (
	"fmt"
	"math/rand/v2"
	"time"

	"mcproxy/protocol"
)

// A mix is what the streams of the mixed workload share. It is immutable.
type mix struct {
	opts    *Options
	listed  []string   // keys that a file names; nil: they are made up
	lengths sizePicker // of keys
	sizes   sizePicker // of values
	ranks   zipfRanks
	scatter scatter
	upTo    [KindOther]float64 // cumulative shares of the kinds, in the order of kinds
	block   []byte             // values are cut from it
	exptime int32
}

func newMix(opts *Options) (*mix, error) {
	listed, err := opts.readKeys()
	if err != nil {
		return nil, err
	}
	m := &mix{opts: opts, listed: listed, ranks: newZipfRanks(opts.Keys, opts.Zipf), scatter: newScatter(opts.Keys, opts.Seed)}
	if m.sizes, err = parseSizes(opts.ValueSize, maxValueSize); err != nil {
		return nil, fmt.Errorf("value-%w", err)
	}
	if m.lengths = sizePicker(etcKeys{}); opts.KeySize != "etc" {
		if m.lengths, err = parseSizes(opts.KeySize, maxKeyLen); err != nil {
			return nil, fmt.Errorf("key-%w", err)
		}
	}
	m.upTo[KindSet] = opts.SetRatio
	m.upTo[KindDelete] = m.upTo[KindSet] + opts.DeleteRatio
	m.upTo[KindTouch] = m.upTo[KindDelete] + opts.TouchRatio
	m.upTo[KindIncr] = m.upTo[KindTouch] + opts.IncrRatio
	m.block = newBlock(opts.Seed, m.sizes.largest())
	m.exptime = int32(opts.TTL / time.Second)
	return m, nil
}

// blockSpare is how many different values of one length a block has.
const blockSpare = 4096

// newBlock makes bytes without a pattern, enough for values of up to most bytes at any of blockSpare offsets.
func newBlock(seed uint64, most int) []byte {
	var pcg rand.PCG
	pcg.Seed(seed, 0)
	block := make([]byte, most+blockSpare)
	for i := range block {
		block[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[pcg.Uint64()>>58]
	}
	return block
}

// A mixStream makes the operations of one conn of the mixed workload.
type mixStream struct {
	*mix
	names  keyNames // of values
	counts keyNames // of the numbers that incr works on
	keys   keyPicker
	r      *rand.Rand
}

// stream gives the stream of conn i.
func (m *mix) stream(i int) *mixStream {
	s := &mixStream{mix: m, r: rand.New(rand.NewPCG(m.opts.Seed, 1+uint64(i)))}
	s.keys = m.keyPicker(i)
	s.names = newKeyNames(m.opts, m.opts.KeyPrefix, m.lengths)
	s.names.listed = m.listed
	s.counts = newKeyNames(m.opts, m.opts.KeyPrefix+"n", m.lengths)
	return s
}

func (m *mix) keyPicker(conn int) keyPicker {
	var keys keyPicker
	switch m.opts.KeyDist {
	case "zipf":
		keys = &zipfKeys{ranks: m.ranks, scatter: m.scatter}
	case "hot-swap":
		keys = &hotSwapKeys{ranks: m.ranks, scatter: m.scatter, swap: m.opts.SwapKeys, every: m.opts.SwapEvery}
	case "sequential":
		keys = &sequentialKeys{n: m.opts.Keys, next: conn % m.opts.Keys, by: m.opts.Conns % m.opts.Keys}
	default:
		keys = uniformKeys{m.opts.Keys}
	}
	if m.opts.Viral > 0 {
		return viralKeys{key: m.scatter.key(0), share: m.opts.Viral, rest: keys}
	}
	return keys
}

func (s *mixStream) Next(o *Op, at time.Duration) Step {
	u := s.r.Float64()
	switch {
	case u < s.upTo[KindSet]:
		s.set(o, s.keys.pick(s.r, at))
		return Ready
	case u < s.upTo[KindDelete]:
		o.Kind, o.Verb = KindDelete, protocol.Delete
	case u < s.upTo[KindTouch]:
		o.Kind, o.Verb, o.Exptime = KindTouch, protocol.Touch, s.exptime
	case u < s.upTo[KindIncr]:
		o.Kind, o.Verb, o.Delta = KindIncr, protocol.Incr, 1
		o.index = s.keys.pick(s.r, at)
		o.Key = s.counts.append(o.Key, o.index)
		return Ready
	default:
		s.get(o, at)
		return Ready
	}
	o.index = s.keys.pick(s.r, at)
	o.Key = s.names.append(o.Key, o.index)
	return Ready
}

// set fills o with a set of a key.
func (s *mixStream) set(o *Op, index int) {
	o.Kind, o.Verb, o.Exptime, o.index = KindSet, protocol.Set, s.exptime, index
	o.Key = s.names.append(o.Key, index)
	size := s.sizes.pick(s.r)
	offset := int(mix64(uint64(index)) % blockSpare)
	o.Value = s.block[offset : offset+size]
}

func (s *mixStream) get(o *Op, at time.Duration) {
	o.Kind, o.Verb, o.Width = KindGet, protocol.Get, s.opts.Multiget
	for i := range o.Width {
		index := s.keys.pick(s.r, at)
		if i == 0 {
			o.index = index
		} else {
			o.Key = append(o.Key, ' ')
		}
		if o.Width > 1 {
			o.more = append(o.more, index)
		}
		o.Key = s.names.append(o.Key, index)
	}
}

// A prefill sets every key once, and every counter if there are any; conn i of n does its share.
type prefill struct {
	*mixStream
	index, by int
	counters  bool
}

func (m *mix) prefill(i, n int) *prefill {
	p := &prefill{mixStream: m.stream(i), index: i, by: n}
	p.r = rand.New(rand.NewPCG(m.opts.Seed, 1<<63+uint64(i)))
	return p
}

func (p *prefill) Next(o *Op, _ time.Duration) Step {
	if p.index >= p.opts.Keys && !p.counters && p.opts.IncrRatio > 0 {
		p.counters = true
		p.index %= p.by
	}
	if p.index >= p.opts.Keys {
		return Ended
	}
	p.set(o, p.index)
	if p.counters {
		o.Key = p.counts.append(o.Key[:0], p.index)
		o.Value, o.plain = append(o.buffer, '0'), true
	}
	p.index += p.by
	return Ready
}
