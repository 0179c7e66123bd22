// Package rigtest is what the tests of programs that measure have in common.
package rigtest

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mcproxy/bench/rig"
)

// Build makes mcproxy, which is measured, and measures; flags are go build's. It gives the program's path.
func Build(t *testing.T, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "mcproxy")
	argv := append([]string{"build", "-buildvcs=false", "-o", binary}, flags...)
	if out, err := exec.Command("go", append(argv, "mcproxy/cmd/mcproxy")...).CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", argv, err, out)
	}
	return binary
}

// Page has a program run with those arguments, and gives the page that it has written. It wants each of parts there, and no figure that is none.
func Page(t *testing.T, run func(context.Context, []string, io.Writer) error, args []string, parts ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.md")
	var log bytes.Buffer
	if err := run(t.Context(), append(args, "--out", file), &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, part := range parts {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q:\n%s\n%s", part, page, &log)
		}
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, rig.Unmeasured) {
		t.Errorf("the page has figures that are none:\n%s", page)
	}
	return page
}
