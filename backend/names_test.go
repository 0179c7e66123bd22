package backend_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"mcproxy/backend"
	"mcproxy/internal/dnstest"
	"mcproxy/internal/resolve"
)

// TestNobodyAnswersForNames describes backends while the DNS server is mute: they are down, only the first name is asked for, and when the
// server speaks again all names are found, those that nobody knows not keeping the others waiting.
func TestNobodyAnswersForNames(t *testing.T) {
	dns := dnstest.Start(t)
	dns.SetMute(true)
	ledger := &backend.Ledger{Resolver: resolve.New(dns.Addr())}
	var all []*backend.Backend
	for i := range 20 {
		b, err := ledger.New("", "tcp", fmt.Sprintf("cache-%d.test:11211", i), backend.Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b.State() != backend.StateDown {
			t.Errorf("backend %d is %v", i, b.State())
		}
		all = append(all, b)
	}
	for i := 1; i < len(all); i++ {
		if n := dns.Asked(fmt.Sprintf("cache-%d.test", i)); n > 0 {
			t.Errorf("name %d was asked for while nobody answered", i)
		}
	}
	dns.SetMute(false)
	for i := range len(all) - 1 {
		dns.SetHost(fmt.Sprintf("cache-%d.test", i), "127.0.0.1")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	found, lost := map[*backend.Backend]bool{}, map[*backend.Backend]int{}
	names := backend.Names{
		Backends: func() iter.Seq[*backend.Backend] { return slices.Values(all) },
		Resolver: ledger.Resolver,
		Interval: func() time.Duration { return time.Hour },
		Moved: func(b *backend.Backend) {
			if found[b] = true; len(found) == len(all)-1 {
				cancel()
			}
		},
		Lost: func(b *backend.Backend, err error) { lost[b]++ },
	}
	names.Run(ctx)
	if len(found) != len(all)-1 || found[all[len(all)-1]] || lost[all[len(all)-1]] > 1 {
		t.Errorf("%d names are found, of the unknown one is told %d times", len(found), lost[all[len(all)-1]])
	}
	records := ledger.Records()
	if i := slices.IndexFunc(records, func(r backend.Record) bool { return r.Server == "tcp cache-3.test:11211" }); i < 0 || records[i].IP != "127.0.0.1" {
		t.Errorf("the ledger has %+v", records)
	}
}

// TestNamesHold looks up two names of backends that are up: one whose record holds for no time, and one whose record holds for long.
func TestNamesHold(t *testing.T) {
	dns := dnstest.Start(t)
	ledger := &backend.Ledger{Resolver: resolve.New(dns.Addr())}
	var all []*backend.Backend
	describe := func(name string, ttl uint32) {
		dns.SetHost(name, "127.0.0.1")
		dns.SetTTL(ttl)
		b, err := ledger.New("", "tcp", name+":11211", backend.Options{}, nil)
		if err != nil || b.State() != backend.StateUp {
			t.Fatalf("%s: %v, %v", name, b.State(), err)
		}
		all = append(all, b)
	}
	describe("short.test", 0)
	describe("long.test", 3600)
	dns.SetTTL(0)
	// run looks names up until one of them has been asked for so often.
	run := func(interval time.Duration, name string, often int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		names := backend.Names{
			Backends: func() iter.Seq[*backend.Backend] { return slices.Values(all) },
			Resolver: ledger.Resolver,
			Interval: func() time.Duration {
				if dns.Asked(name) >= often {
					cancel()
				}
				return interval
			},
			Moved: func(b *backend.Backend) { t.Errorf("%s has moved", b.Address) },
			Lost:  func(b *backend.Backend, err error) { t.Errorf("%s is lost: %v", b.Address, err) },
		}
		names.Run(ctx)
		if n := dns.Asked(name); n < often {
			t.Errorf("%s was asked for %d times, want %d", name, n, often)
		}
	}
	short, long := dns.Asked("short.test"), dns.Asked("long.test")
	run(time.Hour, "short.test", short+4) // A and AAAA, twice
	if n := dns.Asked("long.test"); n != long {
		t.Errorf("a name whose record holds for an hour was asked for %d times more", n-long)
	}
	run(time.Millisecond, "long.test", long+2) // but an interval is an interval
}
