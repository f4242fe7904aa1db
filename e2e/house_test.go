package e2e

import (
	"bytes"
	"go/ast"
	"go/format"
	"strings"
	"testing"
)

// The walls. Aim well below them: 100 to 200 lines a file, one screen a function.
const (
	maxFileLines     = 500
	maxFunctionLines = 70
)

func TestEveryFolderHasOnePackageComment(t *testing.T) {
	comments, onlyTests := map[string][]string{}, map[string]bool{}
	files := source(t)
	for _, f := range files {
		if _, seen := onlyTests[f.Folder]; !seen {
			onlyTests[f.Folder] = true
		}
		if !f.Test {
			onlyTests[f.Folder] = false
		}
	}
	for _, f := range files {
		if f.Test && !onlyTests[f.Folder] {
			continue
		}
		if f.File.Doc != nil {
			comments[f.Folder] = append(comments[f.Folder], f.Path)
		}
	}
	for folder := range onlyTests {
		if n := len(comments[folder]); n != 1 {
			t.Errorf("%s: %d package comments %v; one says what the folder is and what it is not", folder, n, comments[folder])
		}
	}
}

func TestFilesAndFunctionsStayReadable(t *testing.T) {
	for _, f := range source(t) {
		if n := bytes.Count(f.Text, []byte("\n")); n > maxFileLines {
			t.Errorf("%s: %d lines; the wall is %d", f.Path, n, maxFileLines)
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			fn, ok := n.(*ast.FuncDecl)
			if !ok {
				return true
			}
			if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > maxFunctionLines {
				t.Errorf("%s:%d: %s has %d lines; the wall is %d", f.Path, f.line(fn.Pos()), fn.Name.Name, n, maxFunctionLines)
			}
			return true
		})
		if formatted, err := format.Source(f.Text); err != nil || !bytes.Equal(formatted, f.Text) {
			t.Errorf("%s: not as gofmt writes it", f.Path)
		}
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	for _, f := range source(t) {
		for _, decl := range f.File.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s:%d: init; let main call it", f.Path, f.line(fn.Pos()))
			}
		}
	}
}

func TestNoTestSleeps(t *testing.T) {
	for _, f := range source(t) {
		if !f.Test && f.Folder != "e2e/lab" {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" {
				t.Errorf("%s:%d: time.Sleep; wait for the thing itself, with a deadline", f.Path, f.line(sel.Pos()))
			}
			return true
		})
	}
}

// A note to ourselves in the code is a debt nobody sees; an issue is one somebody does.
func TestNothingIsLeftForLaterInTheCode(t *testing.T) {
	marks := []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}
	for _, f := range source(t) {
		for _, group := range f.File.Comments {
			for _, mark := range marks {
				if strings.Contains(group.Text(), mark) {
					t.Errorf("%s:%d: %s in a comment; open an issue instead", f.Path, f.line(group.Pos()), mark)
				}
			}
		}
	}
}

func TestExportedNamesSayWhatTheyAre(t *testing.T) {
	for _, f := range source(t) {
		if f.Test {
			continue
		}
		for _, decl := range f.File.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() && d.Doc == nil {
					t.Errorf("%s:%d: func %s has no comment", f.Path, f.line(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					ts, ok := spec.(*ast.TypeSpec)
					if ok && ts.Name.IsExported() && ts.Doc == nil && d.Doc == nil {
						t.Errorf("%s:%d: type %s has no comment", f.Path, f.line(ts.Pos()), ts.Name.Name)
					}
				}
			}
		}
	}
}
