package gitlab

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// all lists what a target has, with every source on.
func all(t *testing.T, p *Provider, target audit.Target) (items []audit.Item, gaps []string) {
	t.Helper()
	for it, err := range p.Items(t.Context(), target) {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
			gaps = append(gaps, gap.Error())
		case err != nil:
			t.Fatal(err)
		default:
			items = append(items, it)
		}
	}
	return items, gaps
}

// facts finds an entry by kind, name and scope, and prints its facts in order.
func facts(t *testing.T, items []audit.Item, kind audit.ItemKind, name, scope string) string {
	t.Helper()
	for _, it := range items {
		if e := it.Entry; e != nil && e.Kind == kind && e.Name == name && e.Scope == scope {
			var out []string
			for _, k := range sortedKeys(e.Facts) {
				out = append(out, k+"="+e.Facts[k])
			}
			return strings.Join(out, " ")
		}
	}
	t.Errorf("no %s %q of %s", kind, name, scope)
	return ""
}

// full is a project with one of each thing that can be set.
func full(g *forgetest.GitLab) *forgetest.Project {
	x := g.Projects[0]
	x.Environments = []string{"production", "review/1"}
	x.Description = "ask jane"
	x.CIAccess.Settings = map[string]any{"empty_repo": false}
	x.CIAccess.Walls = []forgetest.CIWall{{Name: "production", Deploy: []int{40}, Approvals: 2}, {Name: "staging", Deploy: []int{30}}}
	x.CIAccess.Tokens = []forgetest.CIToken{{Name: "deployer", Value: "never-told", Scopes: []string{"api", "read_registry"}, Level: 40, Expires: "2027-01-01", Used: true}, {Name: "for ever", Level: 30}}
	x.Deploys = []forgetest.CIToken{{Name: "registry", Value: "never-told", Scopes: []string{"read_registry"}}}
	x.Triggers = []forgetest.CIToken{{Name: "from CRM", Value: "never-told"}}
	x.DeployKeys = []forgetest.CIKey{{Title: "ci", Push: true, Used: true}, {Title: "mirror", Expires: "2027-01-01"}}
	x.Hooks = []forgetest.CIHook{{URL: "http://hooks.example.com/T0/never-in-facts", Insecure: true}}
	x.Branches = []forgetest.CIRule{{Name: "main", Push: []int{0}, Merge: []int{30}}, {Name: "release/*", Push: []int{40}, Merge: []int{40}, ForcePush: true}}
	x.CIAccess.Tags = []forgetest.CIRule{{Name: "v*", Create: []int{40}}}
	x.PushRules = map[string]any{"prevent_secrets": true, "max_file_size": 5}
	x.PushProtected, x.JobTokenOpen, x.JobTokenFrom = true, true, []string{"other/x", "acme/platform"}
	x.Members, x.Blocked = map[int]int{7: 50, 10: 40, 11: 40, 12: 30, 13: 20, 14: 30, 15: 60}, []int{14}
	x.Schedules = []forgetest.CISchedule{{ID: 3, Description: "nightly", Ref: "refs/heads/main", Owner: 7, Variables: []forgetest.CIVariable{{Key: "DEPLOY", Value: "now"}}}, {ID: 4, Ref: "main", Owner: 8, Blocked: true, Inactive: true}}
	x.SecureFiles = []string{"upload.jks"}
	x.Runners = []forgetest.CIRunner{{ID: 3, Description: "own", Tags: []string{"deploy", "linux"}, Locked: true, Protected: true}}
	x.Definition = "build:\n  script: make\n"
	x.Includes = []forgetest.CIInclude{
		{Type: "component", Location: "gitlab.example.com/acme/scan/job@1.0"}, {Type: "remote", Location: "https://ci.example.com/a.yml"},
		{Type: "file", Location: "/lib.yml", Project: "acme/ci", Ref: "main"},
	}
	return x
}

func TestSettings(t *testing.T) {
	g := acme(1)
	x := full(g)
	p := provider(t, g, nil)
	p.opts.Sources = audit.DefaultSources &^ (audit.SourceHistory | audit.SourceFiles)
	target := targets(t, p, x.Path).named("gitlab:" + x.Path)
	items, gaps := all(t, p, target)
	if len(gaps) > 0 {
		t.Errorf("gaps %q", gaps)
	}
	for _, test := range []struct {
		kind        audit.ItemKind
		name, scope string
		want        string
	}{
		{audit.KindToken, "deployer", "project", "active=true created_at=2025-03-01T08:00:00Z expires_at=2027-01-01T00:00:00Z last_used_at=2026-02-01T09:30:00Z owner=User:900 role=Maintainer scopes=api,read_registry type=project"},
		{audit.KindToken, "for ever", "project", "active=true created_at=2025-03-01T08:00:00Z expires_at=never last_used_at=never owner=User:901 role=Developer type=project"},
		{audit.KindToken, "registry", "project", "active=true expires_at=never owner=gitlab+deploy-token-1 scopes=read_registry type=deploy"},
		{audit.KindToken, "from CRM", "project", "active=true created_at=2025-03-01T08:00:00Z expires_at=never last_used_at=never owner=User:user1 type=trigger"},
		{audit.KindDeployKey, "ci", "project", "created_at=2025-03-01T08:00:00Z expires_at=never fingerprint=SHA256:" + strings.Repeat("x", 43) + " id=1 last_used=2026-02-01T09:30:00Z read_only=false"},
		{audit.KindDeployKey, "mirror", "project", "created_at=2025-03-01T08:00:00Z expires_at=2027-01-01T00:00:00Z fingerprint=SHA256:" + strings.Repeat("x", 43) + " id=2 last_used=never read_only=true"},
		{audit.KindHook, "hooks.example.com", "project", "active=true events=push,merge_requests,pipeline id=1 tls_verified=false url_scheme=http"},
		{audit.KindProtection, "main", "project", "enforcement=active merge=Developer of=branch push=No one refs=main rules=non_fast_forward"},
		{audit.KindProtection, "release/*", "project", "enforcement=active merge=Maintainer of=branch push=Maintainer refs=release/*"},
		{audit.KindProtection, "v*", "project", "create=Maintainer enforcement=active of=tag refs=v*"},
		{audit.KindEnvironment, "production", "project", "created_at=2025-03-01T08:00:00Z deploy_access=Maintainer protected=true required_approvals=2 tier=production updated_at=2026-02-01T09:30:00Z"},
		{audit.KindEnvironment, "review/1", "project", "created_at=2025-03-01T08:00:00Z protected=false tier=production updated_at=2026-02-01T09:30:00Z"},
		{audit.KindEnvironment, "staging", "project", "deploy_access=Developer protected=true required_approvals=0"},
		{audit.KindSchedule, "nightly", "project", "active=true cron=0 1 * * * owner=User:user7 owner_active=true owner_role=Owner ref=refs/heads/main"},
		{audit.KindSchedule, "schedule 4", "project", "active=false cron=0 1 * * * owner=User:user8 owner_active=false ref=main"},
		{audit.KindVariable, "DEPLOY", "schedule nightly", "raw=false store=schedule type=env_var"},
		{audit.KindSecret, "upload.jks", "project", "created_at=2025-03-01T08:00:00Z store=secure_file"},
		{audit.KindRunner, "own", "project", "access_level=ref_protected id=3 labels=deploy,linux locked=true os=linux paused=false run_untagged=false status=online type=project_type version=18.5.0"},
		{audit.KindSettings, x.Path, "project", "archived=false auto_devops=false default_branch=main developer=User:user12 forge_version=18.5.0-ee fork=false fork_pipelines_in_parent=true id=100 job_token_allowed=other/x,acme/platform " +
			"job_token_inbound_limited=false job_token_push=false maintainer=User:user10,User:user11 mirror_triggers=false oidc_subject=project_path,ref_type,ref owner=User:user7 pipeline_variables_role=developer protect_merge_request_pipelines=true public_jobs=true " +
			"push_rules=prevent_secrets,max_file_size pushed_at=2026-02-01T09:30:00Z secret_push_protection=true separate_caches=true shared_runners=true visibility=public workflows=1"},
	} {
		if got := facts(t, items, test.kind, test.name, test.scope); got != test.want {
			t.Errorf("%s %s:\n%s, want\n%s", test.kind, test.name, got, test.want)
		}
	}
	if got := facts(t, items, audit.KindWorkflow, ".gitlab-ci.yml", "project"); !strings.Contains(got, "uses=gitlab.example.com/acme/scan/job@1.0,https://ci.example.com/a.yml,acme/ci:/lib.yml@main whole=true") {
		t.Errorf("definition: %s", got)
	}
	for _, it := range items {
		entry, _ := json.Marshal(it.Entry)
		if text := string(entry) + it.At.URL + it.At.Name; strings.Contains(text, "never-") || strings.Contains(string(it.Content), "never-told") {
			t.Errorf("a value is told: %s, %s", text, it.Content)
		}
		switch it.Kind {
		case audit.KindHook:
			if string(it.Content) != x.Hooks[0].URL {
				t.Errorf("webhook: content %q", it.Content)
			}
		case audit.KindSettings:
			if string(it.Content) != "ask jane" {
				t.Errorf("settings: content %q", it.Content)
			}
		}
	}
}

// Settings of a group and of the instance are listed too, and what takes a licence is no gap where there is none.
func TestSettingsAbove(t *testing.T) {
	for _, free := range []bool{false, true} {
		g := acme(1)
		g.Admin, g.Free = true, free
		full(g)
		g.Hooks = []forgetest.CIHook{{URL: "https://system.example.com/"}}
		g.DeployKeys = []forgetest.CIKey{{Title: "everywhere"}}
		top := g.Groups[0]
		top.CIAccess.Tokens = []forgetest.CIToken{{Name: "bot", Scopes: []string{"read_api"}, Level: 50}}
		top.Walls = []forgetest.CIWall{{Name: "production", Deploy: []int{40}}}
		p := provider(t, g, nil)
		p.opts.Sources = audit.DefaultSources &^ (audit.SourceHistory | audit.SourceFiles)
		r := targets(t, p, "")
		if want := []string{
			"instance gitlab:", "group gitlab:acme", "group gitlab:acme/platform", "group gitlab:acme/platform/deep.er", "group gitlab:other",
			"repository gitlab:acme/platform/p000", "repository gitlab:jane/dotfiles", "repository gitlab:other/x",
		}; r.err != nil || !slices.Equal(r.names(), want) {
			t.Fatalf("%v, targets %q", r.err, r.names())
		}
		items, gaps := all(t, p, r.named("gitlab:"))
		if len(gaps) > 0 {
			t.Errorf("instance: gaps %q", gaps)
		}
		name := strings.TrimPrefix(p.env.Getenv("GITLAB_URL"), "http://")
		if got, want := facts(t, items, audit.KindSettings, name, "instance"), "auto_devops=false forge_version=18.5.0-ee secret_push_protection=false shared_runners=true"; got != want {
			t.Errorf("instance: %s, want %s", got, want)
		}
		facts(t, items, audit.KindHook, "system.example.com", "instance")
		facts(t, items, audit.KindDeployKey, "everywhere", "instance")
		items, gaps = all(t, p, r.named("gitlab:acme"))
		if len(gaps) > 0 {
			t.Errorf("group: gaps %q", gaps)
		}
		if got, want := facts(t, items, audit.KindToken, "bot", "group"), "active=true created_at=2025-03-01T08:00:00Z expires_at=never last_used_at=never owner=User:900 role=Owner scopes=read_api type=group"; got != want {
			t.Errorf("token of a group: %s, want %s", got, want)
		}
		if !free {
			facts(t, items, audit.KindEnvironment, "production", "group")
		}
		items, gaps = all(t, p, r.named("gitlab:acme/platform/p000"))
		if got := facts(t, items, audit.KindSettings, "acme/platform/p000", "project"); len(gaps) > 0 || strings.Contains(got, "push_rules") == free || strings.Contains(got, "secret_push_protection") == free {
			t.Errorf("free %t: gaps %q, %s", free, gaps, got)
		}
		if got := facts(t, items, audit.KindEnvironment, "review/1", "project"); !strings.Contains(got, "protected=false") {
			t.Errorf("free %t: environment %s", free, got)
		}
	}
}

// Who may not read the groups above a project is shown by GraphQL which variables they hand down.
func TestInherited(t *testing.T) {
	g := acme(1)
	x := g.Projects[0]
	for i := range 120 {
		g.Groups[1].Variables = append(g.Groups[1].Variables, forgetest.CIVariable{Key: fmt.Sprint("MORE", i), Hidden: true, Scope: "prod"})
	}
	p := provider(t, g, nil)
	target := targets(t, p, x.Path).named("gitlab:" + x.Path)
	read := func(p *Provider) (inherited []audit.Item, gaps []string) {
		items, gaps := all(t, p, target)
		for _, it := range items {
			if it.Entry != nil && it.Entry.Facts["inherited_from"] != "" {
				inherited = append(inherited, it)
			}
		}
		return inherited, gaps
	}
	if items, gaps := read(p); len(items) > 0 || len(gaps) > 0 || g.Count("/graphql") > 0 {
		t.Errorf("with rights in all groups: %d items, gaps %q", len(items), gaps)
	}
	g.Groups[0].Role = 40
	p = New(p.env, p.opts)
	items, gaps := read(p)
	if len(items) != 122 || len(gaps) > 0 {
		t.Fatalf("%d items, gaps %q", len(items), gaps)
	}
	if got, want := facts(t, items, audit.KindVariable, "MORE7", "group acme/platform"), "environment_scope=prod hidden=true inherited_from=acme/platform masked=true protected=false raw=false store=variable type=env_var"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, it := range items {
		if it.Content != nil {
			t.Errorf("%s has a value", it.Entry.Name)
		}
	}
	asked := g.Count("/groups/acme/variables") + g.Count("/groups/acme%2Fplatform/variables")
	read(p)
	if again := g.Count("/groups/acme/variables") + g.Count("/groups/acme%2Fplatform/variables"); again != asked {
		t.Errorf("groups were asked %d times, then %d", asked, again)
	}
	g.NoGraphQL = true
	if _, gaps := read(p); len(gaps) != 1 || !strings.HasPrefix(gaps[0], "project inherited variables: 403 Forbidden: needs role Maintainer") {
		t.Errorf("GraphQL is refused: gaps %q", gaps)
	}
}

// A runner that several projects have is described once, and what cannot be described is listed all the same.
func TestRunnersAreDescribedOnce(t *testing.T) {
	g := acme(1)
	x := g.Projects[0]
	p := provider(t, g, nil)
	target := targets(t, p, x.Path).named("gitlab:" + x.Path)
	for range 3 {
		items, gaps := all(t, p, target)
		if got := facts(t, items, audit.KindRunner, "shared", "project"); len(gaps) > 0 || !strings.Contains(got, "run_untagged=false") {
			t.Errorf("gaps %q, %s", gaps, got)
		}
	}
	if n := g.Count("/runners/1"); n != 1 {
		t.Errorf("asked for %d times", n)
	}
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/runners/1") && forgetest.Fail(w, http.StatusForbidden, "403 Forbidden")
	}
	items, gaps := all(t, New(p.env, p.opts), target)
	if got := facts(t, items, audit.KindRunner, "shared", "project"); got == "" || len(gaps) != 1 || !strings.HasPrefix(gaps[0], "project descriptions of 1 runners: 403 Forbidden: needs role Maintainer") {
		t.Errorf("gaps %q, %s", gaps, got)
	}
}

func TestSharedAndArchived(t *testing.T) {
	g := acme(1)
	g.Projects[0].Archived = true
	g.Projects[2].SharedWith = []string{"acme/platform"}
	p := provider(t, g, nil)
	for _, test := range []struct {
		shared, current bool
		want            []string
	}{
		{false, false, []string{"acme/platform/p000"}},
		{true, false, []string{"acme/platform/p000", "other/x"}},
		{true, true, []string{"other/x"}},
		{false, true, nil},
	} {
		o := p.opts
		o.Shared, o.Current = test.shared, test.current
		var got []string
		for _, target := range targets(t, New(p.env, o), "acme").targets {
			if target.Kind == audit.TargetRepository {
				got = append(got, target.Attrs["path"])
				if (target.Attrs["shared"] != "") != (target.Attrs["path"] == "other/x") {
					t.Errorf("%s: shared %q", target.Name, target.Attrs["shared"])
				}
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("shared %t, current %t: %q", test.shared, test.current, got)
		}
	}
}

func TestLeftOut(t *testing.T) {
	p := &Provider{opts: Options{Sources: audit.DefaultSources}}
	if got, want := p.LeftOut(audit.Target{Kind: audit.TargetRepository}).String(), "logs,artifacts,issues,wikis,releases,gists,packages"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	p.opts.Sources = audit.SourceHistory
	if got, want := p.LeftOut(audit.Target{Kind: audit.TargetGroup}).String(), "variables,settings,runners"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Of a project with very many members it is said that there are more.
func TestManyMembers(t *testing.T) {
	for n, want := range map[int]string{1000: "", 1001: "…"} {
		_, _, p, target := recorded(t, func(_ *forgetest.GitLab, x *forgetest.Project) {
			x.Members = map[int]int{}
			for i := range n {
				x.Members[i+1] = 20
			}
			x.Members[3] = 40
		})
		items, gaps, _ := part(t, p, target, audit.PartSettings, "")
		if slices.Contains(gaps, "project people who may push: after 1000 members the others are left out") != (want != "") {
			t.Errorf("%d members: gaps %q", n, gaps)
		}
		for _, it := range items {
			if it.Kind != audit.KindSettings {
				continue
			}
			f := it.Entry.Facts
			if f["maintainer"] != strings.TrimSuffix("User:user3,"+want, ",") || f["developer"] != cmp.Or(want, "none") || f["owner"] != cmp.Or(want, "none") {
				t.Errorf("%d members: %q, %q, %q", n, f["owner"], f["maintainer"], f["developer"])
			}
		}
	}
}
