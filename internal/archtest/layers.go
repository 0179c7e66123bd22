package archtest

import (
	"path"
	"slices"
	"strings"
)

// A Row is one package's place in the house. A row may stand before its
// package does.
type Row struct {
	Package string   // its path within the module
	May     []string // the module's packages that it may import; Any for all
	Uses    []string // import paths of other modules that it may import, with what is below them
	Never   []string // standard packages that it must not import, with what is below them
}

// Any in Row.May allows every package of the module that is no test's.
const Any = "*"

// Layers finds packages without a row, and imports that no row allows. It
// looks at direct imports of code that is no test: what an allowed package
// imports is that package's own row's business, and tests may look anywhere.
// tests are packages for tests alone, which a row allows by name only.
func Layers(t *Tree, rows []Row, tests []string) []Finding {
	table := map[string]Row{}
	for _, row := range rows {
		table[row.Package] = row
	}
	var findings []Finding
	for _, pkg := range t.Packages {
		code := pkg.code()
		if len(code) == 0 {
			continue
		}
		row, ok := table[pkg.Path]
		if !ok {
			findings = append(findings, t.finding(code[0].AST, "layer", pkg.Path,
				"has no row in the table of layers: say what it holds and what it may import"))
			continue
		}
		for _, file := range code {
			for _, spec := range file.AST.Imports {
				if text := t.refuse(row, importPath(spec), tests); text != "" {
					findings = append(findings, t.finding(spec, "layer", pkg.Path, "%s", text))
				}
			}
		}
	}
	return findings
}

// refuse says why row's package must not import name, or "".
func (t *Tree) refuse(row Row, name string, tests []string) string {
	ours, isOurs := strings.CutPrefix(name, t.Module+"/")
	first, _, _ := strings.Cut(name, "/")
	switch {
	case name == t.Module:
		return "imports the module's root"
	case isOurs && slices.Contains(row.May, ours):
		return ""
	case isOurs && slices.Contains(tests, ours):
		return "imports " + ours + ", which is for tests alone"
	case isOurs && !slices.Contains(row.May, Any):
		return "must not import " + ours
	case isOurs:
		return ""
	case strings.Contains(first, ".") && !under(name, row.Uses):
		return "must not import " + name + ": another package is its home"
	case under(name, row.Never):
		return "must never import " + name
	}
	return ""
}

// under reports whether name is one of roots or below one.
func under(name string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return name == root || strings.HasPrefix(name, root+"/")
	})
}

// Names finds packages whose name does not say what is inside.
func Names(t *Tree, vague []string) []Finding {
	var findings []Finding
	for _, pkg := range t.Packages {
		names := []string{path.Base(pkg.Path)}
		for _, file := range pkg.Files {
			names = append(names, strings.TrimSuffix(file.AST.Name.Name, "_test"))
		}
		for _, name := range vague {
			if slices.Contains(names, name) {
				findings = append(findings, t.finding(pkg.Files[0].AST, "name", pkg.Path,
					"%s does not say what is inside", name))
			}
		}
	}
	return findings
}
