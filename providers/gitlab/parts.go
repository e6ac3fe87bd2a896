package gitlab

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// texts are sources that people write. GitLab's API has wikis and snippets too.
const texts = forge.Texts | audit.SourceWikis | audit.SourceGists

// offered are all sources that a project of GitLab's has. What jobs keep in caches no API shows, nor that there is any.
const offered = audit.AllSources &^ audit.SourceCaches

// parts are those of a project.
func parts(s audit.Sources) []audit.Part {
	if s.Has(texts) {
		s |= forge.Texts
	}
	return forge.Parts(s)
}

// LeftOut implements [audit.Selective].
func (p *Provider) LeftOut(t audit.Target) audit.Sources {
	has := offered
	switch t.Kind {
	case audit.TargetGroup:
		has = audit.SourceVariables | audit.SourceSettings | audit.SourceRunners
	case audit.TargetInstance:
		has = audit.SourceVariables | audit.SourceSettings | audit.SourceRunners
	}
	asked := p.opts.Sources
	if asked.Has(audit.SourceHistory) {
		asked |= audit.SourceFiles // which are part of it
	}
	return has &^ asked
}
