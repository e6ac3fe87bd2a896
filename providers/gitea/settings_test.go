package gitea

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// lines lists a target's inventory, a line each, with facts in order.
func inventory(t *testing.T, p *Provider, target audit.Target) (lines, gaps []string) {
	t.Helper()
	for it, err := range p.Items(t.Context(), target) {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
			gaps = append(gaps, gap.Error())
		case err != nil:
			t.Fatal(err)
		case it.Entry != nil:
			line := string(it.Kind) + " " + it.Entry.Name
			for _, k := range slices.Sorted(maps.Keys(it.Entry.Facts)) {
				line += " " + k + "=" + it.Entry.Facts[k]
			}
			lines = append(lines, line)
		}
		if it.Done != nil {
			it.Done()
		}
	}
	return lines, gaps
}

const settingsOnly = audit.SourceSettings | audit.SourceWorkflows

const definition = "on: push\njobs:\n  a:\n    runs-on: host\n    steps:\n      - run: make ${{ secrets.KEY }}\n"

func TestSettings(t *testing.T) {
	g := acme(1)
	secret := "hook" + "secret"
	g.Owners[0].Hooks = []forgetest.GiteaHook{{URL: "https://chat.example.com:8443/hooks/" + secret, Header: "Bearer " + secret, Events: []string{"push", "issues"}}}
	x := g.Repos[2]
	x.Private, x.Off = true, []string{"has_actions"}
	x.Hooks = []forgetest.GiteaHook{{URL: "http://ci.example.com/" + secret, Off: true}, {URL: "%zz"}}
	x.Keys = []forgetest.GiteaKey{{Title: "deploys, all", Key: "ssh-ed25519 AAAA"}, {Title: "reads", ReadOnly: true}}
	x.Rules = []forgetest.GiteaRule{
		{Name: "main", Push: true, Users: []string{"jane", "a,b"}, Signed: true, Approvals: 2}, {Name: "release/*"}, {Name: "dev", Push: true}, {Name: "robots", Push: true, Users: []string{}},
	}
	x.TagRules = []forgetest.GiteaTagRule{{Pattern: "v*", Users: []string{"jane"}}, {Pattern: "*"}}
	x.Dir = forgetest.Repository(t, forgetest.Commit{
		".gitea/workflows/b.yml": "on: push\n", ".gitea/workflows/a.yaml": definition, ".gitea/workflows/notes.txt": "no\n", ".gitea/workflows/deep/c.yml": "no\n", ".github/workflows/c.yml": "on: push\n",
		".github/dependabot.yml": "no\n", "src/.github/workflows/d.yml": "no\n",
	})
	p := provider(t, g, nil)
	p.opts.Sources = settingsOnly
	r := targets(t, p, "acme/r.000", "")
	if r.err != nil || len(r.targets) != 2 {
		t.Fatal(r.err, r.names())
	}
	lines, gaps := inventory(t, p, r.targets[0])
	if diff := cmp.Diff([]string{"settings Acme forge_version=1.26.0 repositories=1 visibility=public", "webhook chat.example.com active=true events=issues,push id=1 url_scheme=https"}, lines); diff != "" || len(gaps) > 0 {
		t.Errorf("the organisation, gaps %q (-want +got):\n%s", gaps, diff)
	}
	lines, gaps = inventory(t, p, r.targets[1])
	if diff := cmp.Diff([]string{
		"workflow .gitea/workflows/a.yaml events=push id_token=false permissions=default runs_on=host secrets=KEY whole=true",
		"workflow .gitea/workflows/b.yml events=push whole=false", "workflow .github/workflows/c.yml events=push whole=false",
		"job .gitea/workflows/a.yaml: a at=3:3 events=push\t1:5 job=a labels=host path=.gitea/workflows/a.yaml takes=secrets\tKEY\tKEY\trun\t6:14 workflow=.gitea/workflows/a.yaml",
		"settings Acme/r.000 actions=false archived=false default_branch=main fork=true mirror=false pushed_at=" + stamp(forgetest.Updated) + " visibility=private workflows=3",
		"protection main bypass=Administrators enforcement=active merge=write of=branch push=User:jane refs=main reviews=2 rules=deletion,non_fast_forward,required_signatures",
		"protection release/* bypass=Administrators enforcement=active merge=write of=branch push=none refs=release/* reviews=0 rules=deletion,non_fast_forward,pull_request",
		"protection dev bypass=Administrators enforcement=active merge=write of=branch push=write refs=dev reviews=0 rules=deletion,non_fast_forward",
		"protection robots bypass=Administrators enforcement=active merge=write of=branch push=none refs=robots reviews=0 rules=deletion,non_fast_forward",
		"protection v* create=User:jane enforcement=active of=tag refs=v* rules=creation,deletion", "protection * create=none enforcement=active of=tag refs=* rules=creation,deletion",
		"deploy-key deploys, all created_at=" + stamp(forgetest.Created) + " fingerprint=" + forgetest.Fingerprint("ssh-ed25519 AAAA") + " id=1 read_only=false",
		"deploy-key reads created_at=" + stamp(forgetest.Created) + " fingerprint=" + forgetest.Fingerprint("") + " id=2 read_only=true",
		"webhook ci.example.com active=false id=1 url_scheme=http", "webhook (no name) active=true id=2",
	}, lines); diff != "" || len(gaps) > 0 {
		t.Errorf("the repository, gaps %q (-want +got):\n%s", gaps, diff)
	}
	for it, err := range p.Items(t.Context(), r.targets[1]) {
		if err != nil || strings.Contains(fmt.Sprintf("%+v %+v", it, it.Entry), secret) {
			t.Errorf("%+v, %v", it, err)
		}
		if it.Kind == audit.KindWorkflow && !strings.HasPrefix(string(it.Content), "on: push\n") {
			t.Errorf("%s is %q", it.At.Path, it.Content)
		}
	}
}

// TestAbsent asks servers for what they do not have.
func TestAbsent(t *testing.T) {
	for _, test := range []struct {
		older bool
		empty string // what nothing was pushed to
		want  []string
	}{
		{older: true, want: []string{"repository tag protections: 404 Not Found: no right to read it, or not offered here (version 1.17.4)"}},
		{older: false},
	} {
		g := acme(1)
		g.Older = test.older
		p := provider(t, g, nil)
		p.opts.Sources = settingsOnly
		r := targets(t, p, "acme/r.000", "")
		if lines, gaps := inventory(t, p, r.named("gitea:Acme/r.000")); !slices.Equal(gaps, test.want) || len(lines) != 1 || !strings.HasSuffix(lines[0], " workflows=0") {
			t.Errorf("older %t: gaps %q, entries %q", test.older, gaps, lines)
		}
	}
}

// TestWithoutToken reads of a public repository what everybody may, and says what else there is.
func TestWithoutToken(t *testing.T) {
	g := acme(1)
	g.Repos[2].Dir = forgetest.Repository(t, forgetest.Commit{".gitea/workflows/a.yml": "on: push\n"})
	p := provider(t, g, map[string]string{"GITEA_TOKEN": ""})
	p.opts.Sources = settingsOnly
	r := targets(t, p, "acme/r.000", "")
	lines, gaps := inventory(t, p, r.named("gitea:Acme/r.000"))
	if len(lines) != 2 || len(gaps) != 4 || gaps[0] != "repository branch protections: needs a token: GITEA_TOKEN is not set" {
		t.Errorf("entries %q, gaps %q", lines, gaps)
	}
}

func TestWholeInstance(t *testing.T) {
	g := acme(60)
	g.Admin, g.Runners = true, []forgetest.Runner{{Name: "shared", Labels: []string{"linux"}}}
	g.Hooks = []forgetest.GiteaHook{{URL: "https://siem.example.com/x"}}
	p := provider(t, g, nil)
	p.opts.Sources |= audit.SourceSettings
	r := targets(t, p, "*", "")
	want := []string{"instance gitea:*", "organisation gitea:Acme", "organisation gitea:empty", "user gitea:jane", "repository gitea:jane/dotfiles", "repository gitea:john/x", "repository gitea:Acme/r.000"}
	if gaps := []string{"variables, runners and webhooks of other users: needs each user's own token"}; r.err != nil || !slices.Equal(r.gaps, gaps) || len(r.targets) != 66 || !slices.Equal(r.names()[:7], want) {
		t.Fatalf("err %v, gaps %q, %d targets %q", r.err, r.gaps, len(r.targets), r.names())
	}
	lines, gaps := inventory(t, p, r.targets[0])
	if want := []string{"runner shared ephemeral=false id=1 labels=linux status=online disabled=false", "webhook siem.example.com active=true id=1 url_scheme=https"}; len(lines) != 2 || len(gaps) > 0 || lines[1] != want[1] {
		t.Errorf("gaps %q, entries %q", gaps, lines)
	}
	cursor := r.targets[4].Cursor
	if rest := targets(t, p, "*", cursor); cursor == "" || rest.err != nil || len(rest.gaps) > 0 || !slices.Equal(rest.names(), r.names()[4+50:]) {
		t.Errorf("from %q on: err %v, gaps %q, targets %q", cursor, rest.err, rest.gaps, rest.names())
	}
	g.Admin = false
	if r := targets(t, p, "*", ""); !errors.Is(r.err, audit.ErrAuth) || !strings.Contains(r.err.Error(), "needs an administrator of the server") {
		t.Errorf("as anybody: %v", r.err)
	}
	g.Admin, g.Scopes = true, []string{"repository", "organization", "user"}
	if r := targets(t, p, "*", ""); !errors.Is(r.err, audit.ErrAuth) || !strings.Contains(r.err.Error(), "needs a token with scope read:admin") {
		t.Errorf("without the scope: %v", r.err)
	}
}

func TestLeftOut(t *testing.T) {
	p := provider(t, acme(1), nil)
	for _, test := range []struct{ sources, kind, want string }{
		{"all", "repository", ""},
		{"all", "organisation", ""},
		{"", "repository", "logs,artifacts,issues,wikis,releases"},
		{"variables", "organisation", "secrets,settings,runners,packages"},
		{"logs", "instance", "settings,runners"},
		{"logs", "user", "variables,settings,runners,packages"},
		{"history", "repository", "workflows,variables,secrets,settings,runners,logs,artifacts,issues,wikis,releases"},
	} {
		p.opts.Sources, _ = audit.ParseSources(test.sources)
		if got := p.LeftOut(audit.Target{Kind: audit.TargetKind(test.kind)}).String(); got != test.want {
			t.Errorf("%s of a %s: %q, want %q", test.sources, test.kind, got, test.want)
		}
	}
}

func TestPackages(t *testing.T) {
	g := acme(1)
	g.Owners[0].Packages = []forgetest.GiteaPackage{
		{Name: "web", Type: "container", Version: "latest", Repository: g.Repos[2].FullName}, {Name: "web", Type: "npm", Version: "1.0.1"}, {Name: "web", Type: "container", Version: "v1"},
	}
	for i := range 120 { // more pages than one
		g.Owners[0].Packages = append(g.Owners[0].Packages, forgetest.GiteaPackage{Name: "app", Type: "generic", Version: strconv.Itoa(i)})
	}
	p := provider(t, g, nil)
	p.opts.Sources = audit.SourcePackages
	target := targets(t, p, "acme", "").named("gitea:Acme")
	const at = "2025-03-01T08:00:00Z"
	lines, gaps := inventory(t, p, target)
	if diff := cmp.Diff([]string{
		"package app created_at=" + at + " type=generic updated_at=" + at + " versions=120",
		"package web created_at=" + at + " repository=" + g.Repos[2].FullName + " tags=latest,v1 type=container updated_at=" + at + " versions=2",
		"package web created_at=" + at + " type=npm updated_at=" + at + " versions=1",
	}, lines); diff != "" || len(gaps) > 0 {
		t.Errorf("gaps %q (-want +got):\n%s", gaps, diff)
	}
	// Packages of a user are everybody's who may see them, though settings are not.
	g.Owners[2].Packages = []forgetest.GiteaPackage{{Name: "tool", Type: "generic", Version: "1"}}
	john := targets(t, p, "john", "").named("gitea:john")
	if lines, gaps := inventory(t, p, john); len(lines) != 1 || len(gaps) > 0 || !strings.HasPrefix(lines[0], "package tool ") {
		t.Errorf("of another user: %q, gaps %q", lines, gaps)
	}
	g.Scopes = []string{"organization", "repository"}
	if lines, gaps := inventory(t, p, target); len(lines) > 0 || !slices.EqualFunc(gaps, []string{"organisation packages: 403 Forbidden: needs a token with scope read:package"}, strings.HasPrefix) {
		t.Errorf("%q, gaps %q", lines, gaps)
	}
}
