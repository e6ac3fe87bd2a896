package github

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// fleet has repositories by these names: web-1, web-2, WEB-old (archived), api, legacy-x, fork (a fork).
func fleet() *forgetest.GitHub {
	g := acme(0)
	for i, name := range []string{"web-1", "web-2", "WEB-old", "api", "legacy-x", "fork"} {
		g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: "acme/" + name, ID: int64(i + 1), Archived: name == "WEB-old", Fork: name == "fork"})
	}
	return g
}

func TestRefs(t *testing.T) {
	for _, test := range []struct {
		ref        string
		o          Options
		want, gaps string
		err        error
	}{
		{"acme", Options{}, "acme web-1 web-2 WEB-old api legacy-x fork", "", nil},
		{"acme/", Options{}, "acme web-1 web-2 WEB-old api legacy-x fork", "", nil},
		{"acme", Options{NoArchived: true, NoForks: true}, "acme web-1 web-2 api legacy-x", "1 archived repositories: left out, by --no-archived|1 forks: left out, by --no-forks", nil},
		{"acme/web-*", Options{}, "web-1 web-2 WEB-old", "", nil},
		{"acme/WEB-?", Options{}, "web-1 web-2", "", nil},
		{"acme/web-*", Options{NoArchived: true}, "web-1 web-2", "1 archived repositories: left out, by --no-archived", nil},
		{"acme/!legacy-*", Options{}, "acme web-1 web-2 WEB-old api fork", "1 repositories: left out, by !legacy-*", nil},
		{"acme/web-*,api,!web-old", Options{}, "web-1 web-2 api", "1 repositories: left out, by !web-old", nil},
		{"acme/api,WEB-1,api.git", Options{}, "api web-1", "", nil},
		{"acme/api,nothing", Options{}, "api", "the repository: 404 Not Found: no right to read it, or not offered here", nil},
		{"acme/nothing,none", Options{}, "", "", audit.ErrAuth},
		{"acme/api*,none-*", Options{}, "api", "repositories named none-*: there is none that can be seen", nil},
		{"acme/none-*", Options{}, "", "", audit.ErrNothing},
		{"acme/web-[12]", Options{}, "web-1 web-2", "", nil},
		{"acme/[!w]*", Options{}, "api legacy-x fork", "", nil},
		{"acme/[^w]*,![!f]*", Options{}, "fork", "2 repositories: left out, by ![^f]*", nil},
		{"acme/WEB-old", Options{NoArchived: true}, "WEB-old", "", nil}, // it is named
		{"acme/web-[", Options{}, "", "", audit.ErrUsage},
		{"acme/web/x", Options{}, "", "", audit.ErrUsage},
		{"acme/a,,b", Options{}, "", "", audit.ErrUsage},
		{"acme/!", Options{}, "", "", audit.ErrUsage},
		{"acme/..,a", Options{}, "", "", audit.ErrUsage},
		{"acme*", Options{}, "", "", audit.ErrUsage},
		{"enterprises/", Options{}, "", "", audit.ErrUsage},
		{"enterprises/a/b", Options{}, "", "", audit.ErrUsage},
	} {
		test.o.Sources = audit.SourceSettings | audit.SourceSecrets
		r := targets(t, provider(t, fleet(), test.o), test.ref)
		var names []string
		for _, name := range r.names() {
			names = append(names, strings.TrimPrefix(strings.TrimPrefix(name, "github:"), "acme/"))
		}
		if strings.Join(names, " ") != test.want && (test.err == nil || len(names) > 1) || !errors.Is(r.err, test.err) || test.err == nil && r.err != nil {
			t.Errorf("%s: %q, %v; want %s, %v", test.ref, names, r.err, test.want, test.err)
		}
		if test.err == nil && strings.Join(r.gaps, "|") != test.gaps {
			t.Errorf("%s: gaps %q, want %s", test.ref, r.gaps, test.gaps)
		}
		for _, target := range r.targets {
			// What an organisation has for a repository is read with the repository, unless with the organisation itself.
			if with := slices.Contains(r.names(), "github:acme"); target.Kind == audit.TargetRepository && with == (target.Attrs["alone"] != "") {
				t.Errorf("%s: %s is alone: %q", test.ref, target.Name, target.Attrs["alone"])
			}
		}
	}
}

// A sweep of settings alone asks no repository for its webhooks, and says so; who names one is told them.
func TestSettingsAlone(t *testing.T) {
	g := acme(2)
	g.Repos[0].Dir = forgetest.Repository(t, forgetest.Commit{".github/workflows/ci.yml": "on: push\n"})
	g.Repos[0].Hooks = []forgetest.Hook{{ID: 1, URL: "https://x.example.com/hook"}}
	const settings, secrets = audit.SourceSettings, audit.SourceSecrets
	for _, test := range []struct {
		ref     string
		sources audit.Sources
		hook    bool // is in the inventory
		gap     bool // says that hooks were left out
	}{
		{"acme", settings, false, true}, {"acme/r*", settings | audit.SourceRunners, false, true}, {"acme", settings | secrets, true, false},
		{"acme", secrets, false, false}, {"acme/r000", settings, true, false}, {"acme", audit.AllSources &^ audit.SourceGists &^ audit.SourceHistory, true, false},
	} {
		p := provider(t, g, withSources(test.sources))
		r := targets(t, p, test.ref)
		hook, asked := false, ""
		for _, target := range r.targets {
			for it, err := range p.Items(t.Context(), target) {
				hook = hook || err == nil && it.Kind == audit.KindHook
				if err == nil && it.Kind == audit.KindSettings && target.Attrs["repo"] == "r000" {
					asked = it.Entry.Facts["not_asked"]
				}
			}
		}
		gap := slices.ContainsFunc(r.gaps, func(s string) bool { return strings.HasPrefix(s, "webhooks of repositories: left out") })
		if hook != test.hook || gap != test.gap || test.gap != strings.Contains(asked, "repository webhooks") {
			t.Errorf("%s, --sources %s: read %t, want %t; gap %t, want %t; not asked %q", test.ref, test.sources, hook, test.hook, gap, test.gap, asked)
		}
	}
}

func TestEnterprise(t *testing.T) {
	g := fleet()
	g.Enterprises = map[string][]string{"big": {"acme", "beta", "closed", "gamma"}, "none": {}}
	for i, name := range []string{"beta", "gamma"} {
		g.Owners = append(g.Owners, &forgetest.Owner{Login: name})
		g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: name + "/x", ID: int64(100 + i)})
	}
	want := []string{"acme", "acme/web-1", "acme/web-2", "acme/WEB-old", "acme/api", "acme/legacy-x", "acme/fork", "beta", "beta/x", "gamma", "gamma/x"}
	for _, ref := range []string{"enterprises/big", "big", "Enterprises/big/"} {
		r := targets(t, provider(t, g, everything()), ref)
		var names []string
		for _, target := range r.targets {
			names = append(names, strings.TrimPrefix(target.Name, "github:"))
			if target.Cursor != "" {
				t.Errorf("%s: %s has cursor %q, which says nothing of which organisation", ref, target.Name, target.Cursor)
			}
		}
		if r.err != nil || !slices.Equal(names, want) || len(r.gaps) != 1 || !strings.HasPrefix(r.gaps[0], "the organisation: 404") {
			t.Errorf("%s: %v, gaps %q, %q", ref, r.err, r.gaps, names)
		}
	}
	for ref, want := range map[string]error{"enterprises/none": audit.ErrNothing, "nobody": audit.ErrAuth, "enterprises/unknown": audit.ErrAuth} {
		if r := targets(t, provider(t, g, everything()), ref); !errors.Is(r.err, want) {
			t.Errorf("%s: %v, want %v", ref, r.err, want)
		}
	}
}

// What is left out is at least so much where the listing went on in its middle.
func TestLeftOutOfARestOfAListing(t *testing.T) {
	g := acme(450)
	for i := range g.Repos {
		g.Repos[i].Archived = i%2 == 0
	}
	o := everything()
	o.NoArchived = true
	if r := after(t, provider(t, g, o), "acme", "org 4"); r.err != nil || len(r.targets) != 126 || len(r.gaps) != 1 || !strings.HasPrefix(r.gaps[0], "at least 125 archived repositories") {
		t.Errorf("%v, %d targets, gaps %q", r.err, len(r.targets), r.gaps)
	}
}

func FuzzRef(f *testing.F) {
	for _, ref := range []string{"acme", "acme/web", "acme/web-*,!x", "enterprises/a", "gist/a1", "a/[", "a/!,", "//", "a/[a-]"} {
		f.Add(ref, "web-1")
	}
	f.Fuzz(func(t *testing.T, ref, name string) {
		s, err := parseRef(ref)
		if err != nil {
			if !errors.Is(err, audit.ErrUsage) {
				t.Error(err)
			}
			return
		}
		if !ownerName().MatchString(s.owner) {
			t.Errorf("owner %q", s.owner)
		}
		if s.gist != "" && !gistName().MatchString(s.gist) {
			t.Errorf("gist %q", s.gist)
		}
		for _, n := range s.names {
			if !validRepository(n) || match(s.wanted, n) == "" {
				t.Errorf("%q of %s", n, fmt.Sprint(s))
			}
		}
		_ = match(s.unwanted, name)
	})
}
