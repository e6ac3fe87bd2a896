package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/definitions"
)

// sharedRules are zizmor's rules that look for the same as one of ours.
var sharedRules = map[string]string{
	"artipacked":                      "checkout-credential",
	"bot-conditions":                  "spoofable-bot-check",
	"dangerous-triggers":              "dangerous-trigger",
	"excessive-permissions":           "broad-token",
	"github-env":                      "env-file-injection",
	"hardcoded-container-credentials": "hardcoded-credential",
	"insecure-commands":               "legacy-commands",
	"overprovisioned-secrets":         "all-secrets",
	"secrets-inherit":                 "secrets-inherit",
	"secrets-outside-env":             "secret-outside-environment",
	"template-injection":              "script-injection",
	"unpinned-images":                 "unpinned-image",
	"unpinned-tools":                  "unpinned-tool",
	"unpinned-uses":                   "unpinned-action",
	"unredacted-secrets":              "secret-unmasked",
	"unsound-condition":               "unsound-condition",
	"unsound-contains":                "unsound-condition",
}

// A span is where an expected finding lies: zizmor marks whole blocks where we name a line.
type span struct {
	file, rule string
	from, to   int
	level      string // "info" for what zizmor holds to be information only
}

// A tested file is what zizmor's tests expect of one.
type tested struct {
	spans   map[span]bool // whether they are reported without asking for more
	auditor bool          // all was asked for
}

// zizmor compares with what the tests of a checkout of zizmorcore/zizmor expect: the union of what they expect of one file, whatever the persona. The
// files themselves are read, never run.
func (l *lab) zizmor(dir string) error {
	tests := filepath.Join(dir, "crates/zizmor/tests/integration")
	files, err := filepath.Glob(filepath.Join(tests, "*/*.rs"))
	if err != nil {
		return fmt.Errorf("listing tests: %w", err)
	}
	expected := map[string]*tested{}
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading test: %w", err)
		}
		snapshots(string(source), expected)
	}
	if len(expected) == 0 {
		return errors.New("no tests there: it takes a checkout of zizmorcore/zizmor")
	}
	scanner, err := definitions.New(nil)
	if err != nil {
		return err
	}
	leftOut := 0
	counts := map[string]*agreement{}
	for _, rule := range sharedRules {
		counts[rule] = &agreement{}
	}
	for _, file := range slices.Sorted(maps.Keys(expected)) {
		content, err := os.ReadFile(filepath.Join(tests, "test-data", file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // one that the test makes
		}
		if err != nil {
			return fmt.Errorf("reading test data: %w", err)
		}
		lines := strings.Split(string(content), "\n")
		found := map[span]bool{}
		for _, f := range definitionFindings(scanner, file, content) {
			if c := counts[f.Rule]; c != nil && !ignored(lines, f) && (f.Rule != "secret-outside-environment" || expected[file].auditor) {
				found[span{file: file, rule: f.Rule, from: f.Locations[0].Line, to: f.Locations[0].Line}] = false
			}
		}
		for _, want := range slices.SortedFunc(maps.Keys(expected[file].spans), compareSpans) {
			c := counts[want.rule]
			// Of expressions zizmor's pedantic findings are each that there is, its informational ones those that it knows nothing about.
			if want.rule == "script-injection" && (want.level == "info" || want.level == "help" && !expected[file].spans[want]) {
				leftOut++
				continue
			}
			c.spans++
			hit := false
			for have := range found {
				if have.rule == want.rule && have.from >= want.from && have.from <= want.to {
					found[have], hit = true, true
				}
			}
			if hit {
				c.hits++
				continue
			}
			if l.detail {
				fmt.Fprintf(l.out, "missed %s %s:%d-%d %s\n", want.rule, file, want.from, want.to, want.level)
			}
		}
		for _, have := range slices.SortedFunc(maps.Keys(found), compareSpans) {
			c := counts[have.rule]
			c.ours++
			if !found[have] {
				c.extra++
				if l.detail {
					fmt.Fprintf(l.out, "extra %s %s:%d\n", have.rule, file, have.from)
				}
			}
		}
	}
	if err := l.table(counts); err != nil {
		return err
	}
	fmt.Fprintf(l.out, "left out: %d expressions that zizmor reports because they are expressions\n", leftOut)
	return nil
}

// An agreement is how many findings of a rule are expected, and how many of those and others there are.
type agreement struct{ hits, spans, extra, ours int }

// table prints counts by rule.
func (l *lab) table(counts map[string]*agreement) error {
	table := tabwriter.NewWriter(l.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "rule\texpected\tfound\trecall\tours\textra\tprecision")
	var all agreement
	for _, rule := range slices.Sorted(maps.Keys(counts)) {
		c := counts[rule]
		all = agreement{all.hits + c.hits, all.spans + c.spans, all.extra + c.extra, all.ours + c.ours}
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%d\t%d\t%s\n", rule, c.spans, c.hits, share(c.hits, c.spans), c.ours, c.extra, share(c.ours-c.extra, c.ours))
	}
	fmt.Fprintf(table, "all\t%d\t%d\t%s\t%d\t%d\t%s\n", all.spans, all.hits, share(all.hits, all.spans), all.ours, all.extra, share(all.ours-all.extra, all.ours))
	return table.Flush()
}

func compareSpans(a, b span) int {
	return cmp.Or(strings.Compare(a.rule, b.rule), a.from-b.from, a.to-b.to, strings.Compare(a.level, b.level))
}

func share(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", float64(part)/float64(whole))
}

// definitionFindings are what our rules say of a file, wherever another program's tests keep it.
func definitionFindings(s *definitions.Scanner, file string, content []byte) []audit.Finding {
	where := ".github/workflows/" + path.Base(file)
	if base := path.Base(file); base == "action.yml" || base == "action.yaml" || base == ".gitlab-ci.yml" {
		where = base
	}
	found, _ := s.Scan(audit.Item{Kind: audit.KindFile, At: audit.Location{Target: "dir:.", Path: where}}, content)
	return found
}

// ignored tells whether the line has a comment that tells zizmor not to report it.
func ignored(lines []string, f audit.Finding) bool {
	n := f.Locations[0].Line
	if n < 1 || n > len(lines) {
		return false
	}
	_, comment, ok := strings.Cut(lines[n-1], "zizmor: ignore[")
	for theirs, ours := range sharedRules {
		if ok && ours == f.Rule && strings.Contains(comment, theirs) {
			return true
		}
	}
	return false
}

var (
	testInput = regexp.MustCompile(`\.input\(\s*input_under_test\(\s*"([^"]+)"`)
	snapshot  = regexp.MustCompile(`(?s)^.*?,\s*@(r#*)?"(.*)`)
	heading   = regexp.MustCompile(`^\s*(error|warning|help|info)\[([a-z-]+)\]:`)
	arrow     = regexp.MustCompile(`^\s*--> @@INPUT@@(/[^:]*)?:(\d+):(\d+)`)
	marked    = regexp.MustCompile(`^\s*(\d+) \|`)
)

// snapshots reads what the tests of one source file expect.
func snapshots(source string, expected map[string]*tested) {
	at := testInput.FindAllStringSubmatchIndex(source, -1)
	for i, m := range at {
		end := len(source)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		text := snapshot.FindStringSubmatch(source[m[1]:end])
		if text == nil {
			continue
		}
		input, body := source[m[2]:m[3]], text[2]
		asked, _, _ := strings.Cut(source[m[1]:end], "@")
		if call := strings.LastIndex(source[:m[0]], "zizmor()"); call >= 0 {
			asked = source[call:m[0]] + asked
		}
		if strings.Contains(asked, ".config(") {
			continue // which says what is to be passed over
		}
		if stop := strings.Index(body, `"`+strings.TrimPrefix(text[1], "r")); stop >= 0 && text[1] != "" {
			body = body[:stop]
		} else if stop := strings.Index(body, "\"\n    );"); stop >= 0 {
			body = body[:stop]
		}
		readSnapshot(input, body, asked, expected)
	}
}

func readSnapshot(input, body, asked string, expected map[string]*tested) {
	of := func(file string) *tested {
		if expected[file] == nil {
			expected[file] = &tested{spans: map[span]bool{}}
		}
		return expected[file]
	}
	auditor := strings.Contains(asked, "auditor")
	more := auditor || strings.Contains(asked, "pedantic")
	if strings.HasSuffix(input, ".yml") || strings.HasSuffix(input, ".yaml") {
		of(input).auditor = of(input).auditor || auditor
	}
	var now span
	open := false
	finish := func() {
		if open && now.file != "" && now.rule != "" {
			t := of(now.file)
			t.auditor = t.auditor || auditor
			t.spans[now] = t.spans[now] || !more
		}
		open = false
	}
	for line := range strings.SplitSeq(body, "\n") {
		if m := heading.FindStringSubmatch(line); m != nil {
			finish()
			now, open = span{rule: sharedRules[m[2]], level: m[1]}, true
			continue
		}
		if m := arrow.FindStringSubmatch(line); m != nil && open && now.from == 0 {
			now.file = path.Join(input, m[1])
			now.from, _ = strconv.Atoi(m[2]) // digits
			now.to = now.from
			continue
		}
		// A block's last line is the one above the mark that closes it.
		if m := marked.FindStringSubmatch(line); m != nil && open && (strings.Contains(line, "| | ") || strings.HasSuffix(strings.TrimRight(line, " "), "| |")) {
			if n, err := strconv.Atoi(m[1]); err == nil && n > now.to {
				now.to = n
			}
		}
	}
	finish()
}
