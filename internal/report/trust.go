package report

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// A Trust is what a role lets in of the tokens of one issuer.
type Trust struct {
	Issuer    string         `json:"issuer"`
	Provider  string         `json:"provider"`
	Subjects  []string       `json:"subjects"`  // patterns: what is like none of them is not let in
	Audiences []string       `json:"audiences"` // that are asked for
	Claims    []string       `json:"claims"`    // beside sub and aud
	Problems  []TrustProblem `json:"problems"`
	Jobs      []TrustedJob   `json:"jobs"` // that can become the role, of the run that was named
	Limits    []string       `json:"limits"`
}

// A TrustProblem is a way in which a role lets in more than it seems to.
type TrustProblem struct {
	ID       string         `json:"id"`
	Severity audit.Severity `json:"severity"`
	Who      string         `json:"who"`
	Why      string         `json:"why"`
	Subject  string         `json:"subject,omitempty"` // of a token that is let in
	Evidence string         `json:"evidence,omitempty"`
}

// A TrustedJob is a job whose token is let in, and who can start it with what they want run.
type TrustedJob struct {
	Target  string   `json:"target"`
	Job     string   `json:"job"`
	Event   string   `json:"event"`
	Subject string   `json:"subject"`
	Who     string   `json:"who"`
	Guards  []string `json:"guards"` // what holds others back
	Unsure  string   `json:"unsure,omitempty"`
}

// Text is a trust for people.
func (t *Trust) Text() string {
	var b strings.Builder
	if len(t.Subjects) == 0 {
		fmt.Fprintf(&b, "            lets in  nothing of %s\n", Clean(t.Issuer))
	}
	for _, s := range t.Subjects {
		fmt.Fprintf(&b, "            lets in  %s of %s\n", Clean(s), Clean(t.Issuer))
	}
	for _, p := range t.Problems {
		fmt.Fprintf(&b, "              %s %s: %s (%s)\n", p.ID, p.Severity, Clean(p.Why), p.Who)
		if p.Evidence != "" {
			fmt.Fprintf(&b, "                by %s\n", Clean(p.Evidence))
		}
	}
	for _, j := range t.Jobs {
		fmt.Fprintf(&b, "              can be assumed by %s %s on %s: %s, %s\n", Clean(j.Target), Clean(j.Job), Clean(j.Event), Clean(j.Subject), j.Who)
		for _, guard := range j.Guards {
			fmt.Fprintf(&b, "                %s\n", Clean(guard))
		}
		if j.Unsure != "" {
			fmt.Fprintf(&b, "                perhaps: %s\n", Clean(j.Unsure))
		}
	}
	for _, limit := range t.Limits {
		fmt.Fprintf(&b, "              limit  %s\n", Clean(limit))
	}
	return b.String()
}
