package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/secrets"
)

// A sighting is what both programs are compared by. The secret is a keyed digest.
type sighting struct{ rule, secret, path, commit string }

// parity compares what gitleaks and leakreach find in the whole history of repositories, each difference with its reason.
func (l *lab) parity(ctx context.Context, repos []string) error {
	alone, err := secrets.New(secrets.Options{Config: []byte("[extend]\nuseDefault = false\n")})
	if err != nil {
		return fmt.Errorf("listing our own rules: %w", err)
	}
	l.own = map[string]bool{}
	for _, r := range alone.Rules() {
		l.own[r.ID] = true
	}
	w := tabwriter.NewWriter(l.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "repository\tcommits\tgitleaks\tof these ours\tours in all\tdifference\treason")
	for i, path := range repos {
		repo, err := whole(ctx, path, filepath.Join(l.temp, fmt.Sprintf("repo%d", i)), l)
		if err != nil {
			return err
		}
		if err := l.compare(ctx, w, name(path), repo); err != nil {
			return err
		}
	}
	return w.Flush()
}

func name(path string) string {
	path = strings.TrimSuffix(strings.TrimSuffix(filepath.Clean(path), "/.git"), "/repo")
	return strings.ReplaceAll(filepath.Base(path), "+", "/")
}

func (l *lab) compare(ctx context.Context, w *tabwriter.Writer, name, repo string) error {
	found, err := runLeaks(ctx, l.gitleaks, "gitleaks", filepath.Join(l.temp, "gitleaks.json"), "git", repo)
	if err != nil {
		return err
	}
	run, err := scanRef(ctx, l.leakreach, repo)
	if err != nil {
		return err
	}
	h, err := readHistory(ctx, repo)
	if err != nil {
		return err
	}
	ours := index(run)
	theirs := map[sighting]leak{}
	for _, f := range found {
		theirs[sighting{f.RuleID, fingerprint(f.Secret), f.File, f.Commit}] = f
	}
	differ := map[sighting]int{} // by line
	for s, f := range theirs {
		if _, ok := ours.exact[s]; !ok {
			differ[s] = f.StartLine
		}
	}
	for s, p := range ours.exact {
		if _, ok := theirs[s]; !ok && h.more(p, s, l.own) == "" {
			differ[s] = p.Line
		}
	}
	inFile, err := l.inFiles(ctx, repo, differ)
	if err != nil {
		return err
	}
	less, more := map[string]int{}, map[string]int{}
	for s, f := range theirs {
		if _, ok := ours.exact[s]; !ok {
			why := ours.less(s, f)
			if !inFile[s] {
				why = "only in the diff: in the whole file gitleaks does not find it either"
			}
			less[why]++
			l.tell("%s: less: %s: %s %s:%d %s", name, why, s.rule, s.path, f.StartLine, s.commit)
		}
	}
	for s, p := range ours.exact {
		if _, ok := theirs[s]; !ok {
			why := h.more(p, s, l.own)
			if why == "" && inFile[s] {
				why = "in the whole file gitleaks finds it too; the lines of the diff alone do not show it"
			} else if why == "" {
				why = "UNEXPLAINED"
			}
			more[why]++
			l.tell("%s: more: %s: %s %s:%d %s", name, why, s.rule, s.path, p.Line, s.commit)
		}
	}
	same := len(theirs)
	for _, n := range less {
		same -= n
	}
	commits, err := git(ctx, repo, "rev-list", "--all", "--count")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t\t\n", name, strings.TrimSpace(commits), len(theirs), same, len(ours.exact))
	for _, side := range []struct {
		sign string
		of   map[string]int
	}{{"-", less}, {"+", more}} {
		for _, why := range slices.SortedFunc(maps.Keys(side.of), func(a, b string) int { return cmp.Or(side.of[b]-side.of[a], cmp.Compare(a, b)) }) {
			fmt.Fprintf(w, "\t\t\t\t\t%s%d\t%s\n", side.sign, side.of[why], why)
		}
	}
	return nil
}

// inFiles tells which sightings gitleaks makes in the whole file, as it is at the commit.
func (l *lab) inFiles(ctx context.Context, repo string, at map[sighting]int) (map[sighting]bool, error) {
	dir, err := os.MkdirTemp(l.temp, "files-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	type file struct{ commit, path string }
	dirs, byDir := map[file]string{}, map[string]file{}
	for s := range at {
		f := file{s.commit, s.path}
		if f.commit == "" || dirs[f] != "" || !filepath.IsLocal(f.path) {
			continue
		}
		content, err := git(ctx, repo, "cat-file", "blob", f.commit+":"+f.path)
		if err != nil {
			continue // a link, or a file taken away
		}
		dirs[f] = strconv.Itoa(len(dirs))
		byDir[dirs[f]] = f
		to := filepath.Join(dir, dirs[f], filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(to, []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	found, err := runLeaks(ctx, l.gitleaks, "gitleaks", filepath.Join(l.temp, "gitleaks.json"), "dir", dir)
	if err != nil {
		return nil, err
	}
	in := map[sighting]bool{}
	for _, f := range found {
		rel, err := filepath.Rel(dir, f.File)
		if err != nil {
			return nil, err
		}
		n, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		in[sighting{f.RuleID, fingerprint(f.Secret), byDir[n].path, byDir[n].commit}] = true
	}
	return in, nil
}

func (l *lab) tell(format string, args ...any) {
	if l.detail {
		fmt.Fprintf(l.log, format+"\n", args...)
	}
}

// fingerprint is the one leakreach gives a secret of that value, or an access key of that id.
func fingerprint(value string) string {
	k := audit.KeyFrom([]byte(key))
	return k.Sign(audit.NewSecret("", "", value))
}

// A place is one location of a finding of ours.
type place struct {
	audit.Location
	rule string
}

// own are our findings, by what a finding of gitleaks may be looked up by.
type own struct {
	exact    map[sighting]place
	byPlace  map[sighting][]place // without the secret
	bySecret map[sighting]bool    // without the rule, then without the commit, then without the path
}

func index(r *report) own {
	o := own{map[sighting]place{}, map[sighting][]place{}, map[sighting]bool{}}
	for _, f := range r.Findings {
		secret := ""
		if f.Secret != nil {
			secret = f.Secret.Fingerprint
		}
		for _, l := range f.Locations {
			for _, rule := range l.Rules {
				p := place{l, f.Rule}
				o.exact[sighting{rule, secret, l.Path, l.Commit}] = p
				at := sighting{rule: rule, path: l.Path, commit: l.Commit}
				o.byPlace[at] = append(o.byPlace[at], p)
			}
			o.bySecret[sighting{"", secret, l.Path, l.Commit}] = true
			o.bySecret[sighting{"", secret, l.Path, ""}] = true
			o.bySecret[sighting{"", secret, "", ""}] = true
		}
	}
	return o
}

// less gives the reason why we lack a finding of gitleaks.
func (o own) less(s sighting, f leak) string {
	elsewhere := false
	for _, p := range o.byPlace[sighting{rule: s.rule, path: s.path, commit: s.commit}] {
		key := p.rule == "aws-access-key"
		switch {
		case p.Line > f.EndLine+1 || f.StartLine > max(p.Line, p.EndLine)+1:
			elsewhere = elsewhere || key
		case key:
			return "reported there as a part of an AWS key"
		case p.rule != s.rule:
			return "reported there without its wrapping"
		default:
			return "REPORTED THERE WITH ANOTHER VALUE"
		}
	}
	if elsewhere { // of lines that are alike, the diffs take different ones for the new ones
		return "reported in the file at this commit as a part of an AWS key, on another line"
	}
	switch {
	case o.bySecret[sighting{"", s.secret, s.path, s.commit}]:
		return "reported there, by another rule"
	case o.bySecret[sighting{"", s.secret, s.path, ""}]:
		return "reported in the file, not at this commit"
	case o.bySecret[sighting{"", s.secret, "", ""}]:
		return "reported, not in this file"
	}
	return "NOT REPORTED"
}

// A history is what of a repository explains what we find beyond gitleaks, which reads `git log -p`.
type history struct {
	reached map[string]bool   // commits of refs
	merges  map[string]bool   // those with several parents
	changes map[string]string // commit and path → status letter, of those that are not merges
	binary  map[string]bool   // commit and path that the diff shows no lines of
}

func readHistory(ctx context.Context, repo string) (*history, error) {
	h := &history{map[string]bool{}, map[string]bool{}, map[string]string{}, map[string]bool{}}
	all, err := git(ctx, repo, "rev-list", "--all", "--parents")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(all) {
		ids := strings.Fields(line)
		h.reached[ids[0]] = true
		h.merges[ids[0]] = len(ids) > 2
	}
	for _, what := range []string{"--raw", "--numstat"} {
		cmd := exec.CommandContext(ctx, "git", "-C", repo, "log", "--format=%x01%H", "-z", what, "--full-history", "--all")
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		h.read(bufio.NewReaderSize(out, 1<<20), what == "--raw")
		if err := cmd.Wait(); err != nil {
			return nil, fmt.Errorf("git log %s in %s: %w", what, repo, err)
		}
	}
	return h, nil
}

func (h *history) read(in *bufio.Reader, raw bool) {
	next := func() (string, bool) {
		s, err := in.ReadString(0)
		return strings.TrimSuffix(s, "\x00"), err == nil
	}
	commit := ""
	for {
		s, ok := next()
		if !ok {
			return
		}
		s = strings.TrimPrefix(s, "\n")
		if id, is := strings.CutPrefix(s, "\x01"); is {
			commit = id[:min(len(id), 40)]
			if _, s, is = strings.Cut(id, "\n"); !is {
				continue
			}
		}
		fields := strings.Fields(s)
		switch {
		case raw && strings.HasPrefix(s, ":") && len(fields) >= 5:
			status := fields[4][:1]
			path, _ := next()
			if status == "R" || status == "C" {
				path, _ = next()
			}
			h.changes[commit+path] = fields[4]
		case !raw && len(fields) >= 2:
			parts := strings.SplitN(s, "\t", 3)
			if len(parts) < 3 {
				continue
			}
			path := parts[2]
			if path == "" { // a rename: old, new
				_, _ = next()
				path, _ = next()
			}
			if parts[0] == "-" {
				h.binary[commit+path] = true
			}
		}
	}
}

// more gives the reason why we find what gitleaks does not, or "".
func (h *history) more(p place, s sighting, own map[string]bool) string {
	outer, _, member := strings.Cut(p.Path, "!")
	status := h.changes[p.Commit+outer]
	switch {
	case own[s.rule]:
		return "a rule of ours: files of credentials, connection strings, halves of AWS keys"
	case p.rule != s.rule:
		return "the value of another rule's finding, that this rule matches too"
	case member:
		return "inside a container"
	case p.Commit != "" && !h.reached[p.Commit]:
		return "in a commit that no ref reaches"
	case strings.Contains(p.Name, "dangling"):
		return "in an object that no commit holds"
	case p.Path == "" || p.Name != "" || p.Commit == "" && !p.InHead:
		return "in a message, a tag, a note, a name, a path, git's own files"
	case p.Commit == "":
		return "where it stands now: the file of the current tree, whose last commit left that line alone"
	case h.merges[p.Commit]:
		return "in a merge, which git log shows no lines of"
	case h.binary[p.Commit+outer]:
		return "in a file that git diff takes for binary"
	case strings.HasPrefix(status, "R"), strings.HasPrefix(status, "C"):
		return "under the new name of a renamed file"
	case status == "T":
		return "in a file that changed its type"
	case len(p.Encoding) > 0:
		return "encoded in a way that gitleaks does not undo there"
	}
	return ""
}

// whole returns a repository whose every object is there: the one at path, or a copy of it with those refs only whose history is
// complete, because gitleaks' git ends at the first object that a partial clone lacks.
func whole(ctx context.Context, path, copied string, l *lab) (string, error) {
	missing, err := git(ctx, path, "rev-list", "--all", "--objects", "--missing=print")
	if err != nil {
		return "", err
	}
	broken := map[string]bool{}
	n := 0
	for line := range strings.Lines(missing) {
		object, is := strings.CutPrefix(strings.TrimSpace(line), "?")
		if !is {
			continue
		}
		n++
		commits, err := git(ctx, path, "log", "--all", "--full-history", "-m", "--raw", "--no-renames", "--format=%H", "-s", "--find-object="+object)
		if err != nil {
			return "", err
		}
		for _, c := range strings.Fields(commits) {
			refs, err := git(ctx, path, "for-each-ref", "--format=%(refname)", "--contains", c)
			if err != nil {
				return "", err
			}
			for _, r := range strings.Fields(refs) {
				broken[r] = true
			}
		}
	}
	if n == 0 {
		return path, nil
	}
	refs, err := git(ctx, path, "for-each-ref", "--format=%(objectname) %(refname)")
	if err != nil {
		return "", err
	}
	if _, err := git(ctx, ".", "init", "-q", "--bare", copied); err != nil {
		return "", err
	}
	objects, err := git(ctx, path, "rev-parse", "--path-format=absolute", "--git-path", "objects")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(copied, "objects", "info", "alternates"), []byte(objects), 0o600); err != nil {
		return "", err
	}
	var packed strings.Builder
	kept := 0
	for line := range strings.Lines(refs) {
		if _, ref, _ := strings.Cut(strings.TrimSpace(line), " "); !broken[ref] {
			packed.WriteString(line)
			kept++
		}
	}
	if err := os.WriteFile(filepath.Join(copied, "packed-refs"), []byte(packed.String()), 0o600); err != nil {
		return "", err
	}
	head, err := git(ctx, path, "symbolic-ref", "HEAD")
	if err == nil {
		_, err = git(ctx, copied, "symbolic-ref", "HEAD", strings.TrimSpace(head))
	}
	if err != nil {
		return "", err
	}
	fmt.Fprintf(l.log, "%s lacks %d objects; %d of %d refs are whole\n", name(path), n, kept, kept+len(broken))
	return copied, nil
}
