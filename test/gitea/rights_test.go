//go:build unix

package gitea

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/gitea"
)

// rightsTest asks a Gitea with tokens that may do less than all, and for what is not there.
func rightsTest(t *testing.T, s *server) {
	s.must(t, "POST", "orgs", map[string]any{"username": "rights"})
	for _, name := range []string{"public", "deleted", "empty"} {
		s.must(t, "POST", "orgs/rights/repos", map[string]any{"name": name, "auto_init": name != "empty"})
	}
	s.must(t, "POST", "orgs/rights/repos", map[string]any{"name": "hidden", "private": true})
	s.must(t, "POST", "admin/users", map[string]any{"username": "jane", "email": "jane@example.com", "password": "of-the-test", "must_change_password": false})
	token := func(scopes ...string) string {
		return s.must(t, "POST", "users/jane/tokens", map[string]any{"name": strings.Join(scopes, "+"), "scopes": scopes}, "jane", "of-the-test")["sha1"].(string)
	}
	all := token("read:repository", "read:organization", "read:user")
	s.must(t, "POST", "user/repos", map[string]any{"name": "dotfiles", "private": true, "auto_init": true}, token("write:repository", "write:user"))
	s.must(t, "POST", "user/actions/variables/MINE", map[string]any{"value": "m"}, token("write:user"))

	owner := ": 403 Forbidden: needs an owner of the organisation: "
	repo := ": 403 Forbidden: needs an owner of the repository: "
	for _, test := range []struct {
		name, token, ref string
		targets          []string
		gaps             []string // how they begin
		want             error
		said             string
	}{
		{"a token that is none", strings.Repeat("0", 40), "rights", nil, nil, audit.ErrAuth, "check GITEA_TOKEN"},
		{"no scope for organisations", token("read:repository"), "rights", nil, nil, audit.ErrAuth, "needs a token with scope read:organization"},
		{"no scope for repositories", token("read:organization"), "rights/public", nil, nil, audit.ErrAuth, "needs a token with scope read:repository"},
		{"no scope for users", token("read:organization", "read:repository"), "jane", nil, []string{"variables and runners of the user, if the token is theirs: 403 Forbidden: needs a token with scope read:user"}, audit.ErrAuth, "needs a token with scope read:user"},
		{"a stranger", all, "rights", []string{"organisation gitea:rights", "repository gitea:rights/public", "repository gitea:rights/deleted", "repository gitea:rights/empty"}, []string{
			"repositories the token cannot see: rights has 4 repositories, 3 were listed",
			"organisation variables" + owner, "organisation secrets" + owner, "organisation runners" + owner,
			"repository variables" + repo, "repository secrets" + repo, "repository runners" + repo,
			"repository variables" + repo, "repository secrets" + repo, "repository runners" + repo,
			"repository variables" + repo, "repository secrets" + repo, "repository runners" + repo,
		}, nil, ""},
		{"a stranger and what is private", all, "rights/hidden", nil, nil, audit.ErrAuth, "check the name"},
		{"her own", all, "Jane", []string{"user gitea:jane", "repository gitea:jane/dotfiles"}, nil, nil, ""},
		{"nobody", all, "nobody", nil, nil, audit.ErrAuth, "check the name"},
		{"a name longer than any", all, "rights/" + strings.Repeat("x", 100), nil, nil, audit.ErrAuth, "check the name"},
		{"no token", "", "rights/public", []string{"organisation gitea:rights", "repository gitea:rights/public"}, slices.Repeat([]string{""}, 6), nil, ""},
		{"no token and what is private", "", "rights/hidden", nil, nil, audit.ErrAuth, "set GITEA_TOKEN"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := s.provider(t, test.token, gitea.Options{Sources: audit.SourceHistory | audit.SourceVariables | audit.SourceSecrets | audit.SourceRunners})
			targets, gaps, err := targetsOf(t, p, test.ref)
			var names []string
			for _, target := range targets {
				names = append(names, string(target.Kind)+" "+target.Name)
				_, more, err := contentsOf(t, p, target)
				if err != nil {
					t.Errorf("%s: %v", target.Name, err)
				}
				gaps = append(gaps, more...)
			}
			if said := fmt.Sprint(err, audit.HintOf(err)); !errors.Is(err, test.want) || !strings.Contains(said, test.said) {
				t.Errorf("said %q, want %v and %q", said, test.want, test.said)
			}
			if !slices.Equal(names, test.targets) {
				t.Errorf("targets %q, want %q", names, test.targets)
			}
			if !slices.EqualFunc(gaps, test.gaps, strings.HasPrefix) {
				t.Errorf("gaps %q, want %q", gaps, test.gaps)
			}
		})
	}

	t.Run("deleted since it was listed", func(t *testing.T) {
		p := s.provider(t, s.token, gitea.Options{Sources: audit.SourceHistory | audit.SourceVariables})
		targets, _, err := targetsOf(t, p, "rights/deleted")
		if err != nil || len(targets) != 2 {
			t.Fatal(targets, err)
		}
		s.must(t, "DELETE", "repos/rights/deleted", nil)
		if _, _, err := contentsOf(t, p, targets[1]); err == nil || !strings.HasPrefix(err.Error(), "the repository is gone") {
			t.Errorf("its settings: %v", err)
		}
		targets[1].Part = audit.PartContents
		if _, gaps, err := contentsOf(t, p, targets[1]); err != nil || len(gaps) != 1 || !strings.HasPrefix(gaps[0], "git history: ") {
			t.Errorf("its contents: gaps %q, %v", gaps, err)
		}
	})
	t.Run("renamed", func(t *testing.T) {
		s.must(t, "POST", "orgs", map[string]any{"username": "before"})
		s.must(t, "POST", "orgs/before/repos", map[string]any{"name": "old", "auto_init": true})
		s.must(t, "PATCH", "repos/before/old", map[string]any{"name": "new"})
		s.must(t, "POST", "orgs/before/rename", map[string]any{"new_name": "after"})
		p := s.provider(t, s.token, gitea.Options{Sources: audit.SourceHistory | audit.SourceVariables})
		for _, ref := range []string{"before", "before/old"} {
			targets, gaps, err := targetsOf(t, p, ref)
			if err != nil || len(gaps) > 0 || len(targets) != 2 || targets[0].Name != "gitea:after" || targets[1].Name != "gitea:after/new" {
				t.Errorf("%s: %v, gaps %q, %v", ref, targets, gaps, err)
			}
		}
	})
	t.Run("deleted while it is scanned", func(t *testing.T) {
		p := s.provider(t, s.token, gitea.Options{Sources: audit.SourceHistory | audit.SourceVariables})
		targets, _, err := targetsOf(t, p, "rights/public")
		if err != nil || len(targets) != 2 {
			t.Fatal(targets, err)
		}
		var once sync.Once
		s.setFault(func(r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/git-upload-pack") {
				once.Do(func() {
					if err := os.RemoveAll(filepath.Join(s.root, "rights", "public.git")); err != nil {
						t.Error(err)
					}
				})
			}
			return false
		})
		defer s.setFault(nil)
		if _, gaps, err := contentsOf(t, p, targets[1]); err != nil || len(gaps) != 1 || !strings.HasPrefix(gaps[0], "git history: ") {
			t.Errorf("gaps %q, %v", gaps, err)
		}
	})
}

// refsTest: of what a repository has, notes are read, and what only a pull request holds if that is wanted.
func refsTest(t *testing.T, s *server) {
	w := &world{server: s, org: "refs", planted: map[string][]string{}}
	s.must(t, "POST", "orgs", map[string]any{"username": w.org})
	s.must(t, "POST", "orgs/refs/repos", map[string]any{"name": name(1), "auto_init": true, "default_branch": "main"})
	commit := func(branch, text string) {
		t.Helper()
		if err := w.push(1, func(h *history) { h.commit(branch, map[string]string{branch + ".txt": text}) }, "refs/heads/"+branch); err != nil {
			t.Fatal(err)
		}
	}
	commit("main", "on main\n")
	commit("proposal", "in a pull request\n")
	s.must(t, "POST", "repos/refs/"+name(1)+"/pulls", map[string]any{"head": "proposal", "base": "main", "title": "t"})
	s.must(t, "DELETE", "repos/refs/"+name(1)+"/branches/proposal", nil)

	if err := w.push(1, func(h *history) { h.note("main", "in a note\n") }, "refs/notes/commits"); err != nil {
		t.Fatal(err)
	}

	for _, all := range []bool{false, true} {
		p := s.provider(t, s.token, gitea.Options{Sources: audit.SourceHistory, AllRefs: all})
		targets, _, err := targetsOf(t, p, "refs/"+name(1))
		if err != nil || len(targets) != 1 {
			t.Fatal(targets, err)
		}
		contents, gaps, err := contentsOf(t, p, targets[0])
		if err != nil || len(gaps) > 0 {
			t.Errorf("gaps %q, %v", gaps, err)
		}
		for text, want := range map[string]bool{"on main\n": true, "in a note\n": true, "in a pull request\n": all} {
			if slices.Contains(contents, text) != want {
				t.Errorf("with all refs %t: %q is among the contents: %t", all, text, !want)
			}
		}
	}
}

// stateTest shows why no listing promises the state of a repository: what it says of the last change is true of branches alone, and late.
func stateTest(t *testing.T, s *server) {
	w := &world{server: s, org: "state", planted: map[string][]string{}}
	s.must(t, "POST", "orgs", map[string]any{"username": w.org})
	if err := os.MkdirAll(filepath.Join(s.root, w.org), 0o755); err != nil {
		t.Fatal(err)
	}
	h := newHistory(1)
	h.commit("main", map[string]string{"README": "hello\n"})
	if err := w.adopt(filepath.Join(s.root, w.org, name(1)+".git"), 1, h); err != nil {
		t.Fatal(err)
	}
	updated := func() any { return s.must(t, "GET", "repos/state/"+name(1), nil)["updated_at"] }
	before := updated()
	time.Sleep(time.Second) // it counts in them
	if err := w.push(1, func(h *history) { h.note("main", "in a note\n") }, "refs/notes/commits"); err != nil {
		t.Fatal(err)
	}
	if after := updated(); after != before {
		t.Errorf("a push of notes moves updated_at from %v to %v: could it stand for the state of a repository?", before, after)
	}
	if err := w.push(1, func(h *history) { h.commit("main", map[string]string{"README": "hello again\n"}) }, "refs/heads/main"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); updated() == before; {
		if time.Now().After(deadline) {
			t.Fatal("nor does a push of a branch")
		}
		time.Sleep(100 * time.Millisecond)
	}
	targets, _, err := targetsOf(t, s.provider(t, s.token, gitea.Options{Sources: audit.SourceHistory}), "state")
	if err != nil || len(targets) != 1 || targets[0].State != "" {
		t.Error(targets, err)
	}
}

func (s *server) provider(t *testing.T, token string, o gitea.Options) *gitea.Provider {
	t.Helper()
	return gitea.New(environment(t, map[string]string{"GITEA_URL": s.url, "GITEA_TOKEN": token}), o)
}

func targetsOf(t *testing.T, p *gitea.Provider, ref string) (targets []audit.Target, gaps []string, failure error) {
	t.Helper()
	for target, err := range p.Targets(t.Context(), ref) {
		switch gap := (*audit.Gap)(nil); {
		case errors.As(err, &gap):
			gaps = append(gaps, gap.Error())
		case err != nil:
			failure = err
		default:
			targets = append(targets, target)
		}
	}
	return targets, gaps, failure
}

func contentsOf(t *testing.T, p *gitea.Provider, target audit.Target) (contents, gaps []string, failure error) {
	t.Helper()
	for it, err := range p.Items(t.Context(), target) {
		switch gap := (*audit.Gap)(nil); {
		case errors.As(err, &gap):
			gaps = append(gaps, gap.Error())
		case err != nil:
			failure = err
		case it.Content != nil:
			contents = append(contents, string(it.Content))
		}
		if it.Done != nil {
			it.Done()
		}
	}
	return contents, gaps, failure
}
