package github

import (
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// Whatever goes wrong with one part of a repository, its other parts yield what they have, and so do other repositories.
func TestFaults(t *testing.T) {
	for _, fault := range forgetest.GitHubFaults() {
		t.Run(fault.Name, func(t *testing.T) {
			t.Parallel()
			g := forgetest.Faulty(t, "nothing")
			g.StartBlobs(t)
			fault.Break(g)
			o := everything()
			o.Sources = audit.AllSources
			p := New(env(t, nil, map[string]string{"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": forgetest.WorldToken}), o)
			r := targets(t, p, "acme")
			if r.err != nil || len(r.targets) != 4 {
				t.Fatalf("err %v, targets %q", r.err, r.names())
			}
			for _, target := range r.targets[1:] {
				lines, gaps, err := items(t, p, target)
				if target.Name != "github:acme/web" {
					if err != nil || len(gaps) > 0 {
						t.Errorf("%s: err %v, gaps %q", target.Name, err, gaps)
					}
					continue
				}
				if (err != nil) != (fault.Fails != "") || err != nil && !strings.Contains(err.Error(), fault.Fails) {
					t.Errorf("err %v", err)
				}
				if err != nil && len(gaps) > 0 {
					t.Errorf("what has ended has gaps besides: %q", gaps)
				}
				if err == nil && !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "environment production ") }) {
					t.Errorf("what is sound is not there: %q", lines)
				}
				for _, want := range fault.Gaps {
					if strings.HasPrefix(want, "runs/10/dist") {
						continue // whoever opens the artifact finds out
					}
					if !slices.ContainsFunc(gaps, func(g string) bool { return strings.HasPrefix(g, want) }) {
						t.Errorf("no gap %q in %q", want, gaps)
					}
				}
			}
		})
	}
}
