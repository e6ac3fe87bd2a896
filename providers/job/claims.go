package job

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// claims are what a token says of whoever holds it. The token itself is not part of them.
type claims struct {
	all     map[string]any
	expires time.Time // zero for never
}

// maxClaims is more than any token that fits into a header.
const maxClaims = 32 << 10

// readClaims reads a JSON web token, whose signature is not looked at: what it says is shown, and not relied on.
func readClaims(token string) (c claims, ok bool) {
	token = strings.TrimSpace(token)
	parts := strings.Split(token[:min(len(token), maxClaims+1)], ".")
	if len(token) > maxClaims || len(parts) != 3 || !strings.HasPrefix(token, "ey") { // "{" in base64 is "e"
		return c, false
	}
	var head struct{ Alg string }
	if section(parts[0], &head) != nil || head.Alg == "" || section(parts[1], &c.all) != nil || len(c.all) == 0 {
		return claims{}, false
	}
	if at, ok := c.all["exp"].(float64); ok && at > 0 && at < 1<<40 {
		c.expires = time.Unix(int64(at), 0).UTC()
	}
	return c, true
}

func section(text string, into any) error {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// soon is how long a token may last that is not worth a finding: those of jobs last minutes, those of cloud sessions twelve hours at most.
const soon = 24 * time.Hour

func (c claims) endsSoon(now time.Time) bool {
	return !c.expires.IsZero() && c.expires.Before(now.Add(soon))
}

// text is one claim; lists are written as facts are.
func (c claims) text(key string) string {
	switch v := c.all[key].(type) {
	case string:
		return v
	case bool:
		return yesNo(v)
	case []any:
		var names []string
		for _, e := range v {
			names = append(names, fmt.Sprint(e))
		}
		return audit.NameList(names)
	}
	return ""
}

// shown are the claims by which clouds decide whom to trust, beside issuer, subject and audience.
var shown = []string{
	"repository", "repository_visibility", "ref", "ref_type", "ref_protected", "event_name", "workflow_ref", "job_workflow_ref", "environment", "runner_environment", // GitHub
	"project_path", "namespace_path", "pipeline_source", "environment_protected", "user_login", "ci_config_ref_uri", // GitLab
}

func (c claims) facts() facts {
	f := facts{"issuer": c.text("iss"), "subject": c.text("sub"), "audience": c.text("aud")}
	if !c.expires.IsZero() {
		f["expires_at"] = c.expires.Format(time.RFC3339)
	}
	for _, key := range shown {
		f[key] = c.text(key)
	}
	return f
}
