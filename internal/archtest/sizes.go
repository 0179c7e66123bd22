package archtest

import (
	"fmt"
	"go/ast"
)

// Limits are the largest sizes that need no reason. Lines include comments
// and blank lines.
type Limits struct {
	FuncLines     int // of a function, from func to its closing brace
	TestFuncLines int // of a function in a test file: its tables are long
	FileLines     int // of a file
	PackageLines  int // of a package's files that are no tests
	Params        int // of a function, its receiver aside
}

// Sizes finds what outgrew the limits.
func Sizes(t *Tree, limits Limits) []Finding {
	var findings []Finding
	for _, pkg := range t.Packages {
		lines := 0
		for _, file := range pkg.Files {
			if !file.Test {
				lines += file.Lines
			}
			if file.Lines > limits.FileLines {
				findings = append(findings, t.finding(file.AST, "size", file.Name,
					"%d lines, over %d", file.Lines, limits.FileLines))
			}
			findings = append(findings, funcSizes(t, pkg, file, limits)...)
		}
		if lines > limits.PackageLines {
			findings = append(findings, t.finding(pkg.Files[0].AST, "size", pkg.Path,
				"%d lines of code, over %d", lines, limits.PackageLines))
		}
	}
	return findings
}

func funcSizes(t *Tree, pkg *Package, file *File, limits Limits) []Finding {
	var findings []Finding
	limit := limits.FuncLines
	if file.Test {
		limit = limits.TestFuncLines
	}
	file.funcs(func(fn *ast.FuncDecl) {
		subject := fmt.Sprintf("%s %s", pkg.Path, funcName(fn))
		lines := t.Fset.Position(fn.End()).Line - t.Fset.Position(fn.Type.Func).Line + 1
		if lines > limit {
			findings = append(findings, t.finding(fn, "size", subject, "%d lines, over %d", lines, limit))
		}
		if n := fn.Type.Params.NumFields(); n > limits.Params {
			findings = append(findings, t.finding(fn, "size", subject, "%d parameters, over %d", n, limits.Params))
		}
	})
	return findings
}
