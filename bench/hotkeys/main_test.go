package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"mcproxy/bench/rig"
	"mcproxy/bench/rigtest"
)

// A child that is not waited for is a goroutine that leaks.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReal measures two lines on real memcacheds and a real mcproxy, shortly: the page has their figures, and no list is lost.
func TestReal(t *testing.T) {
	rigtest.Page(t, run, []string{"--mcproxy", rigtest.Build(t), "--runs", "1", "--seconds", "1", "--lines", "b,d"},
		"# Hot and oversized keys, ", "| lists refused ≤ 0, each run | 0 | 0..0 | yes |", "| tokens lost ≤ 0, each run | 0 | 0..0 | yes |",
		"| bytes lost of the lists as they were at first and of what was added ≤ 0, each run | 0 | 0..0 | yes |",
		"| lists written | ", "| one memcached itself: lists refused | ", "| home server's bytes : mean ≤ 1.050 | ",
		"`mcproxy bench PROXY --workload keystone-tokens ", "--backends MEMCACHED,…")
}

// TestHeavyUsers asks real servers where lists lie.
func TestHeavyUsers(t *testing.T) {
	machine, err := rig.NewMachine(t.Context(), "test", &bytes.Buffer{}, os.Args[0], rig.Nutcracker)
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	h := &harness{machine, &options{}}
	s, err := h.stand(t.Context(), 2, 64, func(fl *rig.Fleet) (rig.Proxy, error) { return fl.StartNutcracker(t.Context(), "nutcracker", 0) })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	users, err := s.heavyUsers(t.Context())
	if err != nil || len(users) != 3 {
		t.Fatalf("heavyUsers = %q, %v", users, err)
	}
	list := bytes.Repeat([]byte("0123456789"), 1000)
	if err := seed(t.Context(), s.proxy.Address, users, list); err != nil {
		t.Fatal(err)
	}
	for i, address := range s.Memcacheds {
		c, err := dial(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range users {
			value, err := c.get(listKey(user))
			if want := i == 0; err != nil || (value != nil) != want || want && !bytes.Equal(value, list) {
				t.Errorf("memcached %d has %d bytes of %s's list, %v", i+1, len(value), user, err)
			}
		}
		c.close()
	}

	for _, tc := range []struct {
		what    string
		list    []byte
		updates int64
		want    int64
	}{
		{"as they are", list, 0, 0},
		{"an update lost of each", list, 3, 3 * entrySize},
		{"another byte in the middle", append(append(bytes.Clone(list[:4000]), 'x'), list[4001:]...), 0, 3 * 6000},
		{"an end lost", append(bytes.Clone(list), "12345"...), 0, 3 * 5},
	} {
		if got, err := missingBytes(t.Context(), s.proxy.Address, users, tc.list, tc.updates); err != nil || got != tc.want {
			t.Errorf("%s: missingBytes = %d, %v, want %d", tc.what, got, err, tc.want)
		}
	}
	if err := seed(t.Context(), s.Memcacheds[0], users, bytes.Repeat([]byte("x"), 2<<20)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a list of 2 MiB for memcached: %v", err)
	}
}
