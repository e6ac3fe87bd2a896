// Package leakreach_test holds the project's walls: who may import whom, and what no package may do.
package leakreach_test

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/leakreach/leakreach"

// TestWalls holds the code against the tables of docs/architecture.md.
func TestWalls(t *testing.T) {
	doc, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	w := wallsFrom(doc)
	if len(w.rooms) < 8 || len(w.outside) < 4 {
		t.Fatalf("docs/architecture.md: read %d rooms and %d modules; has a table changed its form?", len(w.rooms), len(w.outside))
	}
	files := 0
	err = filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		files++
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, problem := range w.check(filepath.ToSlash(name), src) {
			t.Error(problem)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Errorf("looked at %d files only", files)
	}
}

// TestWallsStand shows for each wall that it is there.
func TestWallsStand(t *testing.T) {
	w := wallsFrom([]byte(`
| folder | what it is | may import of the project |
|---|---|---|
| ` + "`cmd`" + ` | | everything |
| ` + "`providers`" + ` | | ` + "`audit`, `providers/...`" + ` |
| ` + "`providers/*`" + ` | | ` + "`audit`, `internal/lazyregexp`, `providers/internal/...`" + ` |
| ` + "`scanners/*`" + ` | | ` + "`audit`" + ` |
| ` + "`verify/*`" + ` | | ` + "`audit`" + ` |
| ` + "`audit`" + ` | | |

| module | used in |
|---|---|
| ` + "`github.com/google/go-github`" + ` | ` + "`providers/github`" + ` |
`))
	own := func(dir string) string { return strconv.Quote(module + "/" + dir) }
	for _, c := range []struct {
		name, file, src string
		ok              bool
	}{
		{"the roof sees all", "cmd/main.go", "import " + own("providers/local"), true},
		{"a list sees its wing", "providers/providers.go", "import " + own("providers/local"), true},
		{"a plug-in sees its own folder", "providers/github/a.go", "import " + own("providers/github/graphql"), true},
		{"a plug-in sees what its wing shares", "providers/github/a.go", "import " + own("providers/internal/forge"), true},
		{"a plug-in does not see another", "providers/github/a.go", "import " + own("providers/gitlab"), false},
		{"a wing does not see another", "scanners/secrets/a.go", "import " + own("verify/aws"), false},
		{"a plug-in does not see its list", "scanners/secrets/a.go", "import " + own("scanners"), false},
		{"the ground sees nobody", "audit/a.go", "import " + own("scanners/secrets"), false},
		{"the ground uses the standard library only", "audit/a.go", `import "gopkg.in/yaml.v3"`, false},
		{"a module at home", "providers/github/a.go", `import "github.com/google/go-github/v60/github"`, true},
		{"a module abroad", "scanners/secrets/a.go", `import "github.com/google/go-github/v60/github"`, false},
		{"a room nobody opened", "misc/a.go", "import " + own("audit"), false},
		{"cgo", "providers/local/a.go", `import "C"`, false},
		{"init", "providers/local/a.go", "func init() {}", false},
		{"an init that is a method", "providers/local/a.go", "type T int\nfunc (T) init() {}", true},
		{"a value revealed by a verifier", "verify/aws/a.go", "func f(s interface{ Reveal() string }) { s.Reveal() }", true},
		{"a value revealed by a scanner", "scanners/secrets/a.go", "func f(s interface{ Reveal() string }) { s.Reveal() }", false},
		{"the environment below the roof", "scanners/secrets/a.go", "import \"os\"\nvar _ = os.Getenv", false},
		{"the environment in a test", "scanners/secrets/a_test.go", "import \"os\"\nvar _ = os.Getenv", true},
		{"the environment in a package for tests", "providers/internal/gittest/a.go", "import \"os\"\nvar _ = os.Getenv", true},
		{"a package for tests in a test", "providers/local/a_test.go", "import " + own("providers/internal/gittest"), true},
		{"a wing's package for tests in a plug-in's test", "providers/github/a_test.go", "import " + own("providers/forgetest"), true},
		{"another wing's package for tests", "scanners/secrets/a_test.go", "import " + own("providers/forgetest"), false},
		{"a package for tests in the program", "providers/local/a.go", "import " + own("providers/internal/gittest"), false},
		{"a name that says nothing", "providers/local/a.go", "package util", false},
		{"an expression compiled by being imported", "providers/local/a.go", "import \"regexp\"\nvar x = []*regexp.Regexp{regexp.MustCompile(`a`)}", false},
		{"an expression compiled in a function", "providers/local/a.go", "import \"regexp\"\nvar x = func() *regexp.Regexp { return regexp.MustCompile(`a`) }", true},
		{"an expression compiled in a test", "providers/local/a_test.go", "import \"regexp\"\nvar x = regexp.MustCompile(`a`)", true},
		{"an expression compiled at once", "providers/local/a.go", "import \"regexp\"\nvar x = func() *regexp.Regexp { return regexp.MustCompile(`a`) }()", false},
		{"an expression compiled at its first use", "providers/local/a.go", "import " + own("internal/lazyregexp") + "\nvar x = lazyregexp.New(`a`)", true},
		{"an expression that is none", "providers/local/a.go", "import " + own("internal/lazyregexp") + "\nvar x = lazyregexp.New(`a(` + b + `c`)", false},
		{"an expression of several parts", "providers/local/a.go", "import " + own("internal/lazyregexp") + "\nvar x = lazyregexp.New(`a(` + b + `)`)", true},
		{"a getter", "providers/local/a.go", "func GetName() string { return \"\" }", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := c.src
			if !strings.HasPrefix(src, "package ") {
				src = "package p\n" + src
			}
			problems := w.check(c.file, []byte(src+"\n"))
			if c.ok != (len(problems) == 0) {
				t.Errorf("problems: %q, want none: %t", problems, c.ok)
			}
		})
	}
}

type walls struct {
	rooms   map[string][]string // folder or folder/*: what it may import
	outside map[string]string   // module: the folder that may import it
}

// wallsFrom reads the two tables: rows whose first cell is a name in backquotes.
func wallsFrom(doc []byte) walls {
	w := walls{map[string][]string{}, map[string]string{}}
	lines := bufio.NewScanner(bytes.NewReader(doc))
	for lines.Scan() {
		cells := strings.Split(strings.Trim(lines.Text(), "| "), "|")
		names := quoted(cells[0])
		if !strings.HasPrefix(lines.Text(), "| `") || len(names) != 1 {
			continue
		}
		switch last := cells[len(cells)-1]; {
		case strings.Contains(strings.Split(names[0], "/")[0], "."): // a host: a module's path
			w.outside[names[0]] = strings.Join(quoted(last), " ")
		case strings.TrimSpace(last) == "everything":
			w.rooms[names[0]] = []string{"..."}
		case strings.Count(lines.Text(), "|") == 4:
			w.rooms[names[0]] = quoted(last)
		}
	}
	return w
}

func quoted(cell string) (names []string) {
	for i, s := range strings.Split(cell, "`") {
		if i%2 == 1 {
			names = append(names, s)
		}
	}
	return names
}

// room finds the longest row that stands for dir.
func (w walls) room(dir string) (room string, ok bool) {
	for d := dir; d != "."; d = path.Dir(d) {
		if _, ok := w.rooms[d]; ok {
			return d, true
		}
		star := path.Dir(d) + "/*"
		if _, ok := w.rooms[star]; ok {
			return star, true
		}
	}
	return "", false
}

// allows tells whether a file in dir may import the project's package to.
func (w walls) allows(dir, to string) bool {
	room, _ := w.room(dir)
	self := room
	if strings.HasSuffix(room, "/*") { // a plug-in: the folder that the star stands for here
		depth := strings.Count(room, "/") + 1
		self = strings.Join(strings.Split(dir, "/")[:depth], "/")
	} else if w.rooms[room+"/*"] != nil { // a list: it is one package
		self = ""
	}
	if dir == to || self != "" && within(to, self) {
		return true
	}
	return slices.ContainsFunc(w.rooms[room], func(allowed string) bool {
		if prefix, tree := strings.CutSuffix(allowed, "..."); tree {
			return strings.HasPrefix(to+"/", prefix)
		}
		return to == allowed
	})
}

func within(dir, tree string) bool { return dir == tree || strings.HasPrefix(dir, tree+"/") }

func (w walls) check(name string, src []byte) (problems []string) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	say := func(at token.Pos, format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s: %s", fset.Position(at), fmt.Sprintf(format, args...)))
	}
	dir := path.Dir(name)
	test := strings.HasSuffix(name, "_test.go") || strings.HasSuffix(dir, "test") // gittest, forgetest: for tests alone
	if _, ok := w.room(dir); !ok && dir != "." {
		say(file.Package, "%s is in no row of docs/architecture.md", dir)
	}
	for _, spec := range file.Imports {
		to, _ := strconv.Unquote(spec.Path.Value)
		if problem := w.checkImport(dir, to, test); problem != "" {
			say(spec.Pos(), "%s", problem)
		}
	}
	vague := []string{"util", "utils", "common", "helpers", "types", "models", "base", "core", "manager", "misc"}
	if slices.Contains(vague, strings.TrimSuffix(file.Name.Name, "_test")) {
		say(file.Name.Pos(), "the package name %s says nothing", file.Name.Name)
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			switch getter, isGet := strings.CutPrefix(f.Name.Name, "Get"); {
			case f.Name.Name == "init" && f.Recv == nil:
				say(f.Pos(), "init: nothing happens by being imported")
			case isGet && getter != "" && ast.IsExported(getter) && !test:
				say(f.Pos(), "%s: call it %s", f.Name.Name, getter)
			}
		}
	}
	if test || within(dir, "test") {
		return problems
	}
	for _, decl := range file.Decls {
		if g, ok := decl.(*ast.GenDecl); ok {
			for _, at := range compiled(g) {
				say(at, "regexp.MustCompile: a package's expressions are compiled when they are first used (internal/lazyregexp)")
			}
		}
	}
	process := []string{"Getenv", "LookupEnv", "Environ", "Exit", "Args", "Stdin", "Stdout", "Stderr"}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && isLazy(call.Fun) {
			if _, err := regexp.Compile(written(call.Args[0])); err != nil { // a program that is run would not say so before it is used
				say(call.Pos(), "%v", err)
			}
		}
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, _ := sel.X.(*ast.Ident)
		switch {
		case strings.HasPrefix(sel.Sel.Name, "Reveal") && !within(dir, "verify") && !within(dir, "audit"):
			say(sel.Pos(), "%s: a secret's value is used in verify and nowhere else", sel.Sel.Name)
		case x != nil && x.Name == "os" && slices.Contains(process, sel.Sel.Name) && !within(dir, "cmd"):
			say(sel.Pos(), "os.%s: only cmd sees the process", sel.Sel.Name)
		}
		return true
	})
	return problems
}

// compiled finds the expressions that are compiled when n is made: not those in functions, unless they are called at once.
func compiled(n ast.Node) (at []token.Pos) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.FuncLit); ok {
				at = append(at, compiled(f.Body)...)
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "regexp" && strings.HasPrefix(n.Sel.Name, "MustCompile") {
				at = append(at, n.Pos())
			}
		}
		return true
	})
	return at
}

// isLazy tells whether a function is lazyregexp.New.
func isLazy(f ast.Expr) bool {
	sel, ok := f.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == "lazyregexp" && sel.Sel.Name == "New"
}

// written is the text that an expression of Go is put together of, with a 0 for each part that has a name.
func written(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		return written(e.X) + written(e.Y)
	}
	return "0"
}

func (w walls) checkImport(dir, to string, test bool) string {
	if to == "C" {
		return "cgo: the program is one static binary"
	}
	if own, ok := strings.CutPrefix(to, module+"/"); ok {
		if strings.HasSuffix(own, "test") && !test && !within(dir, "test") {
			return fmt.Sprintf("%s is for tests alone", own)
		}
		wing, _, _ := strings.Cut(dir, "/")
		if w.allows(dir, own) || test && (within(own, "audit") || within(own, wing) && strings.HasSuffix(own, "test")) {
			return ""
		}
		return fmt.Sprintf("%s may not import %s (docs/architecture.md)", dir, own)
	}
	if first, _, _ := strings.Cut(to, "/"); !strings.Contains(first, ".") {
		return "" // standard library
	}
	if within(dir, "audit") && !test {
		return fmt.Sprintf("audit uses the standard library only, not %s", to)
	}
	for module, home := range w.outside {
		if within(to, module) && !within(dir, home) && !within(dir, "test") {
			return fmt.Sprintf("%s is used in %s only", module, home)
		}
	}
	return ""
}
