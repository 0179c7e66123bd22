package chaos

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mcproxy/internal/loopback"
)

// buildProxy builds mcproxy, once for all tests, under the race detector if this test is.
func buildProxy(t testing.TB) (binary string) {
	t.Helper()
	sound.Do(func() { sound.path, sound.err = build(sound.dir) })
	if sound.err != nil {
		t.Fatal(sound.err)
	}
	return sound.path
}

// sound is mcproxy as it is.
var sound struct {
	sync.Once

	dir  string // set by TestMain, which removes it
	path string
	err  error
}

// build builds mcproxy in a directory, with more flags for go build.
func build(dir string, flags ...string) (binary string, err error) {
	binary = filepath.Join(dir, "mcproxy")
	args := []string{"build", "-buildvcs=false", "-o", binary}
	if raced {
		args = append(args, "-race")
	}
	args = append(append(args, flags...), "mcproxy/cmd/mcproxy")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

// proxyProcess is one mcproxy that may be stopped, killed and started again. Its address stays.
type proxyProcess struct {
	t       testing.TB
	binary  string
	config  string // the file
	address string
	admin   string
	logName string

	figures sync.Mutex // guards past, now
	past    copied     // what processes said that were killed
	now     copied

	mu     sync.Mutex // guards what follows, and is held while the process changes
	cmd    *exec.Cmd  // nil: not running
	exited chan error
}

const startTimeout = 30 * time.Second

// startProxy starts a proxy; settings is the configuration but for the listener. It ends with the test, which fails if the
// process ended by itself or found a data race.
func startProxy(t testing.TB, binary, settings string) *proxyProcess {
	t.Helper()
	return startProxyIn(t, binary, t.TempDir(), settings)
}

// startProxyIn is startProxy in a directory.
func startProxyIn(t testing.TB, binary, dir, settings string) *proxyProcess {
	t.Helper()
	p := &proxyProcess{
		t: t, binary: binary, config: filepath.Join(dir, "proxy.toml"), address: loopback.Address(t), admin: loopback.Address(t), logName: filepath.Join(dir, "log"),
	}
	text := fmt.Sprintf("[[listeners]]\naddress = %q\n\n[admin]\naddress = %q\n\n%s", p.address, p.admin, settings)
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		log, err := os.ReadFile(p.logName)
		if err != nil {
			t.Error(err)
		}
		for _, bad := range []string{"DATA RACE", "panic: ", "fatal error: "} {
			if at := strings.Index(string(log), bad); at >= 0 {
				t.Errorf("mcproxy on %s: its log says %s", p.address, log[at:min(len(log), at+8000)])
			}
		}
	})
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// start runs the process and returns when it accepts clients.
func (p *proxyProcess) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.logName, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.binary, "serve", "-c", p.config)
	cmd.Stderr = log
	cmd.Dir = filepath.Dir(p.config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, exited := make(chan error), make(chan error, 1)
	go func() { // ends with the process, whose end waits for it; it keeps its thread, whose end would be the process's
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			exited <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	p.cmd, p.exited = cmd, exited
	for deadline := time.Now().Add(startTimeout); ; {
		conn, err := net.Dial("tcp", p.address)
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-exited:
			p.cmd = nil
			return fmt.Errorf("mcproxy on %s ended: %w", p.address, err)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("mcproxy on %s accepts nobody: %w", p.address, err)
		}
	}
}

// kill ends the process with SIGKILL. One that has ended by itself is a failure of the test.
func (p *proxyProcess) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	select {
	case err := <-p.exited:
		p.t.Errorf("mcproxy on %s ended by itself: %v", p.address, err)
	default:
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	p.cmd = nil
}

// pause stops the process and returns when all its threads have stopped.
func (p *proxyProcess) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WSTOPPED|unix.WNOWAIT|unix.WEXITED, nil)
		if err != unix.EINTR { // kill says it if the process is gone
			return
		}
	}
}

func (p *proxyProcess) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
}
