package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// A row is one labelled span of lines of CredData.
type row struct {
	path     string // of the copied file: "REPOSITORY/path in it"
	from, to int    // lines
	label    byte   // T credential, F none, X undecided
	category string
	found    bool
}

// credData scores scanners by line on the part of CredData whose repositories lie in a folder. The files are copied under the paths they
// have in their repositories, values as they are there: CredData's own download renames the files and replaces the values, which
// takes a scanner's view of both away.
func (l *lab) credData(ctx context.Context, tools []tool, dir, clones string) error {
	b, err := os.ReadFile(filepath.Join(dir, "snapshot.json"))
	if err != nil {
		return err
	}
	var snapshot map[string]string // 40 digits of a commit and more → URL
	if err := json.Unmarshal(b, &snapshot); err != nil {
		return fmt.Errorf("reading snapshot.json: %w", err)
	}
	var rows []row
	repositories, files := 0, 0
	for _, id := range slices.Sorted(maps.Keys(snapshot)) {
		repo := clone(clones, snapshot[id])
		if repo == "" {
			continue
		}
		raw, err := hex.DecodeString(id)
		if err != nil {
			return fmt.Errorf("snapshot.json: %q is no id", id)
		}
		meta := fmt.Sprintf("%08x", crc32.ChecksumIEEE(raw))
		byFile, err := readMeta(filepath.Join(dir, "meta", meta+".csv"))
		if err != nil {
			return err
		}
		placed, err := copyFiles(ctx, repo, id[:40], filepath.Join(l.data, meta), byFile)
		if err != nil {
			fmt.Fprintf(l.log, "left out: %v\n", err)
			continue
		}
		repositories++
		for file, path := range placed {
			files++
			for _, r := range byFile[file] {
				r.path = meta + "/" + path
				rows = append(rows, r)
			}
		}
	}
	labels := map[byte]int{}
	for _, r := range rows {
		labels[r.label]++
	}
	fmt.Fprintf(l.out, "%d of %d repositories, %d files; rows: %d T, %d F, %d X\n", repositories, len(snapshot), files, labels['T'], labels['F'], labels['X'])
	w := tabwriter.NewWriter(l.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "scanner\tprecision\trecall\tF1\tT rows found\tlines in T\tlines in F\tin X\tunlabelled")
	for _, t := range tools {
		hits, err := t.scan(ctx, l.data, filepath.Join(l.temp, t.name+".json"))
		if err != nil {
			return err
		}
		mine := slices.Clone(rows)
		s := score(mine, hits)
		precision, recall := ratio(s.lines['T'], s.lines['T']+s.lines['F']), ratio(s.rows, labels['T'])
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.4f\t%d\t%d\t%d\t%d\t%d\n", t.name, precision, recall, 2*precision*recall/max(precision+recall, 1e-9),
			s.rows, s.lines['T'], s.lines['F'], s.lines['X'], s.lines[0])
		if l.detail {
			l.credDetail(t.name, mine, s)
		}
	}
	return w.Flush()
}

// clone finds a repository in a folder that holds it as OWNER+NAME/repo, OWNER/NAME or NAME, bare or not.
func clone(dir, url string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(url, "https://github.com/"), ".git")
	for _, sub := range []string{strings.ReplaceAll(name, "/", "+") + "/repo", name, name + ".git", filepath.Base(name)} {
		path := filepath.Join(dir, sub)
		for _, head := range []string{filepath.Join(path, "HEAD"), filepath.Join(path, ".git")} {
			if _, err := os.Stat(head); err == nil {
				return path
			}
		}
	}
	return ""
}

// readMeta reads the rows of one repository, by file id.
func readMeta(file string) (map[string][]row, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := csv.NewReader(f)
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	column := map[string]int{}
	for i, name := range head {
		column[name] = i
	}
	byFile := map[string][]row{}
	for {
		r, err := in.Read()
		if err == io.EOF {
			return byFile, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		from, err1 := strconv.Atoi(r[column["LineStart"]])
		to, err2 := strconv.Atoi(r[column["LineEnd"]])
		if label := r[column["GroundTruth"]]; err1 == nil && err2 == nil && len(label) == 1 {
			id := r[column["FileID"]]
			byFile[id] = append(byFile[id], row{from: from, to: to, label: label[0], category: r[column["Category"]]})
		}
	}
}

// copyFiles writes the labelled files of a commit below a folder and returns their paths in the repository by file id, which is
// the beginning of the SHA-256 of the path.
func copyFiles(ctx context.Context, repo, commit, dir string, want map[string][]row) (map[string]string, error) {
	list, err := git(ctx, repo, "ls-tree", "-r", "-z", commit)
	if err != nil {
		return nil, err
	}
	placed := map[string]string{}
	for entry := range strings.SplitSeq(list, "\x00") {
		what, path, _ := strings.Cut(entry, "\t")
		sum := sha256.Sum256([]byte(path))
		id := hex.EncodeToString(sum[:4])
		fields := strings.Fields(what) // mode, type, object
		if want[id] == nil || len(fields) != 3 || !strings.HasPrefix(fields[0], "100") || !filepath.IsLocal(path) {
			continue
		}
		var content bytes.Buffer
		cmd := exec.CommandContext(ctx, "git", "-C", repo, "cat-file", "blob", fields[2])
		cmd.Stdout = &content
		if err := cmd.Run(); err != nil {
			continue // a partial clone lacks it
		}
		to := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(to, content.Bytes(), 0o600); err != nil {
			return nil, err
		}
		placed[id] = path
	}
	return placed, nil
}

// A standing is a scanner's score on CredData.
type standing struct {
	lines   map[byte]int            // reported lines by the label of the row they lie in; 0 for none
	rows    int                     // T rows that a reported line lies in
	byRule  map[string]map[byte]int // the same lines, by the scanner's rule
	reports []judged
}

type judged struct {
	hit
	label    byte
	category string
}

// score judges each reported line once. A line in a T row is right, whatever else is labelled on it; one in an F row is wrong;
// X rows and lines that nobody labelled count for neither, as in CredData's own benchmark.
func score(rows []row, hits []hit) standing {
	s := standing{lines: map[byte]int{}, byRule: map[string]map[byte]int{}}
	byPath := map[string][]*row{}
	for i := range rows {
		byPath[rows[i].path] = append(byPath[rows[i].path], &rows[i])
	}
	type place struct {
		path string
		from int
	}
	seen := map[place]bool{}
	for _, h := range hits {
		label, category := byte(0), ""
		for _, r := range byPath[h.path] {
			if h.from > r.to || r.from > h.to {
				continue
			}
			if r.label == 'T' && !r.found {
				r.found = true
				s.rows++
			}
			if rank(r.label) > rank(label) {
				label, category = r.label, r.category
			}
		}
		p := place{h.path, h.from}
		if seen[p] {
			continue
		}
		seen[p] = true
		s.lines[label]++
		if s.byRule[h.rule] == nil {
			s.byRule[h.rule] = map[byte]int{}
		}
		s.byRule[h.rule][label]++
		s.reports = append(s.reports, judged{h, label, category})
	}
	return s
}

func rank(label byte) int { return strings.IndexByte("\x00XFT", label) }

// credDetail lists what was missed by category, what was reported by rule, and where.
func (l *lab) credDetail(name string, rows []row, s standing) {
	type tally struct{ found, missed, wrong int }
	byCategory := map[string]*tally{}
	at := func(category string) *tally {
		if byCategory[category] == nil {
			byCategory[category] = &tally{}
		}
		return byCategory[category]
	}
	for _, r := range rows {
		switch {
		case r.label == 'T' && r.found:
			at(r.category).found++
		case r.label == 'T':
			at(r.category).missed++
			fmt.Fprintf(l.log, "%s\tmissed\t%s\t%s:%d-%d\n", name, r.category, r.path, r.from, r.to)
		}
	}
	for _, j := range s.reports {
		if j.label == 'F' {
			at(j.category).wrong++
		}
		if j.label != 'T' {
			fmt.Fprintf(l.log, "%s\t%s\t%s\t%s\t%s:%d-%d\n", name, map[byte]string{'F': "wrong", 'X': "undecided", 0: "unlabelled"}[j.label], j.rule, j.category, j.path, j.from, j.to)
		}
	}
	w := tabwriter.NewWriter(l.log, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s by category\tfound\tmissed\twrong\n", name)
	for _, c := range slices.SortedFunc(maps.Keys(byCategory), func(a, b string) int { return cmp.Compare(byCategory[b].missed, byCategory[a].missed) }) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", c, byCategory[c].found, byCategory[c].missed, byCategory[c].wrong)
	}
	fmt.Fprintf(w, "\n%s by rule\tin T\tin F\tin X\tunlabelled\n", name)
	for _, r := range slices.Sorted(maps.Keys(s.byRule)) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", r, s.byRule[r]['T'], s.byRule[r]['F'], s.byRule[r]['X'], s.byRule[r][0])
	}
	if err := w.Flush(); err != nil {
		panic(err)
	}
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}
