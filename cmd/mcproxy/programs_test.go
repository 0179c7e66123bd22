package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// A launched program runs beside the script.
type launched struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has been waited for
	grown chan struct{} // has an item if output may be longer than it was

	mu     sync.Mutex
	output bytes.Buffer // of both streams
}

// programs are those that a script has launched, by name. The script's values have them under programsKey.
type (
	programs    map[string]*launched
	programsKey struct{}
)

// Write takes what the program says.
func (l *launched) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.grown <- struct{}{}:
	default:
	}
	return l.output.Write(p)
}

func (l *launched) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.output.String()
}

// waitFor waits until the program has said what re matches, and makes variables of the named groups.
func (l *launched) waitFor(ts *testscript.TestScript, re *regexp.Regexp) {
	timeout := time.After(ioTimeout)
	ended := l.ended
	for {
		if found := re.FindStringSubmatch(l.text()); found != nil {
			for i, name := range re.SubexpNames() {
				if name != "" {
					ts.Setenv(name, found[i])
				}
			}
			return
		}
		if ended == nil {
			ts.Fatalf("%v ended and did not say %s:\n%s", l.cmd.Args, re, l.text())
		}
		select {
		case <-l.grown:
		case <-ended:
			ended = nil // look once more
		case <-timeout:
			ts.Fatalf("%v does not say %s:\n%s", l.cmd.Args, re, l.text())
		}
	}
}

// launch NAME REGEXP PROGRAM ARG… starts a program, and waits until its output, errors included, matches. The expression's
// named groups become variables. The program is killed when the script ends.
func launch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: launch NAME REGEXP PROGRAM ARG…")
	}
	l := &launched{
		cmd:   exec.Command(find(ts, args[2]), args[3:]...),
		ended: make(chan struct{}),
		grown: make(chan struct{}, 1),
	}
	l.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOCOVERDIR"} {
		l.cmd.Env = append(l.cmd.Env, name+"="+ts.Getenv(name))
	}
	l.cmd.Stdout, l.cmd.Stderr = l, l
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a process that takes its place ends with the script too
	ts.Check(l.cmd.Start())
	go func() { // ends with the program, for which the script waits
		_ = l.cmd.Wait()
		close(l.ended)
	}()
	ts.Defer(func() {
		_ = syscall.Kill(-l.cmd.Process.Pid, syscall.SIGKILL)
		<-l.ended
	})
	ts.Value(programsKey{}).(programs)[args[0]] = l
	l.waitFor(ts, compile(ts, args[1]))
}

// find gives the path of one of this binary's programs.
func find(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	ts.Fatalf("there is no program %s", name)
	return ""
}

func compile(ts *testscript.TestScript, expression string) *regexp.Regexp {
	re, err := regexp.Compile(expression)
	ts.Check(err)
	return re
}

// named gives the program that the first argument names.
func named(ts *testscript.TestScript, neg bool, args []string, n int, usage string) *launched {
	if neg || len(args) != n {
		ts.Fatalf("usage: %s", usage)
	}
	l := ts.Value(programsKey{}).(programs)[args[0]]
	if l == nil {
		ts.Fatalf("%s was not launched", args[0])
	}
	return l
}

// until NAME REGEXP waits until the program's output matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	l := named(ts, neg, args, 2, "until NAME REGEXP")
	l.waitFor(ts, compile(ts, args[1]))
}

// sendSignal is the script's signal NAME SIGNAL: it sends one, such as TERM.
func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	l := named(ts, neg, args, 2, "signal NAME SIGNAL")
	ts.Check(l.cmd.Process.Signal(signalOf(ts, args[1])))
}

func signalOf(ts *testscript.TestScript, name string) syscall.Signal {
	s := unix.SignalNum("SIG" + name)
	if s == 0 {
		ts.Fatalf("there is no signal %s", name)
	}
	return s
}

// insist NAME SIGNAL sends a signal again and again, until the program ends.
func insist(ts *testscript.TestScript, neg bool, args []string) {
	l := named(ts, neg, args, 2, "insist NAME SIGNAL")
	s := signalOf(ts, args[1])
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	timeout := time.After(ioTimeout)
	for {
		select {
		case <-again.C:
			_ = l.cmd.Process.Signal(s) // an error is that it has ended
		case <-l.ended:
			return
		case <-timeout:
			ts.Fatalf("%v does not end:\n%s", l.cmd.Args, l.text())
		}
	}
}

// await NAME CODE waits until the program ends, with that exit code (-1: by a signal). Its output becomes stdout.
func await(ts *testscript.TestScript, neg bool, args []string) {
	l := named(ts, neg, args, 2, "await NAME CODE")
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	select {
	case <-l.ended:
	case <-time.After(ioTimeout):
		ts.Fatalf("%v does not end:\n%s", l.cmd.Args, l.text())
	}
	_, err = ts.Stdout().Write([]byte(l.text()))
	ts.Check(err)
	if got := l.cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("%v ended with %d, want %d:\n%s", l.cmd.Args, got, want, l.text())
	}
}

// dead PID waits until a process that is nobody's child here is gone.
func dead(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: dead PID")
	}
	pid, err := strconv.Atoi(args[0])
	ts.Check(err)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	timeout := time.After(ioTimeout)
	for alive(pid) {
		select {
		case <-poll.C:
		case <-timeout:
			ts.Fatalf("process %d lives", pid)
		}
	}
}

// usage PROGRAM ARG… runs a program that must end with exit code 2, and say nothing on its standard output.
func usage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: usage PROGRAM ARG…")
	}
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
		ts.Fatalf("%q ended with %v, want exit code %d", args, err, exitUsage)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("%q printed %q on standard output", args, out)
	}
}

// expand FILE… puts the values of the script's variables into files.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE…")
	}
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}
