package archtest_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"mcproxy/internal/archtest"
)

// TestChecks runs each check on the small module in its file of testdata and
// compares what it finds with the file's list.
func TestChecks(t *testing.T) {
	type files = map[string]string
	for name, check := range map[string]func(*archtest.Tree, files) []archtest.Finding{
		"layers": func(tree *archtest.Tree, f files) []archtest.Finding {
			return archtest.Layers(tree, parseRows(f["rows"]), strings.Fields(f["tests"]))
		},
		"names": func(tree *archtest.Tree, _ files) []archtest.Finding {
			return archtest.Names(tree, []string{"util", "types"})
		},
		"sizes": func(tree *archtest.Tree, _ files) []archtest.Finding {
			return archtest.Sizes(tree, archtest.Limits{
				FuncLines: 5, TestFuncLines: 7, FileLines: 20, PackageLines: 30, Params: 2,
			})
		},
		"docs":  func(tree *archtest.Tree, _ files) []archtest.Finding { return archtest.Documented(tree) },
		"state": func(tree *archtest.Tree, _ files) []archtest.Finding { return archtest.State(tree) },
	} {
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
			if err != nil {
				t.Fatal(err)
			}
			contents := files{}
			for _, file := range archive.Files {
				contents[file.Name] = string(file.Data)
			}
			fsys, err := txtar.FS(archive)
			if err != nil {
				t.Fatal(err)
			}
			tree := load(t, fsys)
			var got []string
			for _, finding := range check(tree, contents) {
				got = append(got, finding.String())
			}
			slices.Sort(got) // by place
			want := slices.Sorted(strings.SplitSeq(strings.TrimSpace(contents["want"]), "\n"))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s findings, - want, + got:\n%s", name, diff)
			}
		})
	}
}

func TestExcept(t *testing.T) {
	long := archtest.Finding{Check: "size", Subject: "a long", Text: "6 lines, over 5"}
	bare := archtest.Finding{Check: "doc", Subject: "a long"}
	reasoned := archtest.Exception{Check: "size", Subject: "a long", Reason: "one table"}
	old := archtest.Exception{Check: "size", Subject: "a gone", Reason: "it was long once"}

	rest, stale := archtest.Except([]archtest.Finding{long, bare}, []archtest.Exception{reasoned, old})
	if diff := cmp.Diff([]archtest.Finding{bare}, rest); diff != "" {
		t.Errorf("rest, - want, + got:\n%s", diff)
	}
	if diff := cmp.Diff([]archtest.Exception{old}, stale); diff != "" {
		t.Errorf("stale, - want, + got:\n%s", diff)
	}
}

func TestLoadFailures(t *testing.T) {
	for name, archive := range map[string]string{
		"no go.mod":         "-- a.go --\npackage a\n",
		"go.mod unreadable": "-- go.mod --\ngo 1.26\n",
		"broken source":     "-- go.mod --\nmodule example\n-- a.go --\npackage\n",
	} {
		fsys, err := txtar.FS(txtar.Parse([]byte(archive)))
		if err != nil {
			t.Fatal(err)
		}
		if tree, err := archtest.Load(fsys); err == nil {
			t.Errorf("%s: Load gives %v, want an error", name, tree)
		}
	}
}

func load(t *testing.T, fsys fs.FS) *archtest.Tree {
	t.Helper()
	tree, err := archtest.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// parseRows reads lines "package | may | uses | never".
func parseRows(text string) []archtest.Row {
	var rows []archtest.Row
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 4 {
			panic(fmt.Sprintf("row %q has %d cells", line, len(cells)))
		}
		rows = append(rows, archtest.Row{
			Package: strings.TrimSpace(cells[0]),
			May:     strings.Fields(cells[1]),
			Uses:    strings.Fields(cells[2]),
			Never:   strings.Fields(cells[3]),
		})
	}
	return rows
}
