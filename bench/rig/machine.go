package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A Machine is where everything runs: the measured proxies on the first cores, all else on the last one.
type Machine struct {
	Name     string   // of the measuring program, which is said before each line
	Mcproxy  string   // the program that is measured, and the load generator too: an absolute path
	Cores    []int    // that this process could use at its start, >= 2
	Repeated []string // what Persist had to do again, and why; the caller empties it

	out         io.Writer
	programs    map[string]string // paths, by name
	descriptors uint64            // that a process may open
	pinned      map[int]string    // processes that were there before, and the cores that they had
}

// NewMachine finds the cores, mcproxy and the programs, memcached apart, and moves this process to the core of the load. name
// is the measuring program's, which says to out what it does.
func NewMachine(ctx context.Context, name string, out io.Writer, mcproxy string, programs ...string) (*Machine, error) {
	m := &Machine{Name: name, out: out, programs: map[string]string{}, pinned: map[int]string{}}
	cores, err := allowedCores("self")
	if err != nil {
		return nil, err
	}
	if m.Cores, err = parseCores(cores); err != nil {
		return nil, err
	}
	if len(m.Cores) < 2 {
		return nil, fmt.Errorf("this process may use the CPUs %s: needs at least 2, one for the proxy and one for everything else", cores)
	}
	var missing []error
	for _, program := range append([]string{"taskset", "prlimit", "memcached"}, programs...) {
		path, err := findProgram(program)
		if err != nil {
			missing = append(missing, err)
		}
		m.programs[program] = path
	}
	if m.Mcproxy, err = filepath.Abs(mcproxy); err != nil {
		return nil, err
	}
	if _, err := os.Stat(m.Mcproxy); err != nil {
		missing = append(missing, fmt.Errorf("%w; make build makes it", err))
	}
	if err := errors.Join(missing...); err != nil {
		return nil, err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	m.descriptors = limit.Max
	if err := m.Pin(ctx, os.Getpid(), m.LoadCores()); err != nil {
		return nil, err
	}
	return m, nil
}

// Pin moves all threads of a process to the cores, in the form of taskset, until Close.
func (m *Machine) Pin(ctx context.Context, pid int, cores string) error {
	before, err := allowedCores(strconv.Itoa(pid))
	if err != nil {
		return err
	}
	if err := m.taskset(ctx, pid, cores); err != nil {
		return err
	}
	m.pinned[pid] = before
	return nil
}

func (m *Machine) taskset(ctx context.Context, pid int, cores string) error {
	_, err := Output(ctx, m.programs["taskset"], "-acp", cores, strconv.Itoa(pid))
	return err
}

// Close gives everybody the cores back that they had.
func (m *Machine) Close() {
	for pid, cores := range m.pinned {
		if err := m.taskset(context.Background(), pid, cores); err != nil {
			m.Say("cannot give process %d the cores %s back: %v", pid, cores, err)
		}
	}
}

// Program is the path of one that was asked for, and "" of others.
func (m *Machine) Program(name string) string { return m.programs[name] }

// ProxyCores are the first n cores, in the form of taskset.
func (m *Machine) ProxyCores(n int) string {
	var names []string
	for _, core := range m.Cores[:min(n, len(m.Cores))] {
		names = append(names, strconv.Itoa(core))
	}
	return strings.Join(names, ",")
}

// LoadCores is the last core: of the load generator, the memcacheds and this process.
func (m *Machine) LoadCores() string { return strconv.Itoa(m.Cores[len(m.Cores)-1]) }

// Say writes a line about what is being done.
func (m *Machine) Say(format string, args ...any) {
	fmt.Fprintf(m.out, m.Name+": "+format+"\n", args...)
}

// NeedDescriptors is an error if a process may not hold that many conns.
func (m *Machine) NeedDescriptors(conns int) error {
	if need := uint64(conns) + 200; m.descriptors < need {
		return fmt.Errorf("a process may open %d files here, %d conns need %d: raise ulimit -Hn", m.descriptors, conns, need)
	}
	return nil
}

// attempts is how often something is tried that other load on the machine can spoil.
const attempts = 3

// Persist runs attempt again while it fails, at most three times in all, and remembers why in Repeated.
func (m *Machine) Persist(ctx context.Context, attempt func() error) error {
	for i := 1; ; i++ {
		err := attempt()
		if err == nil || ctx.Err() != nil || i == attempts {
			return err
		}
		m.Repeated = append(m.Repeated, err.Error())
		m.Say("again, as: %v", err)
	}
}
