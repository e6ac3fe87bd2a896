package graph

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
)

// The severity of a weakness follows from what the job around it holds, and of a setting from what the secret opens.
func TestWeigh(t *testing.T) {
	key := func(name string, level audit.Level, v audit.Validity) audit.Finding {
		return audit.Finding{
			ID: "of " + name, Secret: audit.NewSecret(audit.KindAWSKey, "AKIA"+name, ""), Verdict: &audit.Verdict{Validity: v}, Reach: &audit.Reach{Level: level},
			Locations: []audit.Location{{Target: "github:acme/web", Kind: audit.InVariable, Name: name}},
		}
	}
	at := func(path string, line int, some, none audit.Severity) audit.Finding {
		return audit.Finding{
			Severity: some, Stakes: &audit.Stakes{None: none, Some: some}, Message: "it",
			Locations: []audit.Location{{Target: "github:acme/web", Kind: audit.InWorkflow, Path: ".github/workflows/" + path, Line: line}},
		}
	}
	of := func(name string, kind audit.LocationKind) audit.Finding {
		return audit.Finding{Severity: audit.Medium, Stakes: &audit.Stakes{None: audit.Low, Some: audit.Medium}, Locations: []audit.Location{{Target: "github:acme/web", Kind: kind, Name: name}}}
	}
	const jobs = `on: push
jobs:
  admin:
    permissions: {}
    runs-on: ubuntu-24.04
    steps:
      - run: deploy ${{ vars.ADMIN }}
  writes:
    permissions: {}
    runs-on: ubuntu-24.04
    steps:
      - run: deploy ${{ vars.WRITES }}
  dead:
    permissions: {}
    runs-on: ubuntu-24.04
    steps:
      - run: deploy ${{ vars.DEAD }} ${{ vars.NONE }}
  unknown:
    permissions: {}
    runs-on: ubuntu-24.04
    steps:
      - run: deploy ${{ secrets.KEPT }} ${{ vars.DEAD }}
  token:
    permissions: { contents: write }
    runs-on: ubuntu-24.04
    steps:
      - run: make
  identity:
    permissions: { id-token: write }
    runs-on: ubuntu-24.04
    steps:
      - run: make
`
	const plain = "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: make\n"
	for _, rights := range []string{"read", "write", ""} {
		run := &audit.Run{Inventory: workflows("github:acme/web", map[string]string{".github/workflows/jobs.yml": jobs, ".github/workflows/plain.yml": plain})}
		settings := audit.Entry{Target: "github:acme/web", Kind: audit.KindSettings, Name: "acme/web", Scope: "repository", Facts: map[string]string{}}
		if rights != "" {
			settings.Facts["token_permissions"] = rights
		}
		run.Inventory = append(run.Inventory, settings)
		for _, name := range []string{"ADMIN", "WRITES", "DEAD", "NONE"} {
			run.Inventory = append(run.Inventory, audit.Entry{Target: "github:acme/web", Kind: audit.KindVariable, Name: name, Scope: "repository", Facts: map[string]string{"store": "actions"}})
		}
		run.Inventory = append(run.Inventory, audit.Entry{Target: "github:acme/web", Kind: audit.KindSecret, Name: "KEPT", Scope: "repository", Facts: map[string]string{"store": "actions"}})
		const high, medium, low = audit.High, audit.Medium, audit.Low
		tests := []struct {
			name    string
			finding audit.Finding
			want    audit.Severity
		}{
			{"admin", at("jobs.yml", 7, high, medium), audit.Critical},
			{"admin, where no outsider comes", at("jobs.yml", 7, low, low), medium},
			{"admin, medium", at("jobs.yml", 7, medium, low), audit.Critical},
			{"writes, medium", at("jobs.yml", 12, medium, low), high},
			{"writes, high", at("jobs.yml", 12, high, medium), high},
			{"dead keys", at("jobs.yml", 17, high, medium), medium},
			{"a secret of which nothing is known", at("jobs.yml", 22, high, medium), high},
			{"a token that writes", at("jobs.yml", 27, high, medium), high},
			{"an identity", at("jobs.yml", 32, high, medium), high},
			{"all jobs of a file", at("jobs.yml", 1, high, medium), audit.Critical},
			{"another file", at("gone.yml", 7, high, medium), high},
			{"the default token", at("plain.yml", 6, high, medium), map[string]audit.Severity{"read": medium, "write": high, "": high}[rights]},
			{"about a variable", of("ADMIN", audit.InVariable), audit.Critical},
			{"about a dead one", of("DEAD", audit.InVariable), low},
			{"about a secret", of("KEPT", audit.InSecret), medium},
		}
		for _, x := range tests {
			run.Findings = append(run.Findings, x.finding)
		}
		run.Findings = append(run.Findings, key("ADMIN", audit.LevelEscalation, audit.Active), key("WRITES", audit.LevelWrite, audit.Active),
			key("DEAD", audit.LevelAdmin, audit.Inactive), key("NONE", audit.LevelNone, audit.Active))
		if err := Weigh(run); err != nil {
			t.Fatal(err)
		}
		want, got := map[string]audit.Severity{}, map[string]audit.Severity{}
		for i, x := range tests {
			want[x.name], got[x.name] = x.want, run.Findings[i].Severity
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("default %q (-want +got):\n%s", rights, diff)
		}
		if m := run.Findings[0].Message; m != "it; the job holds ADMIN, whose level is escalation" {
			t.Error(m)
		}
		if m := run.Findings[5].Message; !strings.HasSuffix(m, "; the job holds nothing that opens anything") {
			t.Error(m)
		}
	}
}

// GitLab hands a variable to all jobs that its scope fits, and what it puts together of several files has no lines: jobs go by their names.
func TestWeighOnGitLab(t *testing.T) {
	run := &audit.Run{Inventory: workflows("gitlab:acme/web", map[string]string{
		".gitlab-ci.yml": "deploy:\n  environment: production\n  script: eval $CI_COMMIT_TITLE\ntest:\n  script: eval $CI_COMMIT_TITLE\n",
	})}
	run.Inventory = append(run.Inventory, audit.Entry{
		Target: "gitlab:acme/web", Kind: audit.KindVariable, Name: "KEY", Scope: "project", Facts: map[string]string{"store": "variable", "environment_scope": "production"},
	})
	for _, name := range []string{"job deploy, CI_COMMIT_TITLE", "job test, CI_COMMIT_TITLE", "job dep, CI_COMMIT_TITLE"} {
		run.Findings = append(run.Findings, audit.Finding{
			Severity: audit.High, Stakes: &audit.Stakes{None: audit.Medium, Some: audit.High},
			Locations: []audit.Location{{Target: "gitlab:acme/web", Kind: audit.InWorkflow, Path: ".gitlab-ci.yml", Name: name}},
		})
	}
	run.Findings = append(run.Findings, audit.Finding{
		ID: "key", Secret: audit.NewSecret(audit.KindAWSKey, "AKIAX", ""), Verdict: &audit.Verdict{Validity: audit.Active}, Reach: &audit.Reach{Level: audit.LevelAdmin},
		Locations: []audit.Location{{Target: "gitlab:acme/web", Kind: audit.InVariable, Name: "KEY"}},
	})
	if err := Weigh(run); err != nil {
		t.Fatal(err)
	}
	for i, want := range []audit.Severity{audit.Critical, audit.High, audit.High} { // the job's token may publish: it is never held for nothing
		if got := run.Findings[i].Severity; got != want {
			t.Errorf("%s: %s, want %s", run.Findings[i].Locations[0].Name, got, want)
		}
	}
}
