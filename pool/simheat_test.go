package pool_test

import (
	"fmt"
	"time"

	"mcproxy/hotkey"
	"mcproxy/pool"
)

// heat publishes another set of hot keys now and then, as it comes: what is read ahead and how often a value is copied changes at
// any moment.
func (w *world) heat() {
	var set []pool.HotKey
	for i := range 3 {
		if w.net.Rand.IntN(3) > 0 {
			set = append(set, pool.HotKey{Hash: hotkey.Hash(fmt.Appendf(nil, "key%d", i)), Copies: w.net.Rand.IntN(len(w.servers) + 1)})
		}
	}
	w.shared.SetHot(pool.NewHotSet(set))
	w.net.After(time.Duration(w.net.Rand.Int64N(int64(100*time.Millisecond))), w.heat)
}
