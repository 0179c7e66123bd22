//go:build keystone

package keystonetest

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	loadClients = 2                // who validate all the time
	outage      = 4 * time.Second  // how long a memcached is away
	spoiling    = 2 * time.Second  // how long it talks nonsense
	bearable    = 10 * time.Second // for a request to the cache: the deadline of 250 ms, when four Keystones share two processors
	unbearable  = 60 * time.Second // for one request, also on a machine that is ten times slower
	noticeable  = time.Second      // for one request, if one site has the machine alone
	idleConns   = 2000             // beside Keystone's own
)

// removals is how many times a role is removed after a fault; each is checked at both Keystones.
func removals() int {
	if *full {
		return 40
	}
	return 20
}

// A verdict is how often a role was removed, and what became of the checks, two for each.
type verdict struct {
	removed, accepted atomic.Int64 // accepted: a Keystone accepted a token for a role that had been removed

	mu       sync.Mutex
	problems []string // other wrong answers
}

func (v *verdict) problem(when string, got answer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.problems = append(v.problems, fmt.Sprintf("%s: HTTP %d: %.300s", when, got.status, got.body))
}

func (v *verdict) String() string {
	return fmt.Sprintf("%d roles removed, %d checks accepted one", v.removed.Load(), v.accepted.Load())
}

// clean wants all checks to have been right, and so many roles to have been removed; any number for 0.
func (s *site) clean(v *verdict, removed int) {
	s.t.Helper()
	for _, p := range v.problems[:min(len(v.problems), 5)] {
		s.t.Error(p)
	}
	if v.accepted.Load() > 0 || removed > 0 && v.removed.Load() != int64(removed) {
		s.t.Errorf("%v; want %d removed, and none accepted", v, removed)
	}
}

// removeRoles gives each member its role and takes it away again, times over, or until over is closed, and sees whether both
// Keystones take notice at once.
func (s *site) removeRoles(members []member, times int, over <-chan struct{}) *verdict {
	var v verdict
	var all sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(times))
	for _, m := range members {
		all.Go(func() { // ends with the removals, or when over is closed
			for left.Add(-1) >= 0 {
				select {
				case <-over:
					return
				default:
				}
				s.removeRole(m, &v)
			}
		})
	}
	all.Wait()
	return &v
}

// removeRole removes a role, checks, and gives it back.
func (s *site) removeRole(m member, v *verdict) {
	if got := s.admin.validate(m.token); got.status != http.StatusOK { // so that there is something to forget
		v.problem("before the role is removed", got)
	}
	s.admin.unassign(m.project, m.user, m.role)
	v.removed.Add(1)
	for number := range s.admin.instances {
		switch got := s.admin.only(number).validate(m.token); got.status {
		case http.StatusNotFound:
		case http.StatusOK:
			v.accepted.Add(1)
		default:
			v.problem("after the role was removed", got)
		}
	}
	s.admin.assign(m.project, m.user, m.role)
}

// under runs a fault while tokens are validated and roles removed, then removes more of them, and judges. The fault must leave things
// as they were.
func (s *site) under(removals int, fault func()) {
	s.t.Helper()
	members, bystanders := s.crowd()
	for _, b := range bystanders {
		s.everywhere("warm up", b.token, accepted(b.name))
	}
	before := s.proxy.figures()
	l := s.startLoad(s.admin, loadClients, think, bystanders)
	over, during := make(chan struct{}), make(chan *verdict)
	go func() { during <- s.removeRoles(members[:2], 1<<30, over) }() // ends after over is closed, and is waited for
	fault()
	close(over)
	first := <-during
	second := s.removeRoles(members, removals, nil)
	l.end()
	after := s.proxy.figures()
	slowest := after.slowest(before, "mcproxy_pool_request_duration_seconds")
	s.t.Logf("meanwhile %v; afterwards %v. Validations: %v. The cache's answers within %.3g s", first, second, l, slowest)
	if slowest > bearable.Seconds() {
		s.t.Errorf("a request to the cache took up to %v s, want at most %v", slowest, bearable)
	}
	s.clean(first, 0)
	s.clean(second, removals)
	for _, b := range l.bad[:min(len(l.bad), 5)] {
		s.t.Errorf("a validation was answered with HTTP %d after %v: %s", b.status, b.at, b.body)
	}
	most := unbearable
	if *alone {
		most = noticeable
	}
	if l.slowest() > most {
		s.t.Errorf("a validation took %v, want at most %v", l.slowest(), most)
	}
	// A client that has waited for over a second closes its conn, and python-memcached then asks nothing for 5 minutes.
	if n := after.since(before, "mcproxy_client_conns_closed_total"); n > 0 {
		s.t.Errorf("%v client conns were closed", n)
	}
}

// testIdle opens conns that send nothing, and repeats what was measured without them.
func testIdle(t *testing.T, s *site) {
	for i := range idleConns {
		network, address := "tcp", s.proxy.address
		if i%2 == 1 {
			network, address = "unix", s.proxy.socket
		}
		conn, err := net.Dial(network, address)
		if err != nil {
			t.Fatalf("conn %d: %v", i, err)
		}
		defer conn.Close()
	}
	s.proxy.until("the conns are open", func(f figures) bool { return f.sum("mcproxy_client_conns") >= idleConns })
	testGets(t, s)
	members, _ := s.crowd()
	s.clean(s.removeRoles(members, 10, nil), 10)
	if n := s.proxy.figures().sum("mcproxy_client_conns"); n < idleConns {
		t.Errorf("%v conns are left of %d", n, idleConns)
	}
}

// testPaused stops the memcached on which the news of removed roles is.
func testPaused(_ *testing.T, s *site) {
	s.under(removals(), func() {
		before := s.proxy.figures()
		s.servers[s.victim].Pause()
		time.Sleep(outage)
		s.servers[s.victim].Resume()
		s.served(before)
	})
}

// testKilled kills that memcached and starts it anew.
func testKilled(_ *testing.T, s *site) {
	s.under(removals(), func() {
		before := s.proxy.figures()
		s.servers[s.victim].Kill()
		time.Sleep(outage)
		s.servers[s.victim].Restart()
		s.served(before)
	})
}

// served waits until all backends serve again after a fault, and sees that there was one.
func (s *site) served(before figures) {
	s.t.Helper()
	s.proxy.until("all backends are up", func(f figures) bool { return f.sum("mcproxy_backend_state", `state="up"`) == 3 })
	if s.proxy.figures().since(before, "mcproxy_pool_failures_total") == 0 {
		s.t.Errorf("no request has failed at a backend: the fault has not come to pass")
	}
}

// testSpoiled has a memcached, one after the other, hang, answer nonsense and close in the middle of values.
func testSpoiled(t *testing.T, s *site, modes ...int32) {
	s.under(removals()/2, func() {
		for _, mode := range modes {
			before, spoiled := s.proxy.figures(), s.link.spoiled.Load()
			s.link.mode.Store(mode)
			time.Sleep(spoiling)
			s.link.mode.Store(passes)
			s.served(before)
			if s.link.spoiled.Load() == spoiled {
				t.Errorf("mode %d: nothing came by that could be spoiled", mode)
			}
		}
	})
}
