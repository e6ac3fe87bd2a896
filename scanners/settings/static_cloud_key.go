package settings

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

var staticCloudKey = rule{
	Rule:  known.StaticCloudKey,
	of:    audit.KindSecret,
	stake: true,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "github" || e.Facts["store"] != "" && e.Facts["store"] != "actions" {
			return fine
		}
		by := p.reading().handed[e.Name]
		if of := p.below.secrets[e]; of != nil {
			by = cmp.Or(of.handed, by)
		}
		if by != "" {
			return p.staticKey(by+" hands it to a cloud's login", true)
		}
		if cloud := known.CloudKey(e.Name); cloud != "" && !p.otherStore() {
			return p.staticKey("its name is one of a key of "+cloud, false)
		}
		return fine
	},
}

// staticCloudKeyVariable is the same rule for variables: GitLab keeps secrets in them, and on GitHub a key in one can be read by everybody.
var staticCloudKeyVariable = rule{
	Rule:  staticCloudKey.Rule,
	of:    audit.KindVariable,
	stake: true,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "github" && p.forge != "gitlab" || p.judgedAbove(e) {
			return fine
		}
		if cloud := cloudOf(p.values[e.Name]); cloud != "" {
			return p.staticKey("its value is a key of "+cloud, true)
		}
		if cloud := known.CloudKey(e.Name); cloud != "" && !p.otherStore() {
			return p.staticKey("its name is one of a key of "+cloud, false)
		}
		return fine
	},
}

// staticCloudKeyWorkflow is the same rule for workflows whose secrets cannot be seen.
var staticCloudKeyWorkflow = rule{
	Rule: staticCloudKey.Rule,
	of:   audit.KindWorkflow,
	judge: func(p *place, e *audit.Entry) verdict {
		if p.forge != "github" {
			return fine
		}
		var names []string
		for _, key := range listed(e, "static_keys") {
			_, name, _ := strings.Cut(key, ":")
			known := func(o *place) bool {
				return slices.ContainsFunc(o.entries[audit.KindSecret], func(s *audit.Entry) bool {
					return s.Name == name && (s.Facts["store"] == "" || s.Facts["store"] == "actions") && (o == p || o.shows(s, p))
				})
			}
			if !known(p) && !slices.ContainsFunc(p.above, known) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return fine
		}
		return p.staticKey("it hands "+strings.Join(names, ", ")+" to a cloud's login", true)
	},
}

// staticCloudKeyJob is the same rule for the job that the run is part of.
var staticCloudKeyJob = rule{
	Rule: staticCloudKey.Rule,
	of:   audit.KindSettings,
	judge: func(p *place, e *audit.Entry) verdict {
		keys := listed(e, "static_keys")
		if p.forge != jobForge || len(keys) == 0 || e.Facts["oidc"] != "true" {
			return fine
		}
		return verdict{evidence: "the job holds " + strings.Join(keys, ", ") + ", although it can show clouds who it is by OIDC"}
	},
}

// staticKey adds whether the same owner's pipelines use OIDC already, which is known at the end. proven tells whether it is a key for sure.
func (p *place) staticKey(evidence string, proven bool) verdict {
	own := p.reading().mints
	return verdict{later: func(top *place) verdict {
		v := verdict{evidence: evidence}
		switch {
		case own != "":
			v.evidence += ", although " + own + " already uses OIDC"
		case top.below.minting > 0:
			v.evidence += fmt.Sprintf(", although pipelines of %s (%d in all) already use OIDC", top.below.mints, top.below.minting)
		case !proven:
			v.severity = audit.Medium
		}
		return v
	}}
}

// otherStore tells whether an address is set beside the keys: they are then of a store that only speaks S3.
func (p *place) otherStore() bool {
	for _, kind := range []audit.ItemKind{audit.KindVariable, audit.KindSecret} {
		for _, e := range p.entries[kind] {
			w := known.Words(e.Name)
			if slices.Contains(w, "ENDPOINT") && (slices.Contains(w, "AWS") || slices.Contains(w, "S3")) || slices.Contains(w, "MINIO") {
				return true
			}
		}
	}
	return false
}
