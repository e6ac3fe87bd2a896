//go:build unix

package gitea

import (
	"strings"
	"testing"

	"github.com/leakreach/leakreach/providers/gitea"
)

// holdersTest asks a Gitea who has names that are there, were given up, or are hidden. What it does not show, nobody is said to have or not to have.
func holdersTest(t *testing.T, s *server) {
	const password = "of-the-test"
	org := func(name, visibility string) {
		s.must(t, "POST", "orgs", map[string]any{"username": name, "visibility": visibility})
	}
	repository := func(name string, private bool) {
		owner, short, _ := strings.Cut(name, "/")
		s.must(t, "POST", "orgs/"+owner+"/repos", map[string]any{"name": short, "private": private})
	}
	user := func(name string) {
		s.must(t, "POST", "admin/users", map[string]any{"username": name, "email": name + "@example.com", "password": password, "must_change_password": false})
	}
	rename := func(name, to string) { s.must(t, "POST", "orgs/"+name+"/rename", map[string]any{"new_name": to}) }
	for _, name := range []string{"Held", "was-held", "taken", "gone-held"} {
		org(name, "public")
	}
	org("limited-held", "limited")
	org("private-held", "private")
	org("was-private", "private")
	org("a", "public")
	user("holder")
	user("was-holder")
	for _, name := range []string{"Held/Web", "Held/was", "Held/taken", "Held/left", "Held/gone", "was-held/web"} {
		repository(name, false)
	}
	for _, name := range []string{"Held/hidden", "Held/was-hidden", "private-held/web"} {
		repository(name, true)
	}

	rename("was-held", "now-held")
	rename("taken", "gave-up")
	org("taken", "public")
	rename("was-private", "now-private")
	rename("a", "now-a")
	s.must(t, "POST", "admin/users/was-holder/rename", map[string]any{"new_username": "now-holder"})
	s.must(t, "DELETE", "orgs/gone-held", nil)
	for name, to := range map[string]string{"was": "now", "taken": "given-up", "was-hidden": "now-hidden"} {
		s.must(t, "PATCH", "repos/Held/"+name, map[string]any{"name": to})
	}
	repository("Held/taken", false)
	s.must(t, "POST", "repos/Held/left/transfer", map[string]any{"new_owner": "now-held"})
	s.must(t, "DELETE", "repos/Held/gone", nil)

	stranger := s.must(t, "POST", "users/holder/tokens", map[string]any{"name": "t", "scopes": []string{"read:repository", "read:user"}}, "holder", password)["sha1"].(string)
	narrow := s.must(t, "POST", "users/holder/tokens", map[string]any{"name": "n", "scopes": []string{"read:issue"}}, "holder", password)["sha1"].(string)
	issuer := strings.TrimPrefix(s.url, "http://") + "/api/actions"
	ask := func(token, name string) string {
		h, err := s.provider(t, token, gitea.Options{}).Holder(t.Context(), issuer, name, func() error { return nil })
		switch {
		case err != nil:
			return "error: " + err.Error()
		case h.Unsure != "":
			return "unsure " + h.Unsure
		}
		return h.Name
	}
	const unseen = "unsure whether it is there: the credential may not see it"
	for _, test := range []struct{ name, admin, stranger, nobody string }{ // what is said with the token of each, and without one
		{"held", "Held", "Held", "Held"},
		{"HELD", "Held", "Held", "Held"},
		{"holder", "holder", "holder", "holder"},
		{"was-held", "now-held", "now-held", "now-held"},
		{"was-holder", "now-holder", "now-holder", "now-holder"},
		{"taken", "taken", "taken", "taken"},
		{"limited-held", "limited-held", "limited-held", unseen},
		{"private-held", "private-held", unseen, unseen},
		{"was-private", "now-private", unseen, unseen},
		{"gone-held", unseen, unseen, unseen},
		{"never-held", unseen, unseen, unseen},
		{"a", unseen, unseen, unseen}, // Gitea redirects to an address with the new name in place of the first "a" in it
		{"held/web", "Held/Web", "Held/Web", "Held/Web"},
		{"held/was", "Held/now", "Held/now", "Held/now"},
		{"held/taken", "Held/taken", "Held/taken", "Held/taken"},
		{"held/left", "now-held/left", "now-held/left", "now-held/left"},
		{"was-held/web", "now-held/web", "now-held/web", "now-held/web"},
		{"held/hidden", "Held/hidden", unseen, unseen},
		{"held/was-hidden", "Held/now-hidden", unseen, unseen},
		{"private-held/web", "private-held/web", unseen, unseen},
		{"held/gone", unseen, unseen, unseen},
		{"held/never", unseen, unseen, unseen},
		{"never-held/web", unseen, unseen, unseen},
	} {
		for token, want := range map[string]string{s.token: test.admin, stranger: test.stranger, "": test.nobody} {
			if got := ask(token, test.name); got != want {
				t.Errorf("%s: %q, want %q", test.name, got, want)
			}
		}
		if got := ask(narrow, test.name); !strings.HasPrefix(got, "error: GET ") || !strings.Contains(got, ": 403 Forbidden: token does not have at least one of required scope(s)") {
			t.Errorf("%s with a token for issues: %q", test.name, got)
		}
	}

	// Names that a role lets in may be anything: none leads to another request's answer.
	for _, name := range []string{"search", "..", ".", "held/..", "held/.", "../users/held", "held/../held", "issues/search", "held/web/branches", "held?x=/y", "held/web?x=y", "held%2fweb", "", "/", "held/"} {
		if got := ask(s.token, name); !strings.HasPrefix(got, "unsure ") && !strings.HasPrefix(got, "error: ") {
			t.Errorf("%q: %q", name, got)
		}
	}
}
