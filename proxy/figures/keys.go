package figures

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mcproxy/pool"
	"mcproxy/proxy/watch"
)

// maxOversized is how many keys with long values people are told of, for each pool.
const maxOversized = 20

// An OversizedKey is a key with a value longer than its pool's split threshold.
type OversizedKey struct {
	Key        string // its bytes as they are; empty if hidden
	Hash       uint64
	ValueBytes int           // of the last value seen
	Chunks     int           // that it stands in; 0: it is not split
	Ops        float64       // requests a second, over about the last ten seconds
	Age        time.Duration // since it was last written or read
	Backend    string        // where its key belongs
	Fate       string        // "passed" (whole), "split", "refused"
	Action     string        // what is done about it, in more words
}

// Name says which key it is, as HotKey.Name.
func (k *OversizedKey) Name() string { return watch.KeyName(k.Key, k.Hash, false) }

// Oversized puts together what the workers saw of a pool until now, a Loop time: the rates are summed, all else is as the last of them saw it.
func Oversized(p *pool.Shared, seen []pool.Oversized, now int64) []OversizedKey {
	slices.SortFunc(seen, func(a, b pool.Oversized) int {
		return cmp.Or(cmp.Compare(a.Hash, b.Hash), cmp.Compare(b.Seen, a.Seen))
	})
	var keys []OversizedKey
	for i := range seen {
		k := &seen[i]
		if last := len(keys) - 1; last >= 0 && keys[last].Hash == k.Hash {
			keys[last].Ops += k.Rate
			continue
		}
		key := OversizedKey{
			Key: k.Key, Hash: k.Hash, ValueBytes: k.Size, Ops: k.Rate, Age: max(0, time.Duration(now-k.Seen)),
			Backend: p.Backends[p.Ring.Lookup([]byte(k.Key))].Name, Fate: k.Fate.String(), Action: actionOf(p, k),
		}
		if k.Fate == pool.InChunks {
			key.Chunks = k.Chunks
		}
		if p.Config.HideKeys {
			key.Key = ""
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b OversizedKey) int {
		return cmp.Or(cmp.Compare(b.ValueBytes, a.ValueBytes), cmp.Compare(a.Hash, b.Hash))
	})
	return keys[:min(len(keys), maxOversized)]
}

func actionOf(p *pool.Shared, k *pool.Oversized) string {
	switch {
	case k.Fate == pool.Refused:
		return "too large, refused"
	case k.Fate == pool.InChunks && k.Copies > 1:
		return fmt.Sprintf("split into %d chunks, %d copies", k.Chunks, k.Copies)
	case k.Fate == pool.InChunks:
		return fmt.Sprintf("split into %d chunks", k.Chunks)
	case !p.Config.Split.Enabled:
		return "splitting is off"
	}
	return "not split"
}

// maxCallers is how many clients people are told of, for each key.
const maxCallers = 4

// A Caller is a client that asks for a key.
type Caller struct {
	Address string
	Share   float64 // of the key's requests within about the last half minute, 0..1; an estimate
}

// Callers puts together what the workers saw.
func Callers(called map[uint64][]pool.KeyCaller) map[uint64][]Caller {
	all := make(map[uint64][]Caller, len(called))
	for hash, list := range called {
		total := 0.0
		for _, c := range list {
			total += c.Requests
		}
		slices.SortFunc(list, func(a, b pool.KeyCaller) int {
			return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Client, b.Client))
		})
		for _, c := range list[:min(len(list), maxCallers)] {
			all[hash] = append(all[hash], Caller{c.Client, c.Requests / total})
		}
	}
	return all
}
