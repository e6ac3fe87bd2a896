package github

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// withGists has an organisation with two members: ada, whose the token is, and bob.
func withGists(t *testing.T) *forgetest.GitHub {
	t.Helper()
	source := gittest.New(t)
	source.Write("notes.txt", "the note as it was")
	source.Commit("first")
	source.Write("notes.txt", "the note as it is")
	source.Commit("second")
	dir := source.Dir + "/.git"
	g := acme(1)
	g.Login = "ada"
	g.Owners[0].Members = []string{"ada", "bob"}
	g.Owners = append(g.Owners,
		&forgetest.Owner{Login: "ada", User: true, Gists: []forgetest.Gist{{ID: "a1", Dir: dir}, {ID: "a2", Secret: true, Dir: dir}}},
		&forgetest.Owner{Login: "bob", User: true, Gists: []forgetest.Gist{{ID: "b1", Dir: dir}, {ID: "b2", Secret: true, Dir: dir}}},
	)
	g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: "bob/web", ID: 77})
	return g
}

func TestGistTargets(t *testing.T) {
	refused := func(path string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, path) && forgetest.Fail(w, http.StatusForbidden, "no")
		}
	}
	for _, test := range []struct {
		name, ref string
		sources   audit.Sources
		fault     func(http.ResponseWriter, *http.Request) bool
		want      string
		gaps      []string
	}{
		{"of members, and the secret ones of the token's owner", "acme", audit.SourceGists, nil, "acme acme/r000 gist/a1 gist/a2 gist/b1", nil},
		{"not asked for", "acme", audit.AllSources &^ audit.SourceGists &^ audit.SourceWikis, nil, "acme acme/r000", nil},
		{"of a person", "bob", audit.SourceGists, nil, "bob/web gist/b1", nil},
		{"not of a repository", "acme/r000", audit.SourceGists, nil, "acme/r000", []string{"gists: they are of people and organisations, not of repositories: name those, as github:acme"}},
		{"nor of some, of which nobody said so", "acme/r*", audit.AllSources, nil, "acme/r000", nil},
		{"no list of members", "acme", audit.SourceGists, refused("/members"), "acme acme/r000", []string{"gists of members after the first 0: 403 Forbidden: no"}},
		{"one who is refused", "acme", audit.SourceGists, refused("/users/bob/gists"), "acme acme/r000 gist/a1 gist/a2", []string{"gists of bob: 403 Forbidden: no"}},
		{"of a person without a repository", "ada", audit.SourceGists, nil, "gist/a1 gist/a2", nil},
		{"one by name, whatever the sources", "gist/b1", audit.SourceSecrets, nil, "gist/b1", nil},
		{"a secret one by name", "gist/b2", audit.SourceGists, nil, "gist/b2", nil},
		{"packages of one", "Gist/b1", audit.SourcePackages, nil, "gist/b1", []string{"packages: they are of organisations: name one, as github:OWNER"}},
		{"all of one", "gist/b1", audit.AllSources, nil, "gist/b1", nil},
		{"packages of a person", "bob", audit.SourcePackages, nil, "bob/web", []string{"packages: those of a person are not listed, only those of organisations"}},
	} {
		g := withGists(t)
		g.Fault = test.fault
		r := targets(t, provider(t, g, withSources(test.sources)), test.ref)
		var names []string
		for _, target := range r.targets {
			names = append(names, strings.TrimPrefix(target.Name, "github:"))
		}
		if got := strings.Join(names, " "); got != test.want || r.err != nil || !slices.Equal(r.gaps, test.gaps) {
			t.Errorf("%s: %s, %v, gaps %q; want %s, %q", test.name, got, r.err, r.gaps, test.want, test.gaps)
		}
	}
}

// What a gist has and had is read, without a token for git's server, and it has a state.
func TestGist(t *testing.T) {
	g := withGists(t)
	g.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, ".git/") && r.Header.Get("Authorization") != "" {
			t.Error("git's server is sent a token")
		}
		return false
	}
	p := provider(t, g, withSources(audit.SourceGists))
	for _, target := range targets(t, p, "acme").targets {
		if target.Kind != audit.TargetGist {
			continue
		}
		text, addresses, gaps, state := read(t, p, target)
		if !strings.Contains(text, "as it was") || !strings.Contains(text, "as it is") || len(gaps) > 0 || !strings.HasPrefix(state, "state ") || p.LeftOut(target) != 0 {
			t.Errorf("%s: %q, gaps %q, %s, leaves out %s", target.Name, text, gaps, state, p.LeftOut(target))
		}
		if !slices.ContainsFunc(addresses, func(a string) bool { return strings.HasPrefix(a, target.URL+"/") }) {
			t.Errorf("%s: addresses %q", target.Name, addresses)
		}
		target.Past = strings.TrimPrefix(state, "state ")
		if text, _, _, again := read(t, p, target); text != "" || !strings.HasPrefix(again, "unchanged ") {
			t.Errorf("%s, again: %q, %s", target.Name, text, again)
		}
	}
}

// A gist that is named and cannot be read ends the ref, as does a person who has nothing that is read.
func TestNoGist(t *testing.T) {
	other := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/gists/b1" {
			return false
		}
		_, _ = w.Write([]byte(`{"id": "a1", "git_pull_url": "https://gist.github.com/a1.git"}`))
		return true
	}
	for _, test := range []struct {
		ref     string
		sources audit.Sources
		fault   func(http.ResponseWriter, *http.Request) bool
		err     error
	}{
		{"gist/c3", audit.SourceGists, nil, audit.ErrAuth},
		{"gist/", audit.SourceGists, nil, nil}, // somebody of that name
		{"gist/../user", audit.SourceGists, nil, audit.ErrUsage},
		{"gist/a1/b1", audit.SourceGists, nil, audit.ErrUsage},
		{"gist/xyz", audit.SourceGists, nil, audit.ErrUsage},
		{"gist/b1", audit.SourceGists, other, nil},
		{"ada", audit.SourceHistory, nil, audit.ErrNothing},
		{"octocat", audit.SourceGists, nil, audit.ErrNothing},
	} {
		g := withGists(t)
		g.Fault = test.fault
		r := targets(t, provider(t, g, withSources(test.sources)), test.ref)
		if r.err == nil || len(r.targets) > 0 || test.err != nil && !errors.Is(r.err, test.err) {
			t.Errorf("%s: %q, %v; want %v", test.ref, r.names(), r.err, test.err)
		}
	}
}

// What is beyond the bounds is a gap.
func TestManyGists(t *testing.T) {
	g := withGists(t)
	dir := g.Owners[3].Gists[0].Dir
	for i := range mostGists + 1 {
		g.Owners[3].Gists = append(g.Owners[3].Gists, forgetest.Gist{ID: fmt.Sprintf("%x", 1<<20+i), Dir: dir})
	}
	r := targets(t, provider(t, g, withSources(audit.SourceGists)), "acme")
	if want := []string{"further gists of bob: 1000 are read"}; r.err != nil || len(r.targets) != 2+2+mostGists || !slices.Equal(r.gaps, want) {
		t.Errorf("%d targets, %v, gaps %q; want %q", len(r.targets), r.err, r.gaps, want)
	}

	g = acme(1)
	for i := range mostMembers + 1 {
		g.Owners[0].Members = append(g.Owners[0].Members, fmt.Sprintf("m%d", i))
	}
	asked := 0
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/gists") {
			return false
		}
		asked++
		_, _ = w.Write([]byte("[]"))
		return true
	}
	r = targets(t, provider(t, g, withSources(audit.SourceGists)), "acme")
	if want := []string{"gists of further members: those of 1000 were asked for; name a person, as github:LOGIN"}; r.err != nil || asked != mostMembers || !slices.Equal(r.gaps, want) {
		t.Errorf("%d were asked about, %v, gaps %q; want %q", asked, r.err, r.gaps, want)
	}
}

// A plan tells of what is named, whatever the sources.
func TestPlanOfAGist(t *testing.T) {
	all, err := costs(t, provider(t, withGists(t), withSources(audit.SourceSecrets)), "gist/a1")
	if c := all["gists"]; err != nil || c.Calls != 3 || c.Quota != "" {
		t.Errorf("%v, %v", all, err)
	}
}

// A gist lies with its instance, and nowhere else.
func TestGistAddress(t *testing.T) {
	for _, c := range []struct {
		api, told string
		ok        bool
	}{
		{"", "https://gist.github.com/a1.git", true},
		{"", "https://gist.github.com/ada/a1", true},
		{"", "https://github.com/gist/a1.git", true},
		{"", "http://gist.github.com/a1.git", false},
		{"", "https://gist.github.com.evil.example/a1.git", false},
		{"", "https://evil.example/a1.git", false},
		{"", "https://u:p@gist.github.com/a1.git", false},
		{"", "https://gist.github.com/a2.git", false},
		{"", "https://gist.github.com/a1.git?x", false},
		{"", "file:///etc/a1", false},
		{"", "", false},
		{"https://ghe.example.com/api/v3", "https://ghe.example.com/gist/a1.git", true},
		{"https://ghe.example.com/api/v3", "https://gist.ghe.example.com/a1.git", true},
		{"https://ghe.example.com/api/v3", "https://gist.github.com/a1.git", false},
		{"https://api.acme.ghe.com", "https://gist.acme.ghe.com/a1.git", true},
	} {
		c2, err := newClient(env(t, nil, map[string]string{"GITHUB_API_URL": c.api}), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := c2.gistAddress(c.told, "a1"); (got != "") != c.ok || got != "" && got != c.told {
			t.Errorf("%s of %s: %q, want %t", c.told, c.api, got, c.ok)
		}
	}
	if _, err := (&client{}).gist(&gist{ID: "../x", PullURL: "https://gist.github.com/x.git"}, "ada"); err == nil {
		t.Error("an impossible name is taken")
	}
}

// Packages are listed by name, as far as a registry is on.
func TestPackages(t *testing.T) {
	g := acme(1)
	g.Owners[0].Packages = []forgetest.Package{
		{ID: 1, Name: "web", Type: "container", Visibility: "public", Versions: 12, Repository: "acme/r000"}, {ID: 2, Name: "@acme/core", Type: "npm", Visibility: "private", Versions: 3},
	}
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Get("package_type") == "docker" && forgetest.Fail(w, http.StatusBadRequest, "the registry is not enabled")
	}
	p := provider(t, g, withSources(audit.SourcePackages))
	r := targets(t, p, "acme")
	var entries []string
	for it, err := range p.Items(t.Context(), r.targets[0]) {
		if err != nil {
			t.Error(err)
		}
		if it.Entry != nil && it.Entry.Kind == audit.KindPackage {
			entries = append(entries, strings.Join([]string{it.Entry.Name, it.Entry.Facts["type"], it.Entry.Facts["visibility"], it.Entry.Facts["versions"], it.Entry.Facts["repository"]}, " "))
		}
	}
	if want := []string{"web container public 12 acme/r000", "@acme/core npm private 3 "}; !slices.Equal(entries, want) {
		t.Errorf("%q, want %q", entries, want)
	}
}
