package iam

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// assumeByToken is how somebody with a token of an OpenID Connect issuer becomes a session of a role.
const assumeByToken = "sts:AssumeRoleWithWebIdentity" //nolint:gosec // an action

// Who is somebody that can have a token made, from the widest circle.
type Who string

// The circles.
const (
	Anyone   Who = "anyone" // all who use the issuer
	Outsider Who = "anyone who can see the repository"
	Member   Who = "anyone who may create a repository"        // of the owner that the policy names
	Writer   Who = "anyone who may push"                       // to the repository that the policy names
	Holder   Who = "whoever holds the name"                    // of an owner or a repository that can be renamed or deleted
	Nobody   Who = "nobody"                                    //
	Bearer   Who = "whoever gets a token for another audience" // one that was made for somebody else
	Thief    Who = "whoever steals a session"
)

// A Problem is a way in which a role trusts more than it seems to.
type Problem struct {
	ID       string // O01 to O16, see docs/oidc.md
	Who      Who    // can use it
	Why      string
	Subject  string // of a token that is let in; "" for one of any
	Evidence string // the statement that lets it in
}

// A Federation is what a role lets in of one provider of tokens.
type Federation struct {
	Role     *Identity
	Provider string // as the trust policy names it
	Issuer   string // its address without https://; * for any
	Forge    Forge  // "" for one that is not known
	// Subjects are patterns: what is like none of them is not let in. None are any subject, where Open is true.
	Subjects     []Subject
	Open         bool
	Audiences    []string // that a statement asks for
	Claims       []string // others that statements test, by their names
	Repositories []string // as OWNER/NAME, of which something is let in
	// Names are those of them that are let in by their names alone: whoever has one of that name later is let in, too. Owners are those of which a stranger is let in who
	// has their name.
	Names    []string
	Owners   []string
	Problems []Problem
	Limits   []string // what is not known

	globs  [][]string // the ways in which subjects can be let in: in each, all patterns have to fit, after wild
	spared []string   // patterns of subjects that statements which deny leave out
}

// ways are those in which subjects can be let in, and each with what is left where all others are denied.
func (f *Federation) ways() (all [][]string) {
	for _, way := range f.globs {
		all = append(all, way)
		for _, s := range f.spared {
			if len(all) < maxWays {
				all = append(all, append(slices.Clone(way), s))
			}
		}
	}
	return all
}

// A Subject is patterns all of which a subject is like.
type Subject []string

func (s Subject) String() string { return strings.Join(s, " and ") }

// Matches tells whether a subject is like all of the patterns.
func (s Subject) Matches(subject string) bool {
	return !slices.ContainsFunc(s, func(p string) bool { return !newLiteralGlob(p).match(subject) })
}

// newLiteralGlob reads a pattern of a Subject, in which ${*} is a star.
func newLiteralGlob(p string) glob {
	filled, _ := (&Request{}).expand(p)
	return globOf(filled)
}

// Accepts tells whether a role lets a token in: what is known of its claims, by their names, and nothing of those that are not there. What AWS makes no condition key
// of is never seen. See https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html: whoever calls it has no policy of their own.
func (w *World) Accepts(role *Identity, provider string, claims map[string]Fact) Answer {
	if role.Trust == nil {
		return Answer{State: Undecided, Missing: []string{"the trust policy of " + role.ARN}}
	}
	if role.Account.lacks(provider) {
		return Answer{}
	}
	issuer := issuerOf(provider)
	forge := ForgeOf(issuer)
	base := w.facts(&Identity{}, role.ARN)
	r := Request{Principal: Principal{Kind: WebIdentity, ARN: provider}, Action: assumeByToken, Resource: role.ARN, Account: role.Account.ID}
	r.Facts = func(key string) Fact {
		of, claim := cutClaim(key)
		switch {
		case claim == "" && strings.HasPrefix(key, "aws:requesttag/") && forge != "": // their tokens have no tags for sessions
			return Absent()
		case claim == "":
			return base(key)
		case of != strings.ToLower(issuer) && issuer != anyIssuer || !forge.exposed(claim): // another issuer's
			return Absent()
		}
		return claims[claim]
	}
	l := Layers{Resource: role.Trust, RCPs: role.Account.RCPs}
	return l.Evaluate(r)
}

// anyIssuer is that of a policy which names no provider.
const anyIssuer = "*"

// issuerOf is the issuer of a provider: the ARN has it, but for the four that AWS knows by itself.
func issuerOf(provider string) string {
	if _, issuer, ok := strings.Cut(provider, ":oidc-provider/"); ok {
		return strings.TrimSuffix(issuer, "/")
	}
	return provider
}

// cutClaim parts a condition key, in lower case, into issuer and claim. Keys of AWS' own have no dot before the colon.
func cutClaim(key string) (issuer, claim string) {
	i := strings.LastIndexByte(key, ':')
	if i < 0 || !strings.Contains(key[:i], ".") {
		return "", ""
	}
	return strings.TrimSuffix(key[:i], "/"), key[i+1:]
}

// Bounds of what is looked at of one role: AWS takes no trust policy of more than 8,192 characters, nor more providers than 100 in an account.
const (
	maxProviders = 100
	maxWays      = 500
)

// lacks tells whether an account is known not to have a provider: then nobody is let in by it.
func (a *Account) lacks(provider string) bool {
	taken, read := a.Audiences[provider]
	return read && taken == nil
}

// Federations are what a role lets in of providers of OpenID Connect tokens, as its trust policy names them.
func (w *World) Federations(role *Identity) (all []Federation) {
	for _, p := range role.Providers() {
		all = append(all, w.federation(role, p))
	}
	return all
}

// Providers are those of OpenID Connect tokens that a role's trust policy names; * is any.
func (i *Identity) Providers() (providers []string) {
	if i.Trust == nil {
		return nil
	}
	add := func(p string) {
		if !slices.Contains(providers, p) && len(providers) < maxProviders && !strings.Contains(p, ":saml-provider/") {
			providers = append(providers, p)
		}
	}
	for _, s := range i.Trust.Statements {
		if s.Effect == Deny || !s.does(strings.ToLower(assumeByToken)) || s.principals == nil {
			continue
		}
		for _, p := range s.principals.federated {
			add(p)
		}
		if s.principals.everyone || s.principals.not {
			add(anyIssuer)
		}
	}
	return providers
}

// A trustee is one federation in the making.
type trustee struct {
	*Federation
	w       *World
	issuer  string              // in lower case; of a policy that names none, the one of its conditions
	values  map[string][]string // patterns that conditions have for claims, after wild
	guards  []*condition        // on claims of the issuer
	missing []string
}

func (w *World) federation(role *Identity, provider string) Federation {
	f := &Federation{Role: role, Provider: provider, Issuer: issuerOf(provider)}
	t := &trustee{Federation: f, w: w, issuer: strings.ToLower(f.Issuer), values: map[string][]string{}}
	f.Forge = ForgeOf(f.Issuer)
	var sets []*Statement
	for _, s := range role.Trust.Statements {
		if s.Effect == Allow && s.does(strings.ToLower(assumeByToken)) && s.principals != nil &&
			(s.principals.not || s.principals.name(&Principal{Kind: WebIdentity, ARN: provider}) != unnamed) {
			sets = append(sets, s)
		}
	}
	if f.Issuer == anyIssuer { // whose conditions tell what it is for
		for _, s := range sets {
			for i := range s.conditions {
				if of, claim := cutClaim(s.conditions[i].key); claim != "" && t.issuer == anyIssuer {
					t.issuer = of
					f.Forge = ForgeOf(of)
				}
			}
		}
	}
	for _, s := range sets {
		t.read(s)
	}
	t.spare(append(slices.Clone(role.Account.RCPs), []*Policy{role.Trust}))
	for _, way := range f.globs { // what the host's name does not tell, the form of its subjects may
		for prefix, forge := range map[string]Forge{"project_path:": GitLab, "repo:": Gitea} {
			if f.Forge == "" && len(way) > 0 && strings.HasPrefix(way[0], prefix) {
				f.Forge = forge
			}
		}
	}
	if role.Account.lacks(provider) {
		f.Limits = append(f.Limits, "the account has no such provider: nobody is let in until somebody makes it")
	}
	t.judge()
	slices.Sort(f.Claims)
	slices.Sort(t.missing)
	for _, key := range slices.Compact(t.missing) {
		f.Limits = append(f.Limits, "what it lets in depends on "+key+", too")
	}
	return *f
}

// read takes in what a statement asks of claims.
func (t *trustee) read(s *Statement) {
	ways, never := [][]string{{}}, false
	for i := range s.conditions {
		c := &s.conditions[i]
		of, claim := cutClaim(c.key)
		if claim == "" || of != t.issuer {
			continue
		}
		t.guards = append(t.guards, c)
		never = never || !t.Forge.exposed(claim) && !c.withoutKey()
		positive := !c.negated && strings.HasPrefix(c.operator, "string")
		var globs []string
		for _, v := range c.values {
			g := v.text
			if strings.HasSuffix(c.operator, "like") || v.holds {
				g, _ = (&Request{}).expand(v.text)
			} else if positive && strings.ContainsAny(v.text, "*?") {
				t.Limits = append(t.Limits, c.operator+" takes wildcards for what they are, and no token has "+v.text)
			}
			globs = append(globs, g)
		}
		switch {
		case claim == "aud" && positive:
			for _, v := range c.values {
				if !slices.Contains(t.Audiences, v.text) {
					t.Audiences = append(t.Audiences, v.text)
				}
			}
		case claim == "aud":
		case claim != "sub":
			if !slices.Contains(t.Claims, claim) {
				t.Claims = append(t.Claims, claim)
			}
			if positive {
				t.values[claim] = append(t.values[claim], globs...)
			}
		case positive && len(globs) > 0:
			if strings.HasSuffix(c.operator, "ignorecase") {
				t.Limits = append(t.Limits, c.operator+" takes a subject in upper and lower case: it was looked for as it is written alone")
			}
			var more [][]string
			for _, way := range ways {
				for _, g := range globs {
					if len(more) < maxWays {
						more = append(more, append(slices.Clone(way), g))
					}
				}
			}
			if len(ways)*len(globs) > maxWays {
				t.Limits = append(t.Limits, fmt.Sprintf("of its conditions on sub the first %d combinations alone were looked at", maxWays))
			}
			ways = more
		}
	}
	if never { // whatever else it asks
		return
	}
	t.globs = append(t.globs, ways...)
	for _, way := range ways {
		if len(way) == 0 {
			t.Open = true
		}
		subject := Subject{}
		literal := slices.IndexFunc(way, isLiteral)
		if literal >= 0 {
			if slices.ContainsFunc(way, func(g string) bool { return !globOf(g).match(way[literal]) }) {
				continue // no subject is like both
			}
			way = way[literal : literal+1]
		}
		for _, g := range way {
			g = strings.NewReplacer("*", "${*}", "?", "${?}", "${", "${$}{").Replace(g)
			subject = append(subject, strings.NewReplacer(star, "*", string([]byte{one}), "?").Replace(g))
		}
		if len(subject) > 0 && !slices.ContainsFunc(t.Subjects, func(s Subject) bool { return slices.Equal(s, subject) }) {
			t.Subjects = append(t.Subjects, subject)
		}
	}
}

// isLiteral tells whether a pattern, which is after wild, has no wildcards.
func isLiteral(pattern string) bool { return !strings.ContainsAny(pattern, star+string([]byte{one})) }

// spare takes in what statements that deny leave out.
func (t *trustee) spare(levels [][]*Policy) {
	for _, p := range slices.Concat(levels...) {
		for _, s := range p.Statements {
			for i := range s.conditions {
				c := &s.conditions[i]
				if of, claim := cutClaim(c.key); s.Effect == Allow || of != t.issuer || claim != "sub" || !c.negated || !s.does(strings.ToLower(assumeByToken)) {
					continue
				}
				for _, v := range c.values {
					spared := v.text
					if strings.HasSuffix(c.operator, "like") {
						spared, _ = (&Request{}).expand(v.text)
					}
					t.spared = append(t.spared, spared)
				}
			}
		}
	}
}

// ask evaluates a token's claims.
func (t *trustee) ask(claims map[string]Fact) (Answer, bool) {
	a := t.w.Accepts(t.Role, t.Provider, claims)
	if a.State == Undecided {
		t.missing = append(t.missing, a.Missing...)
	}
	return a, a.State == Allowed
}

// claims are what a token says beside its subject. What follows from the subject is known, and what whoever has it made chooses is chosen; ours are claims that a
// stranger cannot have.
func (t *trustee) claims(tok token, who Who) map[string]Fact {
	c := map[string]Fact{"sub": Known(tok["sub"]), "aud": t.audience()}
	if t.Forge != GitHub {
		return c
	}
	owner, repo := tok["owner"], tok["repo"]
	if who == Anyone {
		owner = otherOwner
		for _, name := range []string{"repository_id", "actor_id", "enterprise_id"} {
			c[name] = Known(otherID)
		}
		c["actor"] = Known(otherOwner)
	} else {
		for _, name := range []string{"repository_id", "actor_id", "enterprise_id", "actor"} {
			c[name] = Chosen()
		}
	}
	if who == Member {
		c["repository_id"] = Known(otherID)
	}
	for _, name := range []string{"repository_id", "actor", "actor_id", "enterprise_id", "job_workflow_ref", "workflow", "environment", "ref"} {
		if v, ok := tok[name]; ok {
			c[name] = Known(v)
		}
	}
	c["repository"] = Chosen()
	if tok["owner"] != "" && repo != "" {
		c["repository"] = Known(tok["owner"] + "/" + repo)
	} else if who == Anyone || who == Member {
		c["repository"] = Known(owner + "/other")
	}
	set := func(name string, f Fact) {
		if _, ok := c[name]; !ok {
			c[name] = f
		}
	}
	switch {
	case tok["branch"] != "":
		c["ref"] = Known("refs/heads/" + tok["branch"])
		set("environment", Absent())
	case tok["tag"] != "":
		c["ref"] = Known("refs/tags/" + tok["tag"])
		set("environment", Absent())
	case tok["pull_request"] != "":
		c["ref"] = Known("refs/pull/1/merge")
		set("environment", Absent())
	case who == Writer:
		set("ref", Known("refs/heads/"+otherBranch))
	}
	set("ref", Chosen())
	set("environment", Chosen())
	set("workflow", Chosen())
	if who == Writer || who == Member { // with a workflow of their own
		set("job_workflow_ref", Known(tok["owner"]+"/"+repo+"/.github/workflows/"+otherBranch+".yml@refs/heads/"+otherBranch))
	}
	set("job_workflow_ref", Chosen())
	return c
}

// audience is that of a token of somebody's. A job may ask for any. Where people log in, it is the application's, which whoever has the role owns; so it is taken for that
// where the issuer is not known, unless it is one that jobs ask for: AWS, or the issuer itself.
func (t *trustee) audience() Fact {
	if t.Forge == "" && !slices.ContainsFunc(t.Audiences, func(a string) bool {
		a = strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(a), "https://"), "/")
		return a == "sts.amazonaws.com" || a == t.issuer
	}) {
		return Known(otherOwner)
	}
	return Chosen()
}

const otherBranch = "some-branch"

// somebody is whoever fits: all that is not in the subject is chosen.
const somebody Who = ""

// finds looks for a token of a shape, in one way of subjects, that is let in.
func (t *trustee) finds(s shape, way []string, who Who) (token, string, bool) {
	for _, more := range t.alike(s) {
		tok, whole := s.meet(slices.Concat(more, way))
		if !whole {
			t.missing = append(t.missing, "more patterns than were tried")
		}
		if tok == nil {
			continue
		}
		a, ok := t.ask(t.claims(tok, who))
		if ok {
			return tok, evidence(a.Witnesses), true
		}
		if a.State == Denied && (who == somebody || who == Writer) { // a negated condition may spare others
			for _, name := range []string{"owner", "repo", "branch", "tag", "environment"} {
				for _, v := range s.without(name, tok[name]) {
					if tok, _ := v.meet(slices.Concat(more, way)); tok != nil {
						if a, ok := t.ask(t.claims(tok, who)); ok {
							return tok, evidence(a.Witnesses), true
						}
					}
				}
			}
		}
	}
	return nil, "", false
}

// alike are the patterns that conditions on other claims are for a subject of a shape, where it says what those claims do: in each list, one of each.
func (t *trustee) alike(s shape) [][]string {
	all := [][]string{nil}
	add := func(slot, claim string, pattern func(string) string) {
		if !s.has(slot) || len(t.values[claim]) == 0 {
			return
		}
		var more [][]string
		for _, v := range t.values[claim] {
			for _, one := range all {
				if len(more) < 64 {
					more = append(more, append(slices.Clone(one), pattern(v)))
				}
			}
		}
		all = more
	}
	if s[0].text == "repo:" {
		add("repo", "repository", func(v string) string {
			if s.has("owner_id") {
				return "repo:" + strings.Replace(v, "/", "@"+star+"/", 1) + "@" + star
			}
			return "repo:" + v + ":" + star
		})
	}
	ref := func(v string) string { return star + "ref:" + v }
	add("branch", "ref", ref)
	add("tag", "ref", ref)
	add("environment", "environment", func(v string) string { return star + "environment:" + v })
	add("repository_id", "repository_id", func(v string) string { return star + v + star })
	return all
}

// found adds a problem; of the same one, the first.
func (t *trustee) found(id string, who Who, subject, evidence, why string, args ...any) {
	if !slices.ContainsFunc(t.Problems, func(p Problem) bool { return p.ID == id }) {
		t.Problems = append(t.Problems, Problem{id, who, fmt.Sprintf(why, args...), subject, evidence})
	}
}

// judge looks for the problems of table 5.4: whose tokens are let in, from the widest circle to the narrowest.
func (t *trustee) judge() {
	seeds := map[string]string{} // repositories that are let in, and in which forms of subjects
	for _, way := range t.ways() {
		t.judgeWay(way, seeds)
	}
	t.judgeGuards()
	t.Repositories = slices.Sorted(maps.Keys(seeds))
	for _, name := range t.Repositories {
		if seeds[name] == "both" {
			t.found("O13", Holder, "", "", "subjects of %s are let in with its numbers and by its name alone: whoever takes the name is let in as well", name)
		}
	}
	slices.SortStableFunc(t.Problems, func(a, b Problem) int { return strings.Compare(a.ID, b.ID) })
}

func (t *trustee) judgeWay(way []string, seeds map[string]string) {
	var keys []string
	for _, g := range way {
		if k := t.Forge.keysIn(g); len(k) > len(keys) {
			keys = k
		}
	}
	shapes := t.Forge.shapes(t.issuer, keys)
	if t.openToAll(way, shapes) {
		return
	}
	asked := map[string]bool{} // about refs, of a repository in one form
	for _, s := range shapes {
		tok, _, ok := t.finds(s, way, somebody)
		if !ok {
			continue
		}
		if t.Forge == "" || t.lookalike(s, tok, way) || t.Forge == Kubernetes {
			continue
		}
		if owner := tok["owner"]; s.has("owner") && !s.has("owner_id") && len(way) > 0 && !slices.Contains(t.Owners, owner) {
			if _, _, ok := t.finds(s.with("owner", owner), way, Anyone); ok {
				t.Owners = append(t.Owners, owner)
			}
		}
		if t.otherRepository(s, tok, way) {
			continue
		}
		name, form := tok["owner"]+"/"+tok["repo"], "name"
		if s.has("owner_id") {
			form = "numbers"
		}
		if known := seeds[name]; known != "" && known != form {
			form = "both"
		}
		if s.has("owner") && s.has("repo") && len(way) > 0 {
			seeds[name] = form
			if !s.has("owner_id") && !slices.Contains(t.Names, name) {
				if _, _, ok := t.finds(s.with("owner", tok["owner"]).with("repo", tok["repo"]), way, Member); ok { // one of another number
					t.Names = append(t.Names, name)
				}
			}
		}
		if name += " " + form; !asked[name] || !s.has("owner") || !s.has("repo") {
			asked[name] = true
			t.anyRef(shapes, s, tok, way)
		}
	}
}

// openToAll tells whether a token of somebody is let in who has nothing to do with the role.
func (t *trustee) openToAll(way []string, shapes []shape) bool {
	for _, s := range shapes {
		tok, by, ok := t.finds(s.strangers(), way, Anyone)
		if !ok {
			continue
		}
		private := t.Forge == "" && strings.Contains(t.Issuer, "/")
		weak, unseen := t.weak()
		standard := s.has("owner")
		switch {
		case t.Forge == Kubernetes:
			t.found("O16", Anyone, tok["sub"], by, "pods of every namespace are let in")
		case private && len(way) == 0: // an issuer for each organisation
			t.found("O04", Member, tok["sub"], by, "everything that %s signs for is let in", t.Issuer)
		case len(way) > 0 && !standard:
			t.found("O12", Anyone, tok["sub"], by, "the subject has neither owner nor repository: any repository can set the same template and is let in")
		case len(way) > 0:
			t.found("O02", Anyone, tok["sub"], by, "the pattern of sub fits subjects of every owner")
		case unseen && t.onlyWeak():
			t.found("O11", Anyone, "", by, "the condition is on a claim that AWS does not see, and holds without it: every token of %s is let in", t.Issuer)
		case weak && t.onlyWeak():
			t.found("O10", Anyone, "", by, "the only condition holds for tokens without the claim, or for all but some: every token of %s is let in", t.Issuer)
		case slices.Contains(t.Claims, "job_workflow_ref"):
			t.found("O12", Anyone, tok["sub"], by, "the only condition is on job_workflow_ref: any repository can call a reusable workflow and is let in")
		default:
			t.found("O01", Anyone, tok["sub"], by, "no condition says whose tokens are let in: every user of %s can have one made", t.Issuer)
		}
		return true
	}
	a, ok := t.ask(map[string]Fact{
		"sub": Absent(), "aud": t.audience(), "repository": Absent(), "repository_id": Absent(), "actor": Absent(), "actor_id": Absent(), "environment": Absent(),
		"enterprise_id": Absent(), "job_workflow_ref": Absent(), "ref": Absent(), "workflow": Absent(),
	})
	if weak, _ := t.weak(); ok && weak {
		t.found("O10", Anyone, "", evidence(a.Witnesses), "the only condition on whose tokens are let in (ForAllValues, IfExists or a negation) holds for a token without the claim")
		return true
	}
	return false
}

// weak tells whether conditions hold without the claim that they are on, and whether one of those is on a claim that AWS does not see.
func (t *trustee) weak() (weak, unseen bool) {
	for _, c := range t.guards {
		_, claim := cutClaim(c.key)
		if claim != "aud" && !c.null && c.withoutKey() {
			weak = true
			unseen = unseen || !t.Forge.exposed(claim)
		}
	}
	return weak, unseen
}

// onlyWeak tells whether all conditions on claims other than the audience hold without them.
func (t *trustee) onlyWeak() bool {
	return !slices.ContainsFunc(t.guards, func(c *condition) bool {
		_, claim := cutClaim(c.key)
		return claim != "aud" && !c.null && !c.withoutKey()
	})
}

// lookalike tells whether somebody is let in whose name can be had, and is not that of the owner who is meant.
func (t *trustee) lookalike(s shape, tok token, way []string) bool {
	ids := []shape{s}
	if s.has("owner_id") {
		more := shape{}
		for _, p := range s {
			if p.name == "owner_id" {
				more = append(more, slot{name: "owner_id", text: tok["owner_id"]})
			}
			more = append(more, p)
		}
		ids = []shape{s.with("owner_id", otherID).with("repository_id", otherID), more.with("repository_id", otherID)}
	}
	for _, s := range ids {
		for _, v := range s.without("owner", tok["owner"]) {
			if other, by, ok := t.finds(v, way, Anyone); ok && t.Forge == Kubernetes {
				t.found("O16", Anyone, other["sub"], by, "pods of several namespaces are let in, such as %s", other["owner"])
				return true
			} else if ok {
				t.found("O03", Anyone, other["sub"], by, "the pattern of sub goes on after the owner's name: whoever registers one like %s is let in", other["owner"])
				return true
			}
		}
	}
	return false
}

// otherRepository tells whether the owner's other repositories are let in.
func (t *trustee) otherRepository(s shape, tok token, way []string) bool {
	if !s.has("repo") {
		if s.has("repository_id") || s.has("workflow_ref") || s.has("actor") || s.has("actor_id") || !(s.has("owner") || s.has("owner_id") || s.has("enterprise") || s.has("enterprise_id")) {
			return false
		}
		if other, by, ok := t.finds(s, way, Member); ok { // what it has is the owner's
			t.found("O04", Member, other["sub"], by, "every repository of the owner is let in")
			return true
		}
		return false
	}
	s = s.with("owner", tok["owner"]).with("owner_id", tok["owner_id"])
	for _, v := range s.with("repository_id", otherID).without("repo", tok["repo"]) {
		if other, by, ok := t.finds(v, way, Member); ok {
			t.found("O04", Member, other["sub"], by, "other repositories of %s are let in, such as %s", tok["owner"], other["repo"])
			return true
		}
	}
	return false
}

// refSlots are the slots by which a subject says for what in its repository it is.
var refSlots = []string{"branch", "tag", "ref", "environment", "pull_request", "protected", "job_workflow_ref", "workflow", "workflow_ref"}

// anyRef looks for what whoever may push to the repository can choose.
func (t *trustee) anyRef(shapes []shape, of shape, tok token, way []string) {
	fix := func(s shape) shape {
		for _, name := range []string{"owner", "owner_id", "repo", "repository_id"} {
			if of.has(name) {
				s = s.with(name, tok[name])
			}
		}
		return s
	}
	if !slices.ContainsFunc(refSlots, of.has) {
		if any, by, ok := t.finds(fix(of), way, Writer); ok {
			t.found("O05", Writer, any["sub"], by, "the subject says nothing of branch or environment: every branch is let in")
		}
		return
	}
	if of.has("protected") {
		return // which nobody may choose
	}
	open, asked := 0, 0
	type wide struct {
		id, why, sub, by string
	}
	kinds := map[string]wide{} // of refs that are let in
	var some []wide
	for _, s := range shapes {
		if s.has("owner_id") != of.has("owner_id") || s.has("protected") {
			continue
		}
		s = fix(s)
		for _, c := range []struct{ slot, id, why string }{
			{"branch", "O07", "more than one branch is let in, and who may push can make such as %s, unless rules say who creates it"},
			{"tag", "O07", "more than one tag is let in, and who may push can make such as %s, unless rules say who creates it"},
			{"ref", "O07", "more than one ref is let in, and who may push can make such as %s, unless rules say who creates it"},
			{"environment", "O08", "more than one environment is let in: a job that names one which does not exist, such as %s, makes it, unprotected"},
		} {
			if !s.has(c.slot) {
				continue
			}
			asked++
			first, let, ok := t.finds(s, way, Writer)
			if !ok {
				continue
			}
			kinds[c.slot] = wide{sub: first["sub"], by: let}
			for _, v := range s.without(c.slot, first[c.slot]) {
				if second, by, ok := t.finds(v, way, Writer); ok {
					some = append(some, wide{c.id, fmt.Sprintf(c.why, second[c.slot]), second["sub"], by})
					break
				}
			}
			if _, _, ok := t.finds(s.with(c.slot, otherBranch), way, Writer); ok {
				open++
			}
		}
		if s.has("pull_request") {
			asked++
			if any, by, ok := t.finds(s, way, Writer); ok {
				open++
				some = append(some, wide{"O06", "pull requests are let in: code that nobody has reviewed", any["sub"], by})
			}
		}
	}
	if open == asked && open > 1 {
		repository := tok["owner"] + "/" + tok["repo"]
		if len(way) == 0 && len(t.values["repository"]) == 0 {
			repository = "the repository" // which has a number alone
		}
		any, by, _ := t.finds(fix(of), way, Writer)
		t.found("O05", Writer, any["sub"], by, "every branch, tag, environment and pull request of %s is let in", repository)
		return
	}
	if kinds["branch"].sub != "" && kinds["tag"].sub != "" {
		some = append(some, wide{"O07", "a branch and a tag are let in, and who may push can make a tag of the branch's name, unless rules say who creates it", kinds["tag"].sub, kinds["tag"].by})
	}
	for _, p := range some {
		t.found(p.id, Writer, p.sub, p.by, "%s", p.why)
	}
}

// judgeGuards looks at conditions that do not do what they seem to: on claims that AWS does not see, and on the audience.
func (t *trustee) judgeGuards() {
	if t.Forge == "" {
		return
	}
	for _, c := range t.guards {
		if _, claim := cutClaim(c.key); !t.Forge.exposed(claim) {
			if c.withoutKey() {
				t.found("O11", Nobody, "", "", "AWS does not see the claim %s: the condition always holds, and limits nothing", claim)
			} else {
				t.found("O11", Nobody, "", "", "AWS does not see the claim %s: the condition never holds, and its statement lets nobody in", claim)
			}
		}
	}
	if t.Forge == Kubernetes {
		return
	}
	t.judgeAudience()
	if t.Role.Session > time.Hour && (t.Open || len(t.Subjects) > 0) { // what AWS sets where nobody asks for more, and jobs are done in
		t.Problems = append(t.Problems, Problem{ID: "O15", Who: Thief, Why: fmt.Sprintf("sessions may be %s long: a stolen one is good for all of it", t.Role.Session)})
	}
}

// judgeAudience looks for tokens that were made for somebody else. Of those that a provider does not take no condition is asked.
func (t *trustee) judgeAudience() {
	taken, read := t.Role.Account.Audiences[t.Provider]
	if asked := slices.DeleteFunc(slices.Clone(t.Audiences), func(a string) bool { return read && !slices.Contains(taken, a) }); len(asked) > 1 {
		t.found("O15", Bearer, "", "", "tokens for several audiences are let in: %s", strings.Join(asked, ", "))
		return
	}
	if read && len(taken) < 2 {
		return
	}
	for _, way := range t.ways() {
		for _, s := range t.Forge.shapes(t.issuer, nil) {
			tok, by, ok := t.finds(s, way, somebody)
			if !ok {
				continue
			}
			claims := t.claims(tok, somebody)
			claims["aud"] = Known("https://" + otherOwner + ".example")
			if _, ok := t.ask(claims); ok {
				which := "every audience of the provider"
				if read {
					which = "each of the provider's audiences, " + strings.Join(taken, ", ")
				}
				t.found("O15", Bearer, "", by, "no condition is on aud: tokens for %s are let in", which)
			}
			return
		}
	}
}

// A Let is a token that a federation lets in, or perhaps does.
type Let struct {
	Answer
	Subject string
	// Open tells, of each * in the subject that was asked for, that tokens with another text in its place are let in the same way.
	Open []bool
}

// Lets looks for tokens that a federation does not keep out, of those that a job can have: their subject is a text in which each * stands for what is not known, without a
// colon. Of claims, what is known is given. Of all that one way lets in there is the shortest.
func (w *World) Lets(f *Federation, subject string, claims map[string]Fact) (all []Let) {
	var s shape
	var stars []string
	for i, part := range strings.Split(subject, "*") {
		if i > 0 {
			stars = append(stars, fmt.Sprint("*", i))
			s = append(s, value(stars[i-1], anyValue))
		}
		if part != "" {
			s = append(s, text(part))
		}
	}
	known, _, _ := strings.Cut(subject, "*")
	for _, way := range f.ways() {
		if slices.ContainsFunc(way, func(g string) bool { return !begins(g, known) }) {
			continue // most jobs are other repositories'
		}
		tok, whole := s.meet(way)
		if tok == nil && whole {
			continue
		}
		l := Let{Subject: tok["sub"], Open: make([]bool, len(stars))}
		for i, name := range stars {
			l.Open[i] = tok == nil || s.another(name, tok[name], way)
		}
		if have := slices.IndexFunc(all, func(o Let) bool { return o.Subject == l.Subject }); have >= 0 {
			for i := range l.Open {
				all[have].Open[i] = all[have].Open[i] || l.Open[i]
			}
			continue
		}
		if l.Answer = (Answer{State: Undecided, Missing: []string{"more patterns than were tried"}}); tok != nil {
			with := maps.Clone(claims)
			if with == nil {
				with = map[string]Fact{}
			}
			with["sub"] = Known(l.Subject)
			l.Answer = w.Accepts(f.Role, f.Provider, with)
		}
		all = append(all, l)
	}
	return slices.DeleteFunc(all, func(l Let) bool { return l.State == Denied })
}

// maxSlot is how long a text is for which others are looked for: what forges have of names is shorter (git's are a file's name, 255 bytes).
const maxSlot = 255

// another tells whether a subject with another text in a slot is like some patterns, too, or may be.
func (s shape) another(name, given string, way []string) bool {
	if slices.ContainsFunc(way, isLiteral) {
		return false
	}
	states := maxStates / 4 // for all of them
	return len(given) > maxSlot || slices.ContainsFunc(s.without(name, given), func(v shape) bool {
		other, whole := v.within(&states, way)
		return other != nil || !whole
	})
}

// Heads are what subjects that are let in begin with: each with one of them at least, as far as a pattern tells before its first wildcard.
func (f *Federation) Heads() (heads []string) {
	for _, way := range f.ways() {
		head := ""
		for _, g := range way { // all of which it is like
			if end := strings.IndexAny(g, star+string([]byte{one})); end < 0 {
				head = g
			} else if end > len(head) {
				head = g[:end]
			}
		}
		heads = append(heads, head)
	}
	return heads
}

// begins tells whether some text that begins with another may be like a pattern, by what both begin with.
func begins(pattern, known string) bool {
	first := globOf(pattern).pieces[0]
	n := min(len(first), len(known))
	return like(known[:n], first[:n])
}

// Evidence names the statements that decided, as [Problem.Evidence] does.
func Evidence(by []Witness) string { return evidence(by) }
