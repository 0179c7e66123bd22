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
	if p.detector == nil || len(r.Value) == 0 || p.detector.SkipValue(len(r.Value)) {
		return
	}
	key := r.Key
	if key == nil {
		if n, err := protocol.ParseRequest(c.Request(), &p.request); err == nil && n > 0 {
			key = p.request.Key
		}
	}
	p.detector.RecordValue(hotkey.Hash(key), key, len(r.Value))
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
