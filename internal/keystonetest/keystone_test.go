//go:build keystone

package keystonetest

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mcproxy/inspect"
	"mcproxy/keystone"
)

var full = flag.Bool("full", false, "the long version: every fault by itself, lists from nothing to 1 MiB, and Keystone without mcproxy beside")

var alone = flag.Bool("alone", false, "one backend of oslo.cache after the other, so that how long validations take is judged too")

// A part is a part of what is proven on each site.
type part struct {
	name string
	run  func(*testing.T, *site)
}

func parts() []part {
	all := []part{{"answers", testAnswers}, {"gets", testGets}, {"values", testValues}, {"idle", testIdle}, {"upgraded", testUpgraded}, {"paused", testPaused}, {"killed", testKilled}}
	if *full {
		for mode, name := range []string{hangs: "hangs", garbles: "garbles", cutsOff: "cuts off"} {
			if name != "" {
				all = append(all, part{name, func(t *testing.T, s *site) { testSpoiled(t, s, int32(mode)) }})
			}
		}
	} else {
		all = append(all, part{"spoiled", func(t *testing.T, s *site) { testSpoiled(t, s, hangs, garbles, cutsOff) }})
	}
	return append(all, part{"proxy killed", testProxyKilled})
}

// TestKeystone proves mcproxy on the real Keystone, with each way to speak to memcached that oslo.cache has.
func TestKeystone(t *testing.T) {
	binary, made := buildProxy(t), makeDatabase(t)
	for _, o := range options() {
		t.Run(o.backend, func(t *testing.T) {
			if !*alone {
				t.Parallel()
			}
			start := time.Now()
			s := startSite(t, binary, made, o)
			t.Logf("the site stands after %v", time.Since(start).Round(time.Second))
			for _, p := range parts() {
				s.part(t, p)
			}
		})
	}
}

// part runs a part of the test; failures count as its own.
func (s *site) part(t *testing.T, p part) {
	own := s.t
	defer s.in(own)
	ok := t.Run(p.name, func(t *testing.T) {
		start := time.Now()
		s.in(t)
		p.run(t, s)
		t.Logf("%v", time.Since(start).Round(100*time.Millisecond))
	})
	for i, k := range s.admin.instances {
		if !ok {
			t.Logf("Keystone %d: %s", i, k.complaints())
		}
	}
}

// in has failures count as those of t.
func (s *site) in(t testing.TB) {
	s.t, s.admin.t = t, t
	if s.proxy != nil {
		s.proxy.t = t
	}
}

// accepted wants a validation to succeed with these roles.
func accepted(roles ...string) func(answer) error {
	return func(got answer) error {
		if got.status != http.StatusOK {
			return fmt.Errorf("want 200")
		}
		if said := got.roles(); !slices.Equal(said, roles) {
			return fmt.Errorf("roles %q, want %q", said, roles)
		}
		return nil
	}
}

// refused wants a validation to say that there is no such token.
func refused(got answer) error {
	if got.status != http.StatusNotFound {
		return fmt.Errorf("want 404")
	}
	return nil
}

// testAnswers goes through the life of users, roles and tokens.
func testAnswers(t *testing.T, s *site) {
	anna := s.member("anna", "")
	s.everywhere("a token", anna.token, accepted("anna"))
	if got := s.admin.validate(anna.token).user(); got != anna.user {
		t.Errorf("the token is of user %q, want %q", got, anna.user)
	}

	s.admin.must(http.StatusUnauthorized, "POST", "/auth/tokens", "", credentials("anna", "wrong", "anna"))
	s.admin.must(http.StatusUnauthorized, "POST", "/auth/tokens", "", credentials("anna", anna.password, "admin"))
	s.admin.as("").must(http.StatusUnauthorized, "GET", "/auth/tokens", anna.token, nil)
	s.admin.as(anna.token).must(http.StatusForbidden, "GET", "/users", "", nil)
	s.everywhere("no token", "gAAAAABnonsense", refused)

	second := s.admin.make("role", "second", nil)
	s.admin.assign(anna.project, anna.user, second)
	s.everywhere("with a second role", anna.token, accepted("anna", "second"))
	s.admin.unassign(anna.project, anna.user, second)
	s.everywhere("the second role was removed", anna.token, accepted("anna"))
	s.admin.unassign(anna.project, anna.user, anna.role)
	s.everywhere("the last role was removed", anna.token, refused)
	s.admin.must(http.StatusUnauthorized, "POST", "/auth/tokens", "", credentials("anna", anna.password, "anna"))
	s.admin.assign(anna.project, anna.user, anna.role)
	s.everywhere("the role is back", anna.token, accepted("anna"))

	other := s.admin.issue("anna", anna.password, "anna")
	s.everywhere("another token", other, accepted("anna"))
	s.admin.must(http.StatusNoContent, "DELETE", "/auth/tokens", anna.token, nil)
	s.everywhere("a revoked token", anna.token, refused)
	s.everywhere("the one that was not revoked", other, accepted("anna"))

	s.admin.must(http.StatusOK, "PATCH", "/users/"+anna.user, "", form{"user": form{"enabled": false}})
	s.everywhere("of a disabled user", other, refused)
	s.admin.must(http.StatusOK, "PATCH", "/users/"+anna.user, "", form{"user": form{"enabled": true}})
	// Keystone counts times of issue in whole seconds, and what was issued in the second of a revocation counts as revoked.
	time.Sleep(1100 * time.Millisecond)
	last := s.admin.issue("anna", anna.password, "anna")
	s.everywhere("of an enabled user", last, accepted("anna"))
	s.admin.must(http.StatusNoContent, "DELETE", "/users/"+anna.user, "", nil)
	s.everywhere("of a deleted user", last, refused)
}

// testGets counts what a validation asks the cache for when everything is there: for the token that asks, whose user is an
// admin and so a member and a reader, and for one whose user is a member.
func testGets(t *testing.T, s *site) {
	m := s.ordinary()
	s.everywhere("warm up", m.token, accepted("member", "reader"))
	const validations = 30
	for try := range 5 {
		before := s.proxy.figures()
		for range validations {
			if err := accepted("member", "reader")(s.admin.validate(m.token)); err != nil {
				t.Error(err)
			}
		}
		after := s.proxy.figures()
		if after.since(before, "mcproxy_pool_failures_total") > 0 && try < 4 {
			continue // a server did not answer in time, on a machine that is busy: its key was a miss, which costs two gets
		}
		gets, hits := after.since(before, "mcproxy_pool_requests_total", `verb="get"`), after.since(before, "mcproxy_pool_hits_total")
		all := after.since(before, "mcproxy_pool_requests_total")
		if gets != 14*validations || hits != gets || all != gets {
			t.Errorf("%d validations made %v requests, %v of them gets, with %v hits; want 14 gets each, and nothing else", validations, all, gets, hits)
		}
		return
	}
}

// testValues reads all that Keystone has stored: each value is a pickle that the tools can show.
func testValues(t *testing.T, s *site) {
	look := inspect.Default()
	look.Top = inspect.MaxTop
	for _, mc := range s.servers {
		look.Servers = append(look.Servers, inspect.Server{Network: "tcp", Address: mc.Addr()})
	}
	report, err := inspect.Run(t.Context(), look)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string][]string{}
	for _, k := range report.Largest {
		if strings.HasPrefix(k.Key, "~mcproxy") {
			continue // the proxy's own
		}
		keys[k.Server] = append(keys[k.Server], k.Key)
	}
	forms := map[string]int{}
	for server, keys := range keys {
		fetch := inspect.DefaultFetch()
		items, err := fetch.GetAll(t.Context(), &inspect.Server{Network: "tcp", Address: server}, keys)
		if err != nil {
			t.Fatal(err)
		}
		for i, item := range items {
			value, err := keystone.Decode(item.Value, item.Flags)
			if err != nil {
				t.Errorf("%s, flags %d: %v: %.200q", keys[i], item.Flags, err, item.Value)
			}
			forms[value.Form]++
		}
	}
	t.Logf("values: %v", forms)
	if forms["pickle"] < 20 || len(forms) != 1 {
		t.Errorf("Keystone's values are %v; want pickles alone", forms)
	}
}
