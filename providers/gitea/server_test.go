package gitea

import (
	"net/http"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// Where actions lie that have no address, the environment says; a token goes to no other server than its own.
func TestActions(t *testing.T) {
	for said, want := range map[string]string{
		"self": "https://git.example.com", "github": "https://github.com", "https://data.forgejo.org/": "https://data.forgejo.org", "https://git.example.com": "https://git.example.com",
		"": "", "nowhere": "",
	} {
		vars := map[string]string{"GITEA_URL": "https://git.example.com", "GITEA_TOKEN": "a-token", "GITEA_ACTIONS_URL": said}
		s, err := New(audit.Env{HTTP: http.DefaultClient, Getenv: func(k string) string { return vars[k] }}, Options{}).Actions()
		if (err != nil) != (want == "") {
			t.Errorf("%q: %v", said, err)
			continue
		}
		if want == "" {
			if !strings.Contains(err.Error(), "GITEA_ACTIONS_URL") {
				t.Errorf("%q: %v", said, err)
			}
			continue
		}
		own := want == "https://git.example.com"
		if s.Origin.String() != want || (s.Credentials != nil) != own || own && len(s.Credentials(t.Context(), "acme")) != 1 {
			t.Errorf("%q: %+v", said, s)
		}
	}
}
