//go:build keystone

package keystonetest

import (
	"fmt"
	"strings"
	"testing"

	"mcproxy/internal/memcachedtest"
)

// TestRollOut puts the proxy before servers that a Keystone has filled by its own choice among them: with the ring of that Keystone's
// library, one behind the proxy finds everything where it is, and while some Keystones go through it and others do not, each takes
// notice of what the others remove.
func TestRollOut(t *testing.T) {
	t.Parallel()
	binary, made := buildProxy(t), makeDatabase(t)
	rings := map[string]string{"dogpile.cache.memcached": "cmemcache"}
	if *full {
		rings["oslo_cache.memcache_pool"] = "cmemcache"
		rings["dogpile.cache.pymemcache"] = "rendezvous"
		rings["dogpile.cache.pylibmc"] = "libmemcached"
	}
	for _, o := range options() {
		if rings[o.backend] == "" {
			continue
		}
		t.Run(o.backend, func(t *testing.T) {
			s := &site{t: t, data: made.copy(t), admin: newAPI(t)}
			var list, quoted []string
			for range 3 {
				address := memcachedtest.Start(t).Addr()
				list, quoted = append(list, address), append(quoted, fmt.Sprintf("%q", address))
			}
			s.proxy = startProxy(t, binary, fmt.Sprintf("ring = %q\nbackends = [%s]\nreplicas.mode = \"off\"\n", rings[o.backend], strings.Join(quoted, ", ")))
			s.launch("direct", o.section(strings.Join(list, ","), o.more...))
			s.launch("through mcproxy", o.section(s.proxy.address, o.more...))
			s.ready(0)
			s.admin.token = s.admin.only(0).issue("admin", adminPassword, "admin")
			s.ready(1)
			direct, through := s.admin.only(0), s.admin.only(1)

			m := s.ordinary()
			for _, a := range []*api{direct, through} { // the second asks for a few things of its own
				if err := accepted("member", "reader")(a.validate(m.token)); err != nil {
					t.Error(err)
				}
			}
			other := s.member("carl", m.role)
			if err := accepted("member", "reader")(direct.validate(other.token)); err != nil { // it alone has seen this token
				t.Error(err)
			}
			before := s.proxy.figures()
			if err := accepted("member", "reader")(through.validate(other.token)); err != nil {
				t.Error(err)
			}
			after := s.proxy.figures()
			if hits, misses := after.since(before, "mcproxy_pool_hits_total"), after.since(before, "mcproxy_pool_misses_total"); hits < 14 || misses > 0 {
				t.Errorf("the first validation through the proxy had %v hits and %v misses; want 14 or more, and none", hits, misses)
			}
			s.clean(s.removeRoles([]member{m, other}, 20, nil), 20)
		})
	}
}
