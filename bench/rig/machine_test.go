package rig

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// A child that is not waited for is a goroutine that leaks.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMissingProgram(t *testing.T) {
	if path, err := findProgram("no-such-program"); err == nil || !strings.Contains(err.Error(), "install Debian's package no-such-program") {
		t.Errorf("findProgram = %q, %v, want an error that names the package", path, err)
	}
}

// TestOneCore runs where one CPU may be used.
func TestOneCore(t *testing.T) {
	if len(os.Args) > 1 && os.Getenv("RIG_ONE_CORE") != "" {
		_, err := NewMachine(t.Context(), "test", &bytes.Buffer{}, os.Args[0])
		fmt.Printf("NewMachine: %v\n", err)
		return
	}
	list, err := allowedCores("self")
	if err != nil {
		t.Fatal(err)
	}
	cores, err := parseCores(list)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("taskset", "-c", strconv.Itoa(cores[0]), os.Args[0], "-test.run=^TestOneCore$", "-test.v")
	cmd.Env = append(os.Environ(), "RIG_ONE_CORE=yes")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "needs at least 2, one for the proxy") {
		t.Errorf("on one core: %v\n%s", err, out)
	}
}
