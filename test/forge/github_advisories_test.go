package forge

import (
	"testing"

	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/leakreach/leakreach/providers/forgetest"
	"github.com/leakreach/leakreach/providers/github"
)

// TestGitHubAdvisories holds what we ask of GitHub's advisories, and what the fake answers, against GitHub's own description.
func TestGitHubAdvisories(t *testing.T) {
	doc := description(t)
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{t: t, router: router, doc: doc, fake: everyKind(t), seen: map[string]int{}}
	p := github.New(environment(t, map[string]string{"GITHUB_API_URL": forgetest.Start(t, c), "GH_TOKEN": endpointToken}), github.Options{})
	asked := 0
	all, err := p.Advisories(t.Context(), func() error { asked++; return nil })
	if err != nil || len(all) != 2 || all["acme/build"][0].Fixed != "2.0.0" || all["acme/evil"][0].Severity != "critical" {
		t.Errorf("%+v, %v", all, err)
	}
	if n := c.seen["security-advisories/list-global-advisories"]; n != 2 || asked != n {
		t.Errorf("%d requests, %d were counted", n, asked)
	}
}
