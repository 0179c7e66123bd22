package pool

import (
	"mcproxy/backend"
	"mcproxy/hotkey"
	"mcproxy/protocol"
)

// opOf says what the detector counts a request as.
func opOf(v protocol.Verb) hotkey.Op {
	if v.IsWrite() {
		return hotkey.Write
	}
	return hotkey.Read
}

// observeValue has the detector count the value that answers a read; the request itself was counted when it came. A meta
// answer does not name its key, but its request does.
func (p *Pool) observeValue(c *backend.Call, r *protocol.Response) {
	if len(r.Value) > p.oversized.threshold {
		p.sawWhole(p.keyOf(c, r), len(r.Value), 1)
	}
	if p.detector == nil || len(r.Value) == 0 || p.detector.SkipValue(len(r.Value)) {
		return
	}
	key := p.keyOf(c, r)
	p.detector.RecordValue(hotkey.Hash(key), key, len(r.Value))
}

// keyOf gives the key that an answer is about. It is valid until the next request is parsed.
func (p *Pool) keyOf(c *backend.Call, r *protocol.Response) []byte {
	if r.Key != nil {
		return r.Key
	}
	if n, err := protocol.ParseRequest(c.Request(), &p.request); err != nil || n == 0 {
		return nil
	}
	return p.request.Key
}

// observeJoined has the detector count a value that was put together for so many readers.
func (p *Pool) observeJoined(key []byte, size, readers int) {
	if size > p.oversized.threshold {
		p.oversized.count(p.loop.Now, key, readers)
	}
	if p.detector == nil {
		return
	}
	hash := hotkey.Hash(key)
	for range readers {
		p.detector.ObserveValue(hash, key, size)
	}
}

// Freeze ends a window of the pool's detector and lends it, until Release; see hotkey.Detector. The loop calls both.
func (p *Pool) Freeze(now int64) *hotkey.Window {
	if p.detector == nil {
		return nil
	}
	return p.detector.Freeze(now)
}

// Release takes the window back that Freeze lent.
func (p *Pool) Release() {
	if p.detector != nil {
		p.detector.Release()
	}
}

// A HotKey is one key of a HotSet.
type HotKey struct {
	Hash   uint64 // hotkey.Hash of it
	Copies int    // of the chunks of its value, which is spread for its heat; 0: it is not
}

// A HotSet is the keys of a pool that are hot. It is immutable.
type HotSet struct {
	keys   map[uint64]int // hash to copies
	spread bool           // some have copies
}

// NewHotSet makes a set of keys; without any it is nil, which is a set too.
func NewHotSet(keys []HotKey) *HotSet {
	if len(keys) == 0 {
		return nil
	}
	s := &HotSet{keys: make(map[uint64]int, len(keys))}
	for _, k := range keys {
		s.keys[k.Hash] = k.Copies
		s.spread = s.spread || k.Copies > 0
	}
	return s
}

func (s *HotSet) has(hash uint64) bool {
	_, ok := s.keys[hash]
	return ok
}

// SetHot tells all workers which keys are hot.
func (s *Shared) SetHot(set *HotSet) { s.hot.Store(set) }
