package main

import (
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
