package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mcproxy/internal/loopback"
)

// A machineRoom is a real systemd as process 1 of namespaces of its own: processes, mounts and control groups. Of the machine it shares the network,
// and the files but for /etc, /usr/local/bin, /run and /var/lib. It knows no units but those that it is given.
type machineRoom struct {
	t      *testing.T
	dir    string // etc, bin and units
	groups string // the control group
	pid    int    // systemd's
}

// room has the mounts made and runs systemd. $0 is the machine room's directory, $1 its control group.
const room = `
set -e
echo $$ > "$1/cgroup.procs"
exec unshare --cgroup bash -c '
	set -e
	mount --make-rprivate /
	mount -t proc proc /proc
	mount --bind /proc/sys /proc/sys
	mount -o remount,bind,ro /proc/sys
	mount --bind "$0/etc" /etc
	mount --bind "$0/bin" /usr/local/bin
	mount -t tmpfs tmpfs /run
	mount -t tmpfs tmpfs /var/lib
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir /run/systemd
	exec env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=mcproxy SYSTEMD_UNIT_PATH="$0/units" \
		/lib/systemd/systemd --system --unit=room.target --log-target=null --show-status=no
' "$0"
`

// startMachineRoom starts one; it ends with the test. A reason: this process may not.
func startMachineRoom(t *testing.T) (m *machineRoom, reason string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil, "this process is not root's"
	}
	hierarchy := unifiedHierarchy(t)
	if hierarchy == "" {
		return nil, "there are no control groups of version 2"
	}
	m = &machineRoom{t: t, dir: t.TempDir(), groups: filepath.Join(hierarchy, fmt.Sprintf("mcproxy-test-%d", os.Getpid()))}
	if err := os.Mkdir(m.groups, 0o755); err != nil {
		return nil, err.Error()
	}
	t.Cleanup(m.removeGroups)
	m.furnish()
	cmd := exec.Command("/bin/bash", "-c", room, m.dir, m.groups)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// No Pdeathsig, which is sent when the thread that forked has gone, and not only with the process.
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	if err := cmd.Start(); err != nil {
		return nil, err.Error()
	}
	m.pid = cmd.Process.Pid
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := m.command("cat", "/run/said").CombinedOutput()
			t.Logf("the service said:\n%s", text)
		}
		_ = cmd.Process.Kill() // and with process 1 all others
		_ = cmd.Wait()
	})
	until(t, "systemd is running", func() bool {
		out, err := m.command("systemctl", "is-system-running").CombinedOutput()
		return err == nil && string(out) == "running\n"
	})
	return m, ""
}

// unifiedHierarchy is where control groups of version 2 are mounted; "": nowhere.
func unifiedHierarchy(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 2 && words[2] == "cgroup2" {
			return words[1]
		}
	}
	return ""
}

// removeGroups removes the control groups when all processes are gone, the innermost first.
func (m *machineRoom) removeGroups() {
	until(m.t, "the control groups are removed", func() bool {
		var all []string
		_ = filepath.WalkDir(m.groups, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return nil
		})
		for _, path := range slices.Backward(all) {
			_ = syscall.Rmdir(path)
		}
		_, err := os.Stat(m.groups)
		return os.IsNotExist(err)
	})
}

// furnish makes the directories, with what of /etc programs look at, and the targets that services have by default.
func (m *machineRoom) furnish() {
	m.t.Helper()
	for _, name := range []string{"etc/mcproxy", "bin", "units"} {
		if err := os.MkdirAll(filepath.Join(m.dir, name), 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := os.Chmod(m.dir, 0o755); err != nil {
		m.t.Fatal(err)
	}
	for _, name := range []string{"passwd", "group", "nsswitch.conf", "hosts"} {
		if text, err := os.ReadFile("/etc/" + name); err == nil {
			m.put("etc/"+name, string(text))
		}
	}
	m.put("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
	for _, name := range []string{"room", "sysinit", "basic", "sockets", "multi-user", "network-online", "shutdown"} {
		m.put("units/"+name+".target", "[Unit]\nDefaultDependencies=no\n")
	}
}

func (m *machineRoom) put(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// command is a program in the machine room.
func (m *machineRoom) command(argv ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", fmt.Sprint(m.pid), "-m", "-p", "-C", "-i", "-u", "timeout", "60"}, argv...)...)
}

// does runs a program in the machine room, which must succeed, and gives what it prints.
func (m *machineRoom) does(argv ...string) string {
	m.t.Helper()
	out, err := m.command(argv...).CombinedOutput()
	if err != nil {
		status, _ := m.command("systemctl", "status", "--no-pager", "mcproxy.service").CombinedOutput()
		m.t.Fatalf("%s: %v: %s\n%s", strings.Join(argv, " "), err, out, status)
	}
	return string(out)
}

// property is one of the service's.
func (m *machineRoom) property(name string) string {
	m.t.Helper()
	return strings.TrimSpace(m.does("systemctl", "show", "-p", name, "--value", "mcproxy.service"))
}

// documentedSocket is the socket unit of docs/operations.md, for other addresses.
func documentedSocket(t *testing.T, address string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	unit := regexp.MustCompile("(?s)```\n# /etc/systemd/system/mcproxy.socket\n(.*?)```").FindSubmatch(text)
	if unit == nil || bytes.Count(unit[1], []byte("ListenStream=127.0.0.1:11210\n")) != 1 {
		t.Fatal("docs/operations.md shows no mcproxy.socket that listens on 127.0.0.1:11210")
	}
	return strings.Replace(string(unit[1]), "127.0.0.1:11210", address, 1)
}

// TestSystemd has a real systemd run the service of deploy/mcproxy.service, as it stands there, and the socket unit of docs/operations.md.
func TestSystemd(t *testing.T) {
	if throughMemcached(t) {
		return
	}
	program(t, "systemd", "/lib/systemd/systemd")
	m, reason := startMachineRoom(t)
	if m == nil {
		t.Logf("not tried: the service under a real systemd. It takes root, and namespaces: %s", reason)
		return
	}
	for name, from := range map[string]string{"units/mcproxy.service": "mcproxy.service", "etc/sysusers.d/mcproxy.conf": "mcproxy.sysusers.conf"} {
		text, err := os.ReadFile(filepath.Join("../../deploy", from))
		if err != nil {
			t.Fatal(err)
		}
		m.put(name, string(text))
	}
	binary, err := os.ReadFile(buildProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.dir, "bin/mcproxy"), binary, 0o755); err != nil {
		t.Fatal(err)
	}
	ep, admin := endpoint{"tcp", loopback.Address(t)}, loopback.Address(t)
	m.put("units/mcproxy.socket", documentedSocket(t, ep.address))
	config := fmt.Sprintf("[[listeners]]\naddress = %q\n[[listeners]]\naddress = \"unix:/run/mcproxy/mcproxy.sock\"\n[admin]\naddress = %q\n[pools.main]\nbackends = [%q]\n",
		ep.address, admin, startMemcached(t).Addr())
	m.put("etc/mcproxy/proxy.toml", config)
	m.put("units/mcproxy.service.d/said.conf", "[Service]\nStandardError=append:/run/said\n")
	m.does("systemd-sysusers")
	m.does("systemctl", "daemon-reload")
	if out := m.does("env", "SYSTEMD_UNIT_PATH="+m.dir+"/units", "systemd-analyze", "verify", "mcproxy.service", "mcproxy.socket"); out != "" {
		t.Errorf("systemd-analyze verify says %s", out)
	}
	m.serves(ep, config)
	m.changes(ep, admin)
	m.activates(ep)
	m.watches(ep)
}

// serves starts the service, which with a wrong configuration fails, and with the right one answers as soon as it counts as started.
func (m *machineRoom) serves(ep endpoint, config string) {
	m.t.Helper()
	m.put("etc/mcproxy/proxy.toml", strings.Replace(config, "backends", "backend", 1))
	if out, err := m.command("systemctl", "start", "mcproxy.service").CombinedOutput(); err == nil {
		m.t.Errorf("with a wrong configuration the service starts: %s", out)
	}
	m.put("etc/mcproxy/proxy.toml", config)
	m.does("systemctl", "reset-failed", "mcproxy.service")
	m.does("systemctl", "start", "mcproxy.service")
	ep.dial(m.t).ask(m.t, "mn\r\n", "MN\r\n")
	if status := m.property("StatusText"); status != "clients are accepted" {
		m.t.Errorf("the service's status is %q", status)
	}
}

// changes reloads and upgrades the service under a load that notices everything.
func (m *machineRoom) changes(ep endpoint, admin string) {
	m.t.Helper()
	restarts := m.property("NRestarts") // the start that failed may have been tried again
	end := startLoad(m.t, ep.address)
	m.does("systemctl", "reload", "mcproxy.service")
	for range 2 {
		former := m.property("MainPID")
		if out, err := exec.Command(buildProgram(m.t), "upgrade", "--admin", admin).CombinedOutput(); err != nil || !takenOver.Match(out) {
			m.t.Errorf("upgrade: %v: %s", err, out)
		}
		until(m.t, "systemd knows the new process", func() bool { return m.property("MainPID") != former })
		if state := m.property("ActiveState"); state != "active" {
			m.t.Errorf("after the upgrade the service is %s", state)
		}
	}
	if r := end(); r.Failed+r.Redials+r.Timeouts+r.Verify.Offences() != 0 || r.Answers == 0 {
		m.t.Errorf("of %d requests %d failed, %d conns were opened anew: %v", r.Answers, r.Failed, r.Redials, r.Failures)
	} else {
		m.t.Logf("a reload and two upgrades during %d requests, none of which failed", r.Answers)
	}
	if n := m.property("NRestarts"); n != restarts {
		m.t.Errorf("systemd has restarted the service %s times, and before %s", n, restarts)
	}
}

// activates has the socket unit start the service when somebody comes, and restarts that while clients come all the time: none is refused.
func (m *machineRoom) activates(ep endpoint) {
	m.t.Helper()
	m.does("systemctl", "stop", "mcproxy.service")
	m.does("systemctl", "start", "mcproxy.socket")
	if state := m.property("ActiveState"); state != "inactive" {
		m.t.Errorf("before anybody comes the service is %s: %s, status %s", state, m.property("Result"), m.property("ExecMainStatus"))
	}
	ep.dial(m.t).ask(m.t, "mn\r\n", "MN\r\n")
	if state := m.property("ActiveState"); state != "active" {
		m.t.Errorf("after somebody has come the service is %s", state)
	}
	var found findings
	var coming sync.WaitGroup
	stop := make(chan struct{})
	came, late := 0, 0
	coming.Go(func() { // ends with stop; waited for below
		for ; ; came++ {
			select {
			case <-stop:
				return
			default:
			}
			answered, err := comeAndGo(ep)
			if err != nil {
				found.add("a client that comes while the service restarts: %v", err)
				return
			}
			if !answered {
				late++
			}
		}
	})
	for range 3 {
		m.does("systemctl", "restart", "mcproxy.service")
	}
	close(stop)
	coming.Wait()
	found.tell(m.t)
	m.t.Logf("%d clients came and went during three restarts; %d came to a process that had just ended to read", came, late)
	m.does("test", "-S", "/run/mcproxy/mcproxy.sock")
}

// comeAndGo is a client that asks once. Its conn is never refused, but may be closed before it is answered: the process that had accepted it reads no
// more when it ends.
func comeAndGo(ep endpoint) (answered bool, err error) {
	conn, err := net.DialTimeout(ep.network, ep.address, answerTimeout)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return false, err
	}
	if _, err := conn.Write([]byte("mn\r\n")); err != nil {
		return false, notClosed(err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return false, notClosed(err)
	}
	if answer != "MN\r\n" {
		return false, fmt.Errorf("got %q", answer)
	}
	return true, nil
}

// notClosed is an error other than that the peer has closed the conn.
func notClosed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// watches stops the process, which systemd notices and ends, and starts another.
func (m *machineRoom) watches(ep endpoint) {
	m.t.Helper()
	m.put("units/mcproxy.service.d/hurried.conf", "[Service]\nWatchdogSec=6s\n") // 30 s would take a while
	m.does("systemctl", "daemon-reload")
	m.does("systemctl", "restart", "mcproxy.service")
	former := m.property("MainPID")
	m.does("kill", "-STOP", former)
	until(m.t, "the process that does nothing is replaced", func() bool {
		pid := m.property("MainPID")
		return pid != former && pid != "0" && m.property("ActiveState") == "active"
	})
	ep.dial(m.t).ask(m.t, "mn\r\n", "MN\r\n")
	if n := m.property("NRestarts"); n == "0" {
		m.t.Error("systemd knows of no restart")
	}
	m.does("systemctl", "stop", "mcproxy.socket", "mcproxy.service")
}
