package local

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

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
		hide func(r *gittest.Repo, token string) (scan string) // the ref, "" for the repository
		want place
	}{
		{"file", func(r *gittest.Repo, s string) string {
			r.Write("a/b.txt", s)
			r.Commit("m")
			return ""
		}, blob("a/b.txt", true)},
		{"file in a subdirectory's listing", func(r *gittest.Repo, s string) string {
			r.Write("a/b.txt", s)
			r.Commit("m")
			r.Remove("a/b.txt")
			r.Write("a/c.txt", "")
			r.Commit("m")
			return filepath.Join(r.Dir, "a")
		}, place{kind: audit.KindPlace, path: "a/b.txt", ref: "refs/heads/main"}},
		{"commit message", func(r *gittest.Repo, s string) string {
			r.Commit("subject\n\n" + s)
			r.Commit("next")
			return ""
		}, message},
		{"tag message", func(r *gittest.Repo, s string) string {
			r.GitIn(s, "tag", "-F", "-", "v1")
			return ""
		}, place{kind: audit.KindCommit, name: "tag", ref: "refs/tags/v1"}},
		{"author name", func(r *gittest.Repo, s string) string {
			r.Git("commit", "-q", "--allow-empty", "-m", "m", "--author", s+" <x@example.com>")
			return ""
		}, message},
		{"author e-mail", func(r *gittest.Repo, s string) string {
			r.Git("commit", "-q", "--allow-empty", "-m", "m", "--author", "x <"+s+"@example.com>")
			return ""
		}, message},
		{"committer", func(r *gittest.Repo, s string) string {
			tree := r.Git("rev-parse", "HEAD^{tree}")
			id := r.Object("commit", "tree "+tree+"\nauthor A <a@b> 1767323045 +0000\ncommitter "+s+" <a@b> 1767323045 +0000\n\nm\n")
			r.Git("update-ref", "refs/heads/other", id)
			return ""
		}, place{kind: audit.KindCommit, name: "commit", ref: "refs/heads/other"}},
		{"note", func(r *gittest.Repo, s string) string {
			r.Git("notes", "add", "-m", s)
			return ""
		}, place{kind: audit.KindPlace, path: "*", name: "note", ref: "refs/notes/commits"}},
		{"note of another ref", func(r *gittest.Repo, s string) string {
			r.Git("notes", "--ref", "refs/notes/ci", "add", "-m", s)
			return ""
		}, place{kind: audit.KindPlace, path: "*", name: "note", ref: "refs/notes/ci"}},
		{"stash", func(r *gittest.Repo, s string) string {
			r.Write("README", s)
			r.Git("stash")
			return ""
		}, place{kind: audit.KindPlace, path: "README", ref: "refs/stash"}},
		{"older stash", func(r *gittest.Repo, s string) string {
			r.Write("README", s)
			r.Git("stash")
			r.Write("README", "other")
			r.Git("stash")
			return ""
		}, place{kind: audit.KindPlace, path: "README", ref: "refs/stash", name: "reflog"}},
		{"stash of an untracked file", func(r *gittest.Repo, s string) string {
			r.Write("new", s)
			r.Git("stash", "-u")
			return ""
		}, place{kind: audit.KindPlace, path: "new", ref: "refs/stash"}},
		{"unmerged branch", func(r *gittest.Repo, s string) string {
			r.Git("checkout", "-q", "-b", "side")
			r.Write("f", s)
			r.Commit("m")
			r.Git("checkout", "-q", "main")
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "refs/heads/side"}},
		{"remote branch", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			id := r.Commit("m")
			r.Git("reset", "-q", "--hard", "HEAD~")
			r.Git("update-ref", "refs/remotes/origin/x", id)
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "refs/remotes/origin/x"}},
		{"pull request ref", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			id := r.Commit("m")
			r.Git("reset", "-q", "--hard", "HEAD~")
			r.Git("update-ref", "refs/pull/1/head", id)
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "refs/pull/1/head"}},
		{"reflog only", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Commit("m")
			r.Git("reset", "-q", "--hard", "HEAD~")
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "*", name: "reflog"}},
		{"amended commit", func(r *gittest.Repo, s string) string {
			r.Write("README", s)
			r.Commit("m")
			r.Write("README", "clean")
			r.Git("commit", "-qa", "--amend", "-m", "m")
			return ""
		}, place{kind: audit.KindPlace, path: "README", ref: "*", name: "reflog"}},
		{"dangling blob", func(r *gittest.Repo, s string) string {
			r.Object("blob", s)
			return ""
		}, place{}},
		{"dangling commit", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Commit("m")
			r.Git("reset", "-q", "--hard", "HEAD~")
			r.Git("reflog", "expire", "--expire=now", "--all")
			r.Git("update-ref", "-d", "ORIG_HEAD")
			return ""
		}, place{kind: audit.KindPlace, path: "f", name: "unreachable commit"}},
		{"message of a dangling commit", func(r *gittest.Repo, s string) string {
			r.Commit("subject\n\n" + s)
			r.Git("reset", "-q", "--hard", "HEAD~")
			r.Git("reflog", "expire", "--expire=now", "--all")
			r.Commit("next")
			return ""
		}, message},
		{"staged only", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Git("add", "f")
			r.Remove("f")
			return ""
		}, place{kind: audit.KindPlace, path: "f", name: "staged"}},
		{"staged and in the working tree", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Git("add", "f")
			return ""
		}, place{kind: audit.KindPlace, path: "f", name: "staged"}},
		{"staged in a split index", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Git("add", "f")
			r.Git("update-index", "--split-index")
			r.Remove("f")
			return ""
		}, place{kind: audit.KindPlace, path: "f", name: "staged"}},
		{"untracked file", func(r *gittest.Repo, s string) string {
			r.Write("new/f", s)
			return ""
		}, place{kind: audit.KindFile, path: "new/f"}},
		{"changed file", func(r *gittest.Repo, s string) string {
			r.Write("README", s)
			return ""
		}, place{kind: audit.KindFile, path: "README"}},
		{"file changed back to an old content", func(r *gittest.Repo, s string) string {
			r.Write("README", s)
			r.Commit("m")
			r.Write("README", "clean")
			r.Commit("m")
			r.Write("README", s)
			return ""
		}, place{kind: audit.KindPlace, path: "README", commit: "none"}},
		{"tracked file that is ignored", func(r *gittest.Repo, s string) string {
			r.Write("dir/f", "x")
			r.Commit("m")
			r.Write(".gitignore", "dir/\n")
			r.Write("dir/f", s)
			return ""
		}, place{kind: audit.KindFile, path: "dir/f"}},
		{"evil merge", func(r *gittest.Repo, s string) string {
			r.Git("checkout", "-q", "-b", "side")
			r.Write("f", "1")
			r.Commit("m")
			r.Git("checkout", "-q", "main")
			r.Write("g", "2")
			r.Commit("m")
			r.Git("merge", "-q", "--no-commit", "side")
			r.Write("f", s)
			r.Commit("merged")
			r.Write("f", "clean")
			r.Commit("m")
			return ""
		}, blob("f", false)},
		{"octopus merge", func(r *gittest.Repo, s string) string {
			for _, b := range []string{"x", "y", "z"} {
				r.Git("checkout", "-q", "-b", b, "main")
				r.Write(b, b)
				r.Commit(b)
			}
			r.Git("checkout", "-q", "main")
			r.Git("merge", "-q", "--no-commit", "x", "y", "z")
			r.Write("evil", s)
			r.Commit("merged")
			return ""
		}, blob("evil", true)},
		{"attribute -diff", func(r *gittest.Repo, s string) string {
			r.Write(".gitattributes", "* -diff -text binary\n")
			r.Write("f", s)
			r.Commit("m")
			r.Remove("f")
			r.Commit("m")
			return ""
		}, blob("f", false)},
		{"deleted file", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Commit("m")
			r.Remove("f")
			r.Commit("m")
			return ""
		}, blob("f", false)},
		{"renamed file", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Commit("m")
			r.Git("mv", "f", "g")
			r.Commit("m")
			return ""
		}, blob("g", true)},
		{"file that became a link", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Commit("m")
			r.Remove("f")
			r.Symlink("README", "f")
			r.Commit("m")
			return ""
		}, blob("f", false)},
		{"link that became a file", func(r *gittest.Repo, s string) string {
			r.Symlink(s, "f")
			r.Commit("m")
			r.Remove("f")
			r.Write("f", "x")
			r.Commit("m")
			return ""
		}, blob("f", false)},
		{"link target", func(r *gittest.Repo, s string) string {
			r.Symlink("https://"+s+"@example.com", "f")
			r.Commit("m")
			return ""
		}, blob("f", true)},
		{"untracked link target", func(r *gittest.Repo, s string) string {
			r.Symlink("https://"+s+"@example.com", "f")
			return ""
		}, place{kind: audit.KindFile, path: "f"}},
		{"file name", func(r *gittest.Repo, s string) string {
			r.Write(s+".txt", "x")
			r.Commit("m")
			r.Git("mv", s+".txt", "y")
			r.Commit("m")
			return ""
		}, place{kind: audit.KindPaths, name: "file names"}},
		{"directory name", func(r *gittest.Repo, s string) string {
			r.Write("a/"+s+"/f", "x")
			r.Commit("m")
			r.Git("mv", "a", "b")
			r.Git("rm", "-rqf", "b")
			r.Commit("m")
			return ""
		}, place{kind: audit.KindPaths, name: "file names"}},
		{"branch name", func(r *gittest.Repo, s string) string {
			r.Git("branch", "fix/"+s)
			r.Git("reflog", "expire", "--expire=now", "--all")
			return ""
		}, place{kind: audit.KindPaths, name: "ref names"}},
		{"tag name", func(r *gittest.Repo, s string) string {
			r.Git("tag", s)
			return ""
		}, place{kind: audit.KindPaths, name: "ref names"}},
		{"submodule URL", func(r *gittest.Repo, s string) string {
			r.Write(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = https://u:"+s+"@example.com/x\n")
			r.Commit("m")
			return ""
		}, blob(".gitmodules", true)},
		{"configuration", func(r *gittest.Repo, s string) string {
			r.Git("config", "remote.origin.url", "https://u:"+s+"@example.com/x")
			return ""
		}, place{kind: audit.KindFile, path: ".git/config"}},
		{"hook", func(r *gittest.Repo, s string) string {
			r.Write(".git/hooks/pre-push", s)
			return ""
		}, place{kind: audit.KindFile, path: ".git/hooks/pre-push"}},
		{"reflog message", func(r *gittest.Repo, s string) string {
			r.Git("update-ref", "-m", s, "--create-reflog", "refs/heads/main", r.Git("commit-tree", "-p", "HEAD", "-m", "m", "HEAD^{tree}"))
			r.Write(".git/logs/HEAD", "")
			return ""
		}, place{kind: audit.KindFile, path: ".git/logs/refs/heads/main"}},
		{"large file storage", func(r *gittest.Repo, s string) string {
			r.Write(".git/lfs/objects/ab/cd/abcd", s)
			return ""
		}, place{kind: audit.KindFile, path: ".git/lfs/objects/ab/cd/abcd"}},
		{"large file pointer", func(r *gittest.Repo, s string) string {
			r.Write("big", "version https://git-lfs.github.com/spec/v1\noid sha256:"+s+"\nsize 3\n")
			r.Commit("m")
			return ""
		}, blob("big", true)},
		{"detached working tree", func(r *gittest.Repo, s string) string {
			other := filepath.Join(r.TempDir(), "w")
			r.Git("worktree", "add", "-q", "--detach", other)
			w := r.At(other)
			w.Write("f", s)
			w.Commit("m")
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "HEAD"}},
		{"staged in another working tree", func(r *gittest.Repo, s string) string {
			other := filepath.Join(r.TempDir(), "w")
			r.Git("worktree", "add", "-q", "--detach", other)
			w := r.At(other)
			w.Write("f", s)
			w.Git("add", "f")
			return ""
		}, place{kind: audit.KindPlace, path: "f", name: "staged"}},
		{"seen from a working tree", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Commit("m")
			other := filepath.Join(r.TempDir(), "w")
			r.Git("worktree", "add", "-q", "--detach", other)
			return other
		}, place{kind: audit.KindPlace, path: "f", head: true, ref: "*"}},
		{"orphan branch", func(r *gittest.Repo, s string) string {
			r.Git("checkout", "-q", "--orphan", "pages")
			r.Write("f", s)
			r.Commit("m")
			r.Git("checkout", "-q", "main")
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "refs/heads/pages"}},
		{"tagged blob", func(r *gittest.Repo, s string) string {
			r.GitIn("m", "tag", "-F", "-", "key", r.Object("blob", s))
			return ""
		}, place{kind: audit.KindPlace, ref: "refs/tags/key"}},
		{"lightly tagged blob", func(r *gittest.Repo, s string) string {
			r.Git("tag", "key", r.Object("blob", s))
			return ""
		}, place{kind: audit.KindPlace, ref: "refs/tags/key"}},
		{"tagged tree", func(r *gittest.Repo, s string) string {
			r.Write("t/f", s)
			r.Git("add", "-A")
			tree := r.Git("write-tree")
			r.Git("reset", "-q", "--hard")
			r.Git("tag", "-a", "-m", "m", "tree", tree)
			return ""
		}, place{kind: audit.KindPlace, path: "t/f", ref: "refs/tags/tree"}},
		{"tag of a tag", func(r *gittest.Repo, s string) string {
			r.GitIn(s, "tag", "-F", "-", "one")
			r.Git("tag", "-a", "-m", "m", "two", "one")
			r.Git("tag", "-d", "one")
			return ""
		}, place{kind: audit.KindCommit, name: "tag"}},
		{"object hidden by a replacement", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Commit("m")
			r.Git("replace", r.Git("rev-parse", "HEAD:f"), r.Object("blob", "clean"))
			return ""
		}, blob("f", true)},
		{"commit hidden by a graft", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Commit("m")
			r.Remove("f")
			r.Commit("m")
			r.Write(".git/info/grafts", r.Git("rev-parse", "HEAD")+"\n")
			return ""
		}, blob("f", false)},
		{"borrowed objects", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Commit("m")
			other := filepath.Join(r.TempDir(), "shared")
			r.Git("clone", "-q", "--shared", ".", other)
			return other
		}, blob("f", true)},
		{"packed", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Commit("m")
			r.Write("f", s[:len(s)-1]+"\n")
			r.Commit("m")
			r.Git("gc", "-q", "--prune=now")
			return ""
		}, blob("f", false)},
		{"UTF-16", func(r *gittest.Repo, s string) string {
			r.Write("f", utf16le(s))
			r.Commit("m")
			return ""
		}, blob("f", true)},
		{"converted line ends", func(r *gittest.Repo, s string) string {
			r.Git("config", "core.autocrlf", "true")
			r.Write("f", "x\r\n"+s+"\r\n")
			r.Commit("m")
			return ""
		}, blob("f", true)},
		{"commit in another encoding", func(r *gittest.Repo, s string) string {
			r.Git("-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "--allow-empty", "-m", "subject", "-m", "caf\xe9 "+s)
			r.Commit("next")
			return ""
		}, message},
		{"signature", func(r *gittest.Repo, s string) string {
			tree := r.Git("rev-parse", "HEAD^{tree}")
			id := r.Object("commit", "tree "+tree+"\nauthor A <a@b> 1767323045 +0000\ncommitter A <a@b> 1767323045 +0000\ngpgsig -----BEGIN\n "+s+"\n -----END\n\nm\n")
			r.Git("update-ref", "refs/heads/signed", id)
			return ""
		}, place{kind: audit.KindCommit, name: "commit", ref: "refs/heads/signed"}},
		{"merged tag", func(r *gittest.Repo, s string) string {
			tree := r.Git("rev-parse", "HEAD^{tree}")
			id := r.Object("commit", "tree "+tree+"\nauthor A <a@b> 1767323045 +0000\ncommitter A <a@b> 1767323045 +0000\nmergetag object "+tree+"\n type commit\n tag x\n tagger A <a@b> 1 +0000\n \n "+s+"\n\nm\n")
			r.Git("update-ref", "refs/heads/merged", id)
			return ""
		}, place{kind: audit.KindCommit, name: "commit", ref: "refs/heads/merged"}},
		{"bare repository", func(r *gittest.Repo, s string) string {
			r.Write("f", s)
			r.Commit("m")
			bare := filepath.Join(r.TempDir(), "b.git")
			r.Git("clone", "-q", "--bare", ".", bare)
			return bare
		}, blob("f", true)},
		{"repository in a repository", func(r *gittest.Repo, s string) string {
			in := r.At(filepath.Join(r.Dir, "vendor/x"))
			if err := os.MkdirAll(in.Dir, 0o755); err != nil {
				r.Fatal(err)
			}
			in.Git("init", "-q", "-b", "main")
			in.Write("f", s)
			in.Commit("m")
			in.Remove("f")
			in.Commit("m")
			return ""
		}, blob("f", false)},
		{"submodule that is not checked out", func(r *gittest.Repo, s string) string {
			in := gittest.New(r.TB)
			in.Write("f", s)
			in.Commit("m")
			r.Git("submodule", "--quiet", "add", in.Dir, "sub")
			r.Commit("m")
			r.Git("submodule", "--quiet", "deinit", "sub")
			return ""
		}, place{kind: audit.KindPlace, path: "f", ref: "refs/heads/main", head: true}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := gittest.New(t)
			token := fmt.Sprintf("TOKEN%08xEND", (i+1)*0x9E3779B1&0xffffffff)
			ref := tt.hide(r, token)
			if ref == "" {
				ref = r.Dir
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
