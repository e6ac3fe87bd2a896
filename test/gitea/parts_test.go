//go:build unix

package gitea

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
	"github.com/leakreach/leakreach/providers/gitea"
)

// partsTest measures what each source of a repository needs: the scopes of a token, and the role of its user. docs/gitea.md has the outcome.
func partsTest(t *testing.T, s *server) {
	const password = "of-the-test"
	s.must(t, "POST", "orgs", map[string]any{"username": "parts"})
	s.must(t, "POST", "orgs/parts/repos", map[string]any{"name": "all", "private": true})
	x := &forgetest.GiteaRepo{
		FullName: "parts/all", Dir: forgetest.Repository(t, forgetest.Commit{".gitea/workflows/ci.yml": printing}),
		Issues:   []forgetest.GiteaIssue{{Title: "broken", Files: []forgetest.GiteaFile{{Name: "log.txt", Content: "attached"}}}},
		Releases: []forgetest.GiteaRelease{{Tag: "v1", Files: []forgetest.GiteaFile{{Name: "app.txt", Content: "the program"}}}},
		Wiki:     []forgetest.GiteaPage{{Title: "Home", Content: "welcome"}},
	}
	s.fill(t, x)
	newRunner(t, s, "parts", t.TempDir()).run(t, 1)

	for _, name := range []string{"olga", "adam", "wanda", "rita"} {
		s.must(t, "POST", "admin/users", map[string]any{"username": name, "email": name + "@example.com", "password": password, "must_change_password": false})
	}
	owners := s.must(t, "GET", "orgs/parts/teams/search?q=Owners", nil)["data"].([]any)[0].(map[string]any)["id"]
	s.must(t, "PUT", fmt.Sprintf("teams/%v/members/olga", owners), nil)
	for name, role := range map[string]string{"adam": "admin", "wanda": "write", "rita": "read"} {
		s.must(t, "PUT", "repos/parts/all/collaborators/"+name, map[string]any{"permission": role})
	}
	n := 0
	token := func(user string, scopes ...string) string {
		n++
		return s.must(t, "POST", "users/"+user+"/tokens", map[string]any{"name": fmt.Sprint(n), "scopes": scopes}, user, password)["sha1"].(string)
	}
	// missing are the sources that leave a gap, and what it says is needed.
	missing := func(token string, target audit.Target) []string {
		found := map[string]bool{}
		for _, name := range audit.AllSources.Names() {
			source, _ := audit.ParseSources(name)
			for _, gap := range gapsOf(t, s.provider(t, token, gitea.Options{Sources: source}), target) {
				_, needs, ok := strings.Cut(gap, "needs ")
				if !ok {
					needs = gap
				}
				needs, _, _ = strings.Cut(needs, ": ")
				found[name+": "+needs] = true
			}
		}
		return slices.Sorted(maps.Keys(found))
	}
	targets, _, err := targetsOf(t, s.provider(t, s.token, gitea.Options{Sources: audit.AllSources}), "parts/all")
	if err != nil || len(targets) != 2 {
		t.Fatal(targets, err)
	}
	const (
		repository, organization   = "a token with scope read:repository", "a token with scope read:organization"
		packages                   = "a token with scope read:package"
		repositoryOwner, admin     = "an owner of the repository", "an administrator of the repository"
		organisationOwner, history = "an owner of the organisation", "git history"
	)
	organisation, all := targets[0], targets[1]
	for _, test := range []struct {
		user, scopes string
		target       audit.Target
		want         map[string]string // what needs what: names of sources
	}{
		{"olga", "read:repository,read:issue", all, nil},
		{"olga", "read:repository", all, map[string]string{"a token with scope read:issue": "issues"}},
		{"olga", "read:issue", all, map[string]string{repository: "artifacts logs releases runners secrets settings variables wikis workflows", history: "files history"}},
		{"adam", "read:repository,read:issue", all, map[string]string{repositoryOwner: "runners secrets variables"}},
		{"wanda", "read:repository,read:issue", all, map[string]string{repositoryOwner: "runners secrets variables", admin: "settings"}},
		{"rita", "read:repository,read:issue", all, map[string]string{repositoryOwner: "runners secrets variables", admin: "settings"}},
		{"olga", "read:organization,read:repository,read:package", organisation, nil},
		{"olga", "read:organization,read:repository", organisation, map[string]string{packages: "packages"}},
		{"olga", "read:organization,read:package", organisation, map[string]string{repository: "settings"}}, // how many repositories there are
		{"olga", "read:repository,read:package", organisation, map[string]string{organization: "runners secrets settings variables"}},
		{"rita", "read:organization,read:repository,read:package", organisation, map[string]string{organisationOwner: "runners secrets settings variables"}},
	} {
		var want []string
		for needs, sources := range test.want {
			for source := range strings.FieldsSeq(sources) {
				want = append(want, source+": "+needs)
			}
		}
		slices.Sort(want)
		if got := missing(token(test.user, strings.Split(test.scopes, ",")...), test.target); !slices.Equal(got, want) {
			t.Errorf("%s of %s with %s:\n got %q,\nwant %q", test.target.Name, test.user, test.scopes, got, want)
		}
	}

	s.must(t, "POST", "admin/users", map[string]any{"username": "boss", "email": "boss@example.com", "password": password, "must_change_password": false})
	for _, test := range []struct {
		admin  bool
		scopes string
		want   string // in what it ends with
	}{
		{false, "all", "needs an administrator of the server"},
		{true, "read:repository,read:organization,read:user", "needs a token with scope read:admin"},
		{true, "read:admin", "needs a token with scope read:repository"},
		{true, "read:admin,read:repository,read:organization,read:user", ""},
	} {
		s.must(t, "PATCH", "admin/users/boss", map[string]any{"admin": test.admin, "login_name": "boss", "source_id": 0})
		p := s.provider(t, token("boss", strings.Split(test.scopes, ",")...), gitea.Options{Sources: audit.DefaultSources})
		targets, gaps, err := targetsOf(t, p, "*")
		if err == nil != (test.want == "") || err != nil && (!errors.Is(err, audit.ErrAuth) || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("the server with %s: %v, want %q", test.scopes, err, test.want)
		}
		if err != nil {
			continue
		}
		found := slices.ContainsFunc(targets, func(x audit.Target) bool { return x.Name == "gitea:parts/all" })
		if want := []string{"variables, runners and webhooks of other users: needs each user's own token"}; !found || !slices.Equal(gaps, want) || targets[0].Kind != audit.TargetInstance {
			t.Errorf("%d targets, gaps %q", len(targets), gaps)
		}
		if gaps := gapsOf(t, p, targets[0]); len(gaps) > 0 {
			t.Errorf("of the instance: gaps %q", gaps)
		}
	}
}

// gapsOf reads all of a target, and what can be opened.
func gapsOf(t *testing.T, p *gitea.Provider, target audit.Target) (gaps []string) {
	t.Helper()
	target.Parts, target.Part = nil, ""
	for it, err := range p.Items(t.Context(), target) {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
			gaps = append(gaps, gap.Error())
		case err != nil:
			gaps = append(gaps, err.Error())
		case it.Open != nil && it.Kind == audit.KindArtifact:
			in, err := it.Open(t.Context())
			if err != nil {
				gaps = append(gaps, "a file: "+err.Error())
				continue
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
		}
		if it.Done != nil {
			it.Done()
		}
	}
	return gaps
}
