package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/internal/graph"
)

// TestAccountsUnread: an account that cannot be read is a gap, and what else is known is told.
func TestAccountsUnread(t *testing.T) {
	dir := t.TempDir()
	empty, whole := filepath.Join(dir, "empty"), filepath.Join(dir, "whole")
	if err := errors.Join(os.Mkdir(empty, 0o700), os.Mkdir(whole, 0o700), os.WriteFile(filepath.Join(whole, "111122223333.gaad.json"), []byte(`{"RoleDetailList": [`+trusting("a", "repo:acme/*", "*")+`]}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	env := audit.Env{HTTP: &http.Client{}, Getenv: func(string) string { return "" }, Log: slog.New(slog.DiscardHandler), Calls: &audit.Calls{}, Now: time.Now}
	r := &trustResolver{env: env, accounts: []string{empty, whole, whole}}
	var roles, gaps []string
	for e, err := range r.Resolve(t.Context(), slices.Values([]audit.Holding{{Coverage: audit.Coverage{Target: "github:acme/web"}}})) {
		if gap := (*audit.Gap)(nil); errors.As(err, &gap) {
			gaps = append(gaps, gap.Target+" "+gap.What+": "+gap.Why)
		} else if err != nil {
			t.Fatal(err)
		} else {
			roles = append(roles, e.Target+" "+e.Scope)
		}
	}
	if !slices.Equal(roles, []string{"aws:111122223333 role", "aws:111122223333 account"}) || len(gaps) != 3 || !strings.HasPrefix(gaps[0], "aws:"+empty+" the account: reading exports") || !strings.Contains(gaps[1], "SCPs and RCPs") || !strings.Contains(gaps[2], "is there twice") {
		t.Errorf("%q; gaps %q", roles, gaps)
	}
}

// TestAccountsUnreadTrust: that a repository's roles ask for more is said only where all accounts were read.
func TestAccountsUnreadTrust(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "111122223333.gaad.json"), []byte(`{"RoleDetailList": [`+trusting("a", "repo:acme/web:ref:refs/heads/main", "*")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	env := audit.Env{HTTP: &http.Client{}, Getenv: func(string) string { return "" }, Log: slog.New(slog.DiscardHandler), Calls: &audit.Calls{}, Now: time.Now}
	for _, accounts := range [][]string{{dir}, {dir, t.TempDir()}} {
		r := &trustResolver{env: env, accounts: accounts}
		told := false
		for e, err := range r.Resolve(t.Context(), slices.Values([]audit.Holding{{Coverage: audit.Coverage{Target: "github:acme/web"}}})) {
			told = told || err == nil && e.Scope == "repository"
		}
		if told != (len(accounts) == 1) {
			t.Errorf("of %d accounts: %v", len(accounts), told)
		}
	}
}

// TestRolesLeftOut: of what jobs can become no more is held than is told, and a gap says how much there is.
func TestRolesLeftOut(t *testing.T) {
	const web = "github:acme/web"
	run := &audit.Run{Inventory: []audit.Entry{
		{Target: web, Kind: audit.KindSettings, Name: web, Facts: map[string]string{"oidc_immutable_subject": "false", "default_branch": "main", "visibility": "private"}},
		{Target: web, Kind: audit.KindJob, Name: "ci", Facts: map[string]string{"workflow": "ci.yml", "path": "ci.yml", "job": "ci", "at": "3:3", "events": "push\t1:1", "permissions": "id-token=write"}},
	}}
	account, err := iam.ParseAccount("111122223333", json.RawMessage(`{"RoleDetailList": [`+trusting("a", "repo:acme/*", "*")+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	access, err := graph.NewAccess(run)
	if err != nil {
		t.Fatal(err)
	}
	for before, want := range map[int]string{maxRoles - 1: "", maxRoles: "after 100000 of the run's, 1 are left out"} {
		x := &truster{world: iam.NewWorld([]*iam.Account{account}, time.Now()), access: access, mints: access.Mints(), graph: &graph.Graph{}, roles: make([]audit.Entry, before)}
		x.of(x.world.Identities()[0])
		why := ""
		if gap := x.gap(); gap != nil {
			why = gap.Why
		}
		if why != want || len(x.roles) != maxRoles {
			t.Errorf("after %d: %d roles, gap %q", before, len(x.roles), why)
		}
	}
}

// TestTokensLeftOut: a job with thousands of filters has some of its tokens looked at, which a gap says, and leaves room for others.
func TestTokensLeftOut(t *testing.T) {
	const web = "github:acme/web"
	job := func(name, filters string) audit.Entry {
		return audit.Entry{Target: web, Kind: audit.KindJob, Name: name, Facts: map[string]string{"workflow": "ci.yml", "path": "ci.yml", "job": name, "at": "3:3", "events": "push\t1:1" + filters, "permissions": "id-token=write"}}
	}
	settings := audit.Entry{Target: web, Kind: audit.KindSettings, Name: web, Facts: map[string]string{"oidc_immutable_subject": "false", "default_branch": "main", "visibility": "private"}}
	for n, want := range map[int]string{1000: "", 1001: "1 jobs can have more tokens than were looked at"} {
		access, err := graph.NewAccess(&audit.Run{Inventory: []audit.Entry{settings, job("a", strings.Repeat("\tbranches=main", n)), job("b", "")}})
		if err != nil {
			t.Fatal(err)
		}
		x := &truster{mints: access.Mints()}
		why := ""
		if gap := x.gap(); gap != nil && gap.Target == web {
			why = gap.Why
		}
		if why != want || x.mints.Len() != 1002 { // of b for any branch and any tag
			t.Errorf("%d filters: %d tokens, gap %q", n, x.mints.Len(), why)
		}
	}
}
