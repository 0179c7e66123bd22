package rig

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// VersionLine is the first line that a program says of its version: nutcracker writes it on its standard error.
func (m *Machine) VersionLine(ctx context.Context, name, flag string) string {
	var out Tail
	c, err := Start(name, &out, m.Program(name), flag)
	if err != nil {
		return err.Error()
	}
	if err := c.Wait(ctx); err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(strings.TrimSpace(out.String()+"\n"+c.said.String()), "\n")
	return line
}

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "model unknown"
}

// Describe gives a page's first rows: the cores, the kernel, mcproxy and the Go of this program.
func (m *Machine) Describe(ctx context.Context) ([][]string, error) {
	version, err := Output(ctx, m.Mcproxy, "version")
	if err != nil {
		return nil, err
	}
	version, _, _ = strings.Cut(version, "\n")
	return [][]string{
		{"cores", fmt.Sprintf("%d (%s); the proxies on CPU %s, all else on CPU %s", len(m.Cores), cpuModel(), m.ProxyCores(1), m.LoadCores())},
		{"kernel", firstLine("/proc/sys/kernel/osrelease")},
		{"mcproxy", version},
		{"go", runtime.Version() + ", this program's"},
	}, nil
}
