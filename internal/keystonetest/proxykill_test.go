//go:build keystone

package keystonetest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What Keystones are watched for after their proxy was killed.
const (
	removedMeanwhile = 16 // roles, one after the other, while the Keystones notice what has happened

	afterKill = 6 * time.Second // of load
	healing   = 3 * time.Minute // for a Keystone to work at all
)

// patience is how long a Keystone is watched until its cache is in use again.
func patience() time.Duration {
	if *full {
		return 45 * time.Second
	}
	return 10 * time.Second
}

// An aftermath is what the users of one Keystone saw of a proxy that was killed and started again.
type aftermath struct {
	failed   int           // validations that were not answered with 200
	last     time.Duration // from the kill to the last of them
	slowest  time.Duration
	uncached time.Duration // from the kill to the first validation that asked the cache as if nothing had been
	again    bool          // there was one
}

func (a aftermath) String() string {
	text := fmt.Sprintf("%d validations failed", a.failed)
	if a.failed > 0 {
		text += fmt.Sprintf(", the last one %v after the kill", a.last.Round(100*time.Millisecond))
	}
	text += fmt.Sprintf("; slowest %v; ", a.slowest.Round(10*time.Millisecond))
	if !a.again {
		return text + fmt.Sprintf("the cache was not in use again after %v", patience())
	}
	return text + fmt.Sprintf("the cache in use again after %v", a.uncached.Round(100*time.Millisecond))
}

// testProxyKilled kills the proxy itself, and tells what each Keystone makes of it: nobody can promise anything, for its clients' conns
// are closed. What must hold is that the Keystones are right again in the end.
func testProxyKilled(t *testing.T, s *site) {
	away := []time.Duration{0}
	if *full {
		away = append(away, 3*time.Second)
		if o := s.option; len(o.more) > 0 {
			s.launch(o.backend+", TCP, without "+strings.Join(o.more, ", "), o.section(s.proxy.address, o.forTests...))
			s.ready(len(s.admin.instances) - 1)
		}
	}
	for _, for0 := range away {
		_, bystanders := s.crowd()
		for _, b := range bystanders {
			s.everywhere("warm up", b.token, accepted(b.name))
		}
		victims := s.victims()
		for _, m := range victims {
			s.everywhere("warm up", m.token, accepted(m.name))
		}
		var loads []*load
		for number := range s.admin.instances {
			loads = append(loads, s.startLoad(s.admin.only(number), threads, think, bystanders))
		}
		killed := time.Now()
		s.proxy.end(0)
		time.Sleep(for0)
		if err := s.proxy.start(); err != nil {
			t.Fatal(err)
		}
		for i, m := range victims {
			time.Sleep(afterKill / removedMeanwhile)
			s.somehow(s.admin.only(i%len(s.admin.instances)), "DELETE", m)
		}
		for _, l := range loads {
			l.end()
		}
		for number, l := range loads {
			a := aftermath{slowest: l.slowest()}
			for _, b := range l.bad {
				a.failed++
				a.last = max(a.last, b.at)
			}
			a.uncached, a.again = s.cached(number, killed)
			t.Logf("away for %v; %s: %v", for0, s.labels[number], a)
		}
		t.Logf("away for %v; %s: %d of %d roles that were removed meanwhile are still accepted", for0, s.option.backend, s.stillAccepted(victims), len(victims))
		for _, m := range victims {
			s.somehow(s.admin, "PUT", m)
		}
	}
	s.restore(t)
}

// victims are members whose roles are removed while the proxy is away or just back.
func (s *site) victims() []member {
	for i := len(s.doomed); i < removedMeanwhile; i++ {
		s.doomed = append(s.doomed, s.member(fmt.Sprintf("victim-%d", i), ""))
	}
	return s.doomed
}

// somehow changes a role, as often as it takes: a Keystone that has given its cache up may do so and answer with an error.
func (s *site) somehow(a *api, method string, m member) {
	var got answer
	for deadline := time.Now().Add(healing); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		got = a.do(method, grantPath(m.project, m.user, m.role), "", nil)
		if got.status == http.StatusNoContent || got.status == http.StatusNotFound { // it was removed by an attempt before
			return
		}
	}
	s.t.Errorf("%s of a role, after %v still HTTP %d: %.300s", method, healing, got.status, got.body)
}

// stillAccepted counts the members whose role was removed, and who are told by a thread of some Keystone that they have it.
func (s *site) stillAccepted(members []member) (n int) {
	for _, m := range members {
		fooled := false
		for number := range s.admin.instances {
			for range threads {
				fooled = s.admin.only(number).validate(m.token).status == http.StatusOK || fooled
			}
		}
		if fooled {
			n++
		}
	}
	return n
}

// cached waits until all threads of a Keystone use the cache, and gives the time since then.
func (s *site) cached(number int, since time.Time) (time.Duration, bool) {
	m, one := s.ordinary(), s.admin.only(number)
	for time.Since(since) < patience() {
		began := time.Now()
		before := s.proxy.figures()
		good := 0
		for range 4 * threads {
			if one.validate(m.token).status == http.StatusOK {
				good++
			}
		}
		// A thread without a cache asks for nothing; one that has just got it back asks for what is not there.
		if n := s.proxy.figures().since(before, "mcproxy_pool_hits_total"); good == 4*threads && n >= 14*4*threads {
			return began.Sub(since), true
		}
		time.Sleep(200 * time.Millisecond)
	}
	return 0, false
}

// restore starts the Keystones anew, whose clients may have given the proxy up for minutes, and sees that all is well.
func (s *site) restore(t *testing.T) {
	for _, k := range s.admin.instances {
		k.end(stopTimeout)
		k.start()
	}
	for number := range s.admin.instances {
		s.ready(number)
	}
	members, _ := s.crowd()
	s.clean(s.removeRoles(members, 8, nil), 8)
}
