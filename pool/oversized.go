package pool

import (
	"math"
	"time"

	"mcproxy/hotkey"
	"mcproxy/internal/keybook"
	"mcproxy/protocol"
)

const (
	maxOversized  = 64                        // keys that a worker keeps in mind for each pool
	oversizedFor  = int64(time.Minute)        // and for how long, from when each was last seen
	oversizedMean = float64(10 * time.Second) // rates are means over about so long
)

// A Fate is what became of a value longer than its pool's split threshold.
type Fate uint8

// The fates.
const (
	AsItIs   Fate = iota // passed on whole
	InChunks             // split
	Refused              // too large, for the proxy or for the backend
)

func (f Fate) String() string { return [...]string{"passed", "split", "refused"}[f] }

// Fates are how many there are.
const Fates = int(Refused) + 1

// An Oversized is a key with a value longer than its pool's split threshold, as a worker saw it lately.
type Oversized struct {
	Key    string
	Hash   uint64
	Size   int // bytes of the last value seen
	Fate   Fate
	Chunks int     // InChunks: how many,
	Copies int     // and of each
	Rate   float64 // requests a second
	Seen   int64   // Loop time of the last
}

// oversized remembers the largest keys that a worker saw lately. No table is needed to find them: each is known by its length.
type oversized struct {
	threshold int
	keys      []Oversized
	counts    *[Fates]uint64   // requests
	callers   *keybook.Callers // are to remember these keys
}

// note takes up so many requests for a key whose value is size bytes. Without chunks those that are known stay.
func (l *oversized) note(now int64, key []byte, seen Oversized, requests int) {
	l.counts[seen.Fate] += uint64(requests)
	hash := hotkey.Hash(key)
	l.callers.Watch(now, hash)
	victim := -1
	for i := range l.keys {
		k := &l.keys[i]
		if k.Hash == hash {
			if seen.Chunks == 0 && seen.Fate == k.Fate {
				seen.Chunks, seen.Copies = k.Chunks, k.Copies
			}
			seen.Key, seen.Hash, seen.Seen = k.Key, hash, now
			seen.Rate = k.rate(now) + float64(requests)*float64(time.Second)/oversizedMean
			*k = seen
			return
		}
		if k.old(now) || victim < 0 || !l.keys[victim].old(now) && k.Size < l.keys[victim].Size {
			victim = i
		}
	}
	seen.Key, seen.Hash, seen.Seen = string(key), hash, now
	seen.Rate = float64(requests) * float64(time.Second) / oversizedMean
	switch {
	case len(l.keys) < maxOversized:
		l.keys = append(l.keys, seen)
	case l.keys[victim].old(now) || l.keys[victim].Size < seen.Size:
		l.keys[victim] = seen
	}
}

// count takes up so many requests for a key that was noted just now.
func (l *oversized) count(now int64, key []byte, requests int) {
	hash := hotkey.Hash(key)
	for i := range l.keys {
		if k := &l.keys[i]; k.Hash == hash {
			l.counts[k.Fate] += uint64(requests)
			k.Rate, k.Seen = k.rate(now)+float64(requests)*float64(time.Second)/oversizedMean, now
		}
	}
}

// rate is what a key's rate has fallen to.
func (k *Oversized) rate(now int64) float64 {
	return k.Rate * math.Exp(-float64(now-k.Seen)/oversizedMean)
}

func (k *Oversized) old(now int64) bool { return now-k.Seen > oversizedFor }

// AppendOversized appends the largest keys that the worker saw within the last minute, in no order.
func (p *Pool) AppendOversized(dst []Oversized) []Oversized {
	for i := range p.oversized.keys {
		k := p.oversized.keys[i]
		if k.old(p.loop.Now) {
			continue
		}
		k.Rate = k.rate(p.loop.Now)
		dst = append(dst, k)
	}
	return dst
}

// sawWrite notes a write of a long value that is not going to be split; one that is, is noted when its chunks stand.
func (p *Pool) sawWrite(req *protocol.Request) {
	switch {
	case p.splitter == nil:
		p.oversized.note(p.loop.Now, req.Key, Oversized{Size: len(req.Value)}, 1)
	case len(req.Value) > p.splitter.MaxValue():
		p.SawRefused(req.Key, len(req.Value))
	}
}

// SawRefused notes a value that is refused because it is too large.
func (p *Pool) SawRefused(key []byte, size int) {
	if size > p.oversized.threshold {
		p.oversized.note(p.loop.Now, key, Oversized{Size: size, Fate: Refused}, 1)
	}
}

// sawError notes a backend's word that a value is too large for it; the request was noted when it came.
func (p *Pool) sawError(sent []byte, r *protocol.Response) {
	if string(r.Line) != protocol.TooLarge[:len(protocol.TooLarge)-2] {
		return
	}
	n, err := protocol.ParseRequest(sent, &p.request)
	if err != nil || n == 0 || p.request.ValueLen <= p.oversized.threshold {
		return
	}
	p.oversized.note(p.loop.Now, p.request.Key, Oversized{Size: p.request.ValueLen, Fate: Refused}, 0)
}

// sawWhole notes reads of a long value that is not split.
func (p *Pool) sawWhole(key []byte, size, readers int) {
	if size > p.oversized.threshold {
		p.oversized.note(p.loop.Now, key, Oversized{Size: size}, readers)
	}
}
