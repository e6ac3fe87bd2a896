package forgetest

import (
	"os/exec"
	"strings"
)

// read is what git says of a repository; "" where it says nothing. It is asked once: a folder does not change while it is served.
func (g *GitHub) read(dir string, args ...string) string {
	if dir == "" {
		return ""
	}
	key := dir + "\x00" + strings.Join(args, "\x00")
	if said, ok := g.known.Load(key); ok {
		return said.(string)
	}
	cmd := exec.Command("git", append([]string{"--git-dir", dir}, args...)...)
	cmd.Env = gitEnv()
	out, _ := cmd.Output() // what is not there has no content
	g.known.Store(key, string(out))
	return string(out)
}

// branches are the names of a repository's branches.
func (g *GitHub) branches(x *GitHubRepo) []string {
	return strings.Fields(g.read(x.Dir, "for-each-ref", "--format=%(refname:short)", "refs/heads"))
}

// files are those of a folder of the default branch, by path.
func (g *GitHub) files(x *GitHubRepo, folder string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(g.read(x.Dir, "ls-tree", "-r", "HEAD", "--", folder)) {
		info, path, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if f := strings.Fields(info); ok && len(f) == 3 && f[1] == "blob" {
			all[path] = g.read(x.Dir, "cat-file", "blob", f[2])
		}
	}
	return all
}

// workflowFiles are the definitions on the default branch.
func (g *GitHub) workflowFiles(x *GitHubRepo) map[string]string {
	return g.files(x, ".github/workflows/")
}
