package providers

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// TestHolders: what forges answer about names becomes free, taken, renamed or unknown. The answers have the forms of the forges' API descriptions.
func TestHolders(t *testing.T) {
	const absent = `{"message":"Not Found"}`
	answers := map[string]string{
		"/github/users/acme":          `{"login":"Acme","id":1,"type":"Organization","name":"Acme, Inc."}`,
		"/github/repos/acme/web":      `{"id":2,"full_name":"acme/web","owner":{"login":"acme"}}`,
		"/github/repositories/3":      `{"id":3,"full_name":"elsewhere/now","owner":{"login":"elsewhere"}}`,
		"/github/users/odd":           `{}`,
		"/gitlab/namespaces/acme":     `{"exists":true,"suggests":["acme1"]}`,
		"/gitlab/namespaces/gone":     `{"exists":false,"suggests":[]}`,
		"/gitlab/namespaces/odd":      `{}`,
		"/gitlab/projects/acme%2Fweb": `{"id":2,"path_with_namespace":"acme/web"}`,
		"/gitlab/projects/acme%2Fwas": `{"id":3,"path_with_namespace":"acme/deep/now"}`,
		"/gitea/users/acme":           `{"login":"acme","full_name":"Acme, Inc."}`,
		"/gitea/users/now":            `{"login":"now"}`,
		"/gitea/repos/acme/web":       `{"full_name":"acme/web"}`,
	}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Method != http.MethodGet {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		path := strings.NewReplacer("/api/v3/", "/github/", "/api/v4/", "/gitlab/", "/api/v1/", "/gitea/").Replace(r.URL.EscapedPath())
		if moved := map[string]string{"/github/repos/acme/was": "/api/v3/repositories/3", "/gitea/users/was": "/api/v1/users/now"}[path]; moved != "" {
			http.Redirect(w, r, moved, http.StatusMovedPermanently)
			return
		}
		if strings.HasPrefix(path, "/github/users/broken") {
			http.Error(w, `{"message":"no"}`, http.StatusForbidden)
			return
		}
		answer, known := answers[strings.TrimSuffix(path, "/exists")]
		if !known {
			http.Error(w, absent, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, answer)
	}))
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	signed := map[string]string{"GITHUB_API_URL": server.URL + "/api/v3", "GITLAB_URL": server.URL, "GITEA_URL": server.URL, "GITLAB_TOKEN": "a-token-of-this-test", "GITEA_TOKEN": "a-token-of-this-test"}
	holders := func(env map[string]string, budget int) func(ctx context.Context, forge, issuer, name string) audit.Holder {
		return Holders(audit.Env{
			HTTP: &http.Client{}, Getenv: func(k string) string { return env[k] }, Log: slog.New(slog.DiscardHandler), UserAgent: "leakreach/test", Calls: &audit.Calls{}, Now: time.Now,
		}, Options{}, budget)
	}
	issuers := map[string]string{"github": at.Host + "/_services/token", "gitlab": at.Host, "gitea": at.Host + "/api/actions"}
	ask := holders(signed, 0)
	for _, c := range []struct{ forge, name, want string }{
		{"github", "acme", "Acme"},
		{"github", "gone", "nobody"},
		{"github", "managed_acme", "unsure whether it is a managed user's, whom GitHub shows to colleagues alone"},
		{"github", "odd", "unsure what the answer means"},
		{"github", "../orgs", "unsure whether it is a name of GitHub's"},
		{"github", "acme/..", "unsure whether it is a name of GitHub's"},
		{"github", "acme/web", "acme/web"},
		{"github", "acme/was", "elsewhere/now"},
		{"github", "acme/gone", "unsure whether it is there: the credential may not see it"},
		{"gitlab", "acme", "acme"},
		{"gitlab", "gone", "nobody"},
		{"gitlab", "odd", "unsure what the answer means"},
		{"gitlab", "unread", "unsure who has it: GET " + server.URL + "/api/v4/namespaces/unread/exists: 404 Not Found: no right to read it, or not offered here"},
		{"gitlab", "acme/web", "acme/web"},
		{"gitlab", "acme/was", "acme/deep/now"},
		{"gitlab", "acme/gone", "unsure whether it is there: the credential may not see it"},
		{"gitlab", "..", "unsure whether it is a name of GitLab's"},
		{"gitlab", "acme/../was", "unsure whether it is a name of GitLab's"},
		{"gitea", "acme", "acme"},
		{"gitea", "..", "unsure whether it is a name of Gitea's"},
		{"gitea", "acme/..", "unsure whether it is a name of Gitea's"},
		{"gitea", "was", "now"},
		{"gitea", "gone", "unsure whether it is there: the credential may not see it"},
		{"gitea", "acme/web", "acme/web"},
		{"gitea", "acme/gone", "unsure whether it is there: the credential may not see it"},
	} {
		h := ask(t.Context(), c.forge, issuers[c.forge], c.name)
		got := h.Name
		switch {
		case h.Unsure != "":
			got = "unsure " + h.Unsure
		case got == "":
			got = "nobody"
		}
		if got != c.want {
			t.Errorf("%s %s: %s, want %s", c.forge, c.name, got, c.want)
		}
	}
	for forge := range issuers { // of another server nobody is asked
		before := asked
		for _, issuer := range []string{"token.actions.githubusercontent.com", "gitlab.com", "codeberg.org/api/actions", at.Host + "/other"} {
			if h := ask(t.Context(), forge, issuer, "acme"); !strings.Contains(h.Unsure, "another server's to tell") {
				t.Errorf("%s for %s: %+v", forge, issuer, h)
			}
		}
		if asked != before {
			t.Errorf("%s was asked about names of other servers", forge)
		}
	}
	before := asked
	if h := holders(map[string]string{"GITLAB_URL": server.URL}, 0)(t.Context(), "gitlab", issuers["gitlab"], "gone"); asked != before || !strings.Contains(h.Unsure, "a token of their own") {
		t.Errorf("without a token: %+v, after %d requests", h, asked-before)
	}
	ask = holders(signed, 2)
	for range 3 {
		for _, name := range []string{"acme", "ACME", "gone", "more"} {
			if h := ask(t.Context(), "github", issuers["github"], name); (h.Unsure != "") != (name == "more") {
				t.Errorf("%s: %+v", name, h)
			}
		}
	}
	if asked-before != 2 {
		t.Errorf("%d requests, and two were allowed", asked-before)
	}
}
