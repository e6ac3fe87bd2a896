package github

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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
	g := acme(450)
	p := provider(t, g, everything())
	whole := targets(t, p, "acme")
	if want := []string{"", "org 2", "org 3", "org 4", "org 5", ""}; !slices.Equal(cursors(whole), want) {
		t.Fatalf("cursors %q", cursors(whole))
	}
	r := after(t, p, "acme", "org 4")
	if names := r.names(); r.err != nil || len(r.gaps) > 0 || len(names) != 251 || names[1] != "github:acme/r200" || names[250] != "github:acme/r449" {
		t.Errorf("err %v, gaps %q, %d targets", r.err, r.gaps, len(r.names()))
	}
	g.Repos = slices.Delete(g.Repos, 0, 80) // what was behind them has slipped forward
	if names := after(t, p, "acme", "org 4").names(); !slices.Contains(names, "github:acme/r300") {
		t.Errorf("lost what slipped: %d targets from %q", len(names), names[1])
	}
	g.Repos = g.Repos[:20]
	if names := after(t, p, "acme", "org 4").names(); len(names) != 21 {
		t.Errorf("%d targets of an organisation that has shrunk", len(names))
	}
	for _, cursor := range []string{"x", "org 0", "org -1", "org 99999999999999999999", "org 2\n", "user 3", "https://evil.example/?page=2"} {
		if r := after(t, p, "acme", cursor); len(r.targets) == 0 || r.err != nil && cursor != "user 3" {
			t.Errorf("%q: %d targets, %v", cursor, len(r.targets), r.err)
		}
	}
}

func TestUserListingResumes(t *testing.T) {
	g := acme(0)
	for i := range 250 {
		g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: fmt.Sprintf("octocat/r%03d", i), ID: int64(i + 1), Private: true})
	}
	p := provider(t, g, everything())
	if want := []string{"own 2", "own 3", ""}; !slices.Equal(cursors(targets(t, p, "octocat")), want) {
		t.Errorf("cursors %q", cursors(targets(t, p, "octocat")))
	}
	if names := after(t, p, "octocat", "own 3").names(); len(names) != 150 || names[0] != "github:octocat/r100" {
		t.Errorf("%d targets", len(names))
	}
	if names := after(t, p, "octocat", "user 3").names(); len(names) != 250 {
		t.Errorf("%d targets by the cursor of another listing", len(names))
	}
}

func TestTargetTellsItsParts(t *testing.T) {
	o := everything()
	o.Sources |= audit.SourceHistory
	both := []audit.Part{audit.PartSettings, audit.PartContents}
	r := targets(t, provider(t, acme(1), o), "acme")
	if org, repo := r.targets[0], r.targets[1]; org.Parts != nil || !slices.Equal(repo.Parts, both) || repo.Size != 1024 || !repo.Pushed.Equal(forgetest.Updated) || repo.State != "" {
		t.Errorf("%+v\n%+v", org, repo)
	}
	for _, o := range []Options{everything(), {Sources: audit.SourceHistory}, {Sources: audit.SourceFiles}} {
		if r := targets(t, provider(t, acme(1), o), "acme/r000"); r.targets[0].Parts != nil {
			t.Errorf("%+v: parts %q", o, r.targets[0].Parts)
		}
	}
}

// What has not changed is known by requests that cost nothing.
func TestUnchangedSettings(t *testing.T) {
	g := acme(2)
	g.Limit = 5000
	g.Repos[0].Dir = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"})
	g.Repos[0].Environments = []forgetest.Environment{{Name: "prod/eu", Variables: []forgetest.Variable{{Name: "A", Value: "one"}}}}
	o := everything()
	o.Sources |= audit.SourceHistory
	p := provider(t, g, o)
	list := func(target audit.Target) (kinds []string, state string) {
		for it, err := range p.Items(t.Context(), target) {
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, string(it.Kind))
			if it.State != "" {
				state = it.State
			}
		}
		return kinds, state
	}
	for _, target := range targets(t, p, "acme").targets[:2] {
		if target.Parts != nil {
			target.Part = audit.PartSettings
		}
		kinds, state := list(target)
		if kinds[len(kinds)-1] != "state" || slices.Contains(kinds, "file") || state == "" || strings.Contains(state, "eu-central-1") || strings.Contains(state, "one") {
			t.Errorf("%s: %q, state %q", target.Name, kinds, state)
		}
		target.Past = state
		used := g.Used(token)
		if kinds, again := list(target); !slices.Equal(kinds, []string{"unchanged"}) || again != state || g.Used(token) != used {
			t.Errorf("%s: %q for %d", target.Name, kinds, g.Used(token)-used)
		}
		g.Owners[0].Variables[0].Value += "x"
		g.Repos[0].Environments[0].Variables[0].Value += "x"
		if kinds, again := list(target); slices.Contains(kinds, "unchanged") || again == "" || again == state {
			t.Errorf("%s: a change went unseen: %q", target.Name, kinds)
		}
		target.Part = audit.PartContents
		if kinds, _ := list(target); target.Parts != nil && (!slices.Contains(kinds, "file") || slices.Contains(kinds, "variable")) {
			t.Errorf("contents: %q", kinds)
		}
	}
}

func TestSeveralTokens(t *testing.T) {
	g := acme(4)
	g.Limit = 1000
	g.Tokens = map[string]forgetest.GitHubToken{
		token + "-2": {Login: "hubot", Owner: "hubot"}, token + "-3": {Login: "octocat"},
	}
	g.Owners = append(g.Owners, &forgetest.Owner{Login: "hubot", User: true})
	g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: "hubot/own", ID: 90, Private: true})
	g.Repos[1].Dir = forgetest.Repository(t, forgetest.Commit{"README": "hello\n"})
	var log strings.Builder
	tokens := strings.Join([]string{"revoked-" + token, token + "-2", token + "-3", token}, ",")
	o := everything()
	o.Sources |= audit.SourceHistory
	url := forgetest.Start(t, g)
	p := New(env(t, &log, map[string]string{"GITHUB_API_URL": url, "GH_TOKEN": tokens}), o)
	r := targets(t, p, "acme")
	if want := []string{"github:acme", "github:acme/r000", "github:acme/r002"}; r.err != nil || !slices.Equal(r.names(), want) || g.Used(token)+g.Used(token+"-3") > 0 {
		t.Fatalf("err %v, gaps %q, %q: want what the first token that is accepted sees", r.err, r.gaps, r.names())
	}
	// Which one is first for a target is its name's; where that is denied, the others are asked.
	for _, dir := range []string{"r001", "r003"} {
		lines, gaps, err := items(t, p, audit.Target{Name: "github:acme/" + dir, Kind: audit.TargetRepository, Attrs: map[string]string{
			"owner": "acme", "repo": dir, "clone_url": url + "/acme/r001.git",
		}})
		if err != nil || len(gaps) > 0 {
			t.Errorf("%v, gaps %q, %q", err, gaps, lines)
		}
	}
	if names := targets(t, p, "hubot").names(); !slices.Equal(names, []string{"github:hubot/own"}) {
		t.Errorf("a user's own private repositories: %q", names)
	}
	if strings.Count(log.String(), "not accepted") != 1 || !strings.Contains(log.String(), "token 1 of GH_TOKEN") || strings.Contains(log.String(), token) {
		t.Errorf("log:\n%s", log.String())
	}
	if g.Used(token) == 0 || g.Used(token+"-3") == 0 {
		t.Errorf("used %d and %d", g.Used(token), g.Used(token+"-3"))
	}
}

func TestInstallations(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := writeKey(t, "RSA PRIVATE "+"KEY", x509.MarshalPKCS1PrivateKey(key))
	for _, chosen := range []string{"", "7, 8"} {
		g := acme(2)
		g.Token = ""
		g.App = func(string, string) error { return nil }
		for i := range 120 {
			g.Installations = append(g.Installations, forgetest.Installation{ID: int64(1000 + i), Owner: fmt.Sprintf("other%d", i)})
		}
		g.Installations = append(g.Installations, forgetest.Installation{ID: 7, Owner: "acme"}, forgetest.Installation{ID: 8, Owner: "beta"})
		g.Owners = append(g.Owners, &forgetest.Owner{Login: "beta"}, &forgetest.Owner{Login: "public"})
		g.Repos = append(g.Repos, &forgetest.GitHubRepo{FullName: "beta/x", ID: 80, Private: true}, &forgetest.GitHubRepo{FullName: "public/x", ID: 81})
		p := New(env(t, nil, map[string]string{
			"GITHUB_API_URL": forgetest.Start(t, g), "LEAKREACH_GITHUB_APP_ID": "12", "LEAKREACH_GITHUB_APP_INSTALLATION_ID": chosen,
			"LEAKREACH_GITHUB_APP_PRIVATE_KEY_FILE": file,
		}), everything())
		for owner, want := range map[string]int{"acme": 3, "beta": 2, "public": 2} {
			r := targets(t, p, owner)
			if r.err != nil || len(r.targets) != want {
				t.Fatalf("%q: %s: err %v, targets %q", chosen, owner, r.err, r.names())
			}
			if _, gaps, err := items(t, p, r.targets[1]); owner != "public" && (err != nil || len(gaps) > 0) {
				t.Errorf("%q: %s: err %v, gaps %q", chosen, owner, err, gaps)
			}
			for it, err := range p.Items(t.Context(), r.targets[0]) {
				if it.Kind == audit.KindState {
					t.Errorf("%q: %s: a state that will not be known again: %q, %v", chosen, owner, it.State, err)
				}
			}
		}
		if n := g.Count("/access_tokens"); n > 3 {
			t.Errorf("%d tokens minted", n)
		}
	}
	g := acme(1)
	g.App = func(string, string) error { return nil }
	p := New(env(t, nil, map[string]string{
		"GITHUB_API_URL": forgetest.Start(t, g), "LEAKREACH_GITHUB_APP_ID": "12", "LEAKREACH_GITHUB_APP_PRIVATE_KEY_FILE": file,
	}), everything())
	if r := targets(t, p, "acme"); !errors.Is(r.err, audit.ErrAuth) || !strings.Contains(r.err.Error(), "installed nowhere") {
		t.Errorf("an App without installations: %v", r.err)
	}
}

func TestBudgetOfTheFake(t *testing.T) {
	g := acme(30)
	g.Limit = 100
	o := everything()
	o.MaxWait = time.Millisecond
	p := provider(t, g, o)
	var failed bool
	for _, target := range targets(t, p, "acme").targets {
		_, gaps, err := items(t, p, target)
		failed = failed || err != nil || len(gaps) > 0
	}
	if g.Used(token) != 60 || !failed {
		t.Errorf("%d of 100 requests used, want the 60 that are ours", g.Used(token))
	}
}
