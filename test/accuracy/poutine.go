package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/definitions"
)

// poutineRules are poutine's rules that look for the same as one of ours, or as two that divide it among forges.
var poutineRules = map[string][]string{
	"debug_enabled":                       {"debug-logging"},
	"default_permissions_on_risky_events": {"broad-token"},
	"if_always_true":                      {"unsound-condition"},
	"injection":                           {"script-injection", "gitlab-script-injection"},
	"job_all_secrets":                     {"all-secrets"},
	"pr_runs_on_self_hosted":              {"self-hosted-on-pull-request"},
	"unpinnable_action":                   {"unpinnable-action"},
	"untrusted_checkout_exec":             {"untrusted-checkout"},
	"unverified_script_exec":              {"curl-pipe-shell"},
}

// A verdict is that a rule, by the other program's name, finds something at a place of a file: a job, "" for all of it, or a line.
type verdict struct{ rule, file, place string }

// poutine compares with what the test of a checkout of boostsecurityio/poutine expects of its test data, job by job: it names each step that is
// reached, we the job or what is wrong in it.
func (l *lab) poutine(dir string) error {
	source, err := os.ReadFile(filepath.Join(dir, "scanner/inventory_test.go"))
	if err != nil {
		return fmt.Errorf("reading test: %w", err)
	}
	every, err := definitions.New(nil)
	if err != nil {
		return err
	}
	expected := map[verdict]bool{}
	files := map[string]bool{}
	for _, literal := range strings.Split(string(source), "RuleId:")[1:] {
		id, _, _ := strings.Cut(strings.TrimLeft(literal, ` "`), `"`)
		file, job := field(literal, "Path"), field(literal, "Job")
		if file == "" {
			continue
		}
		if where := (audit.Item{Kind: audit.KindFile, At: audit.Location{Path: file}}); !every.Wants(where) {
			continue // of a forge that is none of ours
		}
		files[file] = true
		if poutineRules[id] != nil {
			job, _, _ = strings.Cut(job, "[") // and what of it, on GitLab
			expected[verdict{id, file, strings.TrimSuffix(job, ".before_script")}] = true
		}
	}
	if len(expected) == 0 {
		return errors.New("no tests there: it takes a checkout of boostsecurityio/poutine")
	}
	read := func(file string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, "scanner/testdata", file)) }
	return l.sideBySide(poutineRules, expected, slices.Sorted(maps.Keys(files)), read, func(f *audit.Finding) (string, bool) {
		name, ofJob := strings.CutPrefix(f.Locations[0].Name, "job ")
		if !ofJob {
			return "", true
		}
		job, _, _ := strings.Cut(name, ",")
		return job, true
	})
}

// field is the text of a field of a literal in Go.
func field(literal, name string) string {
	if m := regexp.MustCompile(name + `:\s+"([^"]*)"`).FindStringSubmatch(literal); m != nil {
		return m[1]
	}
	return ""
}

// actionlintRules are what actionlint says that one of our rules says too, by a part of its message.
var actionlintRules = map[string][]string{
	"potentially untrusted":           {"script-injection"},
	"should be specified via secrets": {"hardcoded-credential"},
	"is always evaluated to true":     {"unsound-condition"},
}

var actionlintLine = regexp.MustCompile(`(?m)^\S*?:(\d+):\d+: (.*)$`)

// actionlint compares with what the tests of a checkout of rhysd/actionlint expect of its test data, line by line. Of the files that it holds to be right
// nothing is expected.
func (l *lab) actionlint(dir string) error {
	data := filepath.Join(dir, "testdata")
	expected := map[verdict]bool{}
	var files []string
	for _, part := range []string{"err", "examples", "ok"} {
		list, err := filepath.Glob(filepath.Join(data, part, "*.yaml"))
		if err != nil {
			return fmt.Errorf("listing test data: %w", err)
		}
		for _, name := range list {
			file := part + "/" + filepath.Base(name)
			files = append(files, file)
			out, err := os.ReadFile(strings.TrimSuffix(name, ".yaml") + ".out")
			if err != nil {
				continue // nothing is said of it
			}
			for _, m := range actionlintLine.FindAllStringSubmatch(string(out), -1) {
				for text := range actionlintRules {
					if strings.Contains(m[2], text) {
						expected[verdict{text, file, m[1]}] = true
					}
				}
			}
		}
	}
	if len(expected) == 0 {
		return errors.New("no tests there: it takes a checkout of rhysd/actionlint")
	}
	read := func(file string) ([]byte, error) { return os.ReadFile(filepath.Join(data, file)) }
	return l.sideBySide(actionlintRules, expected, files, read, func(f *audit.Finding) (string, bool) {
		// Of what whoever starts the workflow or an earlier step gives it says nothing.
		starters := strings.Contains(f.Message, "starts or calls the workflow") || strings.Contains(f.Message, "computed outside")
		return strconv.Itoa(f.Locations[0].Line), !starters
	})
}

// sideBySide prints how far our findings in some files are those that are expected. place says where one is, as the expectations do,
// and whether it is one that the other program would look for.
func (l *lab) sideBySide(rules map[string][]string, expected map[verdict]bool, files []string, read func(string) ([]byte, error), place func(*audit.Finding) (string, bool)) error {
	var ids []string
	theirs := map[string]string{}
	for other, ours := range rules {
		for _, id := range ours {
			ids = append(ids, id)
			theirs[id] = other
		}
	}
	scanner, err := definitions.New(ids)
	if err != nil {
		return err
	}
	found := map[verdict]bool{}
	for _, file := range files {
		content, err := read(file)
		if err != nil {
			return fmt.Errorf("reading test data: %w", err)
		}
		for _, f := range definitionFindings(scanner, file, content) {
			if at, ok := place(&f); ok {
				found[verdict{theirs[f.Rule], file, at}] = true
			}
		}
	}
	counts := map[string]*agreement{}
	for other := range rules {
		counts[other] = &agreement{}
	}
	compare := func(a, b verdict) int { return strings.Compare(a.rule+a.file+a.place, b.rule+b.file+b.place) }
	for _, v := range slices.SortedFunc(maps.Keys(expected), compare) {
		c := counts[v.rule]
		c.spans++
		if matches(found, v) {
			c.hits++
		} else if l.detail {
			fmt.Fprintf(l.out, "missed %s %s %s\n", v.rule, v.file, v.place)
		}
	}
	for _, v := range slices.SortedFunc(maps.Keys(found), compare) {
		c := counts[v.rule]
		c.ours++
		if !matches(expected, v) {
			c.extra++
			if l.detail {
				fmt.Fprintf(l.out, "extra %s %s %s\n", v.rule, v.file, v.place)
			}
		}
	}
	return l.table(counts)
}

// matches tells whether a set has a verdict; one without a place is of the whole file.
func matches(set map[verdict]bool, v verdict) bool {
	if set[v] {
		return true
	}
	for have := range set {
		if have.rule == v.rule && have.file == v.file && (have.place == "" || v.place == "") {
			return true
		}
	}
	return false
}
