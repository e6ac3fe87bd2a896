// Package definitions judges what definitions of pipelines say: whose text and code their jobs run, next to which secrets, with which rights. It reads
// workflows and actions of GitHub, Gitea and Forgejo, and GitLab's definitions, one file at a time; what takes more than a file to see is for others.
//
// One package has the rules of all forges because most speak of the same model: a mutable image beside a secret is one mistake, whoever runs the job.
//
// A newcomer starts with [New], and with a rule, such as legacy_commands.go: each is a file with its text and a function that says what is wrong. Its
// fixture is the file of its name in testdata.
package definitions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/advisory"
)

// A Scanner judges definitions.
type Scanner struct {
	rules []rule
	feed  *advisory.Feed
}

var _ audit.Scanner = (*Scanner)(nil)

// A rule judges a file, and says each thing that is wrong by say.
type rule struct {
	audit.Rule
	stake bool // whoever makes use of it gets what the job holds, and so its severity follows from that
	alone bool // judges only what comes without an inventory, where one says it better
	judge func(f *file, say func(problem))
}

// A problem is what a rule has to say of one place.
type problem struct {
	at       pipeline.Position
	name     string         // what it is about: the job and step, and what in it. Problems of one name are one finding
	evidence string         // what decided, in a sentence without its full stop
	severity audit.Severity // "" for the rule's own
	stakes   *audit.Stakes  // of a rule with a stake, where nothing held is not one step less
}

// rules lists all. A new one is a file and a line here.
func rules() []rule {
	return []rule{
		actionsLockOutdated,
		allSecrets,
		artifactFromOutsider,
		broadArtifact,
		broadToken,
		checkoutCredential,
		compromisedComponent,
		curlPipeShell,
		dangerousTrigger,
		debugLogging,
		envFileInjection,
		gitlabDynamicInclude,
		gitlabRemoteInclude,
		gitlabScriptInjection,
		gitlabUnpinnedInclude,
		hardcodedCredential,
		legacyCommands,
		oidcAnyBranch,
		oidcInUnpinnedCode,
		privilegedContainer,
		scriptInjection,
		secretAnyBranch,
		secretBesideMutableCode,
		secretInScript,
		secretOutsideEnvironment,
		secretUnmasked,
		secretsInherit,
		selfHostedOnPullRequest,
		spoofableBotCheck,
		staticCloudKey,
		unpinnableAction,
		unpinnedAction,
		unpinnedImage,
		unpinnedTool,
		unsoundCondition,
		untrustedCheckout,
	}
}

// New makes a scanner with the rules of some ids; none means all. Ids of other scanners' rules are none of its own. It fails only if an advisory
// cannot be read.
func New(ids []string) (*Scanner, error) {
	feed, err := advisory.Load()
	if err != nil {
		return nil, err
	}
	all := rules()
	if len(ids) > 0 {
		all = slices.DeleteFunc(all, func(r rule) bool { return !slices.Contains(ids, r.ID) })
	}
	return &Scanner{all, feed}, nil
}

// Rules lists the rules by id.
func (s *Scanner) Rules() (list []audit.Rule) {
	for _, r := range s.rules {
		list = append(list, r.Rule)
	}
	slices.SortFunc(list, func(a, b audit.Rule) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Wants takes definitions as they are now: what a forge hands out, files, and of a history only what the head has. What a definition once said has run,
// and cannot be mended. A path without a commit is asked about before anything is known of the places it has.
func (s *Scanner) Wants(it audit.Item) bool {
	switch it.Kind {
	case audit.KindWorkflow:
		return true
	case audit.KindFile:
		return kindOf(it.At.Path) != ""
	case audit.KindPlace:
		return kindOf(it.At.Path) != "" && (it.At.InHead || it.At.Commit == "")
	}
	return false
}

// maxProblems is how many a rule reports of one file: a thousand steps with the same mistake are one habit.
const maxProblems = 200

// Scan judges one definition.
func (s *Scanner) Scan(it audit.Item, content []byte) (found []audit.Finding, gaps []audit.Gap) {
	f := open(it, content, s.feed)
	for _, r := range s.rules {
		if r.alone && f.forge() != "" {
			continue
		}
		left := maxProblems
		r.judge(f, func(p problem) {
			if left--; left >= 0 {
				found = append(found, f.finding(&r, p))
			}
		})
		if left < 0 {
			gaps = append(gaps, audit.Gap{What: it.At.Path, Why: fmt.Sprintf("%s has more than %d problems in it: %d are left out", r.ID, maxProblems, -left)})
		}
	}
	return found, append(gaps, f.gaps()...)
}

func (f *file) finding(r *rule, p problem) audit.Finding {
	x := audit.Finding{
		Rule: r.ID, Category: r.Category, Severity: r.Severity, Title: r.Title, Message: clip(p.evidence), Fix: r.Fix,
		Locations: []audit.Location{{Kind: audit.InWorkflow, Line: p.at.Line, EndLine: p.at.Line, Column: p.at.Column, Name: clip(p.name)}},
	}
	if p.severity != "" {
		x.Severity = p.severity
	}
	if r.stake {
		x.Stakes = p.stakes
		if x.Stakes == nil {
			x.Stakes = &audit.Stakes{None: lesser[x.Severity], Some: x.Severity}
		}
	}
	if f.merged { // lines are those of a text that nobody has seen
		x.Locations[0].Line, x.Locations[0].EndLine, x.Locations[0].Column = 0, 0, 0
	}
	return x
}

// lesser is the severity of what is no more than a bad habit where nothing is held.
var lesser = map[audit.Severity]audit.Severity{
	audit.Critical: audit.High, audit.High: audit.Medium, audit.Medium: audit.Low, audit.Low: audit.Low, audit.Info: audit.Info,
}

// clip cuts a text that has something of a definition in it: no report wants a megabyte of it.
func clip(s string) string {
	const most = 500
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// help is a rule's text, in the order in which people ask.
func help(why, before, after, unless string) string {
	in := strings.TrimSpace
	return in(why) + "\n\nBefore:\n\n```yaml\n" + in(before) + "\n```\n\nAfter:\n\n```yaml\n" + in(after) + "\n```\n\n**Not a finding when** " + in(unless)
}
