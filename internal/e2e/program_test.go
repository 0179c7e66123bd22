package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"mcproxy/internal/loopback"
)

// startProgram builds mcproxy and runs it over one memcached; it ends with the test.
func startProgram(t *testing.T) (pid int, ep endpoint) {
	t.Helper()
	return startProgramOf(t, fmt.Sprintf("[pools.main]\nbackends = [%q]\n", startMemcached(t).Addr()))
}

// startProgramOf builds mcproxy and runs it with a configuration that lacks only the listener; it ends with the test.
func startProgramOf(t *testing.T, config string) (pid int, ep endpoint) {
	t.Helper()
	return runProgram(t, buildProgram(t), config)
}

// built is the program that all tests share. TestMain removes it.
var built struct {
	once      sync.Once
	dir, path string
	err       error
}

// buildProgram builds mcproxy, without the race detector, and gives its path. It is built once.
func buildProgram(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "mcproxy"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "mcproxy")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", built.path, "mcproxy/cmd/mcproxy")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// runProgram runs mcproxy with a configuration that lacks only the listener; it ends with the test.
func runProgram(t *testing.T, binary, config string) (pid int, ep endpoint) {
	t.Helper()
	dir := t.TempDir()
	listen := loopback.Address(t)
	file := filepath.Join(dir, "proxy.toml")
	config = fmt.Sprintf("[[listeners]]\naddress = %q\n\n", listen) + config
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(binary, "serve", "-c", file)
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("mcproxy ended: %v\n%s", err, log.String())
			}
		case <-time.After(answerTimeout):
			_ = cmd.Process.Kill()
			<-ended
			t.Errorf("mcproxy did not end\n%s", log.String())
		}
	})
	waitListening(t, listen)
	return cmd.Process.Pid, endpoint{"tcp", listen}
}
