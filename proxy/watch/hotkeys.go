package watch

import (
	"fmt"
	"time"

	"mcproxy/protocol"
)

// HotKeys are the keys of a pool that cost most, as the last window showed them.
type HotKeys struct {
	Pool   string
	At     time.Time // the end of the last window; zero before the first
	Hidden bool      // Keys have no Key, because the pool's configuration says so
	// Keys are the heaviest first: as many as the pool's configuration says, hot or not, and behind them what else is hot.
	Keys []HotKey

	Hot      map[string]int // how many are, by kind
	Share    float64        // of the pool's cost, by the heaviest of them; 0..1
	Promoted uint64         // keys that became hot
	Demoted  uint64         // keys that ceased to be
}

// A HotKey is one of them. Figures a second are means over about the last second.
type HotKey struct {
	Key        string // its bytes as they are; empty if not known yet, or hidden
	Hash       uint64
	Kind       string // "read-hot", "write-hot" or "byte-hot"
	Hot        bool
	Since      time.Time // when it became hot; zero if it is not
	Ops        float64   // requests a second
	Reads      float64
	Writes     float64
	Bytes      float64 // of values, a second, both ways
	ValueBytes uint32  // of the largest value seen lately
	Share      float64 // of the pool's cost, 0..1
	Err        float64 // the true share is at most so much more, sampling aside
	Load       float64 // its cost over the mean backend's
	Backend    string  // where its key belongs
	Action     string  // what is done about it: "coalesced", "split, 3 copies", both, or "" for nothing
}

// Name says which key it is in printable characters without blanks: protocol.EscapeKey of its bytes, or its hash, 16 hex digits, if the
// key is hidden or not known.
func (k *HotKey) Name() string { return KeyName(k.Key, k.Hash, false) }

// KeyName is what people are told of a key.
func KeyName(key string, hash uint64, hidden bool) string {
	if hidden || key == "" {
		return fmt.Sprintf("%016x", hash)
	}
	return protocol.EscapeKey(key)
}
