package bench_test

import (
	"crypto/sha1"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"mcproxy/bench"
	"mcproxy/internal/memcachedtest"
	"mcproxy/protocol"
)

func tokens(endpoint string) bench.Config {
	cfg := config(endpoint)
	cfg.Workload, cfg.Conns, cfg.Requests, cfg.Users = "keystone-tokens", 4, 6000, 20
	return cfg
}

// listEntries is how many tokens a user's list names.
func listEntries(t *testing.T, mc *memcachedtest.Server, user string) int {
	t.Helper()
	sum := sha1.Sum([]byte("usertokens-" + user))
	answer := mc.Command("get " + hex.EncodeToString(sum[:]))
	var r protocol.Response
	if _, err := protocol.ParseResponse([]byte(answer), protocol.ShapeValue, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Value)%86 != 0 {
		t.Errorf("the list of %s has %d bytes, no multiple of 86", user, len(r.Value))
	}
	return len(r.Value) / 86
}

func TestKeystoneTokensUnderLocks(t *testing.T) {
	mc := memcachedtest.Start(t, "-m", "256")
	r := run(t, tokens(mc.Addr()))
	f := r.Keystone
	if f.Issued == 0 || f.Refused != 0 || f.ListsRefused != 0 || f.LostUpdates != 0 || f.Invalid != 0 || f.UncheckedUsers != 0 {
		t.Fatalf("figures = %+v, want tokens, and nothing refused, lost or missed", f)
	}
	// Each client may have been stopped between a token and its list.
	if missing := f.Issued - f.ListUpdates - f.LockFailures; missing < 0 || missing > 4 {
		t.Errorf("%d tokens, %d updates of lists, %d locks never free", f.Issued, f.ListUpdates, f.LockFailures)
	}
	if math.Abs(float64(f.Validations)-4*float64(f.Issued)) > 20 {
		t.Errorf("%d validations of %d tokens, want 4 for each", f.Validations, f.Issued)
	}
	services := 0
	for _, user := range []string{"ceilometer", "neutron", "nova"} {
		services += listEntries(t, mc, user)
	}
	if want, sigma := 0.9*float64(f.ListUpdates), math.Sqrt(float64(f.ListUpdates)*0.09); math.Abs(float64(services)-want) > 5*sigma {
		t.Errorf("the lists of the services name %d of %d tokens, want 90 %%", services, f.ListUpdates)
	}
	if f.LargestList < int64(services)/3*86 {
		t.Errorf("the largest list has %d bytes, though three have %d tokens", f.LargestList, services)
	}
	var text strings.Builder
	if err := r.WriteSummary(&text); err != nil || !strings.Contains(text.String(), "0 tokens were lost from their user's list") {
		t.Errorf("the summary (%v):\n%s", err, &text)
	}
}

// TestKeystoneTokensWithoutLocks: clients that change one list at a time lose each other's tokens, and the figures say so.
func TestKeystoneTokensWithoutLocks(t *testing.T) {
	mc := memcachedtest.Start(t, "-m", "256")
	cfg := tokens(mc.Addr())
	cfg.Locks, cfg.Users, cfg.ServiceUsers, cfg.Validations, cfg.Conns = false, 0, "nova", 0, 16
	f := run(t, cfg).Keystone
	if got := int64(listEntries(t, mc, "nova")); f.LostUpdates == 0 || f.ListUpdates-f.LostUpdates != got || f.LockFailures != 0 {
		t.Errorf("%d updates, %d lost, and the list names %d; figures %+v", f.ListUpdates, f.LostUpdates, got, f)
	}
}

// TestKeystoneTokensPastTheItemLimit: a list that is too large is refused, and memcached drops the old one with all that
// it named.
func TestKeystoneTokensPastTheItemLimit(t *testing.T) {
	mc := memcachedtest.Start(t, "-m", "256")
	const limit = 64 << 10
	cfg := tokens(relay(t, mc.Addr(), func(req *protocol.Request, answer []byte) []byte {
		if req.Verb == protocol.Set && req.ValueLen > limit {
			mc.Command("delete " + string(req.Key))
			return []byte("SERVER_ERROR object too large for cache\r\n")
		}
		return answer
	}))
	cfg.Users, cfg.ServiceUsers, cfg.Validations, cfg.Conns, cfg.TokenSize = 0, "nova", 0, 1, "1KiB"
	f := run(t, cfg).Keystone
	if f.ListsRefused == 0 || f.LargestList > limit || f.LostUpdates < 100 {
		t.Errorf("figures %+v, want refused lists and their tokens lost", f)
	}
	if got := int64(listEntries(t, mc, "nova")); f.ListUpdates-f.LostUpdates != got {
		t.Errorf("%d updates, %d lost, and the list names %d", f.ListUpdates, f.LostUpdates, got)
	}

	cfg.ListLimit = 20_000
	f = run(t, cfg).Keystone
	if want := int64(20_000 / 86 * 86); f.ListsRefused != 0 || f.LargestList != want || f.LostUpdates != 0 {
		t.Errorf("with a bound of 20000 bytes: figures %+v, want lists of %d and nothing lost", f, want)
	}
}

func TestKeystoneTokensInAnOpenLoop(t *testing.T) {
	mc := memcachedtest.Start(t, "-m", "256")
	cfg := tokens(mc.Addr())
	cfg.Rate, cfg.Conns, cfg.Validations = 1000, 20, 1
	f := run(t, cfg).Keystone
	if f.Issued == 0 || f.LostUpdates != 0 {
		t.Errorf("figures %+v", f)
	}
	if math.Abs(float64(f.Issued-f.Validations)) > 25 {
		t.Errorf("%d tokens and %d validations, want as many", f.Issued, f.Validations)
	}
}

// TestKeystoneTokensTwice has a run find the lists of one before it, which name the same tokens as the seed is the same.
func TestKeystoneTokensTwice(t *testing.T) {
	mc := memcachedtest.Start(t, "-m", "256")
	cfg := tokens(mc.Addr())
	cfg.Requests = 500
	for i := range 2 {
		if f := run(t, cfg).Keystone; f.Issued == 0 || f.LostUpdates != 0 {
			t.Errorf("run %d: figures %+v, want tokens and none lost", i+1, f)
		}
	}
}
