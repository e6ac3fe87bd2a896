package definitions

import (
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/scanners/internal/known"
)

// staticCloudKey judges files that come without an inventory, which would tell of the secrets themselves.
var staticCloudKey = rule{
	Rule:  known.StaticCloudKey,
	alone: true,
	stake: true,
	judge: func(f *file, say func(problem)) {
		if f.kind == isAction || strings.HasPrefix(f.Path, ".gitea/") || strings.HasPrefix(f.Path, ".forgejo/") { // whose forges have no OIDC
			return
		}
		cloud := map[string]string{"aws": "AWS", "gcp": "Google Cloud", "azure": "Azure"}
		for _, k := range f.StaticKeys() {
			say(problem{at: k.At, name: k.In + ", " + k.Name, evidence: fmt.Sprintf("%s of %s is a long-lived key of %s", k.Name, k.In, cloud[k.Cloud])})
		}
	},
}
