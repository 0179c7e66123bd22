package keybook

import (
	"sync"
	"sync/atomic"
	"time"

	"mcproxy/hotkey"
)

// Rewrites are the keys whose items this process rewrites, or has tried to a short while ago. The zero value is empty.
type Rewrites struct {
	size atomic.Int32

	mu   sync.Mutex
	keys map[uint64]*rewriting // guarded by mu, and so is what they point to; by hotkey.Hash
}

// rewriting is what is known of one of them.
type rewriting struct {
	over    bool  // it has failed, at
	at      int64 // nanoseconds
	touched bool  // a client has given the item a lifetime meanwhile, which does not change its cas number:
	exptime int32
	marked  bool // a client has done something to it that rewriting would undo
}

const (
	restAfterFailure = int64(time.Second)
	maxRewriting     = 1 << 12 // keys that are remembered; hot ones alone get there
)

// Begin says whether the key may be rewritten now, in nanoseconds of a clock that all callers share; then End must follow.
func (r *Rewrites) Begin(key []byte, now int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := hotkey.Hash(key)
	if w := r.keys[h]; w != nil && (!w.over || now-w.at < restAfterFailure) {
		return false
	}
	if len(r.keys) >= maxRewriting {
		for other, w := range r.keys {
			if w.over {
				delete(r.keys, other)
			}
		}
		if len(r.keys) >= maxRewriting {
			return false
		}
	}
	if r.keys == nil {
		r.keys = make(map[uint64]*rewriting)
	}
	r.keys[h] = &rewriting{}
	r.size.Store(int32(len(r.keys)))
	return true
}

// End is the end of a key's rewriting. If a client has touched the item meanwhile, the rewriting may have undone that: then it must be
// done again, if the item is still the same, and End be called again.
func (r *Rewrites) End(key []byte, now int64, done bool) (exptime int32, touched bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := hotkey.Hash(key)
	w := r.keys[h]
	if done && w.touched {
		w.touched = false
		return w.exptime, true
	}
	if w.over, w.at = true, now; done {
		delete(r.keys, h)
		r.size.Store(int32(len(r.keys)))
	}
	return 0, false
}

// Spoiled says whether a key's rewriting must not go on.
func (r *Rewrites) Spoiled(key []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.keys[hotkey.Hash(key)]
	return w.touched || w.marked
}

// Touch notes that a client gives a key's item a lifetime.
func (r *Rewrites) Touch(key []byte, exptime int32) {
	r.change(key, func(w *rewriting) { w.touched, w.exptime = true, exptime })
}

// Mark notes that a client does something else to it.
func (r *Rewrites) Mark(key []byte) { r.change(key, func(w *rewriting) { w.marked = true }) }

func (r *Rewrites) change(key []byte, do func(w *rewriting)) {
	if r.size.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.keys[hotkey.Hash(key)]; w != nil && !w.over {
		do(w)
	}
}
