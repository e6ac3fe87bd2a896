// Package settings judges what the inventory says: who may read a secret and whether anybody does, what a forge lets strangers and workflows do,
// whose jobs meet on a runner. It knows no forge's API, only the vocabulary of docs/inventory.md, so that a report can be judged again.
//
// A newcomer starts with [New], and with a rule, such as stale_secret.go: each is a file with its text, and a function that says of one entry
// of the inventory what is wrong with it and by which facts. A fact that is not there says nothing. What a rule holds to be missing, it must know to be:
// see [place.reading].
package settings

import (
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/internal/known"
)

// A Scanner judges settings.
type Scanner struct{ rules []rule }

var _ audit.Surveyor = (*Scanner)(nil)

// A rule judges entries of one kind.
type rule struct {
	audit.Rule
	of    audit.ItemKind
	stake bool // it is about a secret, and as bad as what that opens
	judge func(p *place, e *audit.Entry) verdict
}

// A verdict is what a rule says of an entry. The zero one is that nothing is wrong with it.
type verdict struct {
	evidence string         // the facts that decided
	severity audit.Severity // "" for the rule's own
	// later, if set, says it once all is known that the outermost organisation or group holds.
	later func(top *place) verdict
}

var fine = verdict{}

// rules lists all. A new one is a file and a line here.
func rules() []rule {
	return []rule{
		deployKeyWrite,
		environmentMissing,
		environmentOpen,
		environmentReview,
		evidenceShort,
		forgeOutdated,
		actionsApprove,
		actionsUnrestricted,
		defaultTokenWrite,
		branchUnprotected,
		forkApproval,
		forkSecrets,
		orgSecretWide,
		tokenGrant,
		gitlabEnvironmentScope,
		gitlabForkPipeline,
		gitlabJobTokenOpen,
		gitlabPipelineVariables,
		gitlabProtectedRefOpen,
		gitlabPublicJobs,
		gitlabRunnerShell,
		gitlabRunnerUnprotected,
		gitlabScheduleSecret,
		gitlabTokenLifetime,
		gitlabTriggerToken,
		gitlabVariableUnmasked,
		gitlabVariableUnprotected,
		gitlabVariableWide,
		jobContainerEngine,
		jobLeftovers,
		jobMetadataRole,
		jobRoot,
		jobRunnerRegistration,
		missingSecret,
		oidcSubjectMutable,
		privilegedContainer,
		privilegedContainerJob,
		runnerGroupOpen,
		runnerOutdated,
		runnerPersistent,
		runnerSharedAcrossTrust,
		selfHostedOnPullRequest,
		shadowedSecret,
		staleSecret,
		staticCloudKey,
		staticCloudKeyJob,
		staticCloudKeyVariable,
		staticCloudKeyWorkflow,
		unusedSecret,
		webhookInsecure,
	}
}

// New makes a scanner with the rules of some ids; none means all. Ids of other scanners' rules are none of its own.
func New(ids []string) *Scanner {
	all := rules()
	if len(ids) > 0 {
		all = slices.DeleteFunc(all, func(r rule) bool { return !slices.Contains(ids, r.ID) })
	}
	return &Scanner{all}
}

// Rules lists the rules by id. Some judge entries of several kinds.
func (s *Scanner) Rules() (list []audit.Rule) {
	for _, r := range s.rules {
		list = append(list, r.Rule)
	}
	slices.SortStableFunc(list, func(a, b audit.Rule) int { return strings.Compare(a.ID, b.ID) })
	return slices.CompactFunc(list, func(a, b audit.Rule) bool { return a.ID == b.ID })
}

// Wants takes no content: all is in the inventory.
func (s *Scanner) Wants(audit.Item) bool { return false }

// Scan finds nothing in a single item.
func (s *Scanner) Scan(audit.Item, []byte) ([]audit.Finding, []audit.Gap) { return nil, nil }

// A pending verdict waits for what is above its place.
type pending struct {
	of    *rule
	at    *place
	entry *audit.Entry
	later func(*place) verdict
}

// A survey is one pass over all targets.
type survey struct {
	rules []rule
	now   time.Time
	open  []*place // that may hold targets still to come, outermost first
	found []audit.Finding
}

// Survey judges each target's inventory, with what is above it and below it. Of a target that holds others it keeps the entries until the last one of
// those was seen, of any other nothing.
func (s *Scanner) Survey(now time.Time, holdings iter.Seq[audit.Holding]) []audit.Finding {
	run := &survey{rules: s.rules, now: now}
	for h := range holdings {
		p := newPlace(h, now)
		run.close(func(o *place) bool { return !o.mayHold(p.name) })
		for _, o := range slices.Backward(run.open) {
			if o.holds(p.name) {
				p.above = append(p.above, o)
			}
		}
		if p.isHolder() {
			run.open = append(run.open, p)
			continue
		}
		run.judge(p)
	}
	run.close(func(*place) bool { return true })
	return run.found
}

// close judges the places that nothing below can come for any more, innermost first.
func (s *survey) close(over func(*place) bool) {
	for i := len(s.open) - 1; i >= 0; i-- {
		if p := s.open[i]; over(p) {
			s.open = slices.Delete(s.open, i, i+1)
			s.judge(p)
		}
	}
}

func (s *survey) judge(p *place) {
	for _, o := range p.above {
		o.learn(p)
	}
	top := p.top()
	for i := range s.rules {
		r := &s.rules[i]
		for _, e := range p.entries[r.of] {
			switch v := r.judge(p, e); {
			case v.later != nil && top != p:
				kept := *e // and not the list that it is in
				top.pending = append(top.pending, pending{r, p.bare(), &kept, v.later})
			case v.later != nil:
				s.report(r, p, e, v.later(p))
			default:
				s.report(r, p, e, v)
			}
		}
	}
	for _, w := range p.pending {
		s.report(w.of, w.at, w.entry, w.later(p))
	}
}

func (s *survey) report(r *rule, p *place, e *audit.Entry, v verdict) {
	if v.evidence == "" {
		return
	}
	f := audit.Finding{
		Rule: r.ID, Category: r.Category, Severity: r.Severity, Title: r.Title, Message: subject(e) + ": " + v.evidence, Fix: r.Fix,
		Locations: []audit.Location{p.location(e)},
	}
	if v.severity != "" {
		f.Severity = v.severity
	}
	if r.stake {
		f.Stakes = &audit.Stakes{None: audit.Low, Some: f.Severity}
	}
	s.found = append(s.found, f)
}

// subject names an entry in a message.
func subject(e *audit.Entry) string {
	if e.Kind == audit.KindSettings {
		return "settings"
	}
	return strings.ReplaceAll(string(e.Kind), "-", " ") + " " + label(e)
}

// label is an entry's name, with what tells it from others of that name.
func label(e *audit.Entry) string {
	var more []string
	if env, ok := strings.CutPrefix(e.Scope, "environment "); ok {
		more = append(more, "environment "+env)
	}
	if schedule, ok := strings.CutPrefix(e.Scope, "schedule "); ok {
		more = append(more, "schedule "+schedule)
	}
	if scope := e.Facts["environment_scope"]; scope != "" && scope != "*" {
		more = append(more, "environment scope "+scope)
	}
	if store := e.Facts["store"]; store != "" && store != "actions" && store != "variable" && store != "schedule" {
		more = append(more, store)
	}
	if id := e.Facts["id"]; id != "" && e.Kind != audit.KindRunnerGroup {
		more = append(more, id)
	}
	if len(more) == 0 {
		return e.Name
	}
	return fmt.Sprintf("%s (%s)", e.Name, strings.Join(more, ", "))
}

// location is where an entry lies. Its name is what makes two findings of a rule two, so it has nothing that changes by itself.
func (p *place) location(e *audit.Entry) audit.Location {
	at := audit.Location{Target: p.name, Kind: audit.InSetting, Name: label(e)}
	web := "" // below the repository's or project's page; organisations have theirs elsewhere
	switch e.Kind {
	case audit.KindSecret:
		at.Kind, web = audit.InSecret, "/settings/secrets/actions"
	case audit.KindVariable:
		at.Kind, web = audit.InVariable, "/settings/variables/actions"
	case audit.KindRunner, audit.KindRunnerGroup:
		at.Kind, web = audit.InRunner, "/settings/actions/runners"
		if p.forge == jobForge {
			at.Name = "the job's runner" // whose own name is another one for each job, where machines are made for them
		}
	case audit.KindMetadata:
		at.Kind, at.Name = audit.InRunner, "metadata "+at.Name
	case audit.KindWorkflow:
		at.Kind, at.Path, at.Name = audit.InWorkflow, e.Name, ""
	case audit.KindSettings:
		at.Name, web = "", "/settings/actions"
	case audit.KindEnvironment:
		at.Name, web = "environment "+at.Name, "/settings/environments"
	case audit.KindDeployKey:
		at.Name, web = "deploy key "+at.Name, "/settings/keys"
	case audit.KindHook:
		at.Name, web = "webhook "+at.Name, "/settings/hooks"
	case audit.KindProtection, audit.KindToken, audit.KindSchedule, audit.KindApp:
		at.Name = strings.ReplaceAll(string(e.Kind), "-", " ") + " " + at.Name
	}
	if when, err := time.Parse(time.RFC3339, e.Facts["updated_at"]); err == nil && (e.Kind == audit.KindSecret || e.Kind == audit.KindVariable) {
		at.At = when
	}
	at.URL = p.page(web)
	return at
}

// page is the web page of a setting, where it is known.
func (p *place) page(github string) string {
	u, err := url.Parse(p.coverage.URL)
	switch {
	case err != nil || p.coverage.URL == "" || github == "":
		return p.coverage.URL
	case p.forge == "gitlab":
		return strings.TrimSuffix(p.coverage.URL, "/") + "/-/settings/ci_cd"
	case p.forge == "github" && p.coverage.Kind == audit.TargetOrganisation:
		_, owner, _ := strings.Cut(p.name, ":")
		return u.Scheme + "://" + u.Host + "/organizations/" + url.PathEscape(owner) + github
	case p.forge == "github" && p.coverage.Kind == audit.TargetRepository:
		return p.coverage.URL + github
	}
	return p.coverage.URL
}

// help is a rule's text, in the order in which people ask.
func help(why, before, after, unless string) string { return known.Help(why, before, after, unless) }
