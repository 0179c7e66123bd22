package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mcproxy/hotkey"
	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/proxy"
)

// oversized are the keys with large values that the proxy tells of, as "key length chunks action".
func (s *service) oversized(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, k := range s.snapshot(t).Pools[0].Oversized {
		if k.Ops <= 0 || k.Age < 0 || k.Backend == "" {
			t.Errorf("%+v", k)
		}
		list = append(list, fmt.Sprintf("%s %d %d %s", k.Key, k.ValueBytes, k.Chunks, k.Action))
	}
	return list
}

func (s *service) wantOversized(t *testing.T, when string, want ...string) {
	t.Helper()
	if got := s.oversized(t); !slices.Equal(got, want) {
		t.Errorf("%s: oversized keys\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// set is a request.
func set(key string, length int) string {
	return fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, length, strings.Repeat("v", length))
}

// TestOversizedKeysUnsplit shows the keys that splitting would help, where it is off: written ones, read ones by all ways to read, and
// those that a backend or the proxy refuses.
func TestOversizedKeysUnsplit(t *testing.T) {
	mc := startMemcached(t)
	p := poolOf(mc)
	p.Name = "main"
	p.HotKeysOff = true // they need no watching
	s := startProxyOf(t, proxy.Config{Pools: []pool.Config{p}, MaxValue: 4 << 20})
	c := s.dial(t)
	c.ask(t, set("small", 65536)+set("large", 65537), "STORED\r\nSTORED\r\n")
	s.wantOversized(t, "a large value", "large 65537 0 splitting is off")
	c.ask(t, set("refused", 2<<20)+set("huge", 5<<20), strings.Repeat("SERVER_ERROR object too large for cache\r\n", 2))
	s.wantOversized(t, "refused ones", "huge 5242880 0 too large, refused", "refused 2097152 0 too large, refused", "large 65537 0 splitting is off")

	for i, key := range []string{"get", "gather", "mg"} {
		mc.Command(strings.TrimSuffix(set(key, 70000+i), "\r\n"))
	}
	value := strings.Repeat("v", 70000)
	c.ask(t, "get get\r\n", "VALUE get 0 70000\r\n"+value+"\r\nEND\r\n")
	c.ask(t, "get none gather\r\n", "VALUE gather 0 70001\r\n"+value+"v\r\nEND\r\n")
	c.ask(t, "mg mg v\r\n", "VA 70002\r\n"+value+"vv\r\n")
	c.ask(t, set("huge", 100000), "STORED\r\n")
	s.wantOversized(t, "reads", "refused 2097152 0 too large, refused", "huge 100000 0 splitting is off", "mg 70002 0 splitting is off",
		"gather 70001 0 splitting is off", "get 70000 0 splitting is off", "large 65537 0 splitting is off")
}

// TestOversizedKeysSplit shows keys whose values stand in chunks, which a proxy sees by writing or by reading them.
func TestOversizedKeysSplit(t *testing.T) {
	servers := []*memcachedtest.Server{startMemcached(t), startMemcached(t)}
	p := poolOf(servers...)
	p.Split = pool.SplitConfig{Enabled: true, MaxValue: 1 << 20}
	s := startProxy(t, p)
	p.Split.Copies = 2
	p.HideKeys = true
	other := startProxy(t, p)
	c := s.dial(t)
	c.ask(t, set("written", 256<<10)+set("huge", 2<<20)+"append written 0 0 1\r\nv\r\n", "STORED\r\nSERVER_ERROR object too large for cache\r\nSTORED\r\n")
	s.wantOversized(t, "written", "huge 2097152 0 too large, refused", "written 262145 6 split into 6 chunks")
	d := other.dial(t)
	d.ask(t, set("copied", 256<<10), "STORED\r\n")
	c.ask(t, "mg copied s\r\nmg none v\r\n", "HD s262144\r\nEN\r\n")
	s.wantOversized(t, "read", "huge 2097152 0 too large, refused", "written 262145 6 split into 6 chunks", "copied 262144 4 split into 4 chunks, 2 copies")

	hidden := other.snapshot(t).Pools[0].Oversized
	if len(hidden) != 1 || hidden[0].Key != "" || hidden[0].Hash != hotkey.Hash([]byte("copied")) {
		t.Errorf("a hidden key: %+v", hidden)
	}
	servers[0].Command(strings.TrimSuffix(set("plain", 70000), "\r\n"))
	servers[1].Command(strings.TrimSuffix(set("plain", 70000), "\r\n"))
	c.ask(t, "mg plain s v\r\n", "VA 70000 s70000\r\n"+strings.Repeat("v", 70000)+"\r\n")
	if got := s.oversized(t); len(got) != 4 || got[3] != "plain 70000 0 not split" {
		t.Errorf("a value that somebody else stored: %q", got)
	}
}

// TestOversizedKeysAreFew has more keys with large values than a list has room for: the largest stay.
func TestOversizedKeysAreFew(t *testing.T) {
	s := startProxy(t, poolOf(startMemcached(t)))
	c := s.dial(t)
	for i := range 200 {
		size := 70000 + (i*77)%200 // each another, in no order
		c.ask(t, set(fmt.Sprintf("k%d", size), size), "STORED\r\n")
	}
	list := s.snapshot(t).Pools[0].Oversized
	if len(list) != 20 {
		t.Fatalf("%d keys", len(list))
	}
	for i, k := range list {
		if want := 70199 - i; k.ValueBytes != want || k.Key != fmt.Sprintf("k%d", want) {
			t.Errorf("key %d is %s with %d bytes, want %d", i, k.Key, k.ValueBytes, want)
		}
	}
}
