package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
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
		const app = "LEAKREACH_GITHUB_APP_"
		set := forge.Names(p.env.Getenv, "GH_TOKEN", "GITHUB_TOKEN", app+"ID", app+"INSTALLATION_ID", app+"PRIVATE_KEY_FILE")
		_ = yield(forge.Chosen(c.apiAddress(), edition(c.BaseURL.Hostname(), "")), nil) &&
			yield(forge.Given("GH_TOKEN, GITHUB_TOKEN, or a GitHub App's "+app+"ID and "+app+"PRIVATE_KEY_FILE", c.from, set), nil)
	}
}

// A checker tells what a scan of one ref needs.
type checker struct {
	*Provider
	*client
	ctx     context.Context //nolint:containedctx // it lives as long as one call of Check
	send    func(...audit.Check) error
	percent int // of quotas, that scans may use up

	scopes []string       // of classic tokens
	untold []string       // tokens of which nobody tells what they may
	job    bool           // the token is a workflow's own
	org    string         // organisation to try rights on; "" for none
	repos  []audit.Target // repositories to try them on, the likeliest first
}

func (c *client) apiAddress() string { return strings.TrimSuffix(c.BaseURL.String(), "/") }

// edition is which GitHub a host is.
func edition(host, version string) string {
	switch {
	case host == "api.github.com":
		return "GitHub.com"
	case strings.HasPrefix(host, "api.") && strings.HasSuffix(host, ".ghe.com"):
		return "GitHub Enterprise Cloud with data residency"
	case version != "":
		return "GitHub Enterprise Server " + version
	}
	return "GitHub Enterprise Server"
}

// all tells all there is to tell of a ref. An error ends it.
func (k *checker) all(ref string) error {
	if err := k.host(); err != nil {
		return err
	}
	if err := k.credentials(); err != nil {
		return err
	}
	if err := k.sample(ref); err != nil {
		return err
	}
	for _, p := range parts() {
		if p.path != "" && (p.sources == 0 || k.opts.Sources.Has(p.sources)) {
			if err := k.part(p); err != nil {
				return err
			}
		}
	}
	if err := k.git(); err != nil {
		return err
	}
	return k.excess()
}

// host tells whether the API answers, and which version it is.
func (k *checker) host() error {
	var about struct {
		Version string `json:"installed_version"`
	}
	var err error
	if edition(k.BaseURL.Hostname(), "") == "GitHub Enterprise Server" {
		_, err = k.get(k.ctx, "meta", nil, &about)
	} else {
		_, err = k.get(k.ctx, "rate_limit", nil, new(struct{}))
	}
	if k.ctx.Err() != nil {
		return k.ctx.Err()
	}
	err = forge.Plain(err)
	c := forge.Host(k.apiAddress(), edition(k.BaseURL.Hostname(), about.Version), err)
	if e := k.send(c); e != nil || c.State != audit.Missing {
		return e
	}
	return fmt.Errorf("asking %s: %w", k.apiAddress(), err)
}

// credentials tells of each credential what it is, when it ends, and how much is left of its quotas.
func (k *checker) credentials() error {
	switch {
	case k.app != nil:
		return k.installations()
	case !k.signed():
		if err := k.send(audit.Check{
			For: "credential", Needs: "GH_TOKEN, GITHUB_TOKEN or a GitHub App", State: audit.Missing, Evidence: "none is set",
			Fix: "register a GitHub App, or make a fine-grained token: docs/github.md has both ready",
		}); err != nil {
			return err
		}
		return k.quotas(k.ctx, "for requests without a token")
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
	text, err := token.Token(k.ctx)
	if err != nil {
		return nil, err
	}
	kind := kindOf(text, k.env.Getenv)
	ctx := forge.With(k.ctx, token)
	c := audit.Check{For: "credential", Needs: "a token that GitHub accepts", State: audit.Granted, Evidence: token.Name + ": " + string(kind)}
	var me struct {
		Login string `json:"login"`
	}
	resp, err := k.get(ctx, "user", nil, &me)
	switch {
	case k.ctx.Err() != nil:
		return nil, k.ctx.Err()
	case forge.StatusOf(err) == http.StatusUnauthorized:
		c.State, c.Evidence = audit.Missing, c.Evidence+"; it is not accepted"
		c.Fix = "check " + token.Name + ": it is expired, revoked or not meant for " + k.BaseURL.Host
		return err, k.send(c)
	case err == nil:
		if ownerName().MatchString(me.Login) {
			c.Evidence += " of " + me.Login
		}
		if end := resp.TokenExpiration; !end.IsZero() {
			c.Evidence += ", ends " + end.UTC().Format(time.RFC3339)
		} else if kind == kindClassic || kind == kindFineGrained {
			c.Evidence += ", never ends"
		}
		if scopes, ok := resp.Header["X-Oauth-Scopes"]; ok {
			for scope := range strings.SplitSeq(strings.Join(scopes, ","), ",") {
				k.scopes = append(k.scopes, strings.TrimSpace(scope))
			}
		} else {
			k.untold = append(k.untold, token.Name)
		}
	case kind == kindJob:
		k.job = true
		c.Evidence += ", unless it is another App's. It reads its own repository, and has 1,000 requests an hour for it"
	default:
		k.untold = append(k.untold, token.Name)
	}
	if err := k.send(c); err != nil {
		return nil, err
	}
	return nil, k.quotas(ctx, "of "+token.Name)
}

// installations tells of a GitHub App where it is installed.
func (k *checker) installations() error {
	all, err := k.app.installations(k.ctx)
	if err != nil {
		return k.fail(k.ctx, "asking as the GitHub App", err)
	}
	for _, i := range all {
		c := audit.Check{For: "credential", Needs: "an installation of the GitHub App", State: audit.Granted, Evidence: i.String()}
		if i.suspended {
			c.State, c.Evidence, c.Fix = audit.Missing, c.Evidence+" is suspended", unsuspend
		}
		if err := k.send(c); err != nil {
			return err
		}
		if !i.suspended {
			if err := k.quotas(forge.With(k.ctx, i.credential), "of "+i.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// A quota is what GitHub tells of one, free of charge.
type quota struct {
	Limit     int   `json:"limit"`
	Remaining int   `json:"remaining"`
	Reset     int64 `json:"reset"`
}

// mostGranted is more than GitHub grants anybody in an hour.
const mostGranted = 1 << 30

// quotasOf asks for the quotas of the credential that ctx goes with.
func (c *client) quotasOf(ctx context.Context) (map[string]quota, error) {
	var out struct {
		Resources map[string]quota `json:"resources"`
	}
	if _, err := c.get(ctx, "rate_limit", nil, &out); err != nil {
		return nil, forge.Plain(err)
	}
	for name, q := range out.Resources {
		out.Resources[name] = quota{min(max(q.Limit, 0), mostGranted), min(max(q.Remaining, 0), mostGranted), q.Reset}
	}
	return out.Resources, nil
}

// quotas tells how much is left.
func (k *checker) quotas(ctx context.Context, whose string) error {
	all, err := k.quotasOf(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case forge.StatusOf(err) == http.StatusNotFound: // as a GitHub Enterprise Server answers that has none
		return k.send(audit.Check{For: "requests", Needs: "some left", State: audit.Granted, Evidence: "the server sets no limit"})
	case err != nil:
		return k.send(forge.Tried(audit.Check{For: "requests", Needs: "some left"}, "rate_limit", err))
	}
	for _, name := range []string{"core", "graphql"} {
		if q, ok := all[name]; ok {
			if err := k.send(forge.Requests(name+" "+whose, q.Limit, q.Remaining, k.percent, time.Unix(q.Reset, 0))); err != nil {
				return err
			}
		}
	}
	return nil
}

// sample finds what rights can be tried on.
func (k *checker) sample(ref string) (err error) {
	var owners []audit.Target
	if owners, k.repos, err = forge.Sample(k.Targets(k.ctx, ref), repositoryPage); err != nil {
		return err
	}
	for _, t := range owners {
		if t.Kind == audit.TargetOrganisation {
			k.org = cmp.Or(k.org, t.Attrs["owner"])
		}
	}
	return nil
}

// part tries a right on the sample.
func (k *checker) part(p part) error {
	c := audit.Check{For: p.what, Sources: p.sources, Needs: p.needs(), Fix: k.fix(p)}
	public := len(k.repos) == 0 || forge.IsPublic(k.repos[0])
	path, where, why := k.place(p)
	switch {
	case k.ctx.Err() != nil:
		return k.ctx.Err()
	case why == notThere:
		return nil
	case !k.signed() && !p.public:
		c.State, c.Evidence = audit.Missing, "there is no token"
		return k.send(c)
	case why != "":
		c.State, c.Evidence, c.Fix = audit.Unproven, why, ""
		return k.send(c)
	case p.app && k.app == nil:
		c.State, c.Evidence, c.Fix = audit.Unproven, "GitHub tells it to Apps alone", "use a GitHub App to have it, too"
		return k.send(c)
	}
	resp, err := k.get(k.ctx, path, url.Values{"per_page": {"1"}}, nil)
	if k.ctx.Err() != nil {
		return k.ctx.Err()
	}
	c = forge.Tried(c, where, err)
	switch said := k.accepted(resp, err); {
	case c.State == audit.Granted && p.public && public:
		c.State, c.Evidence = audit.Unproven, where+" is public: of private repositories none was seen"
	case c.State == audit.Missing && forge.StatusOf(err) == http.StatusNotFound && said == "" && p.newer:
		c.State, c.Evidence, c.Fix = audit.Unproven, "404 on "+where+": the right is missing, or this server does not offer it", ""
	case forge.StatusOf(err) == http.StatusConflict: // so it answers about what is in a repository that is empty
		c.State, c.Evidence = audit.Granted, where+" is empty"
	case said != "" && !strings.Contains(said, p.right):
		c.Evidence += "; GitHub says that it takes " + said
	}
	return k.send(c)
}

// accepted is which rights GitHub says a request takes; "" if it does not.
func (k *checker) accepted(resp *github.Response, err error) string {
	e := (*forge.Error)(nil)
	switch {
	case errors.As(err, &e):
		return e.Needs
	case resp != nil:
		return resp.Header.Get("X-Accepted-GitHub-Permissions")
	}
	return ""
}

// notThere says that the ref has nothing that a part is read from.
const notThere = "not there"

// place is where a part's right is tried: an address below the API's, and its name. why says what stands in the way, or notThere.
func (k *checker) place(p part) (path, where, why string) {
	org := strings.HasPrefix(p.path, "orgs/")
	switch {
	case org && k.org == "":
		return "", "", notThere
	case org:
		return strings.ReplaceAll(p.path, "{owner}", k.org), k.org, ""
	case len(k.repos) == 0:
		return "", "", "there is no repository to try it on"
	}
	for _, t := range k.repos {
		name := ""
		if strings.Contains(p.path, "{environment}") {
			if name = k.firstEnvironment(t); name == "" {
				continue
			}
		}
		path := strings.NewReplacer("{owner}", t.Attrs["owner"], "{repo}", t.Attrs["repo"], "{environment}", url.PathEscape(name)).Replace(p.path)
		return path, strings.TrimPrefix(t.Name, "github:"), ""
	}
	return "", "", "no environment in " + forge.Number(int64(len(k.repos)), "repository", "repositories") + " to try it on"
}

// firstEnvironment is the name of one of a repository; "" if there is none to be seen.
func (k *checker) firstEnvironment(t audit.Target) string {
	var out struct{ Environments []environment }
	_, err := k.get(k.ctx, "repos/"+t.Attrs["owner"]+"/"+t.Attrs["repo"]+"/environments", url.Values{"per_page": {"1"}}, &out)
	if err != nil || len(out.Environments) == 0 || strings.Trim(out.Environments[0].Name, ".") == "" {
		return ""
	}
	return out.Environments[0].Name
}

// fix is what to do about a part's right that is missing.
func (k *checker) fix(p part) string {
	switch {
	case k.app != nil:
		return "add " + title(p.right) + " to the App, and have its owners accept that"
	case len(k.scopes) > 0 && p.classic != "" && !holds(k.scopes, p.classic):
		return "add scope " + p.classic + " to the token"
	case len(k.scopes) > 0 && strings.HasPrefix(p.path, "orgs/"):
		return "use a token of an owner of the organisation"
	case len(k.scopes) > 0:
		return "use a token of an administrator of the repository"
	case k.job && !p.job:
		return "a workflow's own token cannot have it: use a GitHub App"
	case k.job:
		return "add it to the permissions of the workflow's job"
	}
	return "add " + title(p.right) + " to the token"
}

// git tells whether the git server answers.
func (k *checker) git() error {
	if len(k.repos) == 0 || !k.opts.Sources.Has(forge.Contents) {
		return nil
	}
	how, err := k.clone(k.ctx, k.client, k.repos[0])
	if err != nil {
		return err
	}
	c := forge.Git(k.ctx, k.env, how, title("contents=read"))
	if k.ctx.Err() != nil {
		return k.ctx.Err()
	}
	return k.send(c)
}

// excess tells of what is granted, and no scan needs.
func (k *checker) excess() error {
	checks := excessiveScopes(k.scopes)
	if k.app != nil {
		i, err := k.app.installation(k.ctx, cmp.Or(k.org, k.owner()))
		if err != nil {
			return k.fail(k.ctx, "asking as the GitHub App", err)
		}
		checks = excessive(i.permissions)
	}
	for _, name := range k.untold {
		checks = append(checks, audit.Check{
			Needs: "nothing beyond what a scan needs", State: audit.Unproven, Evidence: "GitHub does not tell what else " + name + " may", Fix: "see the token's page in GitHub's settings",
		})
	}
	for i := range checks {
		checks[i].For = "excess"
	}
	return k.send(checks...)
}

// owner is whose the sample is.
func (k *checker) owner() string {
	if len(k.repos) == 0 {
		return ""
	}
	return k.repos[0].Attrs["owner"]
}
