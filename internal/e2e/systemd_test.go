package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mcproxy/internal/loopback"
)

// A serviceManager hears what services tell it, as systemd does (sd_notify(3)).
type serviceManager struct {
	t    *testing.T
	path string

	mu     sync.Mutex
	lines  []string // guarded by mu: all variables that it was told
	looked int      // guarded by mu: lines that told has passed by
}

func startServiceManager(t *testing.T) *serviceManager {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	m := &serviceManager{t: t, path: filepath.Join(dir, "socket")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends when the conn is closed; the test's end waits for it
		defer close(done)
		m.listen(conn)
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
		os.RemoveAll(dir)
	})
	return m
}

func (m *serviceManager) listen(conn *net.UnixConn) {
	text, oob := make([]byte, 4096), make([]byte, 256)
	for {
		n, oobn, _, _, err := conn.ReadMsgUnix(text, oob)
		if err != nil {
			return
		}
		m.mu.Lock()
		m.lines = append(m.lines, strings.Split(strings.TrimSpace(string(text[:n])), "\n")...)
		m.mu.Unlock()
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			continue
		}
		for i := range messages { // of a barrier
			fds, _ := unix.ParseUnixRights(&messages[i])
			for _, fd := range fds {
				unix.Close(fd)
			}
		}
	}
}

// told waits until the manager is told a line that begins so, after those that were waited for before.
func (m *serviceManager) told(prefix string) (line string) {
	m.t.Helper()
	until(m.t, "the service manager is told "+prefix, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		i := slices.IndexFunc(m.lines[m.looked:], func(l string) bool { return strings.HasPrefix(l, prefix) })
		if i < 0 {
			return false
		}
		line = m.lines[m.looked+i]
		m.looked += i + 1
		return true
	})
	return line
}

// TestServiceManager runs mcproxy as a service with sockets of its service manager, through reloads, an upgrade, and its end.
func TestServiceManager(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	m := startServiceManager(t)
	program := buildProgram(t)
	mc := startMemcached(t)
	l := &lineage{
		program: program, running: running{t: t, admin: loopback.Address(t), endpoint: endpoint{"tcp", loopback.Address(t)}}, ended: make(map[int]syscall.WaitStatus),
	}
	dir, err := os.MkdirTemp("", "activated")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	l.binary, l.file, l.log, l.socket = filepath.Join(dir, "mcproxy"), filepath.Join(dir, "proxy.toml"), filepath.Join(dir, "log"), filepath.Join(dir, "socket")
	l.install(program)
	l.configure(fmt.Sprintf("[pools.main]\nbackends = [%q]\n", mc.Addr()))

	// The shell's pid is the program's: LISTEN_PID must name it.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" serve -c "$1"`, l.binary, l.file)
	var names []string
	for _, s := range []struct{ network, address, name string }{{"tcp", l.address, "clients"}, {"unix", l.socket, "unix"}, {"tcp", l.admin, "admin"}, {"tcp", loopback.Address(t), "nobody"}} {
		cmd.ExtraFiles = append(cmd.ExtraFiles, socketFile(t, s.network, s.address))
		names = append(names, s.name)
	}
	if err := os.Chmod(l.socket, 0o700); err != nil {
		t.Fatal(err)
	}
	early := l.dial(t) // before anybody is there
	say(t, early, "mn\r\n")
	l.start(cmd, []string{
		"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=400000",
		fmt.Sprintf("LISTEN_FDS=%d", len(cmd.ExtraFiles)), "LISTEN_FDNAMES=" + strings.Join(names, ":"),
	})
	m.told("READY=1")
	m.told("STATUS=clients are accepted")
	if answer, err := early.unitOf(""); err != nil || answer != "MN\r\n" {
		t.Errorf("who came early gets %q, %v", answer, err)
	}
	endpoint{"unix", l.socket}.dial(t).ask(t, "mn\r\n", "MN\r\n")
	if l.readyz() != 200 || !strings.Contains(l.logged(), "an inherited socket is in no [[listeners]] or [admin] of the configuration") {
		t.Error("the admin socket is not used, or the one that nobody needs is not told of")
	}
	m.told("WATCHDOG=1")
	mc.Pause() // a backend that is away is no reason to start the proxy anew
	m.told("WATCHDOG=1")
	m.told("WATCHDOG=1")
	mc.Resume()

	if err := syscall.Kill(l.pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	m.told("RELOADING=1")
	m.told("MONOTONIC_USEC=")
	m.told("READY=1")

	former := l.pid
	l.upgrade()
	if got, want := m.told("MAINPID="), fmt.Sprintf("MAINPID=%d", l.pid); got != want {
		t.Errorf("the service manager is told %s, want %s", got, want)
	}
	l.ends(former)
	m.told("WATCHDOG=1")
	early.ask(t, "mn\r\n", "MN\r\n")
	if info, err := os.Stat(l.socket); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the unix socket: %v, %v; want what the service manager has made", info, err)
	}

	early.Close()
	if err := syscall.Kill(l.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.told("STOPPING=1")
	l.ends(l.pid)
	if _, err := os.Stat(l.socket); err != nil {
		t.Errorf("the unix socket, which is the service manager's, after the end: %v", err)
	}
}

// socketFile listens, as a service manager does before the service is there; the file is closed when the test ends.
func socketFile(t *testing.T, network, address string) *os.File {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
