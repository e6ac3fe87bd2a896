package local

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/leakreach/leakreach/audit"
)

// repo is a repository made by a test with the git program.
type repo struct {
	*testing.T
	dir string
	env []string
}

func needGit(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is missing")
		}
		t.Skip("git is missing: apt-get install git")
	}
}

func newRepo(t *testing.T, args ...string) *repo {
	t.Helper()
	needGit(t)
	r := &repo{T: t, dir: t.TempDir(), env: []string{"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com"}}
	r.git(append([]string{"init", "-q", "-b", "main"}, args...)...)
	r.write("README", "hello\n")
	r.commit("start")
	return r
}

// git runs git without the configuration of the machine and returns what it printed.
func (r *repo) git(args ...string) string { r.Helper(); return r.gitIn("", args...) }

func (r *repo) gitIn(stdin string, args ...string) string {
	r.Helper()
	out, err := r.try(stdin, args...)
	if err != nil {
		r.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func (r *repo) try(stdin string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ALLOW_PROTOCOL=file",
		"GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.com", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "LC_ALL=C",
	}, r.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r *repo) write(name, content string) {
	r.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		r.Fatal(err)
	}
}

func (r *repo) symlink(to, name string) {
	r.Helper()
	if err := os.Symlink(to, filepath.Join(r.dir, name)); err != nil {
		r.Fatal(err)
	}
}

func (r *repo) remove(name string) {
	r.Helper()
	if err := os.RemoveAll(filepath.Join(r.dir, name)); err != nil {
		r.Fatal(err)
	}
}

// commit commits all there is, and returns the commit's id.
func (r *repo) commit(message string) string {
	r.Helper()
	r.git("add", "-A")
	r.gitIn(message, "commit", "-q", "--allow-empty", "-F", "-")
	return r.git("rev-parse", "HEAD")
}

// object stores an object as it is given.
func (r *repo) object(kind, content string) string {
	r.Helper()
	return r.gitIn(content, "hash-object", "-t", kind, "-w", "--stdin", "--literally")
}

// listed is what a listing yields, contents read.
type listed struct {
	audit.Item
	content string
}

func newProvider(opts Options) *Provider {
	return New(audit.Env{Log: slog.New(slog.DiscardHandler)}, opts)
}

// list reads all targets of a ref.
func list(t *testing.T, opts Options, ref string) (out []listed, gaps []audit.Gap) {
	t.Helper()
	p := newProvider(opts)
	var targets []audit.Target
	for at, err := range p.Targets(t.Context(), ref) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			gaps = append(gaps, *gap)
			continue
		}
		if err != nil {
			t.Fatalf("targets of %s: %v", ref, err)
		}
		targets = append(targets, at)
	}
	for _, at := range targets {
		got, more := listTarget(t, p, at)
		out, gaps = append(out, got...), append(gaps, more...)
	}
	return out, gaps
}

func listTarget(t *testing.T, p *Provider, at audit.Target) (out []listed, gaps []audit.Gap) {
	t.Helper()
	for it, err := range p.Items(t.Context(), at) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			gaps = append(gaps, *gap)
			continue
		}
		if err != nil {
			t.Fatalf("items of %s: %v", at.Name, err)
		}
		l := listed{it, string(it.Content)}
		if it.Open != nil {
			rc, err := it.Open(t.Context())
			if err != nil {
				gaps = append(gaps, audit.Gap{What: it.At.Path, Why: err.Error()})
				continue
			}
			b, err := io.ReadAll(rc)
			if err != nil {
				t.Error(err)
			}
			_ = rc.Close()
			l.content = string(b)
		}
		if it.Done != nil {
			it.Done()
		}
		out = append(out, l)
	}
	return out, gaps
}

// place is where a token must be said to lie.
type place struct {
	kind   audit.ItemKind
	path   string // "*": any
	name   string
	ref    string
	commit string
	head   bool
}

func utf16le(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// TestHidingPlaces hides a token in every part of a repository that can hold one: each must be listed as content exactly once
// and then be placed.
func TestHidingPlaces(t *testing.T) {
	blob := func(path string, head bool) place {
		return place{kind: audit.KindPlace, path: path, head: head, ref: "refs/heads/main"}
	}
	message := place{kind: audit.KindCommit, name: "commit"}
	tests := []struct {
		name string
		hide func(r *repo, token string) (scan string) // the ref, "" for the repository
		want place
	}{
		{"file", func(r *repo, s string) string {
			r.write("a/b.txt", s)
			r.commit("m")
			return ""
		}, blob("a/b.txt", true)},
		{"file in a subdirectory's listing", func(r *repo, s string) string {
			r.write("a/b.txt", s)
			r.commit("m")
			r.remove("a/b.txt")
			r.write("a/c.txt", "")
			r.commit("m")
			return filepath.Join(r.dir, "a")
		}, place{kind: audit.KindPlace, path: "a/b.txt", ref: "refs/heads/main"}},
		{"commit message", func(r *repo, s string) string {
			r.commit("subject\n\n" + s)
			r.commit("next")
			return ""
		}, message},
		{"tag message", func(r *repo, s string) string {
			r.gitIn(s, "tag", "-F", "-", "v1")
			return ""
		}, place{kind: audit.KindCommit, name: "tag", ref: "refs/tags/v1"}},
		{"author name", func(r *repo, s string) string {
			r.git("commit", "-q", "--allow-empty", "-m", "m", "--author", s+" <x@example.com>")
			return ""
		}, message},
		{"author e-mail", func(r *repo, s string) string {
			r.git("commit", "-q", "--allow-empty", "-m", "m", "--author", "x <"+s+"@example.com>")
			return ""
		}, message},
		{"committer", func(r *repo, s string) string {
			tree := r.git("rev-parse", "HEAD^{tree}")
			id := r.object("commit", "tree "+tree+"\nauthor A <a@b> 1767323045 +0000\ncommitter "+s+" <a@b> 1767323045 +0000\n\nm\n")
			r.git("update-ref", "refs/heads/other", id)
			return ""
		}, place{kind: audit.KindCommit, name: "commit", ref: "refs/heads/other"}},
		{"note", func(r *repo, s string) string {
			r.git("notes", "add", "-m", s)
			return ""
		}, place{kind: audit.KindPlace, path: "*", name: "note", ref: "refs/notes/commits"}},
		{"note of another ref", func(r *repo, s string) string {
			r.git("notes", "--ref", "refs/notes/ci", "add", "-m", s)
			return ""
		}, place{kind: audit.KindPlace, path: "*", name: "note", ref: "refs/notes/ci"}},
		{"stash", func(r *repo, s string) string {
			r.write("README", s)
			r.git("stash")
			return ""
		}, place{kind: audit.KindPlace, path: "README", ref: "refs/stash"}},
		{"older stash", func(r *repo, s string) string {
			r.write("README", s)
			r.git("stash")
			r.write("README", "other")
			r.git("stash")
			return ""
		}, place{kind: audit.KindPlace, path: "README", ref: "refs/stash", name: "reflog"}},
		{"stash of an untracked file", func(r *repo, s string) string {
			r.write("new", s)
			r.git("stash", "-u")
			return ""
		}, place{kind: audit.KindPlace, path: "new", ref: "refs/stash"}},
		{"unmerged branch", func(r *repo, s string) string {
			r.git("checkout", "-q", "-b", "side")
			r.write("f", s)
			r.commit("m")
			r.git("checkout", "-q", "main")
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "refs/heads/side"}},
		{"remote branch", func(r *repo, s string) string {
			r.write("f", s)
			id := r.commit("m")
			r.git("reset", "-q", "--hard", "HEAD~")
			r.git("update-ref", "refs/remotes/origin/x", id)
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "refs/remotes/origin/x"}},
		{"pull request ref", func(r *repo, s string) string {
			r.write("f", s)
			id := r.commit("m")
			r.git("reset", "-q", "--hard", "HEAD~")
			r.git("update-ref", "refs/pull/1/head", id)
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "refs/pull/1/head"}},
		{"reflog only", func(r *repo, s string) string {
			r.write("f", s)
			r.commit("m")
			r.git("reset", "-q", "--hard", "HEAD~")
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "*", name: "reflog"}},
		{"amended commit", func(r *repo, s string) string {
			r.write("README", s)
			r.commit("m")
			r.write("README", "clean")
			r.git("commit", "-qa", "--amend", "-m", "m")
			return ""
		}, place{kind: audit.KindPlace, path: "README", ref: "*", name: "reflog"}},
		{"dangling blob", func(r *repo, s string) string {
			r.object("blob", s)
			return ""
		}, place{}},
		{"dangling commit", func(r *repo, s string) string {
			r.write("f", s)
			r.commit("m")
			r.git("reset", "-q", "--hard", "HEAD~")
			r.git("reflog", "expire", "--expire=now", "--all")
			r.git("update-ref", "-d", "ORIG_HEAD")
			return ""
		}, place{kind: audit.KindPlace, path: "f", name: "unreachable commit"}},
		{"message of a dangling commit", func(r *repo, s string) string {
			r.commit("subject\n\n" + s)
			r.git("reset", "-q", "--hard", "HEAD~")
			r.git("reflog", "expire", "--expire=now", "--all")
			r.commit("next")
			return ""
		}, message},
		{"staged only", func(r *repo, s string) string {
			r.write("f", s)
			r.git("add", "f")
			r.remove("f")
			return ""
		}, place{kind: audit.KindPlace, path: "f", name: "staged"}},
		{"staged and in the working tree", func(r *repo, s string) string {
			r.write("f", s)
			r.git("add", "f")
			return ""
		}, place{kind: audit.KindPlace, path: "f", name: "staged"}},
		{"staged in a split index", func(r *repo, s string) string {
			r.write("f", s)
			r.git("add", "f")
			r.git("update-index", "--split-index")
			r.remove("f")
			return ""
		}, place{kind: audit.KindPlace, path: "f", name: "staged"}},
		{"untracked file", func(r *repo, s string) string {
			r.write("new/f", s)
			return ""
		}, place{kind: audit.KindFile, path: "new/f"}},
		{"changed file", func(r *repo, s string) string {
			r.write("README", s)
			return ""
		}, place{kind: audit.KindFile, path: "README"}},
		{"file changed back to an old content", func(r *repo, s string) string {
			r.write("README", s)
			r.commit("m")
			r.write("README", "clean")
			r.commit("m")
			r.write("README", s)
			return ""
		}, place{kind: audit.KindPlace, path: "README", commit: "none"}},
		{"tracked file that is ignored", func(r *repo, s string) string {
			r.write("dir/f", "x")
			r.commit("m")
			r.write(".gitignore", "dir/\n")
			r.write("dir/f", s)
			return ""
		}, place{kind: audit.KindFile, path: "dir/f"}},
		{"evil merge", func(r *repo, s string) string {
			r.git("checkout", "-q", "-b", "side")
			r.write("f", "1")
			r.commit("m")
			r.git("checkout", "-q", "main")
			r.write("g", "2")
			r.commit("m")
			r.git("merge", "-q", "--no-commit", "side")
			r.write("f", s)
			r.commit("merged")
			r.write("f", "clean")
			r.commit("m")
			return ""
		}, blob("f", false)},
		{"octopus merge", func(r *repo, s string) string {
			for _, b := range []string{"x", "y", "z"} {
				r.git("checkout", "-q", "-b", b, "main")
				r.write(b, b)
				r.commit(b)
			}
			r.git("checkout", "-q", "main")
			r.git("merge", "-q", "--no-commit", "x", "y", "z")
			r.write("evil", s)
			r.commit("merged")
			return ""
		}, blob("evil", true)},
		{"attribute -diff", func(r *repo, s string) string {
			r.write(".gitattributes", "* -diff -text binary\n")
			r.write("f", s)
			r.commit("m")
			r.remove("f")
			r.commit("m")
			return ""
		}, blob("f", false)},
		{"deleted file", func(r *repo, s string) string {
			r.write("f", s)
			r.commit("m")
			r.remove("f")
			r.commit("m")
			return ""
		}, blob("f", false)},
		{"renamed file", func(r *repo, s string) string {
			r.write("f", s)
			r.commit("m")
			r.git("mv", "f", "g")
			r.commit("m")
			return ""
		}, blob("g", true)},
		{"file that became a link", func(r *repo, s string) string {
			r.write("f", s)
			r.commit("m")
			r.remove("f")
			r.symlink("README", "f")
			r.commit("m")
			return ""
		}, blob("f", false)},
		{"link that became a file", func(r *repo, s string) string {
			r.symlink(s, "f")
			r.commit("m")
			r.remove("f")
			r.write("f", "x")
			r.commit("m")
			return ""
		}, blob("f", false)},
		{"link target", func(r *repo, s string) string {
			r.symlink("https://"+s+"@example.com", "f")
			r.commit("m")
			return ""
		}, blob("f", true)},
		{"untracked link target", func(r *repo, s string) string {
			r.symlink("https://"+s+"@example.com", "f")
			return ""
		}, place{kind: audit.KindFile, path: "f"}},
		{"file name", func(r *repo, s string) string {
			r.write(s+".txt", "x")
			r.commit("m")
			r.git("mv", s+".txt", "y")
			r.commit("m")
			return ""
		}, place{kind: audit.KindPaths, name: "file names"}},
		{"directory name", func(r *repo, s string) string {
			r.write("a/"+s+"/f", "x")
			r.commit("m")
			r.git("mv", "a", "b")
			r.git("rm", "-rqf", "b")
			r.commit("m")
			return ""
		}, place{kind: audit.KindPaths, name: "file names"}},
		{"branch name", func(r *repo, s string) string {
			r.git("branch", "fix/"+s)
			r.git("reflog", "expire", "--expire=now", "--all")
			return ""
		}, place{kind: audit.KindPaths, name: "ref names"}},
		{"tag name", func(r *repo, s string) string {
			r.git("tag", s)
			return ""
		}, place{kind: audit.KindPaths, name: "ref names"}},
		{"submodule URL", func(r *repo, s string) string {
			r.write(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = https://u:"+s+"@example.com/x\n")
			r.commit("m")
			return ""
		}, blob(".gitmodules", true)},
		{"configuration", func(r *repo, s string) string {
			r.git("config", "remote.origin.url", "https://u:"+s+"@example.com/x")
			return ""
		}, place{kind: audit.KindFile, path: ".git/config"}},
		{"hook", func(r *repo, s string) string {
			r.write(".git/hooks/pre-push", s)
			return ""
		}, place{kind: audit.KindFile, path: ".git/hooks/pre-push"}},
		{"reflog message", func(r *repo, s string) string {
			r.git("update-ref", "-m", s, "--create-reflog", "refs/heads/main", r.git("commit-tree", "-p", "HEAD", "-m", "m", "HEAD^{tree}"))
			r.write(".git/logs/HEAD", "")
			return ""
		}, place{kind: audit.KindFile, path: ".git/logs/refs/heads/main"}},
		{"large file storage", func(r *repo, s string) string {
			r.write(".git/lfs/objects/ab/cd/abcd", s)
			return ""
		}, place{kind: audit.KindFile, path: ".git/lfs/objects/ab/cd/abcd"}},
		{"large file pointer", func(r *repo, s string) string {
			r.write("big", "version https://git-lfs.github.com/spec/v1\noid sha256:"+s+"\nsize 3\n")
			r.commit("m")
			return ""
		}, blob("big", true)},
		{"detached working tree", func(r *repo, s string) string {
			other := filepath.Join(r.TempDir(), "w")
			r.git("worktree", "add", "-q", "--detach", other)
			w := &repo{T: r.T, dir: other, env: r.env}
			w.write("f", s)
			w.commit("m")
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "HEAD"}},
		{"staged in another working tree", func(r *repo, s string) string {
			other := filepath.Join(r.TempDir(), "w")
			r.git("worktree", "add", "-q", "--detach", other)
			w := &repo{T: r.T, dir: other, env: r.env}
			w.write("f", s)
			w.git("add", "f")
			return ""
		}, place{kind: audit.KindPlace, path: "f", name: "staged"}},
		{"seen from a working tree", func(r *repo, s string) string {
			r.write("f", s)
			r.commit("m")
			other := filepath.Join(r.TempDir(), "w")
			r.git("worktree", "add", "-q", "--detach", other)
			return other
		}, place{kind: audit.KindPlace, path: "f", head: true, ref: "*"}},
		{"orphan branch", func(r *repo, s string) string {
			r.git("checkout", "-q", "--orphan", "pages")
			r.write("f", s)
			r.commit("m")
			r.git("checkout", "-q", "main")
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "refs/heads/pages"}},
		{"tagged blob", func(r *repo, s string) string {
			r.gitIn("m", "tag", "-F", "-", "key", r.object("blob", s))
			return ""
		}, place{kind: audit.KindPlace, ref: "refs/tags/key"}},
		{"lightly tagged blob", func(r *repo, s string) string {
			r.git("tag", "key", r.object("blob", s))
			return ""
		}, place{kind: audit.KindPlace, ref: "refs/tags/key"}},
		{"tagged tree", func(r *repo, s string) string {
			r.write("t/f", s)
			r.git("add", "-A")
			tree := r.git("write-tree")
			r.git("reset", "-q", "--hard")
			r.git("tag", "-a", "-m", "m", "tree", tree)
			return ""
		}, place{kind: audit.KindPlace, path: "t/f", ref: "refs/tags/tree"}},
		{"tag of a tag", func(r *repo, s string) string {
			r.gitIn(s, "tag", "-F", "-", "one")
			r.git("tag", "-a", "-m", "m", "two", "one")
			r.git("tag", "-d", "one")
			return ""
		}, place{kind: audit.KindCommit, name: "tag"}},
		{"object hidden by a replacement", func(r *repo, s string) string {
			r.write("f", s)
			r.commit("m")
			r.git("replace", r.git("rev-parse", "HEAD:f"), r.object("blob", "clean"))
			return ""
		}, blob("f", true)},
		{"commit hidden by a graft", func(r *repo, s string) string {
			r.write("f", s)
			r.commit("m")
			r.remove("f")
			r.commit("m")
			r.write(".git/info/grafts", r.git("rev-parse", "HEAD")+"\n")
			return ""
		}, blob("f", false)},
		{"borrowed objects", func(r *repo, s string) string {
			r.write("f", s)
			r.commit("m")
			other := filepath.Join(r.TempDir(), "shared")
			r.git("clone", "-q", "--shared", ".", other)
			return other
		}, blob("f", true)},
		{"packed", func(r *repo, s string) string {
			r.write("f", s)
			r.commit("m")
			r.write("f", s[:len(s)-1]+"\n")
			r.commit("m")
			r.git("gc", "-q", "--prune=now")
			return ""
		}, blob("f", false)},
		{"UTF-16", func(r *repo, s string) string {
			r.write("f", utf16le(s))
			r.commit("m")
			return ""
		}, blob("f", true)},
		{"converted line ends", func(r *repo, s string) string {
			r.git("config", "core.autocrlf", "true")
			r.write("f", "x\r\n"+s+"\r\n")
			r.commit("m")
			return ""
		}, blob("f", true)},
		{"commit in another encoding", func(r *repo, s string) string {
			r.git("-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "--allow-empty", "-m", "subject", "-m", "caf\xe9 "+s)
			r.commit("next")
			return ""
		}, message},
		{"signature", func(r *repo, s string) string {
			tree := r.git("rev-parse", "HEAD^{tree}")
			id := r.object("commit", "tree "+tree+"\nauthor A <a@b> 1767323045 +0000\ncommitter A <a@b> 1767323045 +0000\ngpgsig -----BEGIN\n "+s+"\n -----END\n\nm\n")
			r.git("update-ref", "refs/heads/signed", id)
			return ""
		}, place{kind: audit.KindCommit, name: "commit", ref: "refs/heads/signed"}},
		{"merged tag", func(r *repo, s string) string {
			tree := r.git("rev-parse", "HEAD^{tree}")
			id := r.object("commit", "tree "+tree+"\nauthor A <a@b> 1767323045 +0000\ncommitter A <a@b> 1767323045 +0000\nmergetag object "+tree+"\n type commit\n tag x\n tagger A <a@b> 1 +0000\n \n "+s+"\n\nm\n")
			r.git("update-ref", "refs/heads/merged", id)
			return ""
		}, place{kind: audit.KindCommit, name: "commit", ref: "refs/heads/merged"}},
		{"bare repository", func(r *repo, s string) string {
			r.write("f", s)
			r.commit("m")
			bare := filepath.Join(r.TempDir(), "b.git")
			r.git("clone", "-q", "--bare", ".", bare)
			return bare
		}, blob("f", true)},
		{"repository in a repository", func(r *repo, s string) string {
			in := &repo{T: r.T, dir: filepath.Join(r.dir, "vendor/x"), env: r.env}
			if err := os.MkdirAll(in.dir, 0o755); err != nil {
				r.Fatal(err)
			}
			in.git("init", "-q", "-b", "main")
			in.write("f", s)
			in.commit("m")
			in.remove("f")
			in.commit("m")
			return ""
		}, blob("f", false)},
		{"submodule that is not checked out", func(r *repo, s string) string {
			in := newRepo(r.T)
			in.write("f", s)
			in.commit("m")
			r.git("submodule", "--quiet", "add", in.dir, "sub")
			r.commit("m")
			r.git("submodule", "--quiet", "deinit", "sub")
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "refs/heads/main", head: true}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRepo(t)
			token := fmt.Sprintf("TOKEN%08xEND", (i+1)*0x9E3779B1&0xffffffff)
			ref := tt.hide(r, token)
			if ref == "" {
				ref = r.dir
			}
			items, gaps := list(t, Options{}, ref)
			for _, g := range gaps {
				t.Errorf("gap: %v", g)
			}
			checkToken(t, items, token, tt.want)
		})
	}
}

func checkToken(t *testing.T, items []listed, token string, want place) {
	t.Helper()
	wide := strings.TrimPrefix(utf16le(token), "\xff\xfe")
	var holders []listed
	for _, it := range items {
		if it.Kind == audit.KindPlace || !strings.Contains(it.content, token) && !strings.Contains(it.content, wide) {
			continue
		}
		if strings.HasPrefix(it.At.Path, ".git/") && !strings.HasPrefix(want.path, ".git/") {
			continue // drafts and logs repeat what commits and refs say
		}
		holders = append(holders, it)
	}
	if len(holders) != 1 {
		for _, h := range holders {
			t.Logf("listed as %s at %+v", h.Kind, h.At)
		}
		t.Fatalf("the token is listed %d times, want once", len(holders))
	}
	found := holders[0]
	if want.kind == "" {
		return
	}
	match := func(l audit.Location) bool {
		return (want.path == "*" || l.Path == want.path) && l.Name == want.name && l.InHead == want.head &&
			(want.ref == "*" || l.Ref == want.ref || want.ref == "" && want.kind == audit.KindCommit) && (want.commit == "" || l.Commit == "")
	}
	if want.kind != audit.KindPlace {
		if found.Kind != want.kind || !match(found.At) {
			t.Errorf("listed as %s at %+v, want %+v", found.Kind, found.At, want)
		}
		return
	}
	ok := false
	for _, it := range items {
		if it.Kind != audit.KindPlace || it.Object != found.Object {
			continue
		}
		if it.content != found.content {
			t.Errorf("place %+v opens to %q", it.At, it.content)
		}
		ok = ok || match(it.At)
	}
	if !ok {
		t.Errorf("not placed at %+v", want)
		for _, it := range items {
			if it.Kind == audit.KindPlace {
				t.Logf("place %s %+v", it.Object, it.At)
			}
		}
	}
}
