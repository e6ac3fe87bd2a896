package github

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// TestSigns: names that an issuer signs for are those of one instance.
func TestSigns(t *testing.T) {
	for _, c := range []struct {
		api, issuer string
		want        bool
	}{
		{"", "token.actions.githubusercontent.com", true},
		{"", "Token.actions.githubusercontent.com/octo-enterprise", true},
		{"", "token.actions.acme.ghe.com", false},
		{"", "github.example.com/_services/token", false},
		{"https://api.acme.ghe.com", "token.actions.acme.ghe.com", true},
		{"https://api.acme.ghe.com", "token.actions.githubusercontent.com", false},
		{"https://github.example.com/api/v3", "github.example.com/_services/token", true},
		{"https://github.example.com/api/v3", "github.example.com", false},
		{"https://github.example.com/api/v3", "token.actions.githubusercontent.com", false},
	} {
		p := New(audit.Env{HTTP: &http.Client{}, Log: slog.New(slog.DiscardHandler), Now: time.Now, Calls: &audit.Calls{}, Getenv: func(k string) string {
			return map[string]string{"GITHUB_API_URL": c.api}[k]
		}}, Options{})
		client, err := p.connect()
		if err != nil {
			t.Fatal(err)
		}
		if got := client.signs(c.issuer); got != c.want {
			t.Errorf("%q signs for %q: %v", c.issuer, c.api, got)
		}
	}
}
