//go:build keystone

package keystonetest

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// upgrades is how many times a new proxy takes the place of the one before.
func upgrades() int {
	if *full {
		return 20
	}
	return 3
}

const (
	betweenUpgrades = 500 * time.Millisecond
	afterUpgrades   = 4 // roles that are removed
)

var takenOver = regexp.MustCompile(`process (\d+) has taken over (\d+) conns, which waited for (\S+)\n`)

// testUpgraded has new proxies take over while tokens are validated and roles removed: the Keystones notice nothing.
func testUpgraded(t *testing.T, s *site) {
	members, bystanders := s.crowd()
	for _, b := range bystanders {
		s.everywhere("warm up", b.token, accepted(b.name))
	}
	l := s.startLoad(s.admin, loadClients, think, bystanders)
	over, during := make(chan struct{}), make(chan *verdict)
	go func() { during <- s.removeRoles(members[:2], 1<<30, over) }() // ends after over is closed, and is waited for
	const closed = "mcproxy_client_conns_closed_total"
	ended := -s.proxy.figures().sum(closed) // conns, by all proxies one after the other
	slowest := time.Duration(0)
	for range upgrades() {
		time.Sleep(betweenUpgrades)
		ended += s.proxy.figures().sum(closed)
		conns, waited, err := s.proxy.upgrade()
		if err != nil || conns == 0 {
			t.Errorf("an upgrade with %d conns: %v", conns, err)
		}
		slowest = max(slowest, waited)
	}
	time.Sleep(betweenUpgrades)
	close(over)
	first := <-during
	second := s.removeRoles(members, afterUpgrades, nil)
	l.end()
	f := s.proxy.figures()
	ended += f.sum(closed)
	t.Logf("%d upgrades, for which clients waited %v at most; meanwhile %v; afterwards %v. Validations: %v", upgrades(), slowest, first, second, l)
	s.clean(first, 0)
	s.clean(second, afterUpgrades)
	for _, b := range l.bad[:min(len(l.bad), 5)] {
		t.Errorf("a validation was answered with HTTP %d after %v: %s", b.status, b.at, b.body)
	}
	if l.slowest() > unbearable {
		t.Errorf("a validation took %v", l.slowest())
	}
	if ended > 0 {
		t.Errorf("%v client conns were closed", ended)
	}
	if n := f.sum("mcproxy_upgrade_adopted_conns"); n == 0 {
		t.Error("the last proxy has taken over nobody")
	}
}

// upgrade has a new process of the program take over, and says how many conns waited, and for how long.
func (p *proxyProcess) upgrade() (conns int, waited time.Duration, err error) {
	p.t.Helper()
	out, err := exec.Command(p.binary, "upgrade", "--admin", p.admin).CombinedOutput()
	said := takenOver.FindStringSubmatch(string(out))
	if err != nil || said == nil {
		return 0, 0, fmt.Errorf("%w: %s", err, out)
	}
	pid, _ := strconv.Atoi(said[1])
	conns, _ = strconv.Atoi(said[2])
	if waited, err = time.ParseDuration(said[3]); err == nil {
		err = p.succeeded(pid)
	}
	return conns, waited, err
}
