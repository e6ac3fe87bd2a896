package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// gitRepo is a repository made by the git binary, with an author and dates of its own.
type gitRepo struct {
	*testing.T
	dir string
	m   maker
}

func newGitRepo(t *testing.T) *gitRepo {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("git is missing")
		}
		t.Skip("git is missing: install it to test repositories")
	}
	g := &gitRepo{T: t, dir: t.TempDir(), m: newMaker(99)}
	g.git("init", "-q", "-b", "main")
	g.git("config", "core.autocrlf", "false")
	return g
}

func (g *gitRepo) git(args ...string) string { return g.gitWith("", nil, args...) }

func (g *gitRepo) gitWith(stdin string, env []string, args ...string) string {
	g.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = g.dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@corp.test", "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@corp.test",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (g *gitRepo) write(path, content string) {
	g.Helper()
	full := filepath.Join(g.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		g.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		g.Fatal(err)
	}
}

// commit writes a file and commits everything.
func (g *gitRepo) commit(path, content, message string) string {
	g.Helper()
	if path != "" {
		g.write(path, content)
	}
	g.git("add", "-A")
	g.git("commit", "-q", "--allow-empty", "-m", message)
	return g.git("rev-parse", "HEAD")
}

func TestHidingPlacesInGit(t *testing.T) {
	g := newGitRepo(t)
	wants := map[string]want{}
	hide := func(place string) string {
		token := g.m.token()
		wants[place] = want{value: token}
		return token
	}
	root := g.commit("a.txt", "start\n", "root")
	g.commit("old.txt", line(hide("file deleted later")), "add")
	g.git("rm", "-q", "old.txt")
	g.commit("", "", "remove")
	g.commit("", "", "deploy with "+hide("commit message"))
	g.gitWith("", []string{"GIT_AUTHOR_NAME=" + hide("author name")}, "commit", "-q", "--allow-empty", "-m", "x")
	g.gitWith("", []string{"GIT_AUTHOR_EMAIL=" + hide("author mail") + "@corp.test"}, "commit", "-q", "--allow-empty", "-m", "x")
	g.gitWith("", []string{"GIT_COMMITTER_NAME=" + hide("committer name")}, "commit", "-q", "--allow-empty", "-m", "x")
	g.git("tag", "-a", "v1", "-m", "release "+hide("tag message"))
	g.gitWith("", []string{"GIT_COMMITTER_NAME=" + hide("tagger name")}, "tag", "-a", "v2", "-m", "x")
	g.git("tag", hide("tag name"))
	g.git("branch", "feature/"+hide("branch name"))
	g.git("notes", "add", "-m", hide("note"))
	g.git("notes", "--ref", "review", "add", "-m", hide("note of another ref"))
	g.write("a.txt", line(hide("stash")))
	g.write("untracked.txt", line(hide("stash of untracked files")))
	g.git("stash", "-q", "-u")
	g.git("checkout", "-q", "-b", "unmerged")
	g.commit("b.txt", line(hide("unmerged branch")), "b")
	g.git("checkout", "-q", "main")
	g.git("checkout", "-q", "-b", "gone")
	remote := g.commit("r.txt", line(hide("remote branch")), "r")
	g.git("update-ref", "refs/remotes/origin/feature", remote)
	g.git("checkout", "-q", "main")
	g.git("branch", "-q", "-D", "gone")
	g.commit("c.txt", line(hide("amended commit, in the reflog only")), "c")
	g.write("c.txt", "clean\n")
	g.git("add", "-A")
	g.git("commit", "-q", "--amend", "-m", "c")
	g.gitWith(line(hide("dangling blob")), nil, "hash-object", "-w", "--stdin")
	tree := g.gitWith("100644 blob "+g.gitWith(line(hide("dangling commit")), nil, "hash-object", "-w", "--stdin")+"\td.txt\n", nil, "mktree")
	g.git("commit-tree", tree, "-m", "dangling")
	g.git("checkout", "-q", "-b", "side", root)
	g.commit("s.txt", "side\n", "side")
	g.git("checkout", "-q", "main")
	g.git("merge", "-q", "--no-ff", "--no-commit", "side")
	g.write("s.txt", line(hide("evil merge")))
	g.git("add", "-A")
	g.git("commit", "-q", "-m", "merge")
	g.write(".gitattributes", "*.bin -diff\n*.dat binary\n")
	g.write("x.bin", line(hide("no diff attribute")))
	g.commit("y.dat", line(hide("binary attribute")), "attributes")
	if err := os.Symlink("/run/"+hide("symlink target"), filepath.Join(g.dir, "link")); err != nil {
		t.Fatal(err)
	}
	g.commit("", "", "link")
	g.commit("conf-"+hide("file name")+".txt", "x\n", "file name")
	g.commit("dir-"+hide("directory name")+"/x.txt", "x\n", "directory name")
	g.commit(".gitmodules", "[submodule \"m\"]\n\tpath = m\n\turl = https://ci:"+hide("submodule address")+"@git.corp.test/m.git\n", "submodule")
	g.git("rm", "-q", "link")
	g.commit("link", line(hide("type change")), "type change")
	g.commit("u.txt", utf16Bytes(line(hide("utf-16 file")), binary.LittleEndian, true), "utf-16")
	blob := g.gitWith(line(hide("tagged blob")), nil, "hash-object", "-w", "--stdin")
	g.git("tag", "blob", blob)
	secretCommit := g.commit("z.txt", line(hide("replaced commit")), "z")
	g.commit("z.txt", "clean\n", "z2")
	g.git("replace", secretCommit, root)
	g.write("staged.txt", line(hide("staged")))
	g.git("add", "staged.txt")
	g.write("loose.txt", line(hide("untracked file")))
	g.git("config", "remote.origin.url", "https://ci:"+hide("address in .git/config")+"@git.corp.test/r.git")
	id, secret := g.m.keyID(), g.m.secret()
	wants["id and secret in two commits of a file"] = want{keyID: id}
	g.git("checkout", "-q", "-b", "keys")
	g.commit("aws.ini", "[a]\naws_access_key_id = "+id+"\n", "id")
	g.commit("aws.ini", "[a]\naws_secret_access_key = "+secret+"\n", "secret")

	id, secret = g.m.keyID(), g.m.secret()
	wants["id in a message, secret in a file of the commit"] = want{keyID: id}
	g.commit("rotated.ini", "aws_secret_access_key = "+secret+"\n", "rotate to "+id)
	raw := func(header, message string) { // a commit as it is stored
		at := " <a@corp.test> 1700000000 +0000\n"
		commit := "tree " + g.git("rev-parse", "HEAD^{tree}") + "\nauthor a" + at + "committer c" + at + header + "\n" + message
		g.gitWith(commit, nil, "hash-object", "-t", "commit", "-w", "--stdin")
	}
	raw("x-origin "+hide("header that git does not know")+"\n", "raw\n")
	raw("mergetag object "+root+"\n type commit\n tag t\n \n "+hide("merged tag")+"\n", "raw\n")
	raw("encoding UTF-16LE\n", utf16Bytes("with "+hide("message in utf-16")+"\n", binary.LittleEndian, false))
	g.commit("", "", "use\n\n"+wrap(b64(strings.Repeat("padding ", 9)+line(hide("base64 in a message"))), 64))
	g.git("notes", "--ref", "gone", "add", "-m", hide("note that was removed"))
	g.git("notes", "--ref", "gone", "remove")

	for _, tt := range []struct{ name, how string }{{"working tree", g.dir}, {"packed bare clone", ""}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.how
			if dir == "" {
				dir = filepath.Join(t.TempDir(), "bare.git")
				if out, err := exec.Command("cp", "-r", filepath.Join(g.dir, ".git"), dir).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				for _, args := range [][]string{{"config", "core.bare", "true"}, {"repack", "-q", "-a", "-d", "--keep-unreachable"}} {
					if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
						t.Fatalf("%v: %s", err, out)
					}
				}
			}
			found := findings(t, dir)
			for place, w := range wants {
				if dir != g.dir && place == "untracked file" {
					continue // a bare repository has no working tree
				}
				if !slices.ContainsFunc(found, func(f foundSecret) bool { return f.is(w) }) {
					t.Errorf("not found: %s", place)
				}
			}
			for _, f := range found {
				for i, p := range f.paths {
					if strings.Contains(p, "ghp_") && !strings.Contains(p, "…") || strings.Contains(f.names[i], "ghp_") && !strings.Contains(f.names[i], "…") {
						t.Errorf("a value is shown in the place %q %q", p, f.names[i])
					}
				}
			}
		})
	}
}
