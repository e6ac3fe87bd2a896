package github

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline/resolve"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// All pages of advisories are read, each after asking whether that may be; what is withdrawn, or of another registry, is none.
func TestAdvisories(t *testing.T) {
	g := &forgetest.GitHub{}
	for i := range 250 {
		g.Advisories = append(g.Advisories, forgetest.Advisory{
			ID: fmt.Sprintf("GHSA-%04d", i), Severity: "high", Summary: "x", Package: "Acme/Build", Range: "< 1", Malware: i == 3, Withdrawn: i == 5,
			Ecosystem: map[bool]string{true: "npm"}[i == 7],
		})
	}
	g.Advisories[9].Severity = "unknown"
	p := New(env(t, nil, map[string]string{"GITHUB_API_URL": forgetest.Start(t, g)}), Options{})
	asked := 0
	all, err := p.Advisories(t.Context(), func() error { asked++; return nil })
	if err != nil || len(all) != 1 || len(all["acme/build"]) != 248 || asked != 4 {
		t.Errorf("%d names, %d advisories, asked %d times: %v", len(all), len(all["acme/build"]), asked, err)
	}
	severities := map[audit.Severity]int{}
	for _, a := range all["acme/build"] {
		severities[a.Severity]++
	}
	if severities[audit.High] != 247 || severities[audit.Medium] != 1 {
		t.Errorf("%v", severities)
	}
	if want := (resolve.Advisory{ID: "GHSA-0000", Severity: audit.High, Summary: "x", Range: "< 1"}); all["acme/build"][0] != want {
		t.Errorf("%+v", all["acme/build"][0])
	}
	before, spent := len(g.Requests()), errors.New("spent")
	if _, err := p.Advisories(t.Context(), func() error { return spent }); !errors.Is(err, spent) || len(g.Requests()) > before {
		t.Errorf("%v, %d requests", err, len(g.Requests())-before)
	}
	g.Fault = func(w http.ResponseWriter, _ *http.Request) bool {
		return forgetest.Fail(w, http.StatusForbidden, "no")
	}
	if all, err := p.Advisories(t.Context(), func() error { return nil }); err == nil {
		t.Errorf("refused: %v", all)
	}
}
