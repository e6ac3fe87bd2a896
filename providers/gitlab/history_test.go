package gitlab

import (
	"errors"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

func TestHistory(t *testing.T) {
	dir := forgetest.Repository(t, forgetest.Commit{"deploy/env": "the first content\n"}, forgetest.Commit{"deploy/env": "the second content\n"})
	for _, test := range []struct {
		name string
		vars map[string]string
		gap  string
	}{
		{"token", nil, ""},
		{"job token", map[string]string{"GITLAB_TOKEN": "", "CI_JOB_TOKEN": "job", "CI_SERVER_URL": "URL"}, ""},
		{"job token without the right", map[string]string{"GITLAB_TOKEN": "", "CI_JOB_TOKEN": "other", "CI_SERVER_URL": "URL"}, "git history: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := acme(2)
			g.JobToken = "job"
			x := g.Projects[1]
			x.Dir, x.JobMayRead, x.CloneURL = dir, true, "http://127.0.0.1:1/elsewhere.git"
			p := provider(t, g, test.vars)
			p.opts = Options{Sources: audit.SourceHistory, sleep: p.opts.sleep}
			r := targets(t, p, x.Path)
			if r.err != nil {
				t.Fatal(r.err)
			}
			var contents, urls strings.Builder
			var gaps []string
			target := r.named("gitlab:" + x.Path)
			for it, err := range p.Items(t.Context(), target) {
				if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
					gaps = append(gaps, gap.Error())
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				contents.Write(it.Content)
				urls.WriteString(it.At.URL + "\n")
				if it.Done != nil {
					it.Done()
				}
			}
			if test.gap != "" {
				if len(gaps) != 1 || !strings.HasPrefix(gaps[0], test.gap) {
					t.Errorf("gaps %q", gaps)
				}
				return
			}
			if !strings.Contains(contents.String(), "the first content") || len(gaps) > 0 || !strings.Contains(urls.String(), target.URL+"/-/blob/") {
				t.Errorf("gaps %q, contents %q, addresses %s", gaps, contents.String(), urls.String())
			}
		})
	}
}
