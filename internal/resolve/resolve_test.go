package resolve_test

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mcproxy/internal/dnstest"
	"mcproxy/internal/resolve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLives(t *testing.T) {
	dns := dnstest.Start(t)
	dns.SetHost("cache.test", "127.0.0.2", "127.0.0.1")
	dns.SetTargets("_memcached._tcp.test", dnstest.Target{Host: "cache.test", Port: 11212, Weight: 2})
	r := resolve.New(dns.Addr())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, over := range []string{"UDP", "TCP"} {
		dns.SetTruncating(over == "TCP")
		for lives, want := range map[uint32]time.Duration{0: 0, 1: time.Second, 3600: time.Hour, 1 << 31: 0} {
			dns.SetTTL(lives)
			ips, holds, err := r.Addresses(ctx, "cache.test")
			slices.SortFunc(ips, netip.Addr.Compare)
			if err != nil || holds != want || len(ips) != 2 || ips[0].Unmap() != netip.MustParseAddr("127.0.0.1") {
				t.Errorf("%s: %v for %v, %v; want two for %v", over, ips, holds, err, want)
			}
			records, holds, err := r.Services(ctx, "_memcached._tcp.test")
			if err != nil || holds != want || len(records) != 1 || records[0].Port != 11212 {
				t.Errorf("%s: %v for %v, %v; want one for %v", over, records, holds, err, want)
			}
		}
	}
	dns.SetTruncating(false)
	if ips, holds, err := r.Addresses(ctx, "nowhere.test"); err == nil || holds != resolve.Untold {
		t.Errorf("a name that is not known: %v for %v, %v", ips, holds, err)
	}
	if ips, holds, err := resolve.New("").Addresses(ctx, "localhost"); err != nil || len(ips) == 0 || holds != resolve.Untold {
		t.Errorf("a name of /etc/hosts: %v for %v, %v", ips, holds, err)
	}
}

// TestTogether: lookups of one name at once are each told how long it holds.
func TestTogether(t *testing.T) {
	dns := dnstest.Start(t)
	dns.SetHost("cache.test", "127.0.0.1")
	dns.SetTTL(7)
	r := resolve.New(dns.Addr())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dns.SetMute(true)
	var asking sync.WaitGroup
	for range 10 {
		asking.Go(func() { // ends with its answer
			if ips, holds, err := r.Addresses(ctx, "cache.test"); err != nil || holds != 7*time.Second {
				t.Errorf("%v for %v, %v", ips, holds, err)
			}
		})
	}
	for dns.Asked("cache.test") < 10 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	dns.SetMute(false)
	asking.Wait()
}
