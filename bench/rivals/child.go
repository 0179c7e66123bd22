package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// endTimeout is how long a child may take to end by itself when it is told to.
const endTimeout = 3 * time.Second

// A child is a process that was started here and ends at the latest with this one.
type child struct {
	name  string
	cmd   *exec.Cmd
	said  *tail         // the end of its standard error
	ended chan struct{} // closed when it has been waited for
	err   error         // how it ended; set before ended is closed
}

// startChild starts a program, with its standard output to stdout, which may be nil.
func startChild(name string, stdout io.Writer, argv ...string) (*child, error) {
	c := &child{name: name, cmd: exec.Command(argv[0], argv[1:]...), said: &tail{}, ended: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = stdout, c.said
	c.cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, // if this process dies without ending it
		Setpgid:   true,            // Ctrl-C is for this process, which ends its children in order
	}
	started := make(chan error, 1)
	go c.supervise(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// supervise starts the process and waits for its end, with which the goroutine ends too. It keeps its thread: the kernel
// sends Pdeathsig when the thread that forked is gone.
func (c *child) supervise(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(c.ended)
	c.err = c.cmd.Start()
	started <- c.err
	if c.err == nil {
		c.err = c.cmd.Wait()
	}
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// wait returns when the process has ended by itself. When ctx is done first, it is ended.
func (c *child) wait(ctx context.Context) error {
	select {
	case <-c.ended:
	case <-ctx.Done():
		c.end(syscall.SIGTERM)
		return ctx.Err()
	}
	if c.err != nil {
		return fmt.Errorf("%s: %w: %s", c.name, c.err, c.said)
	}
	return nil
}

// gone reports an error if the process has ended.
func (c *child) gone() error {
	select {
	case <-c.ended:
		return fmt.Errorf("%s has ended: %v: %s", c.name, c.err, c.said)
	default:
		return nil
	}
}

// end sends the signal, and returns when the process is gone: by itself, or after endTimeout by force.
func (c *child) end(signal os.Signal) {
	_ = c.cmd.Process.Signal(signal) // an error is that it has ended
	select {
	case <-c.ended:
	case <-time.After(endTimeout):
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
}

// maxTail bounds what a tail keeps, in bytes.
const maxTail = 8 << 10

// A tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte // guarded by mu
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - maxTail; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}

// output runs a program to its end and gives what it wrote, trimmed.
func output(ctx context.Context, argv ...string) (string, error) {
	var out bytes.Buffer
	c, err := startChild(argv[0], &out, argv...)
	if err != nil {
		return "", err
	}
	if err := c.wait(ctx); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}
