package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"mcproxy/protocol"
)

// A mix is what the streams of the mixed workload share. It is immutable.
type mix struct {
	cfg     *Config
	names   keyNames // of values
	counts  keyNames // of the numbers that incr works on
	sizes   sizePicker
	ranks   zipfRanks
	scatter scatter
	upTo    [kindOther]float64 // cumulative shares of the kinds, in the order of kinds
	block   []byte             // values are cut from it
	exptime int32
}

func newMix(cfg *Config) (*mix, error) {
	m := &mix{cfg: cfg, ranks: newZipfRanks(cfg.Keys, cfg.Zipf), scatter: newScatter(cfg.Keys, cfg.Seed)}
	var err error
	if m.sizes, err = parseSizes(cfg.ValueSize, maxValueSize); err != nil {
		return nil, fmt.Errorf("value-%w", err)
	}
	var lengths sizePicker = etcKeys{}
	if cfg.KeySize != "etc" {
		if lengths, err = parseSizes(cfg.KeySize, maxKeyLen); err != nil {
			return nil, fmt.Errorf("key-%w", err)
		}
	}
	m.names = newKeyNames(cfg, cfg.KeyPrefix, lengths)
	m.counts = newKeyNames(cfg, cfg.KeyPrefix+"n", lengths)
	m.upTo[kindSet] = cfg.SetRatio
	m.upTo[kindDelete] = m.upTo[kindSet] + cfg.DeleteRatio
	m.upTo[kindTouch] = m.upTo[kindDelete] + cfg.TouchRatio
	m.upTo[kindIncr] = m.upTo[kindTouch] + cfg.IncrRatio
	m.block = newBlock(cfg.Seed, m.sizes.largest())
	m.exptime = int32(cfg.TTL / time.Second)
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
	keys keyPicker
	r    *rand.Rand
}

// stream gives the stream of conn i.
func (m *mix) stream(i int) *mixStream {
	s := &mixStream{mix: m, r: rand.New(rand.NewPCG(m.cfg.Seed, 1+uint64(i)))}
	s.keys = m.keyPicker(i)
	return s
}

func (m *mix) keyPicker(conn int) keyPicker {
	var keys keyPicker
	switch m.cfg.KeyDist {
	case "zipf":
		keys = &zipfKeys{ranks: m.ranks, scatter: m.scatter}
	case "hot-swap":
		keys = &hotSwapKeys{ranks: m.ranks, scatter: m.scatter, swap: m.cfg.SwapKeys, every: m.cfg.SwapEvery}
	case "sequential":
		keys = &sequentialKeys{n: m.cfg.Keys, next: conn % m.cfg.Keys, by: m.cfg.Conns % m.cfg.Keys}
	default:
		keys = uniformKeys{m.cfg.Keys}
	}
	if m.cfg.Viral > 0 {
		return viralKeys{key: m.scatter.key(0), share: m.cfg.Viral, rest: keys}
	}
	return keys
}

func (s *mixStream) next(o *op, at time.Duration) step {
	u := s.r.Float64()
	switch {
	case u < s.upTo[kindSet]:
		s.set(o, s.keys.pick(s.r, at))
		return ready
	case u < s.upTo[kindDelete]:
		o.kind, o.verb = kindDelete, protocol.Delete
	case u < s.upTo[kindTouch]:
		o.kind, o.verb, o.exptime = kindTouch, protocol.Touch, s.exptime
	case u < s.upTo[kindIncr]:
		o.kind, o.verb, o.delta = kindIncr, protocol.Incr, 1
		o.index = s.keys.pick(s.r, at)
		o.key = s.counts.append(o.key, o.index)
		return ready
	default:
		s.get(o, at)
		return ready
	}
	o.index = s.keys.pick(s.r, at)
	o.key = s.names.append(o.key, o.index)
	return ready
}

// set fills o with a set of a key.
func (s *mixStream) set(o *op, index int) {
	o.kind, o.verb, o.exptime, o.index = kindSet, protocol.Set, s.exptime, index
	o.key = s.names.append(o.key, index)
	size := s.sizes.pick(s.r)
	offset := int(mix64(uint64(index)) % blockSpare)
	o.value = s.block[offset : offset+size]
}

func (s *mixStream) get(o *op, at time.Duration) {
	o.kind, o.verb, o.width = kindGet, protocol.Get, s.cfg.Multiget
	for i := range o.width {
		index := s.keys.pick(s.r, at)
		if i == 0 {
			o.index = index
		} else {
			o.key = append(o.key, ' ')
		}
		if o.width > 1 {
			o.more = append(o.more, index)
		}
		o.key = s.names.append(o.key, index)
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
	p.r = rand.New(rand.NewPCG(m.cfg.Seed, 1<<63+uint64(i)))
	return p
}

func (p *prefill) next(o *op, _ time.Duration) step {
	if p.index >= p.cfg.Keys && !p.counters && p.cfg.IncrRatio > 0 {
		p.counters = true
		p.index %= p.by
	}
	if p.index >= p.cfg.Keys {
		return ended
	}
	p.set(o, p.index)
	if p.counters {
		o.key = p.counts.append(o.key[:0], p.index)
		o.value, o.plain = append(o.buffer, '0'), true
	}
	p.index += p.by
	return ready
}
