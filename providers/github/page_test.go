package github

import (
	"encoding/json"
	flags "flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

var update = flags.Bool("update", false, "write what is generated in docs/github.md anew")

// TestPage holds docs/github.md to the table of rights: the table itself, the App's manifest, and the links that fill in GitHub's forms.
func TestPage(t *testing.T) {
	const page = "../../docs/github.md"
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := string(have)
	for name, text := range map[string]string{"rights": rightsTable(), "manifest": manifestText(t), "app": "```\n" + formLink("https://github.com/organizations/ORG/settings/apps/new",
		"name=leakreach-ORG", "url=https://github.com/leakreach/leakreach", "public=false", "webhook_active=false") + "```\n",
		"token": "```\n" + formLink("https://github.com/settings/personal-access-tokens/new", "name=leakreach", "target_name=ORG", "expires_in=30") + "```\n"} {
		block := regexp.MustCompile(`(?s)(<!-- ` + name + `:[^>]*-->\n).*?(<!-- end -->)`)
		if !block.MatchString(want) {
			t.Fatalf("%s has no block %q", page, name)
		}
		want = block.ReplaceAllStringFunc(want, func(old string) string {
			m := block.FindStringSubmatch(old)
			return m[1] + text + m[2]
		})
	}
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(have) {
		t.Errorf("%s is not what the table of rights says; write it anew: go test ./providers/github -run TestPage -update", page)
	}
}

func rightsTable() string {
	var b strings.Builder
	b.WriteString("| what is read | for `--sources` | GitHub App, fine-grained token | classic token | a workflow's own token |\n|---|---|---|---|---|\n")
	for _, p := range parts() {
		sources := "all"
		if p.sources != 0 {
			sources = strings.Join(p.sources.Names(), ", ")
		}
		right := "–"
		if p.right != "" {
			right = title(p.right)
		}
		if p.app {
			right += ", an App's only"
		}
		classic := "–"
		if p.classic != "" {
			classic = "`" + p.classic + "`"
		}
		job := "no"
		if p.job {
			key, _, _ := strings.Cut(p.right, "=")
			job = "`" + strings.ReplaceAll(key, "_", "-") + ": read`"
			if key == "metadata" {
				job = "yes"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", p.what, sources, right, classic, job)
	}
	return b.String()
}

func manifestText(t *testing.T) string {
	t.Helper()
	text, err := json.MarshalIndent(map[string]any{
		"name": "leakreach-ORG", "url": "https://github.com/leakreach/leakreach", "redirect_url": "http://127.0.0.1/", "public": false,
		"hook_attributes": map[string]any{"url": "https://github.com/leakreach/leakreach", "active": false}, "default_events": []string{}, "default_permissions": manifest(),
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return "```json\n" + string(text) + "\n```\n"
}

// formLink fills in one of GitHub's forms. A link that is long is cut into lines, each a parameter.
func formLink(address string, first ...string) string {
	lines := first
	rights := manifest()
	for _, key := range slices.Sorted(maps.Keys(rights)) {
		if key != "metadata" && (key != "organization_personal_access_tokens" || strings.HasSuffix(address, "/apps/new")) { // every token has the one, and no user's the other
			lines = append(lines, key+"="+rights[key])
		}
	}
	return address + "\n?" + strings.Join(lines, "\n&") + "\n"
}

// TestRightsAreAllowed: every right of the table is one that GitHub knows, and the manifest only reads.
func TestRightsAreAllowed(t *testing.T) {
	right := regexp.MustCompile(`^[a-z_]+=(read|write)$`)
	for _, p := range parts() {
		if p.right != "" && !right.MatchString(p.right) || p.right == "" && p.classic == "" {
			t.Errorf("%+v", p)
		}
	}
	for key, level := range manifest() {
		if level != "read" || key == "codespaces_secrets" {
			t.Errorf("the manifest has %s=%s", key, level)
		}
	}
	for _, s := range []audit.Sources{audit.SourceHistory, audit.SourceWorkflows, audit.SourceVariables, audit.SourceSecrets, audit.SourceSettings, audit.SourceRunners, audit.SourceLogs, audit.SourceArtifacts, audit.SourceCaches, audit.SourceIssues, audit.SourceWikis, audit.SourceReleases} {
		if !slices.ContainsFunc(parts(), func(p part) bool { return p.sources.Has(s) && p.right != "" }) {
			t.Errorf("no right for %s", s)
		}
	}
}
