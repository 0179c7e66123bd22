package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcproxy/internal/handover"
)

// A successor that fails is this test program, started by the proxy as the next process: successorEnv says where it fails.
const successorEnv = "E2E_FAILING_SUCCESSOR"

// The stages at which it does.
const (
	failsAtStart = "at the start"
	failsReady   = "when it is ready"
	failsTaking  = "while it takes"
	failsTaken   = "when it has taken all"
	staysSilent  = "silent when it has taken all"
)

// failAsSuccessor is what such a process does.
func failAsSuccessor(stage string) error {
	if stage == failsAtStart {
		return nil
	}
	conn, err := handover.Open(os.NewFile(3, "handover"))
	if err != nil {
		return err
	}
	if _, err := conn.Listeners(); err != nil {
		return err
	}
	if stage == failsReady {
		conn.Failed(errors.New("a stage direction"))
		return nil
	}
	if stage == failsTaking {
		time.AfterFunc(time.Millisecond, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	}
	if _, err := conn.Take(); err != nil {
		return err
	}
	if stage == staysSilent {
		select {} // until it is killed
	}
	return nil
}

// TestUpgradeFails has the next process fail in every way. Each time the one before goes on with its clients, and knows what a backend has
// missed; and when an upgrade succeeds at last, that is known to the next process too.
func TestUpgradeFails(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	program := buildProgram(t)
	well, away := startMemcached(t), startMemcached(t)
	for _, journal := range []string{"memory", "disk"} {
		t.Run(journal, func(t *testing.T) {
			config := fmt.Sprintf("[proxy]\njournal = %q\njournal_dir = %q\ndrain_timeout = \"2s\"\n[pools.main]\nbackends = [%q, %q]\nfailure_limit = 1\non_error = \"error\"\nring = \"cmemcache\"\n",
				journal, filepath.Join(t.TempDir(), "journal"), well.Addr(), away.Addr())
			stages := []string{failsAtStart, failsReady, failsTaking, failsTaken}
			if *upgradesFlag > 3 {
				stages = append(stages, staysSilent)
			}
			upgradeFails(t, startLineage(t, program, config), config, stages, away)
		})
	}
}

// A server that can be paused.
type pausable interface {
	Pause()
	Resume()
}

func upgradeFails(t *testing.T, l *lineage, config string, stages []string, away pausable) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, halfway := l.dial(t), l.dial(t)
	var lost string // a key of the backend that will be away
	for i := 0; lost == ""; i++ {
		key := fmt.Sprintf("key-%d", i)
		c.ask(t, fmt.Sprintf("set %s 0 0 3\r\nold\r\n", key), "STORED\r\n")
		away.Pause()
		answer, err := c.unitOf(fmt.Sprintf("set %s 0 0 3\r\nnew\r\n", key))
		if err != nil {
			t.Fatal(err)
		}
		if answer != "STORED\r\n" {
			lost = key
			break
		}
		away.Resume()
	}
	defer away.Resume()
	say(t, halfway, "set h 0 0 3\r\n")
	asked := func(what string) {
		t.Helper()
		answer, closed, err := askWithNoop(c, fmt.Sprintf("get %s\r\n", lost))
		if err != nil || closed || !strings.HasPrefix(answer, "SERVER_ERROR") {
			t.Errorf("%s: the key of the backend that is away: %q, closed %v, %v", what, answer, closed, err)
		}
		if answer, err := l.dial(t).unitOf("mn\r\n"); err != nil || answer != "MN\r\n" {
			t.Errorf("%s: somebody new gets %q, %v", what, answer, err)
		}
	}
	failures := 0.0
	fail := func(what, want string) {
		t.Helper()
		start := time.Now()
		out, err := l.tryUpgrade()
		if err == nil || !strings.Contains(out, "the upgrade failed, and the process goes on") || !strings.Contains(out, want) {
			t.Errorf("%s: the upgrade says %v: %s", what, err, out)
		}
		t.Logf("%s: after %v: %s", what, time.Since(start).Round(time.Millisecond), strings.TrimSpace(out))
		failures++
		if n := l.sum(l.figures(), "mcproxy_upgrade_failures_total"); n != failures {
			t.Errorf("%s: %v upgrades failed, want %v", what, n, failures)
		}
		asked(what)
	}
	for _, stage := range stages {
		l.installText(fmt.Appendf(nil, "#!/bin/sh\n%s=%q exec %q\n", successorEnv, stage, self))
		want := ""
		if stage == failsReady {
			want = "a stage direction"
		}
		fail(stage, want)
	}
	l.installText([]byte("no program"))
	fail("no program", "")
	l.install(l.program)
	l.configure("[pools.main]\n")
	fail("a wrong configuration", "backends: missing")
	l.configure(config)

	former := l.pid
	l.upgrade()
	l.ends(former)
	asked("the next process")
	if state := l.sum(l.figures(), "mcproxy_backend_state", `state="down"`); state != 1 {
		t.Errorf("the next process takes %v backends for down, want 1", state)
	}
	away.Resume()
	for end := time.Now().Add(answerTimeout); ; time.Sleep(10 * time.Millisecond) {
		answer, _, err := askWithNoop(c, fmt.Sprintf("get %s\r\n", lost))
		if answer == "END\r\n" {
			break
		}
		if err != nil || !strings.HasPrefix(answer, "SERVER_ERROR") || time.Now().After(end) {
			t.Fatalf("the key whose write was missed is answered with %q, %v", answer, err)
		}
	}
	say(t, halfway, "yes\r\n")
	if answer, err := halfway.unitOf(""); err != nil || answer != "STORED\r\n" {
		t.Errorf("who was in the midst of a request gets %q, %v", answer, err)
	}
	l.finish()
}

// unitOf sends a request, and gives the first unit of the answer.
func (c *client) unitOf(request string) (string, error) {
	if _, err := c.Write([]byte(request)); err != nil {
		return "", err
	}
	u, err := c.unit(time.Now().Add(answerTimeout))
	return string(u), err
}
