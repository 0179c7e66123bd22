//go:build keystone

package keystonetest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
)

// afterwards is how long a Keystone behind another proxy is watched after a memcached came back.
const afterwards = 3 * time.Second

// TestTwoProxies gives each Keystone a proxy of its own before the same memcacheds, as hosts do that have one each. Each proxy keeps
// its own promises, but knows nothing of what the other could not write: a role removed through one while the memcached with the
// news was away is refused by both until it is back, and may be accepted through the other from then on until the first has
// deleted what is old there. That time is measured, and has an end.
func TestTwoProxies(t *testing.T) {
	t.Parallel()
	binary := buildProxy(t)
	s := &site{t: t, data: makeDatabase(t), admin: newAPI(t)}
	s.victim, _ = homes(t)
	var backends []string
	for i := range 3 {
		s.servers = append(s.servers, memcachedtest.Start(t))
		backends = append(backends, fmt.Sprintf("{ address = %q, name = %q }", s.servers[i].Addr(), backendName(i)))
	}
	o, proxies := options()[2], []*proxyProcess{}
	for i := range 2 {
		p := startProxy(t, binary, "backends = ["+strings.Join(backends, ", ")+"]\n")
		proxies = append(proxies, p)
		s.launch(fmt.Sprint("proxy ", i), o.section(p.address, o.more...))
	}
	s.ready(0)
	s.admin.token = s.admin.only(0).issue("admin", adminPassword, "admin")
	s.ready(1)
	one, other := s.admin.only(0), s.admin.only(1)
	m := s.member("dora", "")
	rounds, worst, seen := 3, time.Duration(0), 0
	if *full {
		rounds = 10
	}
	for range rounds {
		s.everywhere("before", m.token, accepted("dora"))
		s.servers[s.victim].Pause()
		for i, p := range proxies {
			for p.figures().sum("mcproxy_backend_state", `state="up"`) == 3 {
				s.admin.only(i).validate(m.token)
			}
		}
		one.unassign(m.project, m.user, m.role)
		s.everywhere("removed while the memcached is away", m.token, refused)
		s.servers[s.victim].Resume()
		back, last := time.Now(), time.Duration(0)
		for time.Since(back) < afterwards {
			if other.validate(m.token).status == http.StatusOK {
				last = time.Since(back)
			}
		}
		if last > 0 {
			seen++
		}
		worst = max(worst, last)
		for _, p := range proxies {
			p.until("all backends are up", func(f figures) bool { return f.sum("mcproxy_backend_state", `state="up"`) == 3 })
		}
		s.everywhere("after the memcached came back", m.token, refused)
		one.assign(m.project, m.user, m.role)
	}
	t.Logf("in %d of %d rounds the Keystone behind the other proxy accepted a removed role after the memcached was back, for %v at most", seen, rounds, worst.Round(time.Millisecond))
}
