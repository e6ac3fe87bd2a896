package gitlab

import (
	"net/http"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// What is included is fetched from the instance, with what its targets are fetched with.
func TestServer(t *testing.T) {
	for _, c := range []struct {
		vars map[string]string
		user string
		n    int
	}{
		{map[string]string{"GITLAB_URL": "https://lab.example.com", "GITLAB_TOKEN": "a-token,another"}, "oauth2", 2},
		{map[string]string{"GITLAB_URL": "https://lab.example.com", "CI_SERVER_URL": "https://lab.example.com", "CI_JOB_TOKEN": "a-token"}, "gitlab-ci-token", 1},
		{map[string]string{"GITLAB_URL": "https://lab.example.com"}, "oauth2", 0},
	} {
		s, err := New(audit.Env{Getenv: func(k string) string { return c.vars[k] }, HTTP: http.DefaultClient}, Options{}).Server()
		if err != nil {
			t.Fatal(err)
		}
		if s.Origin.String() != "https://lab.example.com" || s.Username != c.user || len(s.Credentials(t.Context(), "acme")) != c.n {
			t.Errorf("%v: %+v", c.vars, s)
		}
	}
}
