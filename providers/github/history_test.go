package github

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

// read opens whatever can be opened, as the engine does, and returns the contents and the web addresses of places.
func read(t *testing.T, p *Provider, target audit.Target) (contents, urls string, gaps []string) {
	t.Helper()
	for it, err := range p.Items(t.Context(), target) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			gaps = append(gaps, gap.Error())
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		urls += it.At.URL + "\n"
		contents += string(it.Content) + "\n"
		if it.Open != nil {
			rc, err := it.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(rc)
			if err != nil {
				t.Fatal(err)
			}
			contents += string(b) + "\n"
			_ = rc.Close()
		}
		if it.Done != nil {
			it.Done()
		}
	}
	return contents, urls, gaps
}

func historyOnly() Options { return Options{History: true, sleep: everything().sleep} }

func TestHistory(t *testing.T) {
	g := acme(5)
	dir := forgetest.Repository(t, forgetest.Commit{"a file#1": "the first content\n"}, forgetest.Commit{"a file#1": "the second content\n"})
	for _, r := range g.Repos[:4] {
		r.Dir = dir
	}
	g.Repos[3].Gone = true
	var stolen atomic.Int32
	g.Repos[1].CloneURL = forgetest.Start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen.Add(1) })) + "/acme/r001.git"
	p := provider(t, g, historyOnly())
	r := targets(t, p, "acme")
	if r.err != nil || len(r.targets) != 6 {
		t.Fatalf("err %v, %d targets", r.err, len(r.targets))
	}
	for _, target := range r.targets[1:4] {
		contents, urls, gaps := read(t, p, target)
		if !strings.Contains(contents, "the first content") || !strings.Contains(contents, "the second content") || len(gaps) > 0 {
			t.Errorf("%s: gaps %q, contents %q", target.Name, gaps, contents)
		}
		if !strings.Contains(urls, target.URL+"/blob/") || !strings.Contains(urls, "/a%20file%231\n") {
			t.Errorf("%s: addresses %s", target.Name, urls)
		}
	}
	if stolen.Load() > 0 {
		t.Error("a clone went to the host that the API's answer named")
	}
	if _, _, gaps := read(t, p, r.targets[4]); len(gaps) != 1 || !strings.HasPrefix(gaps[0], "git history: ") || strings.Contains(gaps[0], token) {
		t.Errorf("gone: gaps %q", gaps)
	}
	if _, _, gaps := read(t, p, r.targets[5]); len(gaps) > 0 {
		t.Errorf("empty: gaps %q", gaps)
	}
}

// A clone that the server breaks once is tried again; a public repository is cloned without any token.
func TestHistoryTrouble(t *testing.T) {
	g := acme(1)
	g.Repos[0].Dir = forgetest.Repository(t, forgetest.Commit{"f": "content of f\n"})
	var failures atomic.Int32
	g.Fault = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/git-upload-pack") && failures.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		if user, _, _ := r.BasicAuth(); strings.Contains(r.URL.Path, ".git/") && user != "" {
			t.Error("credentials were sent although there are none")
		}
		return false
	}
	p := New(env(t, nil, map[string]string{"GITHUB_API_URL": forgetest.Start(t, g) + "/api/v3"}), historyOnly())
	r := targets(t, p, "acme/r000")
	if r.err != nil {
		t.Fatal(r.err)
	}
	if contents, _, gaps := read(t, p, r.targets[0]); !strings.Contains(contents, "content of f") || len(gaps) > 0 {
		t.Errorf("gaps %q, contents %q", gaps, contents)
	}
}

// Files without history are those of the default branch as it is now.
func TestFilesOnly(t *testing.T) {
	g := acme(1)
	g.Repos[0].Dir = forgetest.Repository(t, forgetest.Commit{"f": "the first content\n"}, forgetest.Commit{"f": "the second content\n", "g": "of g\n"})
	o := historyOnly()
	o.History, o.Files = false, true
	p := provider(t, g, o)
	contents, _, gaps := read(t, p, targets(t, p, "acme/r000").targets[0])
	if !strings.Contains(contents, "the second content") || !strings.Contains(contents, "of g") || strings.Contains(contents, "the first content") || len(gaps) > 0 {
		t.Errorf("gaps %q, contents %q", gaps, contents)
	}
}
