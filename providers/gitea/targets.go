package gitea

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// A listing of the targets of a ref.
type listing struct {
	*client
	opts  Options
	ctx   context.Context
	owner string
	yield func(audit.Target, error) bool
	sent  int // targets
}

// errBroken says that the consumer broke off.
var errBroken = errors.New("broken off")

func (l *listing) send(t audit.Target, err error) error {
	if !l.yield(t, err) {
		return errBroken
	}
	if err == nil {
		l.sent++
	}
	return nil
}

// one sends a repository, and before it the owner, who hands variables down to it.
func (l *listing) one(name string) error {
	var r repository
	if _, err := l.get(l.ctx, "repos/"+l.owner+"/"+name, nil, &r); err != nil {
		return err
	}
	t, err := l.target(&r)
	if err != nil {
		return l.send(t, err)
	}
	t.Parts = forge.Parts(l.opts.Sources)
	if l.opts.Sources.Has(ofOwners) {
		l.owner = t.Attrs["owner"]
		if _, err := l.above(); err != nil {
			if err = l.gap("variables, secrets and runners that the repository's owner hands down", err); err != nil {
				return err
			}
		}
	}
	return l.send(t, nil)
}

// all sends the owner and their repositories, or the latter from a spot on.
func (l *listing) all(from spot) error {
	if from.kind == "" {
		kind, err := l.above()
		if err != nil {
			return err
		}
		from = spot{kind: kind, page: 1}
	}
	return l.repositories(from)
}

// Whose repositories are listed: those of the two kinds of owners, as paths of the API, or everybody's.
const (
	orgs     = "orgs"
	users    = "users"
	everyone = "all"
)

// whole is the owner that stands for the whole instance. An empty one would be what a variable says that is not set.
const whole = "*"

// instance sends what the server itself has, its organisations, whoever the tokens are of, and all repositories; or the last from a spot on.
func (l *listing) instance(from spot) error {
	if from.kind == everyone {
		return l.repositories(from)
	}
	if _, err := l.get(l.ctx, "admin/orgs", url.Values{"limit": {"1"}}, new([]struct{})); err != nil {
		return needing("an administrator of the server", err)
	}
	if err := l.sendNamed(audit.TargetInstance, whole, map[string]string{"owner": whole}); err != nil {
		return err
	}
	for o, err := range paged(l.ctx, func(o *organisation) string { return o.Name }, func(number, _ int) ([]*organisation, around, error) {
		return getPage[organisation](l.ctx, l.client, "admin/orgs", number)
	}) {
		switch {
		case err != nil:
			err = l.gap("further organisations", err)
		case !ownerName().MatchString(o.Name):
			err = l.send(audit.Target{}, &audit.Gap{Target: "gitea:" + whole, What: "an organisation", Why: fmt.Sprintf("impossible name %.200q", o.Name)})
		default:
			err = l.sendOrganisation(o)
		}
		if err != nil {
			return err
		}
	}
	if l.opts.Sources.Has(ofOwners) {
		if err := l.tokensUsers(); err != nil {
			return err
		}
	}
	return l.repositories(spot{kind: everyone, page: 1})
}

// tokensUsers sends the users that the tokens are of. There is no way to what is other users' own, for an administrator either.
func (l *listing) tokensUsers() error {
	sent := map[string]bool{}
	for _, token := range l.tokens {
		me, err := l.userOf(forge.With(l.ctx, token))
		if err != nil {
			if err := l.gap("variables, runners and webhooks of the token's user", err); err != nil {
				return err
			}
			continue
		}
		if !sent[me] && ownerName().MatchString(me) {
			sent[me] = true
			if err := l.sendNamed(audit.TargetUser, me, map[string]string{"owner": me}); err != nil {
				return err
			}
		}
	}
	if l.opts.Sources.Has(audit.SourcePackages) {
		if err := l.gap("packages of other users", errors.New("read by gitea:USER, for each of them")); err != nil {
			return err
		}
	}
	if !l.opts.Sources.Has(forge.Settings) {
		return nil
	}
	return l.gap("variables, runners and webhooks of other users", errors.New("needs each user's own token"))
}

// organisation is what is needed of Gitea's description of one.
type organisation struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Visibility string `json:"visibility"`
}

func (l *listing) sendOrganisation(o *organisation) error {
	visibility := o.Visibility
	if visibility == "limited" { // to those who are signed in
		visibility = "internal"
	}
	return l.sendNamed(audit.TargetOrganisation, o.Name, map[string]string{"owner": o.Name, "id": strconv.FormatInt(o.ID, 10), "visibility": visibility})
}

// above sends the owner, if they have settings that can be read: an organisation, or the user whose token it is. It tells which kind the
// owner is of.
func (l *listing) above() (kind string, err error) {
	var org organisation
	_, err = l.get(l.ctx, "orgs/"+l.owner, nil, &org)
	switch {
	case err == nil:
		if ownerName().MatchString(org.Name) {
			l.owner = org.Name // as Gitea writes it, or now calls it
		}
		org.Name = l.owner
		return orgs, l.sendOrganisation(&org)
	case forge.StatusOf(err) != http.StatusNotFound:
		return "", err
	case !l.signed() || !l.opts.Sources.Has(ofOwners):
		return users, nil
	}
	switch login, _, err := l.tokenOf(l.ctx, l.owner); {
	case err != nil:
		return users, l.gap("variables and runners of the user, if the token is theirs", err)
	case login != "":
		l.owner = login
		return users, l.sendNamed(audit.TargetUser, login, map[string]string{"owner": login})
	case l.opts.Sources.Has(audit.SourcePackages): // which others may see, too
		return users, l.sendNamed(audit.TargetUser, l.owner, map[string]string{"owner": l.owner})
	}
	return users, nil
}

// tokenOf finds among the tokens that of a user, and their name as Gitea writes it; "" if none is theirs.
func (c *client) tokenOf(ctx context.Context, user string) (login string, token *forge.Credential, err error) {
	for _, token := range c.tokens {
		if me, failed := c.userOf(forge.With(ctx, token)); failed != nil {
			err = failed
		} else if strings.EqualFold(me, user) {
			return me, token, nil
		}
	}
	return "", nil, err
}

// userOf tells whose the token is that ctx goes with.
func (c *client) userOf(ctx context.Context) (string, error) {
	var me struct {
		Login string `json:"login"`
	}
	_, err := c.get(ctx, "user", nil, &me)
	return me.Login, err
}

// ofOwners is what owners have themselves, and not their repositories.
const ofOwners = forge.Settings | audit.SourcePackages

// sendNamed sends somebody who has settings or packages, if those are wanted.
func (l *listing) sendNamed(kind audit.TargetKind, name string, attrs map[string]string) error {
	if !l.opts.Sources.Has(ofOwners) {
		return nil
	}
	page := name
	if kind == audit.TargetInstance {
		page = ""
	}
	return l.send(audit.Target{Name: "gitea:" + name, Kind: kind, URL: l.webPage(page), Attrs: attrs}, nil)
}

// gap sends what could not be listed, unless nobody wants it any more.
func (l *listing) gap(what string, err error) error {
	if errors.Is(err, errBroken) || l.ctx.Err() != nil {
		return err
	}
	return l.send(audit.Target{}, forge.Gap("gitea:"+l.owner, what, needing("", err)))
}

// repositories sends those of the owner from a spot on.
func (l *listing) repositories(from spot) error {
	list, broken := &list{client: l.client, owner: l.owner, spot: from}, false
	key := func(r *repository) string { return strconv.FormatInt(r.ID, 10) + r.FullName }
	for r, err := range forge.Pages(l.ctx, key, list.fetch) {
		if err != nil {
			if !list.read {
				return err
			}
			broken = true
			if err := l.gap(fmt.Sprintf("repositories after the first %d", list.listed), err); err != nil {
				return err
			}
			continue
		}
		t, err := l.target(r)
		if owner := t.Attrs["owner"]; strings.EqualFold(owner, l.owner) {
			l.owner = owner // as Gitea writes it
		}
		t.Parts = forge.Parts(l.opts.Sources)
		if list.next > 0 {
			t.Cursor = spot{from.kind, list.next, list.total, list.listed}.String()
		}
		if err := l.send(t, err); err != nil {
			return err
		}
	}
	switch {
	case list.total > list.listed && !broken: // it counts what it does not show
		return l.gap("repositories the token cannot see", fmt.Errorf("%s has %d repositories, %d were listed", l.owner, list.total, list.listed))
	case l.sent == 0 && list.listed == 0 && from.kind == users:
		return audit.Hint(fmt.Errorf("%w: gitea:%s has no repository that can be seen", audit.ErrNothing, l.owner),
			"private repositories need a token that may read them in "+tokenVar)
	}
	return nil
}

// A list of an owner's repositories, which Gitea gives in the order of their ids.
type list struct {
	*client
	owner string
	spot       // where it is
	next  int  // page after it, or 0
	read  bool // a page could be read
}

// A spot in the list of an owner's repositories; it is what a cursor stands for.
type spot struct {
	kind   string // of the owner
	page   int
	total  int // repositories at the time, those included that are not shown
	listed int // repositories shown until then
}

func (s spot) String() string { return fmt.Sprintf("%s/%d/%d/%d", s.kind, s.page, s.total, s.listed) }

// parseSpot returns the zero spot for what is none.
func parseSpot(cursor string) spot {
	parts := strings.Split(cursor, "/")
	if len(parts) != 4 || parts[0] != orgs && parts[0] != users && parts[0] != everyone {
		return spot{}
	}
	var numbers [3]int
	for i := range numbers {
		n, err := strconv.Atoi(parts[i+1])
		if err != nil || n < 0 {
			return spot{}
		}
		numbers[i] = n
	}
	return spot{parts[0], max(numbers[0], 1), numbers[1], numbers[2]}
}

// maxPages bounds a list that shows nothing, as package forge bounds one that does.
const maxPages = 10_000

// fetch reads a page, or more if that shows nothing: Gitea leaves out of each page what the token may not see.
func (l *list) fetch(ctx context.Context, cursor string) (page forge.Page[*repository], err error) {
	if number, err := strconv.Atoi(cursor); err == nil {
		l.page = number
	}
	for {
		found, at, err := l.fetchOne(ctx, l.page)
		if err != nil {
			return page, err
		}
		again, err := l.movedUp(ctx, at)
		if err != nil {
			return page, err
		}
		page.Items, page.Last = append(append(page.Items, again...), found...), at.last
		l.next, l.total, l.read = 0, at.total, true
		l.listed += len(found) // of those that moved up as many were counted as are gone
		switch {
		case at.next <= l.page:
			return page, nil
		case len(found) > 0:
			l.next, page.Next = at.next, strconv.Itoa(at.next)
			return page, nil
		case l.page >= maxPages:
			return page, fmt.Errorf("the listing does not end: stopped after page %d", l.page)
		}
		l.page = at.next
	}
}

func (l *list) fetchOne(ctx context.Context, number int) ([]*repository, around, error) {
	if l.kind != everyone {
		return getPage[repository](ctx, l.client, l.kind+"/"+l.owner+"/repos", number)
	}
	query := pageQuery(number)
	query.Set("sort", "id")
	query.Set("order", "asc")
	var found struct {
		Data []*repository `json:"data"`
	}
	header, err := l.get(ctx, "repos/search", query, &found)
	return present(found.Data), aroundOf(header), err
}

// mostBack bounds how many pages are read again: a thousand repositories do not vanish while one page is read.
const mostBack = 20

// movedUp reads pages again, if the list has become shorter since the last one was read: what followed is on them now.
func (l *list) movedUp(ctx context.Context, at around) (again []*repository, err error) {
	gone := l.total - at.total
	if gone <= 0 {
		return nil, nil
	}
	size := max(1, at.total/max(1, at.last, l.page)) // of a page, at least
	for number := max(1, l.page-min(mostBack, (gone+size-1)/size)); number < l.page; number++ {
		found, _, err := l.fetchOne(ctx, number)
		if err != nil {
			return nil, err
		}
		again = append(again, found...)
	}
	return again, nil
}

// repository is what is needed of Gitea's description of one.
type repository struct {
	ID            int64  `json:"id"`
	FullName      string `json:"full_name"`
	CloneURL      string `json:"clone_url"`
	DefaultBranch string `json:"default_branch"`
	Private       bool   `json:"private"`
	Internal      bool   `json:"internal"` // seen by all who are signed in
	Fork          bool   `json:"fork"`
	Archived      bool   `json:"archived"`
	Mirror        bool   `json:"mirror"`
	Empty         bool   `json:"empty"`
	HasActions    *bool  `json:"has_actions"` // since 1.20
	HasIssues     *bool  `json:"has_issues"`
	HasPulls      *bool  `json:"has_pull_requests"`
	HasReleases   *bool  `json:"has_releases"`
	HasWiki       *bool  `json:"has_wiki"`
	Permissions   struct {
		Admin bool `json:"admin"`
	} `json:"permissions"`
	Size    int64     `json:"size"` // in KiB
	Updated time.Time `json:"updated_at"`
}

// target makes a target of a repository as the API describes it. The description is not trusted: not with names, nor with
// addresses that a token would be sent to.
//
// It has no State. A push moves updated_at only if it touches a branch or a tag, not if it is one of notes; some time later, when
// Gitea gets to it; and the mirror of another repository has the time of its newest commit there.
func (c *client) target(r *repository) (audit.Target, error) {
	owner, name, _ := strings.Cut(r.FullName, "/")
	if !ownerName().MatchString(owner) || !validRepository(name) {
		return audit.Target{}, &audit.Gap{
			Target: "gitea:", What: fmt.Sprintf("repository with id %d", r.ID), Why: fmt.Sprintf("impossible name %.200q", r.FullName),
		}
	}
	full := owner + "/" + name
	return audit.Target{
		Name: "gitea:" + full, Kind: audit.TargetRepository, URL: c.webPage(full), Size: clampKiB(r.Size), Pushed: r.Updated,
		Attrs: map[string]string{
			"owner": owner, "repo": name, "clone_url": forge.RepositoryURL(r.CloneURL, full, c.web), "default_branch": r.DefaultBranch,
			"visibility": visibility(r), "private": strconv.FormatBool(r.Private), "archived": strconv.FormatBool(r.Archived), "fork": strconv.FormatBool(r.Fork),
			"mirror": strconv.FormatBool(r.Mirror), "empty": strconv.FormatBool(r.Empty), "actions": truth(r.HasActions),
			"off": r.off(), "admin": strconv.FormatBool(r.Permissions.Admin),
		},
	}, nil
}

// off names what is turned off in a repository, so that it is not asked for.
func (r *repository) off() string {
	var off []string
	for _, unit := range []struct {
		name string
		on   []*bool
	}{{"issues", []*bool{r.HasIssues, r.HasPulls}}, {"releases", []*bool{r.HasReleases}}, {"wiki", []*bool{r.HasWiki}}} {
		if !slices.ContainsFunc(unit.on, func(on *bool) bool { return on == nil || *on }) {
			off = append(off, unit.name)
		}
	}
	return strings.Join(off, ",")
}

// clampKiB turns KiB into bytes, whatever the forge says.
func clampKiB(n int64) int64 { return min(max(n, 0), math.MaxInt64>>10) << 10 }

func visibility(r *repository) string {
	switch {
	case r.Private:
		return "private"
	case r.Internal:
		return "internal"
	}
	return "public"
}
