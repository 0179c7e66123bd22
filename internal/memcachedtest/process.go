//go:build linux

package memcachedtest

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one run of memcached.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has been waited for
	log    *os.File      // its standard output and error, a file without a name
}

// startProcess forks the program. It returns before the program does anything.
func startProcess(binary string, args []string) (*process, error) {
	// A file and not a pipe: what memcached wrote before it answered is there
	// when the answer is.
	log, err := os.CreateTemp("", "memcached*.log")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(log.Name()); err != nil {
		log.Close()
		return nil, err
	}
	p := &process{cmd: exec.Command(binary, args...), exited: make(chan struct{}), log: log}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go p.supervise(started)
	if err := <-started; err != nil {
		log.Close()
		return nil, err
	}
	return p, nil
}

// supervise starts the process and waits until it ends, and that ends the
// goroutine too. It keeps its thread all that time, because the kernel sends
// the death signal when the thread that forked is gone, not the process.
func (p *process) supervise(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.exited)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // a signal ends it: an error, and the expected one
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// end returns when the process is gone: after SIGTERM within grace, or after
// SIGKILL. A process that has ended already is no error.
func (p *process) end(grace time.Duration) {
	if grace > 0 {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.exited:
			return
		case <-time.After(grace):
		}
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// pause returns when the kernel has stopped every thread of the process.
func (p *process) pause() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return waitStopped(p.pid())
}

func (p *process) resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// waitStopped waits for a child to stop, and leaves its end to another wait.
func waitStopped(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// maxLog bounds what lastWords returns, in bytes.
const maxLog = 64 << 10

// lastWords is the end of what the process wrote, as far as it has written it
// by now.
func (p *process) lastWords() string {
	info, err := p.log.Stat()
	if err != nil {
		return err.Error()
	}
	from := max(0, info.Size()-maxLog)
	words, err := io.ReadAll(io.NewSectionReader(p.log, from, maxLog))
	if err != nil {
		return err.Error()
	}
	return string(words)
}

// close ends the process and gives its log back.
func (p *process) close() {
	p.end(0)
	p.log.Close()
}
