package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// A Tree is the Go source of one module, all build constraints together.
type Tree struct {
	Module   string // the module's path, "mcproxy"
	Fset     *token.FileSet
	Packages []*Package // in the order of their paths
}

// A Package is the Go source of one directory.
type Package struct {
	Path  string // within the module, "internal/epoll"; "." for the root
	Files []*File
}

// A File is one Go source file.
type File struct {
	Name  string // within the module, "ring/ring.go"
	Test  bool   // ends in _test.go
	Lines int
	AST   *ast.File // with comments
}

// A Finding is one place that breaks a rule.
type Finding struct {
	Pos     token.Position
	Check   string // the rule: "layer", "size", …
	Subject string // what breaks it, without line numbers: an Exception names it
	Text    string // what is wrong, for people
}

// String gives the finding as a compiler would.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s: %s", f.Pos, f.Check, f.Subject, f.Text)
}

// Load parses the module whose go.mod is in fsys's root. Directories that the
// go command ignores, and modules within the module, are left out.
func Load(fsys fs.FS) (*Tree, error) {
	tree := &Tree{Fset: token.NewFileSet()}
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	if tree.Module, err = modulePath(string(mod)); err != nil {
		return nil, err
	}
	packages := map[string]*Package{}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipDir(fsys, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		file, err := tree.parse(fsys, name)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if packages[dir] == nil { // WalkDir goes in lexical order
			packages[dir] = &Package{Path: dir}
			tree.Packages = append(tree.Packages, packages[dir])
		}
		packages[dir].Files = append(packages[dir].Files, file)
		return nil
	})
	return tree, err
}

func modulePath(mod string) (string, error) {
	for line := range strings.Lines(mod) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", errors.New("go.mod has no module line")
}

// skipDir is fs.SkipDir for a directory that is no part of the module.
func skipDir(fsys fs.FS, name string) error {
	if name == "." {
		return nil
	}
	base := path.Base(name)
	if base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (t *Tree) parse(fsys fs.FS, name string) (*File, error) {
	source, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(t.Fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &File{
		Name:  name,
		Test:  strings.HasSuffix(name, "_test.go"),
		Lines: t.Fset.File(file.Pos()).LineCount(),
		AST:   file,
	}, nil
}

// finding makes a Finding at a node of the tree.
func (t *Tree) finding(at ast.Node, check, subject, format string, args ...any) Finding {
	return Finding{
		Pos:     t.Fset.Position(at.Pos()),
		Check:   check,
		Subject: subject,
		Text:    fmt.Sprintf(format, args...),
	}
}

// code are the package's files that are no tests.
func (p *Package) code() []*File {
	var files []*File
	for _, file := range p.Files {
		if !file.Test {
			files = append(files, file)
		}
	}
	return files
}

// funcs calls do for each function and method of the file.
func (f *File) funcs(do func(*ast.FuncDecl)) {
	for _, decl := range f.AST.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			do(fn)
		}
	}
}

// funcName is "Name" or "Type.Name".
func funcName(fn *ast.FuncDecl) string {
	if recv := receiver(fn); recv != "" {
		return recv + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// receiver is the name of the type that fn is a method of, or "".
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	expr := fn.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// importPath is the path that an import names.
func importPath(spec *ast.ImportSpec) string {
	name, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value // the parser has refused such a file
	}
	return name
}
