//go:build keystone

package keystonetest

import (
	"errors"
	"fmt"
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
)

// Bounds of what programs may take on a busy machine.
const (
	startTimeout = 4 * time.Minute
	stopTimeout  = 20 * time.Second
	toolTimeout  = 4 * time.Minute
)

// A process is one run after another of a program, with one log.
type process struct {
	t       testing.TB
	name    string
	logName string

	mu     sync.Mutex  // guards what follows, and is held while the process changes
	main   *os.Process // nil: not running
	group  int         // that it has begun
	exited chan error
}

func newProcess(t testing.TB, dir, name string) *process {
	p := &process{t: t, name: name, logName: filepath.Join(dir, name+".log")}
	t.Cleanup(func() { p.end(0) })
	return p
}

// run starts the program, in a process group of its own. It ends with the test at the latest, also if the test is killed.
func (p *process) run(cmd *exec.Cmd) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.logName, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
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
	p.main, p.group, p.exited = cmd.Process, cmd.Process.Pid, exited
	return nil
}

// alive is an error if the process is gone.
func (p *process) alive() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.main == nil {
		return fmt.Errorf("%s does not run", p.name)
	}
	select {
	case err := <-p.exited:
		p.main = nil
		return fmt.Errorf("%s ended by itself: %v\n%s", p.name, err, p.lastWords())
	default:
		return nil
	}
}

// end ends the process: with SIGTERM if it ends within grace, else with SIGKILL, and all that it has started.
func (p *process) end(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.main == nil {
		return
	}
	if grace > 0 {
		_ = p.main.Signal(syscall.SIGTERM)
		select {
		case err := <-p.exited:
			p.exited <- err
		case <-time.After(grace):
		}
	}
	_ = syscall.Kill(-p.group, syscall.SIGKILL)
	<-p.exited
	p.main = nil
}

// succeeded takes note that another process, of the same group, has the place of this one, which ends. It does not end if the test is killed.
func (p *process) succeeded(pid int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case err := <-p.exited:
		if err != nil {
			return err
		}
	case <-time.After(stopTimeout):
		return errors.New("the process does not end")
	}
	fd, err := unix.PidfdOpen(pid, 0) // it is no child of this process
	if err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { // ends with the process
		defer unix.Close(fd)
		for {
			if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); n > 0 || !errors.Is(err, unix.EINTR) {
				exited <- err
				return
			}
		}
	}()
	p.exited = exited
	p.main, err = os.FindProcess(pid)
	return err
}

// lastWords is the end of the log.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.logName)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-6000):])
}

// tool runs a program to its end and gives what it printed.
func tool(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	timer := time.AfterFunc(toolTimeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is not installed: run `make e2e-keystone`, which installs it", cmd.Args[0])
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out[max(0, len(out)-6000):])
	}
	return string(out)
}
