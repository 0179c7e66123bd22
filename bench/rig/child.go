package rig

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

// A Child is a process that was started here and ends at the latest with this one.
type Child struct {
	name  string
	cmd   *exec.Cmd
	said  *Tail         // the end of its standard error
	ended chan struct{} // closed when it has been waited for
	err   error         // how it ended; set before ended is closed
}

// Start starts a program, with its standard output to stdout, which may be nil.
func Start(name string, stdout io.Writer, argv ...string) (*Child, error) {
	c := &Child{name: name, cmd: exec.Command(argv[0], argv[1:]...), said: &Tail{}, ended: make(chan struct{})}
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
func (c *Child) supervise(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(c.ended)
	c.err = c.cmd.Start()
	started <- c.err
	if c.err == nil {
		c.err = c.cmd.Wait()
	}
}

// PID is the process's number.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Wait returns when the process has ended by itself. When ctx is done first, it is ended.
func (c *Child) Wait(ctx context.Context) error {
	select {
	case <-c.ended:
	case <-ctx.Done():
		c.End(syscall.SIGTERM)
		return ctx.Err()
	}
	if c.err != nil {
		return fmt.Errorf("%s: %w: %s", c.name, c.err, c.said)
	}
	return nil
}

// Gone reports an error if the process has ended.
func (c *Child) Gone() error {
	select {
	case <-c.ended:
		return fmt.Errorf("%s has ended: %v: %s", c.name, c.err, c.said)
	default:
		return nil
	}
}

// Said is the end of what it has written on its standard error.
func (c *Child) Said() string { return c.said.String() }

// WaitSaid returns when the child has written the word on its standard error.
func (c *Child) WaitSaid(ctx context.Context, word string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for !strings.Contains(c.said.String(), word) {
		select {
		case <-c.ended:
			return fmt.Errorf("%s has ended: %v: %s", c.name, c.err, c.said)
		case <-ctx.Done():
			return fmt.Errorf("%s did not say %q: %w: %s", c.name, word, ctx.Err(), c.said)
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil
}

// readyTimeout is how long a server may take from its start to its first answer.
const readyTimeout = 10 * time.Second

// waitReady returns when the server at address answers "version".
func (c *Child) waitReady(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := AskVersion(ctx, address)
		if err == nil {
			return nil
		}
		if err := c.Gone(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: no answer at %s: %w: %s", c.name, address, err, c.said)
		case <-c.ended: // the next turn says so
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// End sends the signal, and returns when the process is gone: by itself, or after endTimeout by force.
func (c *Child) End(signal os.Signal) {
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

// A Tail keeps the end of what is written to it.
type Tail struct {
	mu  sync.Mutex
	buf []byte // guarded by mu
}

// Write never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - maxTail; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}

// Output runs a program to its end and gives what it wrote, trimmed.
func Output(ctx context.Context, argv ...string) (string, error) {
	var out bytes.Buffer
	c, err := Start(argv[0], &out, argv...)
	if err != nil {
		return "", err
	}
	if err := c.Wait(ctx); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}
