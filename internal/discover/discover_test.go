package discover_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcproxy/internal/discover"
	"mcproxy/internal/dnstest"
	"mcproxy/internal/resolve"
	"mcproxy/pool"
	"mcproxy/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestExpand(t *testing.T) {
	dns := dnstest.Start(t)
	f := &discover.Finder{Resolver: resolve.New(dns.Addr())}
	cfg := proxy.Config{Pools: []pool.Config{
		{Name: "plain", Backends: []pool.BackendConfig{{Network: "tcp", Address: "10.0.0.1:11211"}}},
		{Name: "found", Backends: []pool.BackendConfig{
			{Name: "a", Network: "tcp", Address: "10.0.0.1:11211", Weight: 3}, {Network: pool.NetworkSRV, Address: "_memcached._tcp.cache.test"},
		}},
	}}
	dns.SetTTL(17)
	expand := func(want string, wantMissing int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		got, missing, holds := f.Expand(ctx, cfg)
		var text []string
		for _, b := range got.Pools[1].Backends {
			text = append(text, fmt.Sprintf("%s*%d", b.Address, b.Weight))
		}
		if s := strings.Join(text, " "); s != want || len(missing) != wantMissing {
			t.Errorf("found %q, missing %q; want %q and %d missing", s, missing, want, wantMissing)
		}
		if known := len(missing) == 0; known != (holds == 17*time.Second) || !known && holds != resolve.Untold {
			t.Errorf("it holds for %v, with %q missing", holds, missing)
		}
		if len(got.Pools[0].Backends) != 1 || cfg.Pools[1].Backends[1].Network != pool.NetworkSRV {
			t.Errorf("something else was changed: %+v, %+v", got, cfg)
		}
	}
	expand("10.0.0.1:11211*3 _memcached._tcp.cache.test:11211*1", 1) // down, as nobody knows where it is
	dns.SetTargets("_memcached._tcp.cache.test", dnstest.Target{Host: "c2.cache.test", Port: 11212, Weight: 2}, dnstest.Target{Host: "c1.cache.test", Port: 11211})
	expand("10.0.0.1:11211*3 c1.cache.test:11211*1 c2.cache.test:11212*2", 0)
	dns.SetTargets("_memcached._tcp.cache.test")
	expand("10.0.0.1:11211*3 c1.cache.test:11211*1 c2.cache.test:11212*2", 1) // as it was last
}
