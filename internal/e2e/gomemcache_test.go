package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// TestClientsGomemcache makes each call of gomemcache.
func TestClientsGomemcache(t *testing.T) {
	s := startService(t, 1)
	for _, ep := range []endpoint{s.endpoint, s.unix} {
		t.Run(ep.network, func(t *testing.T) {
			mc := memcache.New(ep.address)
			mc.Timeout = answerTimeout
			mc.MaxIdleConns = 8
			defer mc.Close()
			t.Run("values", func(t *testing.T) { gomemcacheValues(t, mc) })
			t.Run("conditions", func(t *testing.T) { gomemcacheConditions(t, mc) })
			t.Run("numbers", func(t *testing.T) { gomemcacheNumbers(t, mc) })
			t.Run("many", func(t *testing.T) { gomemcacheMany(t, mc) })
			t.Run("expiry", func(t *testing.T) { gomemcacheExpiry(t, mc) })
			if err := mc.Ping(); err != nil {
				t.Errorf("Ping: %v", err)
			}
			if err := mc.DeleteAll(); err != nil {
				t.Errorf("DeleteAll: %v", err)
			}
			if _, err := mc.Get("hour"); !errors.Is(err, memcache.ErrCacheMiss) {
				t.Errorf("Get after DeleteAll: %v", err)
			}
			if err := mc.FlushAll(); err != nil {
				t.Errorf("FlushAll: %v", err)
			}
		})
	}
}

func gomemcacheValues(t *testing.T, mc *memcache.Client) {
	keys := []string{"key", "k", strings.Repeat("k", 250), "clé-☃", "tokens/b'abc+/=='"}
	for i, size := range []int{0, 1, 2, 100, 1023, 1024, 1025, 4096, 16384, 65535, 65536, 100_000, 524_288, 1_000_000, 1_048_300} {
		item := &memcache.Item{Key: keys[i%len(keys)], Value: bytes.Repeat([]byte{0, 1, 0xff, '\r', '\n'}, size/5+1)[:size], Flags: uint32(i) << 28}
		if err := mc.Set(item); err != nil {
			t.Errorf("Set of %d bytes: %v", size, err)
			continue
		}
		got, err := mc.Get(item.Key)
		if err != nil || !bytes.Equal(got.Value, item.Value) || got.Flags != item.Flags {
			t.Errorf("Get of %d bytes: %v", size, err)
		}
	}
	if err := mc.Set(&memcache.Item{Key: "key", Value: make([]byte, 1_048_577)}); err == nil {
		t.Error("Set over the limit: no error")
	}
	if _, err := mc.Get("key"); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("Get after a Set over the limit: %v, want a miss", err)
	}
}

// wantErr checks a call's error, nil included.
func wantErr(t *testing.T, call string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", call, got, want)
	}
}

func wantValue(t *testing.T, mc *memcache.Client, key, want string) *memcache.Item {
	t.Helper()
	item, err := mc.Get(key)
	if err != nil || string(item.Value) != want {
		t.Fatalf("Get(%q) = %v, %v; want %q", key, item, err, want)
	}
	return item
}

func gomemcacheConditions(t *testing.T, mc *memcache.Client) {
	item := func(value string) *memcache.Item { return &memcache.Item{Key: "cond", Value: []byte(value)} }
	none := &memcache.Item{Key: "none", Value: []byte("x")}
	wantErr(t, "Add", mc.Add(item("1")), nil)
	wantErr(t, "Add again", mc.Add(item("2")), memcache.ErrNotStored)
	wantErr(t, "Replace", mc.Replace(item("3")), nil)
	wantErr(t, "Replace of a miss", mc.Replace(none), memcache.ErrNotStored)
	wantErr(t, "Append", mc.Append(item("4")), nil)
	wantErr(t, "Prepend", mc.Prepend(item("2")), nil)
	wantErr(t, "Append to a miss", mc.Append(none), memcache.ErrNotStored)
	wantErr(t, "Prepend to a miss", mc.Prepend(none), memcache.ErrNotStored)
	first, second := wantValue(t, mc, "cond", "234"), wantValue(t, mc, "cond", "234")
	first.Value = []byte("swapped")
	wantErr(t, "CompareAndSwap", mc.CompareAndSwap(first), nil)
	second.Value = []byte("late")
	wantErr(t, "CompareAndSwap with an old number", mc.CompareAndSwap(second), memcache.ErrCASConflict)
	wantValue(t, mc, "cond", "swapped")
	wantErr(t, "Delete", mc.Delete("cond"), nil)
	wantErr(t, "Delete again", mc.Delete("cond"), memcache.ErrCacheMiss)
	wantErr(t, "CompareAndSwap of a miss", mc.CompareAndSwap(second), memcache.ErrCacheMiss)
}

func gomemcacheNumbers(t *testing.T, mc *memcache.Client) {
	wantErr(t, "Set", mc.Set(&memcache.Item{Key: "n", Value: []byte("10")}), nil)
	for _, tt := range []struct {
		call  func(string, uint64) (uint64, error)
		delta uint64
		want  uint64
	}{{mc.Increment, 1, 11}, {mc.Increment, 1 << 40, 1<<40 + 11}, {mc.Decrement, 11, 1 << 40}, {mc.Decrement, 1 << 63, 0}} {
		if got, err := tt.call("n", tt.delta); err != nil || got != tt.want {
			t.Errorf("by %d: %d, %v; want %d", tt.delta, got, err, tt.want)
		}
	}
	_, err := mc.Increment("n-none", 1)
	wantErr(t, "Increment of a miss", err, memcache.ErrCacheMiss)
	wantErr(t, "Set", mc.Set(&memcache.Item{Key: "n", Value: []byte("text")}), nil)
	if _, err := mc.Increment("n", 1); err == nil || !strings.Contains(err.Error(), "non-numeric") {
		t.Errorf("Increment of text: %v", err)
	}
	wantValue(t, mc, "n", "text")
}

// gomemcacheMany works with many keys at once, from several goroutines.
func gomemcacheMany(t *testing.T, mc *memcache.Client) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var keys []string
			for i := range 300 {
				key := fmt.Sprintf("many-%d-%d", g, i)
				keys = append(keys, key)
				if i%3 == 0 {
					continue // a miss
				}
				if err := mc.Set(&memcache.Item{Key: key, Value: []byte("value of " + key)}); err != nil {
					t.Errorf("Set(%s): %v", key, err)
				}
			}
			got, err := mc.GetMulti(keys)
			if err != nil || len(got) != 200 {
				t.Errorf("GetMulti: %d items, %v; want 200", len(got), err)
			}
			for key, item := range got {
				if item.Key != key || string(item.Value) != "value of "+key {
					t.Errorf("GetMulti: %s is %q of %s", key, item.Value, item.Key)
				}
			}
		})
	}
	wg.Wait()
}

func gomemcacheExpiry(t *testing.T, mc *memcache.Client) {
	for key, seconds := range map[string]int32{"short": 1, "touched": 0, "gat": 0, "hour": 3600, "past": -1} {
		wantErr(t, "Set", mc.Set(&memcache.Item{Key: key, Value: []byte(key), Expiration: seconds}), nil)
	}
	wantErr(t, "Touch", mc.Touch("touched", 1), nil)
	wantErr(t, "Touch of a miss", mc.Touch("none", 1), memcache.ErrCacheMiss)
	if item, err := mc.GetAndTouch("gat", 1); err != nil || string(item.Value) != "gat" {
		t.Errorf("GetAndTouch: %v, %v", item, err)
	}
	_, err := mc.GetAndTouch("none", 1)
	wantErr(t, "GetAndTouch of a miss", err, memcache.ErrCacheMiss)
	_, err = mc.Get("past")
	wantErr(t, "Get of what is past", err, memcache.ErrCacheMiss)
	deadline := time.Now().Add(answerTimeout)
	for _, key := range []string{"short", "touched", "gat"} {
		for {
			if _, err := mc.Get(key); errors.Is(err, memcache.ErrCacheMiss) {
				break
			} else if err != nil || time.Now().After(deadline) {
				t.Fatalf("%s has not expired (%v)", key, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	wantValue(t, mc, "hour", "hour")
}
