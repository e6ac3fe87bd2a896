package github

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// A selection says which repositories of an owner a ref is about.
type selection struct {
	owner      string
	enterprise bool     // owner is one's slug
	gist       string   // the name of a single one; owner is nobody then
	names      []string // of single repositories; nil for a choice among all
	wanted     []string // patterns, in lower case; nil for all
	unwanted   []string

	noArchived, noForks bool
}

// parseRef reads a ref: OWNER, OWNER/REPO, OWNER/PATTERN,…, enterprises/SLUG, gist/ID. A pattern may have *, ? and [a-z], as file names in a shell, and one
// behind a ! leaves out; without any that takes in, all others are. Letters match in either case, as in GitHub's names.
func parseRef(ref string) (s selection, err error) {
	owner, rest, choice := strings.Cut(strings.TrimSuffix(ref, "/"), "/")
	bad := audit.Hint(fmt.Errorf("%w: github:%.200s is not github:OWNER or github:OWNER/REPO", audit.ErrUsage, ref),
		"name an organisation, a user, one repository, such as github:acme/web, or some, such as 'github:acme/web-*,!web-old'")
	if s.owner = owner; !ownerName().MatchString(owner) {
		return s, bad
	}
	if strings.EqualFold(owner, "enterprises") { // nobody may be called that
		s.owner, s.enterprise = rest, true
		if !ownerName().MatchString(rest) {
			return s, bad
		}
		return s, nil
	}
	if strings.EqualFold(owner, "gist") && choice { // nor so: gists lie there on a server of one's own
		s.gist = rest
		if !gistName().MatchString(rest) {
			return s, bad
		}
		return s, nil
	}
	if !choice {
		return s, nil
	}
	parts := strings.Split(rest, ",")
	for _, part := range parts {
		pattern, out := strings.CutPrefix(strings.TrimSuffix(part, ".git"), "!")
		pattern = strings.ReplaceAll(pattern, "[!", "[^") // either is a shell's
		if _, err := path.Match(pattern, ""); err != nil || !repositoryPattern().MatchString(pattern) || pattern == "." || pattern == ".." {
			return s, bad
		}
		switch {
		case out:
			s.unwanted = append(s.unwanted, strings.ToLower(pattern))
		default:
			s.wanted = append(s.wanted, strings.ToLower(pattern))
			if validRepository(pattern) && !slices.ContainsFunc(s.names, func(n string) bool { return strings.EqualFold(n, pattern) }) {
				s.names = append(s.names, pattern)
			}
		}
	}
	if len(s.names) < len(parts) && !allNames(parts) {
		s.names = nil
	}
	return s, nil
}

var repositoryPattern = lazyregexp.New(`^[A-Za-z0-9._*?\[\]^-]{1,100}$`)

// allNames tells whether there is no pattern among them, nor anything to leave out.
func allNames(parts []string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !validRepository(strings.TrimSuffix(p, ".git")) })
}

// isChoice tells whether the ref is about certain repositories, and not about their owner.
func (s selection) isChoice() bool { return len(s.wanted) > 0 }

func match(patterns []string, name string) (pattern string) {
	for _, p := range patterns {
		if ok, _ := path.Match(p, strings.ToLower(name)); ok {
			return p
		}
	}
	return ""
}

// A sweep lists the repositories of an owner.
type sweep struct {
	*client
	pick  selection
	yield func(audit.Target, error) bool

	listed  int // repositories, with those that come before the page where the listing goes on
	matched map[string]bool
	left    map[string]int // repositories that are left out, by the reason
	shown   int            // gists
	partly  bool           // the listing went on somewhere, or broke
}

// The reasons.
const (
	isArchived = "archived repositories, by --no-archived"
	isFork     = "forks, by --no-forks"
)

// owner lists an organisation with its repositories, or a user's repositories. It tells whether to go on.
func (s *sweep) owner(ctx context.Context, owner string, after cursor) bool {
	s.matched, s.left, s.partly = map[string]bool{}, map[string]int{}, after.kind != ""
	page, before := after.back("org")
	isOrg := after.kind == "" || after.kind == "org"
	s.listed = before
	if isOrg {
		for r, err := range s.orgRepositories(ctx, owner, page) {
			if s.listed == before && forge.StatusOf(err) == http.StatusNotFound {
				isOrg = false
				break
			}
			if s.listed == before && err == nil {
				if login, _, _ := strings.Cut(r.GetFullName(), "/"); strings.EqualFold(login, owner) {
					owner = login // as GitHub writes it
				}
				if !s.organisation(owner) {
					return false
				}
			}
			if !s.repository(ctx, owner, r, err) {
				return false
			}
		}
	}
	if isOrg && s.listed == before && before > 0 { // it has shrunk by more than a page
		return s.owner(ctx, owner, cursor{})
	}
	if isOrg {
		return (s.listed > 0 || s.organisation(owner)) && s.compareCount(ctx, owner) && s.end(owner) && s.gists(ctx, owner, true)
	}
	s.listed = 0
	for r, err := range s.userRepositories(ctx, owner, after) {
		if s.listed == 0 && forge.StatusOf(err) == http.StatusNotFound {
			if logins, failed := s.organisations(ctx, owner); len(logins) > 0 { // nobody is called so, but an enterprise
				return s.enterprise(ctx, owner, logins, failed)
			}
		}
		if !s.repository(ctx, owner, r, err) {
			return false
		}
	}
	switch {
	case s.listed > 0:
		return s.end(owner) && s.gists(ctx, owner, false) && s.noPackages(owner)
	case after.kind != "":
		return s.owner(ctx, owner, cursor{})
	case !s.gists(ctx, owner, false):
		return false
	case s.shown > 0: // there are people who have nothing else
		return s.noPackages(owner)
	}
	return s.yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: github:%s has no repository that can be seen", audit.ErrNothing, owner),
		"private repositories need a token that may read them in GH_TOKEN"))
}

// noPackages says so where packages of a person were asked for.
func (s *sweep) noPackages(owner string) bool {
	return !s.sources.Has(audit.SourcePackages) || s.pick.isChoice() || s.yield(audit.Target{}, &audit.Gap{Target: "github:" + owner, What: "packages", Why: "those of a person are not listed, only those of organisations"})
}

// organisation yields one, unless the ref is about certain repositories.
func (s *sweep) organisation(login string) bool {
	if s.pick.isChoice() {
		return true
	}
	return s.yield(audit.Target{Name: "github:" + login, Kind: audit.TargetOrganisation, URL: s.page(login), Attrs: map[string]string{"owner": login}}, nil)
}

// repository yields one outcome of a listing of repositories, and tells whether to go on.
func (s *sweep) repository(ctx context.Context, owner string, r *repository, err error) bool {
	if err != nil {
		if s.partly = true; s.listed > 0 && ctx.Err() == nil {
			return s.yield(audit.Target{}, forge.Gap("github:"+owner, fmt.Sprintf("repositories after the first %d", s.listed), err))
		}
		s.yield(audit.Target{}, s.fail(ctx, "listing repositories of "+owner, err))
		return false
	}
	s.listed++
	if !s.wants(r) {
		return true
	}
	t, err := s.target(r.Repository)
	t.Cursor = r.next.text()
	if err == nil && t.Attrs["node"] != "" {
		t.Attrs["batch"] = r.batch
	}
	if err == nil && s.pick.isChoice() {
		t.Attrs["alone"] = "true"
	}
	return s.yield(t, err) && (err != nil || !s.mayHaveWiki(r.Repository) || s.yield(wiki(t), nil))
}

// wants tells whether a repository is one of those that are selected, and notes why if it is not.
func (s *sweep) wants(r *repository) bool {
	_, name, _ := strings.Cut(r.GetFullName(), "/")
	pattern := match(s.pick.wanted, name)
	if pattern == "" && s.pick.isChoice() {
		return false
	}
	s.matched[pattern] = true
	why := ""
	if out := match(s.pick.unwanted, name); out != "" {
		why = "repositories, by !" + out
	} else if s.pick.noArchived && r.GetArchived() {
		why = isArchived
	} else if s.pick.noForks && r.GetFork() {
		why = isFork
	}
	if why != "" {
		s.left[why]++
	}
	return why == ""
}

// end says what was left out, and what was looked for in vain.
func (s *sweep) end(owner string) bool {
	for _, why := range slices.Sorted(maps.Keys(s.left)) {
		what, by, _ := strings.Cut(why, ", ")
		number := fmt.Sprint(s.left[why])
		if s.partly {
			number = "at least " + number
		}
		if !s.yield(audit.Target{}, &audit.Gap{Target: "github:" + owner, What: number + " " + what, Why: "left out, " + by}) {
			return false
		}
	}
	if s.signed() && settingsAlone(s.sources) && (len(s.matched) > 0 || s.partly) && !s.yield(audit.Target{}, &audit.Gap{
		Target: "github:" + owner, What: "webhooks of repositories",
		Why: "left out, by --sources without variables and secrets: GitHub lists those of one repository at a time; name a repository, or add one of these sources",
	}) {
		return false
	}
	for _, pattern := range s.pick.wanted {
		if !s.matched[pattern] && !s.partly && len(s.matched) > 0 && !s.yield(audit.Target{}, &audit.Gap{Target: "github:" + owner, What: "repositories named " + pattern, Why: "there is none that can be seen"}) {
			return false
		}
	}
	if s.pick.isChoice() && len(s.matched) == 0 && !s.partly {
		return s.yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: github:%s has no repository named %s that can be seen", audit.ErrNothing, owner, strings.Join(s.pick.wanted, ",")),
			"private repositories need a token that may read them in GH_TOKEN"))
	}
	return true
}

// compareCount says so when the organisation has more repositories than the token sees.
func (s *sweep) compareCount(ctx context.Context, owner string) bool {
	o, _, err := s.Organizations.Get(ctx, owner)
	if err != nil || s.pick.isChoice() {
		return true // only a cross-check
	}
	n := int64(o.GetPublicRepos()) + o.GetTotalPrivateRepos()
	return n <= int64(s.listed) || s.yield(audit.Target{}, &audit.Gap{
		Target: "github:" + owner, What: "repositories the token cannot see",
		Why: fmt.Sprintf("the organisation counts %d repositories, %d were listed", n, s.listed),
	})
}

// enterpriseTargets yields the targets of each of an enterprise's organisations.
func (c *client) enterpriseTargets(ctx context.Context, pick selection, yield func(audit.Target, error) bool) {
	s := &sweep{client: c, pick: pick, yield: yield}
	logins, err := c.organisations(ctx, pick.owner)
	switch {
	case len(logins) > 0:
		s.enterprise(ctx, pick.owner, logins, err)
	case err != nil && (ctx.Err() != nil || errors.As(err, new(*forge.Error))):
		yield(audit.Target{}, c.fail(ctx, "listing organisations of enterprise "+pick.owner, err))
	case err != nil:
		yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: listing organisations of enterprise %s: %w", audit.ErrAuth, pick.owner, err), enterpriseAdvice))
	default:
		yield(audit.Target{}, audit.Hint(fmt.Errorf("%w: enterprise %s has no organisation that can be seen", audit.ErrNothing, pick.owner), enterpriseAdvice))
	}
}

const enterpriseAdvice = "organisations of an enterprise need a classic token with read:enterprise and read:org in GH_TOKEN"

// enterprise lists each organisation of an enterprise; failed is why there may be more of them. A listing that is broken off is begun anew: what it had is
// known by its names.
func (s *sweep) enterprise(ctx context.Context, slug string, logins []string, failed error) bool {
	goOn := true
	for _, login := range logins {
		one := &sweep{client: s.client, pick: s.pick, yield: func(t audit.Target, err error) bool {
			t.Cursor = ""
			if gap := (*audit.Gap)(nil); err != nil && ctx.Err() == nil && !errors.As(err, &gap) {
				err = forge.Gap("github:"+login, "the organisation", forge.Plain(err))
			}
			goOn = s.yield(t, err)
			return goOn
		}}
		if one.owner(ctx, login, cursor{}); !goOn || ctx.Err() != nil {
			return false
		}
	}
	return failed == nil || s.yield(audit.Target{}, forge.Gap("github:enterprises/"+slug, fmt.Sprintf("organisations after the first %d", len(logins)), failed))
}
