package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A sourceFile is one Go file of the repository, parsed.
type sourceFile struct {
	Path   string // from the root, with slashes
	Folder string // "." for the root
	Test   bool
	Text   []byte
	File   *ast.File
	Set    *token.FileSet
}

// source parses every Go file of the repository. It reads files rather than ask
// `go list`, so that the test cache knows when to run these tests again.
func source(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != ".." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "data") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		files = append(files, sourceFile{
			Path: rel, Folder: filepath.ToSlash(filepath.Dir(rel)),
			Test: strings.HasSuffix(name, "_test.go"), Text: text, File: parsed, Set: set,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found %d Go files; these tests must run inside the repository", len(files))
	}
	return files
}

// line is where pos stands, for a message a person can click.
func (f sourceFile) line(pos token.Pos) int { return f.Set.Position(pos).Line }
