package archtest

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// pureCalls are the functions of other packages that may fill a package-level
// variable: what they return does not change.
const pureCalls = " bytes.Repeat crc32.MakeTable crc64.MakeTable errors.New fmt.Errorf fmt.Sprintf netip.MustParsePrefix" +
	" prometheus.NewDesc regexp.MustCompile strings.NewReplacer strings.Repeat template.Must "

// State finds init functions and package-level variables that may change.
// A variable may stand if it has a value from the start (or is embedded), that
// value is no pointer, channel, map made empty, or lock, and nothing in the
// package, tests included, writes to it or takes its address. So sentinels,
// compiled expressions and tables pass; caches, registries, pools and counters
// do not. Writes to another package's variable are found too.
func State(t *Tree) []Finding {
	var findings []Finding
	for _, pkg := range t.Packages {
		s := stateCheck{tree: t, pkg: pkg, info: resolve(t, pkg), vars: map[types.Object]bool{}}
		for _, file := range pkg.Files {
			file.funcs(func(fn *ast.FuncDecl) {
				if fn.Name.Name == "init" && fn.Recv == nil {
					s.report(fn, pkg.Path+" init", "an init function: give the work to a constructor")
				}
			})
			if !file.Test {
				s.declarations(file.AST)
			}
		}
		for _, file := range pkg.Files {
			ast.Inspect(file.AST, s.writes)
		}
		findings = append(findings, s.findings...)
	}
	return findings
}

// resolve finds out which identifier means which object of the package. It
// needs no other package: what those declare stays unknown, and the errors that
// follow from it mean nothing.
func resolve(t *Tree, pkg *Package) *types.Info {
	info := &types.Info{
		Defs:       map[*ast.Ident]types.Object{},
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	var inside, outside []*ast.File // package x with its tests, and package x_test
	for _, file := range pkg.Files {
		if file.Test && strings.HasSuffix(file.AST.Name.Name, "_test") {
			outside = append(outside, file.AST)
		} else {
			inside = append(inside, file.AST)
		}
	}
	config := types.Config{Importer: noImporter{}, Error: func(error) {}}
	for _, files := range [][]*ast.File{inside, outside} {
		_, _ = config.Check(pkg.Path, t.Fset, files, info)
	}
	return info
}

type noImporter struct{}

func (noImporter) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }

type stateCheck struct {
	tree     *Tree
	pkg      *Package
	info     *types.Info
	vars     map[types.Object]bool // the package-level variables of code
	findings []Finding
}

func (s *stateCheck) report(at ast.Node, subject, text string) {
	s.findings = append(s.findings, s.tree.finding(at, "state", subject, "%s", text))
}

// declarations notes the file's package-level variables and looks at their
// first values.
func (s *stateCheck) declarations(file *ast.File) {
	for _, decl := range file.Decls {
		decl, ok := decl.(*ast.GenDecl)
		if !ok || decl.Tok != token.VAR {
			continue
		}
		for _, spec := range decl.Specs {
			spec := spec.(*ast.ValueSpec)
			for i, name := range spec.Names {
				if name.Name == "_" {
					continue
				}
				if obj := s.info.Defs[name]; obj != nil {
					s.vars[obj] = true
				}
				if why := changeable(decl, spec, i); why != "" {
					s.report(name, s.pkg.Path+" "+name.Name, "a package-level variable "+why)
				}
			}
		}
	}
}

// changeable says why the value that variable i of spec starts with must be
// state, or "".
func changeable(decl *ast.GenDecl, spec *ast.ValueSpec, i int) string {
	if embedded(decl.Doc) || embedded(spec.Doc) {
		return ""
	}
	if len(spec.Values) == 0 {
		return "without a value: whoever fills it changes it"
	}
	switch value := ast.Unparen(spec.Values[min(i, len(spec.Values)-1)]).(type) {
	case *ast.UnaryExpr:
		if value.Op == token.AND {
			return "that points to something changeable"
		}
	case *ast.CompositeLit:
		if text := exprText(value.Type); strings.HasPrefix(text, "sync.") || strings.HasPrefix(text, "atomic.") {
			return "of type " + text
		}
		if m, ok := value.Type.(*ast.MapType); ok && len(value.Elts) == 0 {
			return "that is an empty map[" + exprText(m.Key) + "]"
		}
	case *ast.CallExpr:
		return changeableCall(value)
	}
	return ""
}

// changeableCall judges a variable's first value that is a call: conversions,
// the package's own functions and pureCalls may give one.
func changeableCall(call *ast.CallExpr) string {
	name := exprText(call.Fun)
	switch ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		if name == "make" || name == "new" {
			return "that starts empty: whoever fills it changes it"
		}
	case *ast.SelectorExpr:
		if !strings.Contains(pureCalls, " "+name+" ") {
			return "from " + name + ", which may give something changeable"
		}
	}
	return ""
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// writes reports statements that may change a package-level variable.
func (s *stateCheck) writes(node ast.Node) bool {
	switch node := node.(type) {
	case *ast.AssignStmt:
		if node.Tok != token.DEFINE {
			for _, left := range node.Lhs {
				s.written(left, "assigned to")
			}
		}
	case *ast.IncDecStmt:
		s.written(node.X, "counted")
	case *ast.RangeStmt:
		if node.Tok == token.ASSIGN {
			s.written(node.Key, "assigned to")
			s.written(node.Value, "assigned to")
		}
	case *ast.UnaryExpr:
		if node.Op == token.AND {
			s.written(node.X, "pointed to")
		}
	case *ast.CallExpr:
		name := exprText(node.Fun)
		if len(node.Args) > 0 && (name == "delete" || name == "clear" || name == "copy") {
			s.written(node.Args[0], "changed by "+name)
		}
	case *ast.SelectorExpr:
		s.method(node)
	}
	return true
}

// method reports a call on a variable of a method that can change it.
func (s *stateCheck) method(sel *ast.SelectorExpr) {
	selection := s.info.Selections[sel]
	if selection == nil || selection.Kind() != types.MethodVal {
		return
	}
	method, ok := selection.Obj().(*types.Func)
	if !ok {
		return
	}
	recv := method.Signature().Recv()
	if recv == nil {
		return
	}
	if _, pointer := recv.Type().(*types.Pointer); pointer {
		s.written(sel.X, "given to "+method.Name()+", which has a pointer receiver")
	}
}

// written reports expr if it is, or is part of, a package-level variable of
// this package or of another.
func (s *stateCheck) written(expr ast.Expr, how string) {
	for {
		switch e := expr.(type) {
		case *ast.ParenExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.SliceExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.SelectorExpr:
			if x, ok := e.X.(*ast.Ident); ok {
				if _, ok := s.info.Uses[x].(*types.PkgName); ok {
					s.report(e, s.pkg.Path+" "+exprText(e), "another package's variable is "+how)
					return
				}
			}
			expr = e.X
		case *ast.Ident:
			if s.vars[s.info.Uses[e]] {
				s.report(e, s.pkg.Path+" "+e.Name, "a package-level variable is "+how)
			}
			return
		default:
			return
		}
	}
}

// exprText writes a name or a type as in the source.
func exprText(expr ast.Expr) string {
	if expr == nil {
		return ""
	}
	return types.ExprString(expr)
}
