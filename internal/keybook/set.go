// Package keybook is what a process remembers of keys, by their hashes, for all its event loops: bounded, and of use even where it is
// wrong for once. Everything in it is safe for concurrent use.
package keybook

import (
	"sync"
	"sync/atomic"

	"mcproxy/hotkey"
)

// maxKeys bounds what a process remembers of keys: about 2 MiB.
const maxKeys = 1 << 16

// A Set remembers keys, and forgets any of them when there are too many. The zero value is empty.
type Set struct {
	size atomic.Int32

	mu   sync.Mutex
	keys map[uint64]struct{} // guarded by mu; by hotkey.Hash
}

// Has says whether it remembers a key.
func (k *Set) Has(key []byte) bool {
	if k.size.Load() == 0 {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.keys[hotkey.Hash(key)]
	return ok
}

// Add has it remember a key.
func (k *Set) Add(key []byte) {
	h := hotkey.Hash(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.keys[h]; ok {
		return
	}
	if k.keys == nil {
		k.keys = make(map[uint64]struct{})
	}
	if len(k.keys) >= maxKeys {
		for h := range k.keys { // any one
			delete(k.keys, h)
			break
		}
	}
	k.keys[h] = struct{}{}
	k.size.Store(int32(len(k.keys)))
}

// Remove has it forget a key.
func (k *Set) Remove(key []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, hotkey.Hash(key))
	k.size.Store(int32(len(k.keys)))
}
