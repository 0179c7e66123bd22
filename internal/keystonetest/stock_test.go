//go:build keystone

package keystonetest

import (
	"strings"
	"testing"
	"time"

	"mcproxy/internal/memcachedtest"
)

// TestStock shows what the other tests look for: Keystones that choose among three memcacheds themselves accept roles that were
// removed, after one of the three was stopped for a moment. Their threads do not agree any more on who has the news.
func TestStock(t *testing.T) {
	if !*full {
		t.Log("only with -full: this is not mcproxy")
		return
	}
	s := &site{t: t, data: makeDatabase(t), admin: newAPI(t)}
	var addresses []string
	for range 3 {
		s.servers = append(s.servers, memcachedtest.Start(t))
		addresses = append(addresses, s.servers[len(s.servers)-1].Addr())
	}
	o := option{backend: "dogpile.cache.memcached"}
	for range 2 {
		s.launch("stock", o.section(strings.Join(addresses, ",")))
	}
	for number := range s.admin.instances {
		s.ready(number)
	}
	s.admin.token = s.admin.issue("admin", adminPassword, "admin")
	members, bystanders := s.crowd()
	for _, b := range bystanders {
		s.everywhere("warm up", b.token, accepted(b.name))
	}
	l := s.startLoad(s.admin, loadClients, think, bystanders)
	for _, mc := range s.servers { // one of them has the news
		mc.Pause()
		time.Sleep(outage)
		mc.Resume()
	}
	v := s.removeRoles(members, removals(), nil)
	l.end()
	t.Logf("without mcproxy: %v, and %d were wrong otherwise. Validations: %v", v, len(v.problems), l)
	if v.accepted.Load() == 0 {
		t.Errorf("no removed role was accepted: the check does not see what it is for")
	}
}
