package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/leakreach/leakreach/audit"
)

// A view is what decides which of a repository's settings are asked for. A sweep has a few requests for each repository: they go to where the
// organisation has not decided already, and where something runs.
type view struct {
	*overview                   // nil while it is not known
	people    *people           // who may push; nil while nobody was asked
	policy    map[string]string // the organisation's facts that hold for its repositories, as far as they are known
	thorough  bool              // all are asked for
	cheap     bool              // what takes a request for each repository is not
	archived  bool              // nothing runs, and nothing can be changed
	private   bool              // or internal
	admin     bool              // the credential's owner administers it: GraphQL tells those alone what guards it, and REST is asked where it did not

	repositories string // how many an organisation has that are not archived; "" if that is not known
}

// An answer to whether something is asked for.
type wanted int

const (
	asked   wanted = iota
	none           // there is nothing, as is known without
	leftOut        // nothing tells that there is
)

func askedIf(yes bool) wanted {
	if yes {
		return asked
	}
	return leftOut
}

// isAlive tells whether a workflow may run.
func (v *view) isAlive() bool { return v.thorough || !v.archived && (v.overview == nil || v.runs()) }

// store tells of one of the stores.
func (v *view) store(name string) wanted {
	if v.thorough || v.overview == nil {
		return asked
	}
	switch name {
	case "dependabot":
		return askedIf(v.dependabot)
	case "codespaces":
		return askedIf(v.codespaces)
	case "agents":
		return askedIf(v.agents())
	}
	return asked
}

func (v *view) environment() wanted {
	if v.overview != nil && v.environments == 0 {
		return none
	}
	return asked
}

func (v *view) runner() wanted {
	if v.policy["repository_runners"] == "none" && !v.thorough {
		return none
	}
	return askedIf(v.isAlive())
}

func (v *view) key() wanted {
	switch {
	case v.overview != nil && v.keys == 0:
		return none
	case v.overview != nil && v.keys > 0:
		return asked
	}
	return askedIf(v.isAlive() || v.admin)
}

// hook tells of webhooks, of which no API has those of several repositories at once.
func (v *view) hook() wanted { return askedIf(v.thorough || v.isAlive() && !v.cheap) }

func (v *view) protection() wanted {
	if v.overview != nil && v.isProtected {
		return asked // and known already
	}
	return askedIf(v.isAlive() || v.admin)
}

// questions are those that a repository is asked, and those that would be asked with more time. decided are the facts that hold whatever the repository
// would answer.
func (v *view) questions() (all, left []question, decided map[string]string) {
	decided = map[string]string{}
	mayUse := func(word string) bool { return v.overview == nil || v.says(word) }
	for _, q := range []struct {
		question
		fits    bool // there is an answer for repositories like this one
		matters bool
		decided bool
	}{
		// Where an organisation allows all, a repository that allows less makes no more than a finding less.
		{permissions, true, v.policy["actions"] != "all", v.policy["actions"] == "none"},
		{workflowToken, true, v.overview == nil || v.takesDefault(), v.policy["token_permissions"] == "read" && v.policy["approve_pull_requests"] == "false"},
		{forkApproval, !v.private, mayUse("pull_request"), false},
		{privateForks, v.private, mayUse("pull_request"), v.policy["fork_pr_workflows"] == "false"},
		{access, v.private, v.overview == nil || v.isCalled(), false},
		{subject, true, mayUse("id-token"), false},
		{retention, true, false, false},
	} {
		switch {
		case !q.fits:
			continue
		case v.thorough || v.isAlive() && q.matters && !q.decided:
			q.question.needs = "administration=read"
			all = append(all, q.question)
			continue
		case !q.decided:
			left = append(left, q.question)
		}
		for _, fact := range q.facts {
			if value := v.policy[fact]; isStrict(fact, value) {
				decided[fact] = value
			}
		}
	}
	if v.policy["actions"] == "none" {
		decided["actions"] = "false"
	}
	return all, left, decided
}

// isStrict tells of an organisation's fact whether its repositories can only be as strict, or stricter.
func isStrict(fact, value string) bool {
	switch fact {
	case "allowed_actions":
		return value == "selected" || value == "local_only"
	case "sha_pinning_required":
		return value == "true"
	case "token_permissions":
		return value == "read"
	case "approve_pull_requests", "fork_pr_workflows", "fork_pr_write_tokens", "fork_pr_secrets":
		return value == "false"
	}
	return false
}

// takesDefault tells whether a workflow may run with the rights that its token has by default: it does not begin with its own.
func (o *overview) takesDefault() bool {
	return slices.ContainsFunc(o.files, func(f file) bool {
		return f.missing != "" || !isAction(f.path) && !strings.Contains("\n"+f.text, "\npermissions:")
	})
}

// isCalled tells whether other repositories may use what this one has: a workflow or an action.
func (o *overview) isCalled() bool {
	return o.says("workflow_call") || slices.ContainsFunc(o.files, func(f file) bool { return isAction(f.path) })
}

// decides are the questions to an organisation whose answers hold for its repositories, too: those may be stricter, and not laxer.
var decides = []question{permissions, workflowToken, privateForks, repositoryRunners}

// policies remember what the organisations allow.
type policies struct {
	mu  sync.Mutex
	all map[string]*policy
}

type policy struct {
	once  sync.Once
	facts map[string]string
}

// policyOf asks once what an organisation allows. What it does not say is not decided.
func (c *client) policyOf(ctx context.Context, owner string) map[string]string {
	c.policies.mu.Lock()
	of := c.policies.all[owner]
	if of == nil {
		of = &policy{}
		if c.policies.all == nil {
			c.policies.all = map[string]*policy{}
		}
		c.policies.all[owner] = of
	}
	c.policies.mu.Unlock()
	of.once.Do(func() {
		here := &place{client: c, owner: owner}
		a := newAnswers(nil)
		for _, q := range decides {
			_ = here.ask(ctx, q, a) // the organisation's own target says why
		}
		of.facts = a.facts
	})
	return of.facts
}

// state is a digest of the view and of what the listing said: under another one the target's settings may be others.
func (v view) state(t audit.Target) string {
	sum := sha256.New()
	write := func(m map[string]string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(sum, "%q %q\n", k, m[k])
		}
	}
	write(v.policy)
	write(listedFacts(t))
	fmt.Fprintln(sum, v.repositories)
	if v.overview != nil {
		fmt.Fprintln(sum, v.digest)
		write(v.people.facts())
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// listedFacts are those that the listing of repositories has.
func listedFacts(t audit.Target) map[string]string {
	facts := map[string]string{}
	for _, name := range []string{"id", "owner_id", "visibility", "archived", "fork", "default_branch"} {
		facts[name] = list([]string{t.Attrs[name]})
	}
	return facts
}
