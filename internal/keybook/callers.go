package keybook

import (
	"math"
	"slices"
	"time"
)

const (
	maxCalled    = 128 // keys whose callers are remembered
	maxCallers   = 8   // clients that are told apart for each; the one that has asked least makes way
	calledFor    = int64(time.Minute)
	callersRates = float64(30 * time.Second) // what was asked so long ago counts 1/e
)

// Callers remember which clients ask for the few keys that people look at: the hot ones and those with large values. Those who ask often
// are told with certainty, the others roughly, as in a Space-Saving table. It has one owner. The zero value is empty.
type Callers struct {
	keys map[uint64]*called
}

// A called is one key.
type called struct {
	at      int64 // when it was asked for last
	callers []Caller
}

// A Caller is a client that asks for a key.
type Caller struct {
	Client   string  // its address
	Requests float64 // for that key, of late
}

// Watches says whether a key is remembered.
func (c *Callers) Watches(hash uint64) bool { return len(c.keys) > 0 && c.keys[hash] != nil }

// Watch has a key remembered from now on; hash is hotkey.Hash of it, and now the time in nanoseconds of any clock.
func (c *Callers) Watch(now int64, hash uint64) { c.watch(now, hash) }

func (c *Callers) watch(now int64, hash uint64) *called {
	k := c.keys[hash]
	if k == nil {
		if len(c.keys) >= maxCalled {
			c.dropOldest()
		}
		if c.keys == nil {
			c.keys = make(map[uint64]*called)
		}
		k = &called{at: now}
		c.keys[hash] = k
	}
	return k
}

// Note takes up so many requests of a client for a key, which is remembered from now on; hash and now are as Watch's.
func (c *Callers) Note(now int64, hash uint64, client string, requests float64) {
	k := c.watch(now, hash)
	k.fade(now)
	least := 0
	for i := range k.callers {
		if k.callers[i].Client == client {
			k.callers[i].Requests += requests
			return
		}
		if k.callers[i].Requests < k.callers[least].Requests {
			least = i
		}
	}
	if len(k.callers) < maxCallers {
		k.callers = append(k.callers, Caller{client, requests})
		return
	}
	// It takes over what the other had: so what is said of who asks often stays right, and of who asks rarely is too much.
	k.callers[least].Client = client
	k.callers[least].Requests += requests
}

// fade lets what was asked long ago count less.
func (k *called) fade(now int64) {
	if now <= k.at {
		return
	}
	left := math.Exp(-float64(now-k.at) / callersRates)
	for i := range k.callers {
		k.callers[i].Requests *= left
	}
	k.at = now
}

func (c *Callers) dropOldest() {
	var oldest uint64
	at := int64(math.MaxInt64)
	for hash, k := range c.keys {
		if k.at < at {
			oldest, at = hash, k.at
		}
	}
	delete(c.keys, oldest)
}

// AddTo adds the callers of the last minute to those of other workers, by key. What is older is forgotten.
func (c *Callers) AddTo(sum map[uint64][]Caller, now int64) {
	for hash, k := range c.keys {
		if now-k.at > calledFor {
			delete(c.keys, hash)
			continue
		}
		k.fade(now)
		list := sum[hash]
		for _, caller := range k.callers {
			i := slices.IndexFunc(list, func(o Caller) bool { return o.Client == caller.Client })
			if i >= 0 {
				list[i].Requests += caller.Requests
			} else {
				list = append(list, caller)
			}
		}
		sum[hash] = list
	}
}
