package pipeline

import (
	"strings"

	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// HandedEvents are GitHub's events that anybody can fire, and whose jobs nevertheless have the secrets and the token of the repository
// (docs.github.com, "Events that trigger workflows", "Using secrets in GitHub Actions").
var HandedEvents = []string{
	"pull_request_target", "workflow_run", "issue_comment", "issues", "discussion", "discussion_comment", "fork", "watch",
}

// BareEvents are GitHub's events that anybody can fire, and whose jobs then have no secret and a token that reads.
var BareEvents = []string{"pull_request", "pull_request_review", "pull_request_review_comment"}

// exactLabel is a label as GitHub documents it ("GitHub-hosted runners reference").
var exactLabel = lazyregexp.New(`^(?:ubuntu|windows|macos)-(?:latest|slim|[0-9.]+)(?:-(?:arm|xlarge|large|intel|vs[0-9]+))*$`)

// Hosted tells whether a label is one that the forge gives to machines of its own: a system and its version (docs.github.com, "GitHub-hosted runners"),
// "saas-" and a system (docs.gitlab.com, "Hosted runners"). Who has runners names them as he likes, so that "ubuntu-gpu" may be one of those, and
// "ubuntu-22.04-gpu", too: exact tells that GitHub documents the label as it is.
func Hosted(label string) (hosted, exact bool) {
	exact = exactLabel().MatchString(label)
	label = strings.ToLower(label)
	for _, system := range []string{"ubuntu-", "windows-", "macos-"} {
		version, ok := strings.CutPrefix(label, system)
		if ok && (strings.HasPrefix(version, "latest") || strings.HasPrefix(version, "slim") || version != "" && version[0] >= '0' && version[0] <= '9') {
			return true, exact
		}
	}
	return strings.HasPrefix(label, "saas-"), exact
}
