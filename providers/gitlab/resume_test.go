package gitlab

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// after lists the targets from a cursor on.
func after(t *testing.T, p *Provider, ref, cursor string) (r result) {
	t.Helper()
	for target, err := range p.TargetsAfter(t.Context(), ref, cursor) {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
			r.gaps = append(r.gaps, gap.Error())
		case err != nil:
			r.err = err
		default:
			r.targets = append(r.targets, target)
		}
	}
	return r
}

func cursors(r result) (out []string) {
	for _, t := range r.targets {
		if n := len(out); n == 0 || out[n-1] != t.Cursor {
			out = append(out, t.Cursor)
		}
	}
	return out
}

func TestListingResumes(t *testing.T) {
	for _, numbered := range []bool{false, true} {
		g := acme(450)
		g.NoKeyset = numbered
		p := provider(t, g, nil)
		want, cursor, rest := []string{"", "after 199", "after 299", "after 399", "after 499", ""}, "after 399", 150
		if numbered {
			want, cursor, rest = []string{"", "page 2", "page 3", "page 4", "page 5", ""}, "page 4", 250
		}
		whole := targets(t, p, "acme")
		if !slices.Equal(cursors(whole), want) || whole.err != nil {
			t.Fatalf("cursors %q, %v", cursors(whole), whole.err)
		}
		r := after(t, p, "acme", cursor)
		if r.err != nil || len(r.gaps) > 0 || len(r.targets) != rest || r.targets[rest-1].Name != whole.targets[len(whole.targets)-1].Name {
			t.Errorf("%s: err %v, gaps %q, %d targets", cursor, r.err, r.gaps, len(r.targets))
		}
		if r := after(t, p, "acme", "after 100000"); r.err != nil || len(r.targets) != 0 && !numbered {
			t.Errorf("after the end: %v, %d targets", r.err, len(r.targets))
		}
		for _, cursor := range []string{"x", "after 0", "after -1", "page 2\n", "after 99999999999999999999", "https://evil.example/?id_after=2"} {
			if r := after(t, p, "acme", cursor); len(r.targets) != len(whole.targets) || r.err != nil {
				t.Errorf("%q: %d targets, %v", cursor, len(r.targets), r.err)
			}
		}
		g.Projects = slices.Delete(g.Projects, 0, 80)
		if r := after(t, p, "acme", cursor); !slices.ContainsFunc(r.targets, func(x audit.Target) bool { return strings.HasSuffix(x.Name, "p300") }) {
			t.Errorf("lost what slipped: %q", r.names())
		}
	}
	if r := after(t, provider(t, acme(1), nil), "jane", "after 9000"); r.err != nil || len(r.targets) != 0 {
		t.Errorf("a user's: %v, %d targets", r.err, len(r.targets))
	}
}

func withHistory(t *testing.T, fake http.Handler, vars map[string]string) *Provider {
	o := everything()
	o.Sources |= audit.SourceHistory
	return New(provider(t, fake, vars).env, o)
}

func TestPartsAndStates(t *testing.T) {
	g := acme(1)
	g.Limit = 2000
	g.Projects[0].Dir = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"})
	g.Projects[0].Variables = []forgetest.CIVariable{{Key: "A", Value: "one"}}
	p := provider(t, g, nil)
	if r := targets(t, p, "acme"); r.named("gitlab:acme/platform/p000").Parts != nil {
		t.Error("parts, although nothing is asked of the contents")
	}
	p = withHistory(t, g, nil)
	target := targets(t, p, "acme/platform").named("gitlab:acme/platform/p000")
	if !slices.Equal(target.Parts, []audit.Part{audit.PartSettings, audit.PartContents}) || !target.Pushed.Equal(forgetest.Updated) || target.State != "" {
		t.Errorf("%+v", target)
	}
	list := func() (kinds []string, state string) {
		for it, err := range p.Items(t.Context(), target) {
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, string(it.Kind))
			state += it.State
		}
		return kinds, state
	}
	target.Part = audit.PartSettings
	variables := g.Projects[0].Variables
	full := make([]forgetest.CIVariable, listPage)
	for i := range full {
		full[i].Key = fmt.Sprint("V", i)
	}
	for why, values := range map[string][]forgetest.CIVariable{"the tag is a digest of a value": variables, "a page that is added has a tag of its own": full} {
		g.Projects[0].Variables = values
		if kinds, state := list(); len(kinds) < len(values) || state != "" {
			t.Errorf("%s: %q, state %q", why, kinds, state)
		}
	}
	g.Projects[0].Variables = []forgetest.CIVariable{{Key: "A"}}
	kinds, state := list()
	if kinds[len(kinds)-1] != "state" || slices.Contains(kinds, "file") {
		t.Fatalf("%q, state %q", kinds, state)
	}
	target.Past = state
	if kinds, _ := list(); !slices.Equal(kinds, []string{"unchanged"}) {
		t.Errorf("%q", kinds)
	}
	g.Projects[0].Variables = variables
	if kinds, again := list(); slices.Contains(kinds, "unchanged") || again == state {
		t.Errorf("a change went unseen: %q", kinds)
	}
	target.Part, target.Past = audit.PartContents, ""
	if kinds, _ := list(); !slices.Contains(kinds, "file") || slices.Contains(kinds, "variable") {
		t.Errorf("contents: %q", kinds)
	}
}

func TestSeveralTokens(t *testing.T) {
	g := acme(3)
	g.Limit = 1000
	g.Tokens = []string{token + "-2"}
	g.Projects[1].Dir = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"})
	p := withHistory(t, g, map[string]string{"GITLAB_TOKEN": strings.Join([]string{"revoked-" + token, token, token + "-2"}, ",")})
	for _, target := range targets(t, p, "acme").targets {
		if _, gaps, err := items(t, p, target); err != nil || len(gaps) > 0 {
			t.Errorf("%s: %v, gaps %q", target.Name, err, gaps)
		}
	}
	if a, b := g.Used(token), g.Used(token+"-2"); a < 3 || b < 3 || g.Used("revoked-"+token) > 1 {
		t.Errorf("used %d and %d", a, b)
	}
}
