package gitlab

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/xanzy/go-gitlab"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Check implements [audit.Checker].
func (p *Provider) Check(ctx context.Context, ref string) iter.Seq2[audit.Check, error] {
	return forge.Tell(ctx, func(send func(...audit.Check) error) error {
		// A person waits for it: no waits for quotas, and what is left to people is there for this.
		o := p.opts
		o.MaxWait, o.Budget = time.Second, 100
		q := New(p.env, o)
		c, err := q.connect()
		if err != nil {
			return err
		}
		return (&checker{Provider: q, client: c, ctx: ctx, send: send, percent: cmp.Or(p.opts.Budget, forge.DefaultBudget)}).all(ref)
	})
}

// Environment implements [audit.Checker].
func (p *Provider) Environment() iter.Seq2[audit.Check, error] {
	return func(yield func(audit.Check, error) bool) {
		c, err := p.connect()
		if err != nil {
			yield(audit.Check{}, err)
			return
		}
		_ = yield(forge.Chosen(c.address(), ""), nil) &&
			yield(forge.Given("GITLAB_TOKEN, or in a job CI_JOB_TOKEN", c.from, forge.Names(p.env.Getenv, "GITLAB_TOKEN", "CI_JOB_TOKEN")), nil)
	}
}

// A checker tells what a scan of one ref needs.
type checker struct {
	*Provider
	*client
	ctx     context.Context //nolint:containedctx // it lives as long as one call of Check
	send    func(...audit.Check) error
	percent int // of quotas, that scans may use up
	admin   bool
}

func (c *client) address() string { return strings.TrimSuffix(c.BaseURL().String(), "/") }

// all tells all there is to tell of a ref. An error ends it.
func (k *checker) all(ref string) error {
	if err := k.host(); err != nil {
		return err
	}
	if err := k.credentials(); err != nil {
		return err
	}
	owners, projects, err := forge.Sample(k.Targets(k.ctx, ref), listPage)
	if err != nil {
		return err
	}
	for _, r := range rights() {
		if r.sources == 0 || k.opts.Sources.Has(r.sources) {
			if err := k.right(r, owners, projects); err != nil {
				return err
			}
		}
	}
	if k.admin && ref != "" { // which is the whole instance
		if err := k.send(audit.Check{
			For: "excess", Needs: "a user who administers the instance", State: audit.Excess, Evidence: "an owner of the group will do", Fix: "use a group access token with role Owner",
		}); err != nil {
			return err
		}
	}
	for _, t := range projects {
		if t.Attrs["empty"] != "" || t.Attrs["repository"] != "" || !k.opts.Sources.Has(forge.Contents) {
			continue
		}
		how, err := k.clone(k.ctx, k.client, t)
		if err != nil {
			return err
		}
		return k.send(forge.Git(k.ctx, k.Provider.env, how, "scope read_repository, of role Reporter"))
	}
	return nil
}

// versionForm is what versions look like.
var versionForm = lazyregexp.New(`^[0-9]{1,4}\.[0-9A-Za-z.+-]{1,40}$`)

// host tells whether the API answers, and which version it is: that is told to those with a token.
func (k *checker) host() error {
	version, err := k.versionOf(k.ctx)
	what := "GitLab " + version
	if !versionForm().MatchString(version) {
		what = "GitLab; it does not tell its version to this credential"
	}
	err = forge.Plain(err)
	c := forge.Host(k.address(), what, err)
	if e := k.send(c); e != nil || c.State != audit.Missing {
		return e
	}
	return k.fail(k.ctx, "asking "+k.Provider.Name(), err)
}

// credentials tells of each token what it is, when it ends, and how much is left of its quota.
func (k *checker) credentials() error {
	switch {
	case k.job:
		return k.send(audit.Check{
			For: "credential", Needs: "GITLAB_TOKEN", State: audit.Unproven, Evidence: "CI_JOB_TOKEN: the job's own token, which reads its project's repository and little else",
			Fix: "set GITLAB_TOKEN to a group access token with role Owner, read_api and read_repository",
		})
	case !k.signed():
		return k.send(audit.Check{
			For: "credential", Needs: "GITLAB_TOKEN", State: audit.Missing, Evidence: "it is not set",
			Fix: "make a group access token with role Owner, read_api and read_repository",
		})
	}
	var refused error
	good := false
	for _, token := range k.tokens {
		refusal, err := k.token(token)
		if err != nil {
			return err
		}
		good = good || refusal == nil
		refused = cmp.Or(refused, refusal)
	}
	if !good {
		return k.fail(k.ctx, "asking whose the token is", refused)
	}
	return nil
}

// token tells of one. refusal is why it is not accepted, if it is not.
func (k *checker) token(token *forge.Credential) (refusal, err error) {
	ctx := forge.With(k.ctx, token)
	c := audit.Check{For: "credential", Needs: "a token that GitLab accepts", State: audit.Granted, Evidence: token.Name}
	var me struct {
		Name  string `json:"username"`
		Bot   bool   `json:"bot"`
		Admin bool   `json:"is_admin"`
	}
	resp, err := k.get(ctx, "user", nil, "", &me)
	if forge.StatusOf(err) == http.StatusUnauthorized {
		c.State, c.Evidence, c.Fix = audit.Missing, c.Evidence+": it is not accepted", "check "+token.Name+": it is expired, revoked or not meant for "+k.client.host
		return err, k.send(c)
	}
	if err == nil && segment().MatchString(me.Name) {
		c.Evidence += " of " + me.Name
	}
	k.admin = k.admin || me.Admin
	var self struct {
		Scopes  []string `json:"scopes"`
		Expires string   `json:"expires_at"`
	}
	_, unknown := k.get(ctx, "personal_access_tokens/self", nil, "", &self)
	switch {
	case unknown == nil && self.Expires != "":
		c.Evidence += ", ends " + self.Expires
	case unknown == nil:
		c.Evidence += ", never ends"
	}
	if err := k.send(c); err != nil {
		return nil, err
	}
	if resp != nil {
		if err := k.requests(resp, token.Name); err != nil {
			return nil, err
		}
	}
	if unknown != nil {
		return nil, k.send(audit.Check{For: "excess", Needs: "nothing beyond what a scan needs", State: audit.Unproven, Evidence: "GitLab does not tell the scopes of " + token.Name})
	}
	return nil, k.send(append(lacking(self.Scopes), excessive(self.Scopes)...)...)
}

// requests tells how much is left, where the instance sets a limit.
func (k *checker) requests(resp *gitlab.Response, name string) error {
	limit, left, ok := told(resp)
	if !ok {
		return nil
	}
	return k.send(forge.Requests("of "+name+", a minute", limit, left, k.percent, time.Time{}))
}

// mostGranted is more than any instance grants in a minute.
const mostGranted = 1 << 24

// right tries a right on the sample.
func (k *checker) right(r right, owners, projects []audit.Target) error {
	c := audit.Check{For: r.what, Sources: r.sources, Needs: r.role, Fix: "use a token with " + r.role}
	on := owners
	if r.of == audit.TargetRepository {
		on = projects
		if len(on) == 0 {
			c.State, c.Evidence, c.Fix = audit.Unproven, "there is no project to try it on", ""
			return k.send(c)
		}
	}
	for _, t := range on {
		if t.Kind != r.of {
			continue
		}
		where := cmp.Or(strings.TrimPrefix(t.Name, "gitlab:"), "the instance")
		switch {
		case !k.signed() && !r.public:
			c.State, c.Evidence = audit.Missing, "there is no token"
			return k.send(c)
		case r.public && forge.IsPublic(t):
			c.State, c.Evidence, c.Fix = audit.Unproven, where+" is not private: of private projects none was seen", ""
			return k.send(c)
		}
		query := map[string]string{"per_page": "1"}
		_, err := k.get(k.ctx, newPlace(k.client, t).path+r.path, query, "", nil)
		c = forge.Tried(c, where, needing(r.role, err))
		if c.State == audit.Missing && forge.StatusOf(err) == http.StatusNotFound && r.newer {
			c.State, c.Evidence, c.Fix = audit.Unproven, "404 on "+where+": the role is missing, or it is not offered there", ""
		}
		return k.send(c)
	}
	return nil // the ref has nothing of the kind
}
