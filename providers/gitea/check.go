package gitea

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Check implements [audit.Checker].
func (p *Provider) Check(ctx context.Context, ref string) iter.Seq2[audit.Check, error] {
	return forge.Tell(ctx, func(send func(...audit.Check) error) error {
		o := p.opts
		o.MaxWait = time.Second // a person waits for it
		q := New(p.env, o)
		c, err := q.connect()
		if err != nil {
			return err
		}
		return (&checker{Provider: q, client: c, ctx: ctx, send: send}).all(ref)
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
		set := forge.Names(p.env.Getenv, tokenVar)
		_ = yield(forge.Chosen(c.api.String(), ""), nil) && yield(forge.Given(tokenVar, set, set), nil)
	}
}

// A checker tells what a scan of one ref needs.
type checker struct {
	*Provider
	*client
	ctx  context.Context //nolint:containedctx // it lives as long as one call of Check
	send func(...audit.Check) error
}

// all tells all there is to tell of a ref. An error ends it.
func (k *checker) all(ref string) error {
	var answer struct {
		Version string `json:"version"`
	}
	_, err := k.get(k.ctx, "version", nil, &answer)
	what := "version " + answer.Version
	if !versionForm().MatchString(answer.Version) {
		what = "it does not tell its version"
	}
	host := forge.Host(k.api.String(), what, err)
	if e := k.send(host); e != nil {
		return e
	}
	if host.State == audit.Missing {
		return k.fail(k.ctx, "asking "+k.api.Host, err)
	}
	if err := k.credentials(); err != nil {
		return err
	}
	owners, repositories, err := forge.Sample(k.Targets(k.ctx, ref), pageSize)
	if err != nil {
		return err
	}
	for _, r := range rights() {
		if r.sources == 0 || k.opts.Sources.Has(r.sources) {
			if err := k.right(r, owners, repositories); err != nil {
				return err
			}
		}
	}
	if len(repositories) > 0 && k.opts.Sources.Has(forge.Contents) {
		how, err := k.clone(k.ctx, k.client, repositories[0])
		if err != nil {
			return err
		}
		return k.send(forge.Git(k.ctx, k.Provider.env, how, "scope read:repository"))
	}
	return nil
}

// credentials tells of each token whose it is. Without the scope to say that, it may still do for the rest.
func (k *checker) credentials() error {
	if !k.signed() {
		return k.send(audit.Check{
			For: "credential", Needs: tokenVar, State: audit.Missing, Evidence: "it is not set",
			Fix: "make a token with scopes read:repository, read:organization, read:user and read:issue",
		})
	}
	var refused error
	good := false
	for _, token := range k.tokens {
		var me struct {
			Login string `json:"login"`
			Admin bool   `json:"is_admin"`
		}
		c := audit.Check{For: "credential", Needs: "a token that the server accepts", State: audit.Granted, Evidence: token.Name}
		_, err := k.get(forge.With(k.ctx, token), "user", nil, &me)
		switch {
		case forge.StatusOf(err) == http.StatusUnauthorized:
			c.State, c.Evidence, c.Fix = audit.Missing, c.Evidence+": it is not accepted", "check "+token.Name+": it is revoked or not meant for "+k.web.Host
			refused = cmp.Or(refused, err)
		case err == nil && ownerName().MatchString(me.Login):
			c.Evidence += " of " + me.Login
			good = true
		default:
			c.Evidence += "; whose it is takes scope read:user"
			good = true
		}
		if err := k.send(c); err != nil {
			return err
		}
		if me.Admin {
			if err := k.send(audit.Check{
				For: "excess", Needs: "a user who administers the server", State: audit.Excess, Evidence: "an owner of the organisation will do",
				Fix: "use a token of such a user, unless the whole server is scanned",
			}); err != nil {
				return err
			}
		}
		if c.State == audit.Granted {
			if err := k.send(audit.Check{
				For: "excess", Needs: "no scope to write, or beyond what a scan needs", State: audit.Unproven, Evidence: "the server does not tell the scopes of " + token.Name,
				Fix: "see Settings, Applications",
			}); err != nil {
				return err
			}
		}
	}
	if !good {
		return k.fail(k.ctx, "asking whose the token is", refused)
	}
	return nil
}

// right tries a right on the sample.
func (k *checker) right(r right, owners, repositories []audit.Target) error {
	c := audit.Check{For: r.what, Sources: r.sources, Needs: r.needs(), Fix: "use a token with " + r.needs()}
	on := owners
	if r.of == audit.TargetRepository {
		on = repositories
		if len(on) == 0 {
			c.State, c.Evidence, c.Fix = audit.Unproven, "there is no repository to try it on", ""
			return k.send(c)
		}
	}
	for _, t := range on {
		if t.Kind != r.of {
			continue
		}
		where := strings.TrimPrefix(t.Name, "gitea:")
		here := newPlace(k.client, k.opts, t)
		ctx, closed := here.identity(k.ctx)
		switch {
		case closed != "" && (r.role != "" || t.Attrs["private"] == "true"):
			c.State, c.Evidence = audit.Missing, closed
			return k.send(c)
		case t.Kind == audit.TargetRepository && r.role == "" && forge.IsPublic(t):
			c.State, c.Evidence, c.Fix = audit.Unproven, where+" is public: of private repositories none was seen", ""
			return k.send(c)
		}
		path := here.path + r.path
		if r.path != "" && r.path[0] != '/' {
			path = r.path + t.Attrs["owner"]
		}
		_, err := k.get(ctx, path, url.Values{"limit": {"1"}}, new(any))
		c = forge.Tried(c, where, needing(r.needs(), err))
		if c.State == audit.Missing && forge.StatusOf(err) == http.StatusNotFound && r.newer {
			c.State, c.Fix = audit.Unproven, ""
		}
		return k.send(c)
	}
	return nil // the ref has nothing of the kind
}
