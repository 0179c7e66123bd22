package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long a memcached may take to listen, and to end.
const (
	startTimeout = 5 * time.Second
	endTimeout   = 2 * time.Second
)

// A memcached is a real memcached that is a child of this process, and dies with it.
type memcached struct {
	name    string // "b1"
	address string // "127.0.0.1:40001"
	cmd     *exec.Cmd
	said    lockedBuffer  // its standard error
	ended   chan struct{} // closed when it has been waited for
}

// findMemcached gives the path of the program.
func findMemcached() (string, error) {
	path, err := exec.LookPath("memcached")
	if err != nil {
		return "", errors.New("memcached is not installed; install it (Debian and Ubuntu: apt-get install memcached, " +
			"Fedora: dnf install memcached, Alpine: apk add memcached) and try again")
	}
	return path, nil
}

// startMemcached starts one with that many MiB of memory on a free loopback port, and waits until it listens.
func startMemcached(ctx context.Context, path, name string, memory int) (*memcached, error) {
	dir, err := os.MkdirTemp("", "mcproxy-quickstart-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	portFile := filepath.Join(dir, "port")
	// -p -1 is a port that the kernel chooses; memcached writes it into the file.
	args := []string{"-l", "127.0.0.1", "-p", "-1", "-U", "0", "-m", strconv.Itoa(memory)}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "root") // it does not run as root without being told to
	}
	m := &memcached{name: name, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	m.cmd.Env = append(os.Environ(), "MEMCACHED_PORT_FILENAME="+portFile)
	m.cmd.Stderr = &m.said
	m.cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL, // if this process dies without ending it
		Setpgid:   true,            // Ctrl-C is for this process: the proxy drains first
	}
	started := make(chan error, 1)
	go m.supervise(started)
	if err := <-started; err != nil {
		return nil, err
	}
	if err := m.waitForPort(ctx, portFile); err != nil {
		m.end()
		return nil, fmt.Errorf("memcached %s: %w", strings.Join(args, " "), err)
	}
	return m, nil
}

// supervise starts the process and waits for its end, with which the goroutine ends too. It keeps its thread: the kernel sends
// Pdeathsig when the thread that forked is gone.
func (m *memcached) supervise(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(m.ended)
	err := m.cmd.Start()
	started <- err
	if err == nil {
		_ = m.cmd.Wait() // a signal ends it, which is an error, and meant
	}
}

// waitForPort reads the port as soon as it is there.
func (m *memcached) waitForPort(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		text, err := os.ReadFile(file)
		if err == nil {
			for line := range strings.Lines(string(text)) {
				if port, found := strings.CutPrefix(strings.TrimSpace(line), "TCP INET: "); found {
					m.address = "127.0.0.1:" + port
					return nil
				}
			}
		}
		select {
		case <-poll.C:
		case <-m.ended:
			return fmt.Errorf("ended at once: %s", m.said.String())
		case <-ctx.Done():
			return fmt.Errorf("did not say its port: %w", ctx.Err())
		}
	}
}

// end ends the process and waits for it.
func (m *memcached) end() {
	_ = m.cmd.Process.Signal(syscall.SIGTERM) // an error is that it has ended
	select {
	case <-m.ended:
	case <-time.After(endTimeout):
		_ = m.cmd.Process.Kill()
		<-m.ended
	}
}

// A lockedBuffer keeps what is written to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.TrimSpace(b.buf.String())
}
