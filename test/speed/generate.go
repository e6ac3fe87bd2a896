package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
)

// What the generated repository is like: in 300 commits about 80 MB of contents, in the mix of source text, logs, lock files and
// settings that histories of software have. Its pack has delta chains as git's own.
const (
	allCommits = 300
	perCommit  = 6   // files changed by each
	fileLines  = 900 // of each new file; changes replace some
)

// generate makes a bare repository of so many commits at dir, the same in every run.
func generate(ctx context.Context, dir string, commits int) error {
	if out, err := exec.CommandContext(ctx, "git", "init", "-q", "--bare", "--initial-branch=main", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("making a repository: %w: %s", err, out)
	}
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "fast-import", "--quiet", "--depth=50")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	var problem strings.Builder
	cmd.Stderr = &problem
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting git: %w", err)
	}
	w := bufio.NewWriterSize(in, 1<<20)
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2)), files: map[string][]string{}}
	for n := range commits {
		g.commit(w, n)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to git: %w: %s", err, problem.String())
	}
	if err := in.Close(); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("importing: %w: %s", err, problem.String())
	}
	return nil
}

// A generator writes files whose text has the words and shapes that scanners stop at, in about the measure that real text has.
type generator struct {
	*rand.Rand
	files map[string][]string // lines by path
	paths []string
}

func (g *generator) commit(w io.Writer, n int) {
	fmt.Fprintf(w, "commit refs/heads/main\ncommitter Test <test@example.com> %d +0000\ndata 7\nchange\n\n", 1_700_000_000+n*3600)
	for range perCommit {
		path := g.change()
		text := strings.Join(g.files[path], "\n") + "\n"
		fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", path, len(text), text)
	}
}

// change makes a new file or edits one, and returns its path.
func (g *generator) change() string {
	if len(g.paths) < 40 || g.IntN(20) == 0 {
		kind := kinds[g.IntN(len(kinds))]
		path := fmt.Sprintf("%s/%s%d%s", kind.dir, words[g.IntN(len(words))], len(g.paths), kind.ext)
		lines := make([]string, fileLines/2+g.IntN(fileLines))
		for i := range lines {
			lines[i] = kind.line(g)
		}
		g.paths, g.files[path] = append(g.paths, path), lines
		return path
	}
	path := g.paths[g.IntN(len(g.paths))]
	lines := g.files[path]
	for range 1 + g.IntN(12) {
		for _, k := range kinds {
			if strings.HasSuffix(path, k.ext) {
				lines[g.IntN(len(lines))] = k.line(g)
			}
		}
	}
	return path
}

// kinds are the sorts of files. Source text comes most often, as in real histories.
var kinds = []struct {
	dir, ext string
	line     func(*generator) string
}{
	{"src", ".go", (*generator).source}, {"lib", ".py", (*generator).source}, {"web", ".js", (*generator).source},
	{"pkg", ".java", (*generator).source}, {"ci", ".log", (*generator).log}, {"deploy", ".yaml", (*generator).setting},
	{"vendor", ".lock", (*generator).lock},
}

var words = strings.Fields(`account access add agent api array auth bucket build byte cache call case check client close cluster code commit
	config context copy create credential data default delete deploy digest driver encode endpoint entry error event fetch field file filter
	format get handle hash header host id image index input instance job json key label length level limit line list load lock log main map match
	message method mode module name new node number object offset open option order output owner package page parse password path plugin port
	prefix process project provider query queue read record region release request resource response result retry return role route rule run
	sample scan schema secret section send server service session set sign size slice source stack start state status store stream string
	suffix table target task test text thread time timeout token trace type unit update url user value version view wait worker write`)

func (g *generator) word() string { return words[g.IntN(len(words))] }

func (g *generator) camel() string {
	w := g.word()
	return g.word() + strings.ToUpper(w[:1]) + w[1:]
}

func (g *generator) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.IntN(256))
	}
	return b
}

func (g *generator) source() string {
	indent := strings.Repeat("\t", g.IntN(4))
	switch g.IntN(12) {
	case 0:
		return ""
	case 1:
		return indent + "// " + strings.Join([]string{g.word(), g.word(), g.word(), g.word(), g.word(), g.word(), g.word()}, " ") + "."
	case 2:
		return indent + fmt.Sprintf(`%s := fmt.Sprintf("%%s/%s/%%d", %s, %d)`, g.camel(), g.word(), g.camel(), g.IntN(10000))
	case 3:
		return indent + fmt.Sprintf(`if err := %s.%s(ctx, %s); err != nil {`, g.word(), g.camel(), g.camel())
	case 4:
		return indent + "}"
	case 5:
		return indent + fmt.Sprintf(`"%s": "%s %s",`, g.camel(), g.word(), g.word())
	case 6:
		return indent + fmt.Sprintf(`import %s from "./%s/%s"`, g.camel(), g.word(), g.word())
	default:
		return indent + fmt.Sprintf("%s.%s(%s, %s[%d])", g.word(), g.camel(), g.camel(), g.word(), g.IntN(9))
	}
}

func (g *generator) log() string {
	at := fmt.Sprintf("2026-03-%02dT%02d:%02d:%02d.%07dZ ", 1+g.IntN(28), g.IntN(24), g.IntN(60), g.IntN(60), g.IntN(10_000_000))
	switch g.IntN(6) {
	case 0:
		return at + fmt.Sprintf("\x1b[36;1mrun %s --%s=%s\x1b[0m", g.word(), g.word(), g.camel())
	case 1:
		return at + fmt.Sprintf("#%d sha256:%x %d.%dMB / %dMB", g.IntN(40), g.random(32), g.IntN(9), g.IntN(9), g.IntN(90))
	case 2:
		return at + fmt.Sprintf("ok  \tgithub.com/%s/%s/%s\t%d.%03ds", g.word(), g.word(), g.word(), g.IntN(9), g.IntN(1000))
	default:
		return at + fmt.Sprintf("[%s] %s %s https://%s.example.com/%s/%d %d ms", g.word(), g.word(), g.camel(), g.word(), g.word(), g.IntN(1e6), g.IntN(1e4))
	}
}

func (g *generator) setting() string {
	indent := strings.Repeat("  ", g.IntN(4))
	switch g.IntN(8) {
	case 0:
		return indent + g.word() + ":"
	case 1:
		return indent + fmt.Sprintf("%s: ${{ secrets.%s_%s }}", g.word(), strings.ToUpper(g.word()), strings.ToUpper(g.word()))
	case 2:
		return indent + "data: " + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(g.camel()+" "), 1+g.IntN(4)))
	default:
		return indent + fmt.Sprintf("%s: %s-%s.%d", g.camel(), g.word(), g.word(), g.IntN(100))
	}
}

func (g *generator) lock() string {
	switch g.IntN(3) {
	case 0:
		return fmt.Sprintf(`      "integrity": "sha512-%s",`, base64.StdEncoding.EncodeToString(g.random(64)))
	case 1:
		return fmt.Sprintf("github.com/%s/%s v%d.%d.%d h1:%s=", g.word(), g.word(), g.IntN(9), g.IntN(30), g.IntN(9), base64.RawStdEncoding.EncodeToString(g.random(32)))
	default:
		return fmt.Sprintf(`    "node_modules/%s-%s": {`, g.word(), g.word())
	}
}
