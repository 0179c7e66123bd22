package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// Documented finds packages without a package comment, and exported names
// without a comment of their own. A constant or a variable may share its
// group's comment or have one at the end of its line; struct fields and
// interface methods are left to the reader, and Error, String and Unwrap mean
// what they mean everywhere.
func Documented(t *Tree) []Finding {
	var findings []Finding
	for _, pkg := range t.Packages {
		code := pkg.code()
		if len(code) == 0 {
			continue
		}
		described := false
		for _, file := range code {
			described = described || said(file.AST.Doc)
			for _, decl := range file.AST.Decls {
				for _, name := range undocumented(decl) {
					findings = append(findings, t.finding(name, "doc", subjectOf(pkg, decl, name), "exported and not documented"))
				}
			}
		}
		if !described {
			findings = append(findings, t.finding(code[0].AST, "doc", pkg.Path, "has no package comment"))
		}
	}
	return findings
}

// known are methods whose contract is the language's.
var known = []string{"Error", "String", "Unwrap"}

// undocumented are the exported names that decl declares without a word.
func undocumented(decl ast.Decl) []*ast.Ident {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if recv := receiver(decl); recv != "" && (!ast.IsExported(recv) || slices.Contains(known, decl.Name.Name)) {
			return nil
		}
		if decl.Name.IsExported() && !said(decl.Doc) {
			return []*ast.Ident{decl.Name}
		}
	case *ast.GenDecl:
		var names []*ast.Ident
		for _, spec := range decl.Specs {
			names = append(names, undocumentedSpec(decl, spec)...)
		}
		return names
	}
	return nil
}

func undocumentedSpec(decl *ast.GenDecl, spec ast.Spec) []*ast.Ident {
	alone := decl.Lparen == token.NoPos // then the comment is the declaration's
	var names []*ast.Ident
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if !said(spec.Doc) && !(alone && said(decl.Doc)) {
			names = append(names, spec.Name)
		}
	case *ast.ValueSpec:
		if !said(spec.Doc) && !said(spec.Comment) && !said(decl.Doc) {
			names = append(names, spec.Names...)
		}
	}
	var exported []*ast.Ident
	for _, name := range names {
		if name.IsExported() {
			exported = append(exported, name)
		}
	}
	return exported
}

// said reports whether a comment holds words, and not directives alone.
func said(comment *ast.CommentGroup) bool {
	return comment != nil && strings.TrimSpace(comment.Text()) != ""
}

func subjectOf(pkg *Package, decl ast.Decl, name *ast.Ident) string {
	if fn, ok := decl.(*ast.FuncDecl); ok {
		return pkg.Path + " " + funcName(fn)
	}
	return pkg.Path + " " + name.Name
}
