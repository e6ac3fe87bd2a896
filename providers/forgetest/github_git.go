package forgetest

import (
	"encoding/base64"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
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

// An entry is a file or folder.
type entry struct {
	mode, kind, sha string
	size            int
}

// tree is what lies in a folder by path, and if deep in those below it.
func (g *GitHub) tree(dir, name string, deep bool) map[string]entry {
	args := []string{"ls-tree", "-l"}
	if deep {
		args = append(args, "-r", "-t")
	}
	all := map[string]entry{}
	for line := range strings.Lines(g.read(dir, append(args, "-z", name)...)) {
		for one := range strings.SplitSeq(line, "\x00") {
			info, path, ok := strings.Cut(one, "\t")
			if f := strings.Fields(info); ok && len(f) == 4 {
				size, _ := strconv.Atoi(f[3])
				all[path] = entry{f[0], f[1], f[2], size}
			}
		}
	}
	return all
}

// gitTree serves a folder. An empty repository has none, not even that of its root.
func gitTree(c *call) any {
	name := c.r.PathValue("sha")
	all := c.g.tree(c.repo.Dir, name, c.r.URL.Query().Get("recursive") != "")
	if len(all) == 0 {
		if len(c.g.branches(c.repo)) == 0 {
			return refusal{http.StatusConflict, "Git Repository is empty."}
		}
		return nil
	}
	entries := []any{}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		e := all[path]
		m := map[string]any{"path": path, "mode": e.mode, "type": e.kind, "sha": e.sha, "url": c.here("git", e.kind+"s", e.sha)}
		if e.kind == "blob" {
			m["size"] = e.size
		}
		entries = append(entries, m)
	}
	sha := strings.TrimSpace(c.g.read(c.repo.Dir, "rev-parse", name+"^{tree}"))
	return map[string]any{"sha": sha, "url": c.here("git/trees", sha), "tree": entries, "truncated": false}
}

// gitBlob serves a file.
func gitBlob(c *call) any {
	sha := c.r.PathValue("sha")
	if strings.TrimSpace(c.g.read(c.repo.Dir, "cat-file", "-t", sha)) != "blob" {
		return nil
	}
	content := c.g.read(c.repo.Dir, "cat-file", "blob", sha)
	return map[string]any{
		"sha": sha, "node_id": "B_" + sha, "url": c.here("git/blobs", sha), "size": len(content), "encoding": "base64",
		"content": base64.StdEncoding.EncodeToString([]byte(content)) + "\n",
	}
}

// gitContents serves a file by its path.
func gitContents(c *call) any {
	ref, path := or(c.r.URL.Query().Get("ref"), "HEAD"), c.r.PathValue("path")
	sha := strings.TrimSpace(c.g.read(c.repo.Dir, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+":"+path))
	if strings.TrimSpace(c.g.read(c.repo.Dir, "cat-file", "-t", sha)) != "blob" {
		return nil
	}
	content := c.g.read(c.repo.Dir, "cat-file", "blob", sha)
	address := c.here("contents", path)
	return map[string]any{
		"type": "file", "encoding": "base64", "size": len(content), "name": path[strings.LastIndexByte(path, '/')+1:], "path": path, "sha": sha, "url": address,
		"git_url": c.here("git/blobs", sha), "html_url": nil, "download_url": nil, "_links": map[string]any{"self": address, "git": nil, "html": nil},
		"content": base64.StdEncoding.EncodeToString([]byte(content)) + "\n",
	}
}
