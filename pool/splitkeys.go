package pool

import (
	"sync"
	"sync/atomic"

	"mcproxy/hotkey"
)

// maxSplitKeys bounds what a process remembers of which keys are split: about 2 MiB.
const maxSplitKeys = 1 << 16

// splitKeys remembers keys whose values this process saw in chunks, so that a small write or a delete of one cleans up. What
// is forgotten costs chunks that stay until they expire or are evicted, never an answer. It is safe for concurrent use.
type splitKeys struct {
	size atomic.Int32

	mu   sync.Mutex
	keys map[uint64]struct{} // guarded by mu; by hotkey.Hash
}

func (k *splitKeys) has(key []byte) bool {
	if k.size.Load() == 0 {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.keys[hotkey.Hash(key)]
	return ok
}

func (k *splitKeys) add(key []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = make(map[uint64]struct{})
	}
	if len(k.keys) >= maxSplitKeys {
		for h := range k.keys { // any one
			delete(k.keys, h)
			break
		}
	}
	k.keys[hotkey.Hash(key)] = struct{}{}
	k.size.Store(int32(len(k.keys)))
}

func (k *splitKeys) remove(key []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, hotkey.Hash(key))
	k.size.Store(int32(len(k.keys)))
}
