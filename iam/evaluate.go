package iam

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Layer is one of the places where policies have a say.
type Layer string

// The layers.
const (
	LayerIdentity Layer = "identity policies"
	LayerBoundary Layer = "permissions boundary"
	LayerSession  Layer = "session policy"
	LayerSCP      Layer = "service control policies"
	LayerRCP      Layer = "resource control policies"
	LayerResource Layer = "resource policy"
)

// Layers are all policies that have a say about requests of one principal for one resource.
type Layers struct {
	Identity []*Policy // the principal's own, attached ones and those of its groups; of a session, its role's
	Boundary []*Policy // nil where there is none
	Session  []*Policy // nil where the session was made without
	// SCPs are those of the principal's account, from the root through each organisational unit down to the account, RCPs those of the resource's account.
	// Nil is where there are none, as for the management account. The policies that AWS attaches are among SCPs, and may be left out of RCPs.
	SCPs, RCPs [][]*Policy
	Resource   *Policy // of the resource; of a role, its trust policy; nil where there is none
	Unread     []Layer // that are there, or may be, and could not be read
}

// State is an answer in short.
type State int8

// The answers.
const (
	Denied State = iota
	Undecided
	Allowed
)

func (s State) String() string { return [...]string{"denied", "unknown", "allowed"}[s] }

// A Witness is a statement that decided.
type Witness struct {
	Layer     Layer
	Policy    string // its name
	Statement int    // from 1
	Sid       string
}

// An Answer is what AWS would say, as far as it is known.
type Answer struct {
	State    State
	Explicit bool  // a statement denies it
	Layer    Layer // that denies it
	// Witnesses are the statements that decided: the one that denies, or one that allows of each layer that had to.
	Witnesses []Witness
	// Missing are condition keys that are not known and layers that were not read, one of which at least would have to be to decide.
	Missing []string
}

// maxTries bounds how many values of chosen keys are tried. Beyond, such a key is one of which nothing is known.
const maxTries = 256

// Evaluate answers a request. Where whoever makes it chooses the value of condition keys, the answer is that for the values that suit best.
func (l *Layers) Evaluate(r Request) Answer {
	r.action = strings.ToLower(r.Action)
	if hasNoResource(r.action) { // which only a statement on * is about, whatever resource somebody asks about
		r.Account, r.Resource = r.account(), "*"
	}
	r.context = make(map[string]Fact, len(r.Context))
	var free []string
	for key, f := range r.Context {
		key = strings.ToLower(key)
		r.context[key] = f
		if f.state == chosen {
			free = append(free, key)
		}
	}
	if r.Facts != nil {
		l.each(func(p *Policy) {
			for _, key := range p.keys {
				if _, told := r.context[key]; !told && r.Facts(key).state == chosen && !slices.Contains(free, key) {
					free = append(free, key)
				}
			}
		})
	}
	if len(free) == 0 {
		return l.evaluate(&r)
	}
	slices.Sort(free)
	tries := []map[string]Fact{{}}
	for _, key := range free {
		values := l.candidates(key)
		if len(values) == 0 {
			continue
		}
		if len(tries)*len(values) > maxTries {
			r.context[key] = Unknown()
			continue
		}
		var more []map[string]Fact
		for _, t := range tries {
			for _, v := range values {
				one := map[string]Fact{key: v}
				for k, v := range t {
					one[k] = v
				}
				more = append(more, one)
			}
		}
		tries = more
	}
	var best Answer
	for i, t := range tries {
		try := r
		try.tried = t
		if a := l.evaluate(&try); i == 0 || a.State > best.State {
			best = a
		}
		if best.State == Allowed {
			break
		}
	}
	return best
}

// candidates are what can be made of a key that makes a difference: the values that conditions name, those beside a number or a time, one that none names, and
// a request without the key. There are none where no condition has the key.
func (l *Layers) candidates(key string) (facts []Fact) {
	var values []string
	add := func(v string) {
		if !slices.Contains(values, v) {
			values = append(values, v)
			facts = append(facts, Known(v))
		}
	}
	l.each(func(p *Policy) {
		for _, s := range p.Statements {
			for i := range s.conditions {
				c := &s.conditions[i]
				if c.key != key {
					continue
				}
				for _, p := range c.values {
					v := p.text
					add(strings.ReplaceAll(strings.ReplaceAll(v, "*", ""), "?", "x"))
					if c.ordered == nil {
						continue
					}
					if n, err := strconv.ParseFloat(v, 64); err == nil {
						add(strconv.FormatFloat(n-1, 'f', -1, 64))
						add(strconv.FormatFloat(n+1, 'f', -1, 64))
					} else if at, ok := date(v); ok {
						add(at.Add(-time.Second).UTC().Format(time.RFC3339))
						add(at.Add(time.Second).UTC().Format(time.RFC3339))
					}
				}
				if len(facts) == 0 { // of a condition that names no value
					add("some value")
				}
			}
		}
	})
	if len(facts) > 0 {
		add("some other value")
		facts = append(facts, Absent())
	}
	return facts
}

// each is called with every policy.
func (l *Layers) each(do func(*Policy)) {
	for _, list := range [][]*Policy{l.Identity, l.Boundary, l.Session} {
		for _, p := range list {
			do(p)
		}
	}
	for _, levels := range [][][]*Policy{l.SCPs, l.RCPs} {
		for _, level := range levels {
			for _, p := range level {
				do(p)
			}
		}
	}
	if l.Resource != nil {
		do(l.Resource)
	}
}

// A trial is one evaluation.
type trial struct {
	*Layers
	r       *Request
	granted []Witness // of each layer that had to allow it
}

// A vote is what a layer says: how far it allows or denies, and by which statement.
type vote struct {
	tri Tri
	by  *Statement
}

func (l *Layers) evaluate(r *Request) Answer {
	t := &trial{Layers: l, r: r}
	p := &r.Principal
	if r.action == "sts:getcalleridentity" && p.Account != "" {
		return Answer{State: Allowed} // which no policy changes: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
	}
	if p.Kind == Root && r.action == "sts:assumerole" {
		return Answer{State: Denied} // whatever policies say: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	}
	layer, no := t.denied()
	free := r.action == "sts:getsessiontoken" && (p.Kind == User || p.Kind == Root)
	if free && no.tri == Yes { // AWS says that policies do not control it, and has one of its own that denies it
		no.tri = Maybe
		r.miss("whether a deny holds for sts:GetSessionToken")
	}
	if no.tri == Yes {
		return Answer{State: Denied, Explicit: true, Layer: layer, Witnesses: []Witness{witness(layer, no.by)}}
	}
	yes, stopped := t.allowed()
	if free {
		yes = Yes // which needs no grant: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_getsessiontoken.html
	}
	a := Answer{}
	switch {
	case yes == No:
		a.State, a.Layer = Denied, stopped
	case yes == Yes && no.tri == No:
		a.State, a.Witnesses = Allowed, t.granted
	default:
		a.State = Undecided
		a.Missing = slices.Clone(r.missing)
		for _, layer := range l.Unread {
			a.Missing = append(a.Missing, string(layer))
		}
	}
	return a
}

func witness(layer Layer, s *Statement) Witness {
	if s == nil {
		return Witness{Layer: layer}
	}
	return Witness{Layer: layer, Policy: s.policy.Name, Statement: s.number, Sid: s.Sid}
}

// unread tells whether a layer could not be read.
func (l *Layers) unread(layer Layer) bool { return slices.Contains(l.Unread, layer) }

// matches tells whether a statement is about the request, whoever makes it. One with a variable for which the request has nothing "might be invalid" as a
// whole, AWS says: so it allows nothing, and may deny. See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html.
func (s *Statement) matches(r *Request) Tri {
	if !s.does(r.action) {
		return No
	}
	r.void = ""
	result := s.concerns(r)
	for i := range s.conditions {
		if result == No && r.void == "" {
			break
		}
		result = both(result, s.conditions[i].holds(r))
	}
	if r.void != "" {
		if s.Effect == Allow {
			return No
		}
		r.miss(r.void)
		return Maybe
	}
	return result
}

// find is the best that statements of an effect in some policies say.
func (t *trial) find(effect Effect, policies []*Policy) (v vote) {
	for _, p := range policies {
		for _, s := range p.Statements {
			if s.Effect != effect || s.principals != nil && !s.principals.everyone { // which RCPs have to name
				continue
			}
			if m := s.matches(t.r); m > v.tri {
				if v = (vote{m, s}); m == Yes {
					return v
				}
			}
		}
	}
	return v
}

// findIn is the best of all levels.
func (t *trial) findIn(effect Effect, levels [][]*Policy) (best vote) {
	for _, level := range levels {
		if v := t.find(effect, level); v.tri > best.tri {
			best = v
		}
	}
	return best
}

// denied looks for a statement that denies the request, in all layers: one is enough.
func (t *trial) denied() (Layer, vote) {
	best, of := vote{}, Layer("")
	add := func(layer Layer, v vote) {
		if t.unread(layer) {
			v.tri = either(v.tri, Maybe)
		}
		if v.tri > best.tri {
			best, of = v, layer
		}
	}
	if t.bound() {
		add(LayerSCP, t.findIn(Deny, t.SCPs))
	}
	add(LayerRCP, t.deniedByRCP())
	if t.hasIdentity() {
		add(LayerIdentity, t.find(Deny, t.Identity))
		add(LayerBoundary, t.find(Deny, t.Boundary))
		add(LayerSession, t.find(Deny, t.Session))
	}
	add(LayerResource, t.deniedByResource())
	return of, best
}

func (t *trial) deniedByRCP() vote {
	v := t.findIn(Deny, t.RCPs)
	service, _, _ := strings.Cut(t.r.action, ":")
	switch {
	case t.r.action == "kms:retiregrant", linked(t.r.Principal.Role):
		return vote{}
	case v.tri != No && !ruledByRCP(service):
		t.r.miss("whether RCPs apply to " + service)
		v.tri = Maybe
	}
	return v
}

// linked tells whether a role is linked to a service: no policy of an organisation limits it.
func linked(role string) bool { return strings.Contains(role, ":role/aws-service-role/") }

// bound tells whether SCPs limit the principal: all that belong to an account, but for roles that are linked to services.
func (t *trial) bound() bool {
	switch t.r.Principal.Kind {
	case Root, User, Session, Federated:
		return !linked(t.r.Principal.Role)
	}
	return false
}

// hasIdentity tells whether the principal has policies of its own.
func (t *trial) hasIdentity() bool {
	switch t.r.Principal.Kind {
	case User, Session, Federated:
		return true
	}
	return false
}

func (t *trial) deniedByResource() (v vote) {
	if t.Resource == nil {
		return v
	}
	for _, s := range t.Resource.Statements {
		if s.Effect != Deny || s.principals == nil {
			continue
		}
		hit := Yes
		switch {
		case !s.principals.not:
			hit = truth(s.principals.name(&t.r.Principal) != unnamed)
		case t.Boundary == nil: // NotPrincipal denies all that have a boundary, whoever is named
			if hit = not(s.principals.spares(&t.r.Principal)); hit == Maybe {
				t.r.miss("whether NotPrincipal spares one who is named without all that it takes: account, role and session")
			}
		}
		if hit == No {
			continue
		}
		if m := both(hit, s.matches(t.r)); m > v.tri {
			v = vote{m, s}
		}
	}
	return v
}

// grants are what the resource's policy allows, by how it names the principal.
type grants [asPrincipal + 1]vote

func (t *trial) grants() (g grants) {
	if t.Resource == nil {
		if t.unread(LayerResource) {
			g[asAccount].tri, g[asPrincipal].tri = Maybe, Maybe
		}
		return g
	}
	for _, s := range t.Resource.Statements {
		if s.Effect != Allow || s.principals == nil {
			continue
		}
		named := unnamed
		if !s.principals.not {
			named = s.principals.name(&t.r.Principal)
		} else if s.principals.spares(&t.r.Principal) == No {
			named = asEveryone
		}
		if named == unnamed || g[named].tri == Yes {
			continue
		}
		if m := s.matches(t.r); m > g[named].tri {
			g[named] = vote{m, s}
		}
	}
	return g
}

// ceiling is what a layer leaves of the request: all of it where there is no such layer.
func (t *trial) ceiling(layer Layer, policies []*Policy) Tri {
	v := vote{tri: Yes}
	if policies != nil {
		v = t.find(Allow, policies)
		t.note(layer, v)
	}
	if t.unread(layer) {
		return both(v.tri, Maybe)
	}
	return v.tri
}

func (t *trial) note(layer Layer, v vote) {
	if v.tri == Yes && v.by != nil {
		t.granted = append(t.granted, witness(layer, v.by))
	}
}

// scps is what the service control policies leave: each level has to allow it.
func (t *trial) scps() Tri {
	if !t.bound() {
		return Yes
	}
	result := Yes
	for _, level := range t.SCPs {
		v := t.find(Allow, level)
		t.note(LayerSCP, v)
		result = both(result, v.tri)
	}
	if t.unread(LayerSCP) {
		return both(result, Maybe)
	}
	return result
}

// needsResourcePolicy tells whether the resource's own policy must allow the request whatever others say: a role's trust policy, and a key's.
func (t *trial) needsResourcePolicy() bool {
	switch service, name, _ := strings.Cut(t.r.action, ":"); service {
	case "sts":
		return strings.HasPrefix(name, "assumerole") || name == "tagsession" || name == "setsourceidentity"
	case "kms":
		return strings.Contains(t.r.Resource, ":key/")
	}
	return false
}

// allowed tells how far the request is allowed, and which layer stopped it.
func (t *trial) allowed() (Tri, Layer) {
	p := &t.r.Principal
	g := t.grants()
	scp := t.scps()
	if scp == No {
		return No, LayerSCP
	}
	best := vote{}
	for _, v := range g {
		if v.tri > best.tri {
			best = v
		}
	}
	if !t.hasIdentity() && p.Kind != Root { // strangers, services, tokens of a provider: only who owns the resource can let them in
		named := g[asEveryone]
		if p.Kind != Anonymous && g[asPrincipal].tri > named.tri {
			named = g[asPrincipal]
		}
		t.note(LayerResource, named)
		return named.tri, LayerResource
	}

	identity, boundary, session := Yes, Yes, Yes
	if p.Kind != Root {
		v := t.find(Allow, t.Identity)
		t.note(LayerIdentity, v)
		if identity = v.tri; t.unread(LayerIdentity) {
			identity = either(identity, Maybe)
		}
		boundary = t.ceiling(LayerBoundary, t.Boundary)
		session = t.ceiling(LayerSession, t.Session)
	}
	own := both(both(identity, boundary), both(session, scp))
	stopped := LayerIdentity
	switch {
	case identity == No:
	case boundary == No:
		stopped = LayerBoundary
	case session == No:
		stopped = LayerSession
	}

	if t.r.account() != p.Account { // both sides have to allow it
		t.note(LayerResource, best)
		if own != No {
			stopped = LayerResource
		}
		return both(own, best.tri), stopped
	}
	// Who is named in the resource's policy needs no other; see
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-resource-identity.html.
	direct := either(g[asPrincipal].tri, g[asEveryone].tri)
	direct = either(direct, both(g[asRole].tri, both(boundary, session)))
	direct = both(direct, scp)
	if t.needsResourcePolicy() {
		if own != No && best.tri == No {
			stopped = LayerResource
		}
		own = both(own, best.tri)
	}
	if direct > own || direct == Yes {
		t.granted = nil
		t.scps()
		for _, named := range []naming{asPrincipal, asEveryone, asRole} {
			if g[named].tri == direct {
				t.note(LayerResource, g[named])
				break
			}
		}
	} else if t.needsResourcePolicy() {
		t.note(LayerResource, best)
	}
	return either(own, direct), stopped
}
