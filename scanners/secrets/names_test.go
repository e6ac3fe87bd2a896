package secrets

import (
	"slices"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// TestNames: what things are called has commits and digests in it, beside the names of services. They are no secrets; a token of a shape of its own is one.
func TestNames(t *testing.T) {
	s, r := scanner(t, Options{}), newSource()
	hex := func(n int) string { return r.of("0123456789abcdef", n) }
	token := r.github()
	for name, want := range map[string][]string{
		"ghcr.io/acme/datadog-agent:" + hex(40):                                               nil,
		"sonarqube,sonar-token=" + hex(40):                                                    nil,
		"uses\tsourcegraph/scip-action@" + hex(40) + "\n" + hex(40):                           nil,
		"npm-" + hex(64) + "\nmattermost:" + r.of("abcdefghijklmnopqrstuvwxyz0123456789", 26): nil,
		"node-cache-key=Linux-secret-token-" + hex(64) + "\nNPM_TOKEN=" + hex(40):             nil,
		"cloudflare: " + hex(37):                                                              nil,
		"cache-" + token:                                                                      {"github-pat"},
		"datadog-agent:" + token:                                                              {"github-pat"},
	} {
		found, gaps := s.Scan(audit.Item{Kind: audit.KindNames, At: audit.Location{Kind: audit.InWorkflow}}, []byte(name+"\n"))
		var rules []string
		for _, f := range found {
			rules = append(rules, f.Rule)
		}
		if !slices.Equal(rules, want) || len(gaps) > 0 {
			t.Errorf("%s: rules %v, want %v; gaps %v", name, rules, want, gaps)
		}
	}
}

// TestCommitHeader: the ids in a commit's header are no tokens of the service that its message speaks of; one in the message is.
func TestCommitHeader(t *testing.T) {
	s, r := scanner(t, Options{}), newSource()
	hex := func() string { return r.of("0123456789abcdef", 40) }
	header := "tree " + hex() + "\nparent " + hex() + "\nparent " + hex() + "\nauthor A <a@example.org> 1 +0000\n\n"
	for message, want := range map[string]int{"ask sourcegraph\n": 0, "ask sourcegraph with " + hex() + "\n": 1, "sourcegraph:\n\ntree " + hex() + "\n": 1} {
		found, gaps := s.Scan(audit.Item{Kind: audit.KindCommit, At: audit.Location{Kind: audit.InCommit}}, []byte(header+message))
		if len(found) != want || len(gaps) > 0 {
			t.Errorf("%q: %d findings, want %d: %v %v", message, len(found), want, found, gaps)
		}
	}
}
