//go:build keystone

package keystonetest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"mcproxy/internal/memcachedtest"
	"mcproxy/keystone"
	"mcproxy/ring"
)

// An option is a way in which oslo.cache speaks to memcached: lines of keystone.conf. docs/keystone.md has the same.
type option struct {
	backend  string
	socket   string   // what a unix socket's path begins with
	more     []string // lines besides backend and memcache_servers that the page recommends
	forTests []string // lines that tests need and operators do not
}

func options() []option {
	return []option{
		{backend: "dogpile.cache.memcached", socket: "unix:", more: []string{"memcache_dead_retry = 5"}},
		// Its conns would be closed after a minute without use, and tests count the closed ones.
		{backend: "oslo_cache.memcache_pool", socket: "unix:", more: []string{"memcache_dead_retry = 5"}, forTests: []string{"memcache_pool_unused_timeout = 3600"}},
		{backend: "dogpile.cache.pymemcache", socket: "unix:", more: []string{"enable_retry_client = true", "retry_attempts = 2", "hashclient_retry_attempts = 1000000"}},
		{backend: "dogpile.cache.pylibmc"},
	}
}

// section is the section [cache].
func (o *option) section(servers string, more ...string) string {
	lines := append([]string{"[cache]", "enabled = true", "backend = " + o.backend, "memcache_servers = " + servers}, more...)
	return strings.Join(lines, "\n") + "\n"
}

// A site is two Keystones with one database, behind one proxy over three memcacheds.
type site struct {
	t       testing.TB
	option  option
	proxy   *proxyProcess
	servers []*memcachedtest.Server
	link    *link // before servers[linked]
	victim  int   // the home of the key that removed roles hang on
	linked  int   // the home of the key that revoked tokens hang on
	data    database
	admin   *api
	labels  []string // of admin.instances
	people  []member // of crowd
	plain   member   // of ordinary
	doomed  []member // of victims
}

// backendName is what the proxy calls a memcached; keys are placed by it.
func backendName(number int) string { return fmt.Sprintf("memcached-%d", number) }

// homes gives the backends of the keys that removed roles and revoked tokens hang on.
func homes(t testing.TB) (roles, tokens int) {
	t.Helper()
	var nodes []ring.Node
	for i := range 3 {
		nodes = append(nodes, ring.Node{Name: backendName(i), Named: true, Host: "127.0.0.1", Port: 1, Weight: 1})
	}
	r, err := ring.New(nodes, ring.Options{})
	if err != nil {
		t.Fatal(err)
	}
	roles, tokens = r.Lookup([]byte(keystone.RegionKey("computed assignments"))), r.Lookup([]byte(keystone.RegionKey("tokens")))
	if roles == tokens {
		t.Fatalf("both regions' keys are on %s: take other names", backendName(roles))
	}
	return roles, tokens
}

// startSite starts all that a site needs, and waits for it.
func startSite(t testing.TB, binary string, made database, o option) *site {
	t.Helper()
	s := &site{t: t, option: o, data: made.copy(t)}
	s.victim, s.linked = homes(t)
	var backends []string
	for i := range 3 {
		mc := memcachedtest.Start(t)
		s.servers = append(s.servers, mc)
		address := mc.Addr()
		if i == s.linked {
			s.link = startLink(t, address)
			address = s.link.address
		}
		backends = append(backends, fmt.Sprintf("  { address = %q, name = %q },\n", address, backendName(i)))
	}
	s.proxy = startProxy(t, binary, "backends = [\n"+strings.Join(backends, "")+"]\n[pools.main.split]\nenabled = true\n")
	s.admin = newAPI(t)
	s.launch(o.backend+", TCP", o.section(s.proxy.address, slices.Concat(o.more, o.forTests)...))
	s.launch(o.backend+", unix socket", o.section(o.socket+s.proxy.socket, slices.Concat(o.more, o.forTests)...))
	for number := range s.admin.instances {
		s.ready(number)
	}
	s.admin.token = s.admin.issue("admin", adminPassword, "admin")
	return s
}

// launch starts a Keystone of the site.
func (s *site) launch(label, cache string) {
	s.admin.instances = append(s.admin.instances, launch(s.t, s.data, cache))
	s.labels = append(s.labels, label)
}

// ready waits until a Keystone answers, and has it validate one token: if its first requests come at the same time, some are
// answered before the policy has been read, and refused.
func (s *site) ready(number int) {
	s.t.Helper()
	s.admin.instances[number].wait()
	if s.admin.token != "" {
		if got := s.admin.only(number).validate(s.admin.token); got.status != http.StatusOK {
			s.t.Errorf("Keystone %d, the first validation: HTTP %d: %.300s", number, got.status, got.body)
		}
	}
}

// A member is a user with a role in a project, and a token for it.
type member struct {
	name, user, password, project, role string // ids but for name, which they all have, and password
	token                               string
}

// member makes one with a role, or with one of its own for "".
func (s *site) member(name, role string) member {
	s.t.Helper()
	m := member{name: name, password: "password of " + name, project: s.admin.make("project", name, nil), role: role}
	if role == "" {
		m.role = s.admin.make("role", name, nil)
	}
	m.user = s.admin.make("user", name, form{"password": m.password})
	s.admin.assign(m.project, m.user, m.role)
	m.token = s.admin.issue(name, m.password, name)
	return m
}

// crowd gives members whose roles may be removed for a while, and others.
func (s *site) crowd() (removable, bystanders []member) {
	s.t.Helper()
	if s.people == nil {
		for i := range 7 {
			s.people = append(s.people, s.member(fmt.Sprintf("user-%d", i), ""))
		}
	}
	return s.people[:4], s.people[4:]
}

// ordinary gives a member of a project, and no more.
func (s *site) ordinary() member {
	s.t.Helper()
	if s.plain.token == "" {
		s.plain = s.member("bert", s.admin.role("member"))
	}
	return s.plain
}

// everywhere validates a token at each Keystone, in as many threads at once as it has, and looks at each answer.
func (s *site) everywhere(what, token string, look func(answer) error) {
	s.t.Helper()
	var all sync.WaitGroup
	for number := range s.admin.instances {
		one := s.admin.only(number)
		for range threads {
			all.Go(func() {
				got := one.validate(token)
				if err := look(got); err != nil {
					s.t.Errorf("%s: Keystone %d: HTTP %d: %v: %.300s", what, number, got.status, err, got.body)
				}
			})
		}
	}
	all.Wait()
}
