package github

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
	"github.com/leakreach/leakreach/providers/internal/gittest"
)

// withWikis has a public repository and a private one with wikis, one whose wiki has no page yet, and one without.
func withWikis(t *testing.T) *forgetest.GitHub {
	t.Helper()
	source := gittest.New(t)
	source.Write("ops/How to, 100%.md", "the page as it was")
	source.Commit("first")
	source.Write("ops/How to, 100%.md", "the page as it is")
	source.Commit("second")
	g := acme(4) // those with odd numbers are private
	g.Repos[0].Wiki, g.Repos[1].Wiki, g.Repos[2].NoPages = source.Dir+"/.git", source.Dir+"/.git", true
	return g
}

// read is what lies in a target, with its addresses, and its gaps.
func read(t *testing.T, p *Provider, target audit.Target) (text string, addresses, gaps []string, state string) {
	t.Helper()
	for it, err := range p.Items(t.Context(), target) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			gaps = append(gaps, gap.Error())
		} else if err != nil {
			t.Error(err)
		}
		if it.At.URL != "" && !slices.Contains(addresses, it.At.URL) {
			addresses = append(addresses, it.At.URL)
		}
		if it.Kind == audit.KindState || it.Kind == audit.KindUnchanged {
			state = string(it.Kind) + " " + it.State
		}
		text += string(it.Content)
		if it.Done != nil {
			it.Done()
		}
	}
	return text, addresses, gaps, state
}

func TestWikiTargets(t *testing.T) {
	for _, test := range []struct {
		ref     string
		sources audit.Sources
		want    string
		err     error
	}{
		{"acme", audit.SourceWikis, "acme acme/r000 acme/r000.wiki acme/r001 acme/r001.wiki acme/r002 acme/r002.wiki acme/r003", nil},
		{"acme", audit.AllSources &^ audit.SourceWikis, "acme acme/r000 acme/r001 acme/r002 acme/r003", nil},
		{"acme/r000", audit.SourceWikis, "acme/r000 acme/r000.wiki", nil},
		{"acme/r00[13]", audit.SourceWikis, "acme/r001 acme/r001.wiki acme/r003", nil},
		{"acme/r000.wiki", audit.SourceHistory, "acme/r000.wiki", nil}, // it is named
		{"acme/nothing.wiki", audit.SourceWikis, "", audit.ErrAuth},
		{"acme/.wiki", audit.SourceWikis, "", audit.ErrAuth},
		{"acme/...wiki", audit.SourceWikis, "", audit.ErrAuth},
	} {
		r := targets(t, provider(t, withWikis(t), withSources(test.sources)), test.ref)
		var names []string
		for _, target := range r.targets {
			names = append(names, strings.TrimPrefix(target.Name, "github:"))
		}
		if got := strings.Join(names, " "); test.err == nil && got != test.want || !errors.Is(r.err, test.err) || test.err == nil && r.err != nil {
			t.Errorf("%s with %s: %s, %v; want %s, %v", test.ref, test.sources, got, r.err, test.want, test.err)
		}
	}
}

func TestWiki(t *testing.T) {
	for _, sources := range []audit.Sources{audit.SourceWikis, audit.SourceWikis | audit.SourceFiles, audit.AllSources} {
		p := provider(t, withWikis(t), withSources(sources))
		r := targets(t, p, "acme/r001.wiki") // a private one
		if r.err != nil || len(r.targets) != 1 {
			t.Fatalf("%v, %q", r.err, r.names())
		}
		wiki := r.targets[0]
		text, addresses, gaps, state := read(t, p, wiki)
		if !strings.Contains(text, "as it was") || !strings.Contains(text, "as it is") || len(gaps) > 0 || !strings.HasPrefix(state, "state ") {
			t.Errorf("%s: %q, gaps %q, %s", sources, text, gaps, state)
		}
		if !slices.ContainsFunc(addresses, func(a string) bool { return strings.Contains(a, "/acme/r001/wiki/How%20to%2C%20100%25/") }) {
			t.Errorf("%s: addresses %q", sources, addresses)
		}
		if left := p.LeftOut(wiki); left != 0 || wiki.Kind != audit.TargetWiki {
			t.Errorf("%s: %s leaves out %s", sources, wiki.Kind, left)
		}
		wiki.Past = strings.TrimPrefix(state, "state ")
		if text, _, _, again := read(t, p, wiki); text != "" || !strings.HasPrefix(again, "unchanged ") {
			t.Errorf("%s, again: %q, %s", sources, text, again)
		}
	}
}

// A wiki that has no page yet is no gap; one that cannot be read is.
func TestAbsentWiki(t *testing.T) {
	for name, test := range map[string]struct {
		token, wiki string
		status      int // that git's server answers instead
		gap         bool
	}{
		"without a page":              {token, "acme/r002.wiki", 0, false},
		"without a page or a token":   {"", "acme/r002.wiki", 0, false},
		"public, without a token":     {"", "acme/r000.wiki", 0, false},
		"refused":                     {token, "acme/r002.wiki", http.StatusForbidden, true},
		"out of order":                {token, "acme/r002.wiki", http.StatusBadGateway, true},
		"out of order, without token": {"", "acme/r002.wiki", http.StatusBadGateway, true},
	} {
		g := withWikis(t)
		g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			return test.status != 0 && strings.Contains(r.URL.Path, ".wiki.git/") && forgetest.Fail(w, test.status, "no")
		}
		o := withSources(audit.SourceWikis)
		p := New(env(t, nil, map[string]string{"GITHUB_API_URL": forgetest.Start(t, g), "GH_TOKEN": test.token}), o)
		r := targets(t, p, test.wiki)
		if r.err != nil || len(r.targets) != 1 {
			t.Fatalf("%s: %v, %q", name, r.err, r.names())
		}
		text, _, gaps, _ := read(t, p, r.targets[0])
		if (len(gaps) > 0) != test.gap || (text != "") != (test.wiki == "acme/r000.wiki") {
			t.Errorf("%s: %q, gaps %q", name, text, gaps)
		}
	}
}

// No answer leads a wiki's token to another host.
func TestWikiAddress(t *testing.T) {
	for _, hostile := range []string{"https://evil.example/acme/r000.git", "https://api.github.com@evil.example/x.git", "file:///etc/passwd", "::", "ssh://git@evil.example/x.git"} {
		g := withWikis(t)
		g.Repos[0].CloneURL = hostile
		r := targets(t, provider(t, g, withSources(audit.SourceWikis)), "acme/r000.wiki")
		if r.err != nil || len(r.targets) != 1 || !strings.HasPrefix(r.targets[0].Attrs["clone_url"], "http://127.0.0.1:") || !strings.HasSuffix(r.targets[0].Attrs["clone_url"], "/acme/r000.wiki.git") {
			t.Errorf("%s: %v, %+v", hostile, r.err, r.targets)
		}
	}
}

func TestWikiPage(t *testing.T) {
	for path, want := range map[string]string{
		"": "/w", "Home.md": "/w/Home/c", "a/b/Run it.rst": "/w/Run%20it/c", "..": "/w", ".md": "/w", "a/..": "/w", "x?y#z.md": "/w/x%3Fy%23z/c", "a\n.md": "/w/a%0A/c",
	} {
		if got := wikiPage("/w", audit.Location{Path: path, Commit: "c"}); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
}
