package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// TestNothingRuns sets everything by which a repository can make git run a program or look elsewhere.
func TestNothingRuns(t *testing.T) {
	r := gittest.New(t)
	marker := filepath.Join(t.TempDir(), "marker")
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$0 $*\" >>"+marker+"\ncat\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.Write(".gitattributes", "* filter=x diff=x merge=x\n*.txt working-tree-encoding=UTF-16\n")
	r.Write("f", "content\n")
	r.Commit("m")
	r.Write("f", "changed\n")
	r.Write("included", "[core]\n\tfsmonitor = "+script+"\n[alias]\n\tcat-file = !"+script+"\n")
	r.Write(".git/config.worktree", "[core]\n\tfsmonitor = "+script+"\n")
	for _, hook := range []string{"post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc", "fsmonitor-watchman"} {
		r.Write(".git/hooks/"+hook, "#!/bin/sh\n"+script+"\n")
		if err := os.Chmod(filepath.Join(r.Dir, ".git/hooks", hook), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := `[core]
	fsmonitor = SCRIPT
	sshCommand = SCRIPT
	pager = SCRIPT
	editor = SCRIPT
	gitProxy = SCRIPT
	askPass = SCRIPT
	alternateRefsCommand = SCRIPT
	attributesFile = ` + r.Dir + `/.gitattributes
	worktree = /
[filter "x"]
	clean = SCRIPT
	smudge = SCRIPT
	process = SCRIPT
	required = true
[diff]
	external = SCRIPT
[diff "x"]
	textconv = SCRIPT
	command = SCRIPT
[alias]
	cat-file = !SCRIPT
	ls-files = !SCRIPT
[credential]
	helper = !SCRIPT
[gpg]
	program = SCRIPT
[uploadpack]
	packObjectsHook = SCRIPT
[include]
	path = ` + r.Dir + `/included
[includeIf "gitdir:/"]
	path = ` + r.Dir + `/included
[extensions]
	worktreeConfig = true
	partialClone = origin
[remote "origin"]
	url = ext::SCRIPT
	promisor = true
	uploadpack = SCRIPT
[submodule]
	recurse = true
[gc]
	auto = 1
[trace2]
	eventTarget = ` + marker + `
`
	f, err := os.OpenFile(filepath.Join(r.Dir, ".git/config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(strings.ReplaceAll(config, "SCRIPT", script)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_DIR", "/nonexistent")
	t.Setenv("GIT_TRACE2", marker)
	t.Setenv("GIT_EXTERNAL_DIFF", script)
	t.Setenv("GIT_CONFIG_PARAMETERS", "'core.fsmonitor="+script+"'")
	for _, o := range []Options{{}, {Since: "HEAD~"}, {NoHistory: true}} {
		items, _ := list(t, o, r.Dir)
		if !holds(items, "changed") {
			t.Errorf("%+v: the changed file is not listed", o)
		}
	}
	if b, err := os.ReadFile(marker); err == nil {
		t.Errorf("the repository made something run:\n%s", b)
	}
}

func holds(items []listed, text string) bool {
	for _, it := range items {
		if strings.Contains(it.content, text) {
			return true
		}
	}
	return false
}

func saysGap(gaps []audit.Gap, text string) bool {
	for _, g := range gaps {
		if strings.Contains(g.Error(), text) {
			return true
		}
	}
	return false
}

// noise is text that does not compress to nothing, so that damage hits it.
func noise(seed uint64, n int) string {
	rnd := rand.New(rand.NewPCG(seed, 0))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%08x\n", rnd.Uint32())
	}
	return b.String()
}

// TestDamage breaks repositories: all that can still be read is listed, and each defect is a gap.
func TestDamage(t *testing.T) {
	pack := func(r *gittest.Repo) string {
		r.Git("repack", "-adq", "--window=0")
		files, _ := filepath.Glob(filepath.Join(r.Dir, ".git/objects/pack/*.pack"))
		if len(files) != 1 {
			r.Fatalf("packs: %v", files)
		}
		if err := os.Chmod(files[0], 0o644); err != nil {
			r.Fatal(err)
		}
		return files[0]
	}
	change := func(r *gittest.Repo, file string, do func([]byte) []byte) {
		b, err := os.ReadFile(file)
		if err == nil {
			_ = os.Remove(file)
			err = os.WriteFile(file, do(b), 0o644)
		}
		if err != nil {
			r.Fatal(err)
		}
	}
	loose := func(r *gittest.Repo, rev string) string {
		id := r.Git("rev-parse", rev)
		return filepath.Join(r.Dir, ".git/objects", id[:2], id[2:])
	}
	tests := []struct {
		name   string
		damage func(r *gittest.Repo) (ref string)
		keeps  []string // what must be listed all the same
		gap    string
	}{
		{"sound", func(*gittest.Repo) string { return "" }, []string{"first", "second", "third"}, ""},
		{"flipped byte in a pack", func(r *gittest.Repo) string {
			file := pack(r)
			change(r, file, func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b })
			return ""
		}, []string{"third message"}, "damaged"},
		{"truncated pack", func(r *gittest.Repo) string {
			change(r, pack(r), func(b []byte) []byte { return b[:len(b)*2/3] })
			return ""
		}, []string{"third message"}, "truncated"},
		{"pack of zeros", func(r *gittest.Repo) string {
			change(r, pack(r), func(b []byte) []byte { clear(b); return b })
			return ""
		}, nil, "not a pack"},
		{"empty pack", func(r *gittest.Repo) string {
			change(r, pack(r), func([]byte) []byte { return nil })
			return ""
		}, nil, "not a pack"},
		{"pack without index", func(r *gittest.Repo) string {
			file := pack(r)
			if err := os.Remove(strings.TrimSuffix(file, ".pack") + ".idx"); err != nil {
				r.Fatal(err)
			}
			return ""
		}, []string{"first", "second", "third"}, ""},
		{"broken index of a pack", func(r *gittest.Repo) string {
			change(r, strings.TrimSuffix(pack(r), ".pack")+".idx", func(b []byte) []byte { return b[:len(b)/2] })
			return ""
		}, []string{"first", "second", "third"}, "index"},
		{"empty loose object", func(r *gittest.Repo) string {
			change(r, loose(r, "HEAD:f"), func([]byte) []byte { return nil })
			return ""
		}, []string{"first", "second", "third message", "third\n"}, "damaged"},
		{"missing blob of an unchanged file", func(r *gittest.Repo) string {
			_ = os.Remove(loose(r, "HEAD:f"))
			return ""
		}, []string{"first", "second", "third\n"}, "1 blob: missing or damaged"},
		{"missing blob of an unchanged file with other line ends", func(r *gittest.Repo) string {
			b, _ := os.ReadFile(filepath.Join(r.Dir, "f"))
			r.Write("f", strings.ReplaceAll(string(b), "\n", "\r\n"))
			_ = os.Remove(loose(r, "HEAD:f"))
			return ""
		}, []string{"first", "second", "third\r\n"}, "1 blob: missing or damaged"},
		{"garbage as loose object", func(r *gittest.Repo) string {
			change(r, loose(r, "HEAD~:f"), func([]byte) []byte { return []byte(noise(1, 1000)) })
			return ""
		}, []string{"first", "third"}, "damaged"},
		{"truncated loose object", func(r *gittest.Repo) string {
			change(r, loose(r, "HEAD~:f"), func(b []byte) []byte { return b[:len(b)/2] })
			return ""
		}, []string{"first", "third"}, "damaged"},
		{"loose object with another's content", func(r *gittest.Repo) string {
			change(r, loose(r, "HEAD~~:f"), func([]byte) []byte {
				other, err := os.ReadFile(loose(r, "HEAD:f"))
				if err != nil {
					r.Fatal(err)
				}
				return other
			})
			return ""
		}, []string{"second", "third message", "third\n"}, "not the one that the id stands for"},
		{"pack of another name", func(r *gittest.Repo) string {
			file := strings.TrimSuffix(pack(r), ".pack")
			for _, ext := range []string{".pack", ".idx"} {
				if err := os.Rename(file+ext, filepath.Join(filepath.Dir(file), "other"+ext)); err != nil {
					r.Fatal(err)
				}
			}
			return ""
		}, []string{"first", "second", "third"}, ""},
		{"missing blob", func(r *gittest.Repo) string {
			_ = os.Remove(loose(r, "HEAD~:f"))
			return ""
		}, []string{"first", "third"}, "1 blob: missing or damaged"},
		{"missing tree", func(r *gittest.Repo) string {
			_ = os.Remove(loose(r, "HEAD~^{tree}"))
			return ""
		}, []string{"first", "second", "third"}, "trees are missing"},
		{"missing commit", func(r *gittest.Repo) string {
			_ = os.Remove(loose(r, "HEAD~"))
			return ""
		}, []string{"first", "second", "third"}, "1 commit: missing"},
		{"no HEAD and no refs", func(r *gittest.Repo) string {
			r.Remove(".git/HEAD")
			r.Remove(".git/refs")
			return ""
		}, []string{"first", "second", "third"}, "HEAD"},
		{"missing HEAD commit", func(r *gittest.Repo) string {
			_ = os.Remove(loose(r, "HEAD"))
			return ""
		}, []string{"first", "second", "third\n"}, "ref"},
		{"broken refs", func(r *gittest.Repo) string {
			r.Write(".git/refs/heads/broken", "\x1b[31mnot an id")
			r.Write(".git/packed-refs", "# pack-refs\nzzz refs/heads/x\n^\n"+strings.Repeat("0", 40)+" refs/heads/null\n\x00\n")
			r.Write(".git/logs/refs/heads/x", "short\n"+strings.Repeat("z", 200)+"\n")
			return ""
		}, []string{"first", "second", "third"}, "refs: broken"},
		{"HEAD of garbage", func(r *gittest.Repo) string {
			r.Write(".git/HEAD", "\x00\xff")
			return ""
		}, []string{"first", "second", "third"}, "HEAD"},
		{"configuration of garbage", func(r *gittest.Repo) string {
			r.Write(".git/config", "[[[\x00")
			return ""
		}, []string{"first", "second", "third"}, "configuration"},
		{"unknown object format", func(r *gittest.Repo) string {
			r.Write(".git/config", "[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tobjectFormat = md5\n")
			return ""
		}, []string{"third"}, "unknown object format"},
		{"broken index", func(r *gittest.Repo) string {
			r.Write(".git/index", "DIRC\x00\x00\x00\x02\xff\xff\xff\xff")
			return ""
		}, []string{"first", "second", "third"}, "index"},
		{"alternates that are not there", func(r *gittest.Repo) string {
			r.Write(".git/objects/info/alternates", "/nonexistent/objects\n\x00\n../../../../../../..\n# x\n\"quoted\n")
			return ""
		}, []string{"first", "second", "third"}, ""},
		{"objects linked from outside", func(r *gittest.Repo) string {
			other := gittest.New(r.TB)
			other.Write("private", "PRIVATE")
			other.Commit("m")
			_ = os.RemoveAll(filepath.Join(r.Dir, ".git/objects"))
			r.Symlink(filepath.Join(other.Dir, ".git/objects"), ".git/objects")
			return ""
		}, []string{"third"}, "symbolic link"},
		{"git directory linked from outside", func(r *gittest.Repo) string {
			other := gittest.New(r.TB)
			other.Write("private", "PRIVATE")
			other.Commit("m")
			_ = os.RemoveAll(filepath.Join(r.Dir, ".git"))
			r.Symlink(filepath.Join(other.Dir, ".git"), ".git")
			return ""
		}, []string{"third"}, "symbolic link"},
		{"a .git file that leads nowhere", func(r *gittest.Repo) string {
			_ = os.RemoveAll(filepath.Join(r.Dir, ".git"))
			r.Write(".git", "gitdir: /nonexistent\n")
			return ""
		}, []string{"third"}, "not there"},
		{"a damaged repository in a directory", func(r *gittest.Repo) string {
			r.Write(".git/HEAD", "")
			r.Write(".git/objects/info/alternates", "/nonexistent")
			return filepath.Dir(r.Dir)
		}, []string{"first", "third"}, "HEAD"},
		{"shallow", func(r *gittest.Repo) string {
			to := filepath.Join(r.TempDir(), "s")
			r.Git("clone", "-q", "--depth=1", "file://"+r.Dir, to)
			return to
		}, []string{"third"}, "shallow"},
		{"partial", func(r *gittest.Repo) string {
			to := filepath.Join(r.TempDir(), "p")
			r.Git("config", "uploadpack.allowFilter", "true")
			r.Git("clone", "-q", "--filter=blob:none", "file://"+r.Dir, to)
			return to
		}, []string{"third", "first message"}, "the clone is partial"},
		{"without trees", func(r *gittest.Repo) string {
			to := filepath.Join(r.TempDir(), "p")
			r.Git("config", "uploadpack.allowFilter", "true")
			r.Git("clone", "-q", "--filter=tree:0", "--no-checkout", "file://"+r.Dir, to)
			return to
		}, []string{"first message"}, "trees are missing"},
		{"strange paths", func(r *gittest.Repo) string {
			blob := r.Object("blob", "strange content")
			tree := "100644 a\nb\x1b[31m\x00" + rawID(blob) + "100644 caf\xe9\x00" + rawID(blob) + "100644 ..\x00" + rawID(blob) +
				"100644 ../../etc/passwd\x00" + rawID(blob) + "100644 " + strings.Repeat("x", 5000) + "\x00" + rawID(blob)
			id := r.Object("tree", tree)
			r.Git("update-ref", "refs/heads/strange", r.Object("commit", "tree "+id+"\nauthor A <a@b> 99999999999999999999 +9999\ncommitter\n\nm"))
			return ""
		}, []string{"strange content", "caf\xe9", "third"}, ""},
		{"malformed objects", func(r *gittest.Repo) string {
			r.Write(".git/refs/heads/x", r.Object("commit", "tree zzz\nparent -\nauthor\x00\n\nmalformed"))
			r.Write(".git/refs/tags/y", r.Object("tag", "object 0\ntype x\n\nmalformed too"))
			r.Write(".git/refs/tags/z", r.Object("tree", "40000"))
			return ""
		}, []string{"malformed", "malformed too", "third"}, "1 commit: malformed"},
		{"a tree that holds itself", func(r *gittest.Repo) string {
			// Not possible by hash; a deep chain is.
			id := rawID(r.Object("blob", "deep"))
			tree := r.Object("tree", "100644 f\x00"+id)
			for range 100 {
				tree = r.Object("tree", "40000 d\x00"+rawID(tree))
			}
			r.Git("update-ref", "refs/heads/deep", r.Git("commit-tree", "-m", "m", tree))
			return ""
		}, []string{"deep", "d/d/d/d/d"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := gittest.New(t)
			for i, word := range []string{"first", "second", "third"} {
				r.Write("f", word+"\n"+noise(uint64(i), 20000))
				r.Commit(word + " message")
			}
			ref := tt.damage(r)
			if ref == "" {
				ref = r.Dir
			}
			start := time.Now()
			items, gaps := list(t, Options{}, ref)
			for _, text := range tt.keeps {
				if !holds(items, text) {
					t.Errorf("%q is not listed", text)
				}
			}
			if holds(items, "PRIVATE") {
				t.Error("another repository was listed")
			}
			if tt.gap == "" && len(gaps) > 0 || !saysGap(gaps, tt.gap) && tt.gap != "" {
				t.Errorf("gaps %v, want one that says %q", gaps, tt.gap)
			}
			for _, g := range gaps {
				if strings.ContainsAny(g.Error(), "\x1b\x00\n") {
					t.Errorf("gap %q has control characters", g.Error())
				}
			}
			t.Logf("%v; gaps: %v", time.Since(start).Round(time.Millisecond), gaps)
		})
	}
}

func rawID(hex string) string {
	b := make([]byte, len(hex)/2)
	_, _ = fmt.Sscanf(hex, "%x", &b)
	return string(b)
}

// TestInterruption breaks off at every item and expects that neither a process nor a file is left.
func TestInterruption(t *testing.T) {
	r := gittest.New(t)
	for i := range 5 {
		r.Write("f", noise(uint64(i), 300000))
		r.Commit("m")
	}
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	p := newProvider(Options{})
	var at audit.Target
	for found, err := range p.Targets(t.Context(), r.Dir) {
		if err != nil {
			t.Fatal(err)
		}
		at = found
	}
	for stop := range 60 {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		var last error
		for it, err := range p.Items(ctx, at) {
			if it.Done != nil {
				it.Done()
			}
			last = err
			if n++; n == stop {
				if stop%2 == 0 {
					break
				}
				cancel()
			}
		}
		if last != nil && !errors.Is(last, context.Canceled) {
			t.Errorf("stopped at %d: %v", stop, last)
		}
		cancel()
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Fatalf("stopped at %d: left behind: %v %v", stop, left, err)
		}
	}
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range files {
		if b, _ := os.ReadFile(f); len(b) > 0 {
			t.Errorf("processes left: %s", b)
		}
	}
}
