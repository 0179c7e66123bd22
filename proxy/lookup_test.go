package proxy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"mcproxy/internal/memcachedtest"
	"mcproxy/pool"
	"mcproxy/proxy"
	"mcproxy/split"
)

// TestLookup asks for keys on a real memcached, whole and in chunks, and on one that is dead.
func TestLookup(t *testing.T) {
	mc := memcachedtest.Start(t)
	dead := pool.Config{Name: "dead", Backends: []pool.BackendConfig{{Network: "tcp", Address: "127.0.0.1:1", Name: "gone"}}}
	main := pool.Config{
		Name: "main", Backends: []pool.BackendConfig{{Network: "tcp", Address: mc.Addr(), Name: "a"}},
		Split: pool.SplitConfig{Enabled: true, Threshold: 1000},
	}
	srv, addr := serveServer(t, proxy.Config{
		Listeners: []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0"}}, Pools: []pool.Config{main, dead},
		DefaultPool: "main", Routes: []proxy.Route{{Prefix: "dead:", Pool: "dead"}},
	})
	c := dial(t, "tcp", addr)
	c.ask(t, "set small 7 0 5\r\nhello", "STORED")
	c.ask(t, "set mortal 0 1000 5\r\nhello", "STORED")
	c.ask(t, "set large 9 0 5000\r\n"+strings.Repeat("x", 5000), "STORED")
	c.ask(t, "set \xff\xfe 0 0 1\r\nx", "STORED")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	look := func(key string) *proxy.KeyReport {
		t.Helper()
		r, err := srv.Lookup(ctx, []byte(key))
		if err != nil {
			t.Fatalf("Lookup(%q): %v", key, err)
		}
		if r.Key != key {
			t.Errorf("Lookup(%q) is about %q", key, r.Key)
		}
		return r
	}
	for _, tt := range []struct {
		key           string
		size, flags   int64
		leastLifetime time.Duration
	}{
		{"small", 5, 7, -1},
		{"mortal", 5, 0, 900 * time.Second},
		{"large", 5000, 9, -1},
		{"\xff\xfe", 1, 0, -1},
	} {
		r := look(tt.key)
		i := r.Item
		if i == nil || !i.Found || i.ValueBytes != tt.size || i.Flags != tt.flags || i.Fetched || (i.TTL < 0) != (tt.leastLifetime < 0) || tt.leastLifetime >= 0 && i.TTL < tt.leastLifetime {
			t.Errorf("Lookup(%q): %+v, %s", tt.key, i, r.Failure)
		}
		if r.Pool != "main" || r.Backend != "a" || r.Ring != "consistent" || r.State != "up" {
			t.Errorf("Lookup(%q): %+v", tt.key, r)
		}
	}
	c.ask(t, "mg small v", "VA 5")
	c.want(t, "hello")
	if i := look("small").Item; i == nil || !i.Fetched {
		t.Errorf("an item that was read: %+v", i)
	}
	if i := look("nobody").Item; i == nil || i.Found {
		t.Errorf("an item that is not there: %+v", i)
	}
	// The pool would tell a client of a miss.
	c.ask(t, "get dead:k", "END")
	if r := look("dead:k"); r.Item != nil || !strings.HasPrefix(r.Failure, "SERVER_ERROR gone: ") || r.Backend != "gone" {
		t.Errorf("an item of a dead backend: %+v, %+v", r, r.Item)
	}
	for _, key := range []string{"", "a b", "a\r\nflush_all", "a\n", "a\x00", strings.Repeat("k", 251), split.ReservedPrefix + "x"} {
		if r, err := srv.Lookup(ctx, []byte(key)); err == nil {
			t.Errorf("Lookup(%q): %+v", key, r)
		}
	}
	c.ask(t, "mn", "MN") // what clients ask is as it was
}

// TestLookupOfNobody asks a proxy that does not run.
func TestLookupOfNobody(t *testing.T) {
	srv, err := proxy.New(proxy.Config{Listeners: []proxy.Listener{{Network: "tcp", Address: "127.0.0.1:0"}}, Pools: onePool("tcp", "127.0.0.1:1")}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := srv.Lookup(t.Context(), []byte("k")); err == nil {
		t.Error("a proxy that does not run has answered")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.Serve(ctx); err != nil {
		t.Error(err)
	}
}
