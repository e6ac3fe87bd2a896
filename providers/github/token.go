package github

import (
	"strings"

	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// A tokenKind is what a token is, as its beginning tells (docs.github.com: "About authentication to GitHub", token formats).
type tokenKind string

const (
	kindClassic      tokenKind = "classic token"
	kindFineGrained  tokenKind = "fine-grained token"
	kindOAuth        tokenKind = "token of an OAuth app"
	kindUser         tokenKind = "user token of a GitHub App"
	kindInstallation tokenKind = "installation token of a GitHub App"
	kindJob          tokenKind = "the workflow's own token"
	kindOther        tokenKind = "token"
)

// oldForm is that of classic tokens of before 2021.
var oldForm = lazyregexp.New(`^[0-9a-f]{40}$`)

// kindOf tells what a token is. In a workflow, an installation's token is taken for the workflow's own, which it mostly is: that of another App
// fares no worse for it.
func kindOf(token string, getenv func(string) string) tokenKind {
	for _, known := range []struct {
		prefix string
		kind   tokenKind
	}{{"ghp_", kindClassic}, {"github_pat_", kindFineGrained}, {"gho_", kindOAuth}, {"ghu_", kindUser}, {"ghs_", kindInstallation}} {
		if strings.HasPrefix(token, known.prefix) {
			if known.kind == kindInstallation && getenv("GITHUB_ACTIONS") == "true" {
				return kindJob
			}
			return known.kind
		}
	}
	if oldForm().MatchString(token) {
		return kindClassic
	}
	return kindOther
}
