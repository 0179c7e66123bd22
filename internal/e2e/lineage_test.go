package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/loopback"
)

// A lineage is mcproxy as a service: one process after the other, each of which takes the place of the one before. It is used by
// the goroutine of its test alone.
type lineage struct {
	running
	program string // as it was built
	binary  string // what the next process is started from
	file    string // the configuration
	log     string // of all of them
	socket  string // a listener
	group   int    // of processes; the first one's pid
	ended   map[int]syscall.WaitStatus
}

// startLineage starts the first process from a copy of the program, with listeners on TCP and a unix socket, and the admin endpoints. The
// configuration lacks only these. env is added to the environment. What is left ends with the test.
func startLineage(t *testing.T, program, config string, env ...string) *lineage {
	t.Helper()
	// Processes whose parent has ended become this one's children.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "lineage") // not t.TempDir: a socket's path has room for 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &lineage{
		program: program, running: running{t: t, admin: loopback.Address(t), endpoint: endpoint{"tcp", loopback.Address(t)}},
		binary: filepath.Join(dir, "mcproxy"), file: filepath.Join(dir, "proxy.toml"), log: filepath.Join(dir, "log"), socket: filepath.Join(dir, "socket"),
		ended: make(map[int]syscall.WaitStatus),
	}
	l.install(program)
	l.configure(config)
	l.start(exec.Command(l.binary, "serve", "-c", l.file), env)
	waitListening(t, l.address)
	until(t, "the socket listens", func() bool { // it is the second listener: for a moment it has its path, and refuses who comes
		conn, err := net.Dial("unix", l.socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return l
}

// start starts the first process.
func (l *lineage) start(cmd *exec.Cmd, env []string) {
	l.t.Helper()
	log, err := os.OpenFile(l.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil { // Wait is not called: reap looks after it, as after those that follow
		l.t.Fatal(err)
	}
	l.pid, l.group = cmd.Process.Pid, cmd.Process.Pid
	l.t.Cleanup(func() {
		_ = syscall.Kill(-l.group, syscall.SIGKILL)
		for l.reap(0) {
		}
		if l.t.Failed() {
			l.t.Logf("the log:\n%s", l.logged())
		}
	})
}

// install has the next process be another program.
func (l *lineage) install(program string) {
	l.t.Helper()
	content, err := os.ReadFile(program)
	if err != nil {
		l.t.Fatal(err)
	}
	l.installText(content)
}

func (l *lineage) installText(content []byte) {
	l.t.Helper()
	if err := os.WriteFile(l.binary+".new", content, 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(l.binary+".new", l.binary); err != nil {
		l.t.Fatal(err)
	}
}

// configure has the next process read another configuration.
func (l *lineage) configure(config string) {
	l.t.Helper()
	text := fmt.Sprintf("[[listeners]]\naddress = %q\n\n[[listeners]]\naddress = %q\n\n[admin]\naddress = %q\n\n%s", l.address, "unix:"+l.socket, l.admin, config)
	if err := os.WriteFile(l.file, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

var takenOver = regexp.MustCompile(`^process (\d+) has taken over (\d+) conns, which waited for (\S+)\nupgraded\n$`)

// upgrade has the next process take over, with the program's own command, and says how long the clients waited.
func (l *lineage) upgrade() (waited time.Duration) {
	l.t.Helper()
	out, err := l.tryUpgrade()
	said := takenOver.FindStringSubmatch(out)
	if err != nil || said == nil {
		l.t.Fatalf("upgrade: %v: %s", err, out)
	}
	l.pid, _ = strconv.Atoi(said[1])
	if waited, err = time.ParseDuration(said[3]); err != nil {
		l.t.Fatal(err)
	}
	return waited
}

// tryUpgrade gives what the command prints.
func (l *lineage) tryUpgrade() (string, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, l.program, "upgrade", "--admin", l.admin).CombinedOutput()
	return string(out), err
}

// reap takes note of a process that has ended, and waits for it unless options have WNOHANG. It says whether there was one.
func (l *lineage) reap(options int) bool {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-l.group, &status, options, nil)
	for err == syscall.EINTR {
		pid, err = syscall.Wait4(-l.group, &status, options, nil)
	}
	if err != nil || pid <= 0 {
		return false
	}
	l.ended[pid] = status
	return true
}

// alive says whether a process of the lineage has not ended. How one has ended whose parent is still there, that alone knows.
func (l *lineage) alive(pid int) bool {
	for l.reap(syscall.WNOHANG) {
	}
	_, ended := l.ended[pid]
	return !ended && syscall.Kill(pid, 0) == nil
}

// ends waits until a process has ended, which must be without an error.
func (l *lineage) ends(pid int) {
	l.t.Helper()
	for end := time.Now().Add(answerTimeout); l.alive(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("process %d does not end", pid)
		}
	}
	if status := l.ended[pid]; status != 0 {
		l.t.Errorf("process %d ended with status %#x", pid, int(status))
	}
}

// finish ends the last process as an operator would, and all must have ended then.
func (l *lineage) finish() {
	l.t.Helper()
	if err := syscall.Kill(l.pid, syscall.SIGTERM); err != nil {
		l.t.Fatal(err)
	}
	l.ends(l.pid)
	if l.reap(0) {
		l.t.Errorf("processes besides those that took over: %v", l.ended)
	}
	if said := l.logged(); strings.Contains(said, "panic") || strings.Contains(said, "DATA RACE") {
		l.t.Error("a process panicked")
	}
}

func (l *lineage) logged() string {
	text, err := os.ReadFile(l.log)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// until waits until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(answerTimeout); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}
