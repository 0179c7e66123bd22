package pool

import (
	"mcproxy/hotkey"
	"mcproxy/internal/keybook"
	"mcproxy/protocol"
)

// opOf says what the detector counts a request as.
func opOf(v protocol.Verb) hotkey.Op {
	if v.IsWrite() {
		return hotkey.Write
	}
	return hotkey.Read
}

// record has the detector count a request that it picked. Whose it is, is remembered if people look at its key.
func (p *Pool) record(from Requester, key []byte, op hotkey.Op, valueBytes int) {
	hash := hotkey.Hash(key)
	times := p.detector.Record(hash, key, op, valueBytes)
	if valueBytes > p.oversized.threshold || p.callers.Watches(hash) || p.Shared.hot.Load().Has(hash) {
		if c, ok := from.(Caller); ok {
			p.callers.Note(p.loop.Now, hash, c.Client(), times)
		}
	}
}

// A KeyCaller is a client that asks for a key: Client, Requests.
type KeyCaller = keybook.Caller

// AddCallers adds the clients that ask for keys which are hot or have large values, by hotkey.Hash. The loop calls it.
func (p *Pool) AddCallers(to map[uint64][]KeyCaller) { p.callers.AddTo(to, p.loop.Now) }

// observeValue has the detector count the value that answers a read; the request itself was counted when it came. A meta
// answer does not name its key, but its request does.
func (p *Pool) observeValue(sent []byte, r *protocol.Response) {
	p.Figures.Read.Observe(len(r.Value))
	if len(r.Value) > p.oversized.threshold {
		p.sawWhole(p.keyOf(sent, r), len(r.Value), 1)
	}
	if len(r.Value) >= laneValue {
		p.lanes.note(p.keyOf(sent, r), len(r.Value))
	}
	if p.detector == nil || len(r.Value) == 0 || p.detector.SkipValue(len(r.Value)) {
		return
	}
	key := p.keyOf(sent, r)
	p.detector.RecordValue(hotkey.Hash(key), key, len(r.Value))
}

// keyOf gives the key that an answer is about. It is valid until the next request is parsed.
func (p *Pool) keyOf(sent []byte, r *protocol.Response) []byte {
	if r.Key != nil {
		return r.Key
	}
	if n, err := protocol.ParseRequest(sent, &p.request); err != nil || n == 0 {
		return nil
	}
	return p.request.Key
}

// observeJoined has the detector count a value that was put together for so many readers.
func (p *Pool) observeJoined(key []byte, size, readers int) {
	if size > p.oversized.threshold {
		p.oversized.count(p.loop.Now, key, readers)
	}
	hash := hotkey.Hash(key)
	for range readers {
		p.Figures.Read.Observe(size)
		if p.detector != nil {
			p.detector.ObserveValue(hash, key, size)
		}
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

// HotKey is one key of a HotSet.
type HotKey = keybook.HotKey

// HotSet is what the workers are told of hot keys.
type HotSet = keybook.HotSet

// NewHotSet makes a set of keys; without any it is nil.
func NewHotSet(keys []HotKey) *HotSet { return keybook.NewHotSet(keys) }

// SetHot tells all workers which keys are hot.
func (s *Shared) SetHot(set *HotSet) { s.hot.Store(set) }
