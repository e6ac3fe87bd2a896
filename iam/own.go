package iam

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An own is what an identity may by itself in an account, below admin.
type own struct {
	account string
	level   Level
	by      []Witness
}

// A doubt is what would raise the level in an account if what is not known was.
type doubt struct {
	account string
	level   Level
	why     string
}

// judgeOwn finds what an identity may by itself: by its own statements, and by those of resources that name it.
func (w *World) judgeOwn(n *node) {
	for _, p := range n.layers.Identity {
		for _, s := range p.Statements {
			if s.Effect == Allow {
				w.judgeStatement(n, s, "", append(s.resourceExamples(n.id), w.keysOf(s, n.id)...))
			}
		}
	}
	tries := 0
	for _, g := range w.grants(n.who) {
		if account := w.owner(g.resource, n.id.Account); n.level(account) < LevelWrite {
			if tries++; tries > maxExamples {
				n.doubts = append(n.doubts, doubt{account, LevelWrite, "more resources name it than were looked at"})
				return
			}
			w.judgeStatement(n, g.statement, service(g.resource), g.examples(n.id))
		}
	}
}

// level is what an identity is known to be able to do in an account by itself.
func (n *node) level(account string) Level {
	for _, o := range n.own {
		if o.account == account {
			return o.level
		}
	}
	return LevelNone
}

// doubt is the first that is left; "" for none.
func (n *node) doubt() string {
	for _, d := range n.doubts {
		if d.level > n.level(d.account) {
			return d.why
		}
	}
	return ""
}

// judgeStatement asks for what a statement allows, of the identity's or of a resource's of some service, on examples of resources.
func (w *World) judgeStatement(n *node, s *Statement, of string, resources []string) {
	for _, action := range s.examples(of) {
		if strings.EqualFold(action, "sts:AssumeRole") {
			continue // which is a move
		}
		level := LevelRead
		if changes(action) {
			level = LevelWrite
		}
		for _, resource := range resources {
			account := w.owner(resource, n.id.Account)
			if level <= n.level(account) {
				continue
			}
			l := w.about(n, resource, account)
			a := w.ask(n.id, l, action, resource, account, nil)
			if l.Resource != nil && w.homes[bucket(resource)] == "" && len(w.accounts) > 1 && !strings.Contains(resource, account) { // whose it is counts
				if w.ask(n.id, l, action, resource, "another", nil).State != a.State {
					a.State, a.Missing = Undecided, []string{"whose " + resource + " is"}
				}
			}
			switch a.State {
			case Allowed:
				n.own = append(slices.DeleteFunc(n.own, func(o own) bool { return o.account == account }), own{account, level, a.Witnesses})
			case Undecided:
				if !slices.ContainsFunc(n.doubts, func(d doubt) bool { return d.account == account && d.level >= level }) {
					n.doubts = append(n.doubts, doubt{account, level, fmt.Sprintf("whether it may %s on %s depends on %s", action, resource, strings.Join(a.Missing, ", "))})
				}
			}
		}
	}
}

// Services are those of which an identity may use something in its account, by its own statements, each with the highest level: write or read. "*" stands for
// what a statement about all services allows.
func (w *World) Services(i *Identity) map[string]Level {
	n, services := w.node(i), map[string]Level{}
	for _, p := range n.layers.Identity {
		for _, s := range p.Statements {
			if s.Effect == Allow {
				w.addServices(n, s, services)
			}
		}
	}
	return services
}

func (w *World) addServices(n *node, s *Statement, services map[string]Level) {
	all := s.notActions || slices.ContainsFunc(s.actions, func(a action) bool {
		of, _, _ := strings.Cut(strings.Join(a.pieces, "*"), ":")
		return strings.Contains(of, "*")
	})
	for _, action := range s.examples("") {
		name, _, _ := strings.Cut(strings.ToLower(action), ":")
		if all {
			name = "*"
		}
		level := LevelRead
		if changes(action) {
			level = LevelWrite
		}
		if level <= services[name] || strings.EqualFold(action, "sts:AssumeRole") {
			continue
		}
		own := n.id.Account.ID
		for _, resource := range s.resourceExamples(n.id) {
			if w.owner(resource, n.id.Account) == own && w.ask(n.id, w.about(n, resource, own), action, resource, own, nil).State == Allowed {
				services[name] = level
				break
			}
		}
	}
}

// owner is the account of a resource, by its ARN; of one that has none in it, such as a bucket, the account that has it, or else that of whoever asks.
func (w *World) owner(resource string, asking *Account) string {
	if parts := strings.SplitN(resource, ":", arnParts); len(parts) == arnParts && isAccount(parts[4]) {
		return parts[4]
	}
	if home := w.homes[bucket(resource)]; home != "" {
		return home
	}
	return asking.ID
}

// lookOver finds the keys of KMS among resources, and whose those are that do not say so in their ARNs: what several accounts have is nobody's.
func (w *World) lookOver() {
	w.homes, w.keys = map[string]string{}, map[*Account][]string{}
	for _, a := range w.accounts {
		for _, arn := range slices.Sorted(maps.Keys(a.Resources)) {
			if service(arn) == "kms" {
				w.keys[a] = append(w.keys[a], arn)
			}
			if parts := strings.SplitN(arn, ":", arnParts); len(parts) == arnParts && parts[4] == "" {
				if _, known := w.homes[arn]; known {
					w.homes[arn] = ""
				} else {
					w.homes[arn] = a.ID
				}
			}
		}
	}
}

func isAccount(text string) bool {
	return len(text) == 12 && strings.Trim(text, "0123456789") == ""
}

// about are the layers that have a say about an identity's requests for a resource of an account.
func (w *World) about(n *node, resource, account string) Layers {
	l := n.layers
	owner := n.id.Account
	if account != owner.ID {
		l.RCPs = nil
		if owner = w.Account(account); owner != nil {
			l.RCPs = owner.RCPs
		}
	}
	unread := owner == nil
	if owner != nil {
		var there bool
		l.Resource, there = owner.policyOf(resource)
		unread = l.Resource == nil && (there || !owner.listed(resource) && (owner != n.id.Account || service(resource) == "kms"))
	}
	if unread {
		l.Unread = append(slices.Clone(l.Unread), LayerResource)
	}
	return l
}

// policyOf is the policy of a resource, or of what it lies in, such as an object's bucket; there is whether the account is known to have one.
func (a *Account) policyOf(resource string) (p *Policy, there bool) {
	if p, there = a.Resources[resource]; !there {
		p, there = a.Resources[bucket(resource)]
	}
	return p, there
}

// listed tells whether a resource that is not among those with a policy is known to have none.
func (a *Account) listed(resource string) bool {
	return slices.ContainsFunc(a.Listed, func(beginning string) bool {
		return strings.HasPrefix(resource, beginning) && (beginning != "" || service(resource) != "kms")
	})
}

// bucket is the ARN of the bucket that an object lies in; of anything else its own.
func bucket(resource string) string {
	if in, _, ok := strings.Cut(resource, "/"); ok && service(resource) == "s3" {
		return in
	}
	return resource
}

// keysOf are keys of KMS in the identity's account that a statement is about without naming them. Who may use one, its own policy decides.
func (w *World) keysOf(s *Statement, i *Identity) (all []string) {
	for k := range s.resources {
		r := &s.resources[k]
		if s.notRes || r.all || service(r.text) != "kms" || !strings.ContainsAny(r.text, "*?") {
			continue
		}
		for _, arn := range w.keys[i.Account] {
			if len(all) < maxExamples && !slices.Contains(all, arn) && r.match(arn, &Request{Principal: i.principal()}) != No {
				all = append(all, arn)
			}
		}
	}
	return all
}

// A grant is a statement of a resource's policy.
type grant struct {
	resource  string
	statement *Statement
}

// examples are what a grant is about.
func (g *grant) examples(i *Identity) (all []string) {
	for _, e := range g.statement.resourceExamples(i) {
		if e == "*" {
			e = g.resource
		}
		all = append(all, e)
	}
	return all
}

// A granting is what resources' policies allow, by whom they name.
type granting struct {
	byName   map[string][]grant
	everyone []grant
}

// grants are those that name a principal: itself, its role, its account, or everybody.
func (w *World) grants(who Principal) []grant {
	if w.granted == nil {
		w.granted = &granting{byName: map[string][]grant{}}
		seen := map[*Policy]bool{}
		for _, a := range w.accounts {
			for _, arn := range slices.Sorted(maps.Keys(a.Resources)) {
				p := a.Resources[arn]
				if p == nil || seen[p] {
					continue // one without an account in its name is there for all
				}
				seen[p] = true
				home := w.owner(arn, &Account{})
				for _, s := range p.Statements {
					if s.Effect == Allow {
						g := grant{arn, s}
						names, everyone := s.principals.indexed()
						for _, n := range names {
							if n != home { // which gives its own identities nothing that their own statements do not
								w.granted.byName[n] = append(w.granted.byName[n], g)
							}
						}
						if everyone {
							w.granted.everyone = append(w.granted.everyone, g)
						}
					}
				}
			}
		}
	}
	g := w.granted
	return slices.Concat(g.byName[who.ARN], g.byName[who.Role], g.byName[who.Account], g.everyone)
}

// changes tells whether an action changes anything, by AWS' documentation; of one that is not documented, such as one that stands for several, by its verb.
func changes(action string) bool {
	if o, ok := Describe(action); ok {
		return o.Access.Changes()
	}
	_, verb, _ := strings.Cut(strings.ToLower(action), ":")
	return !slices.ContainsFunc(reads, func(r string) bool { return strings.HasPrefix(verb, r) })
}

// reads are the verbs that actions which change nothing begin with.
var reads = []string{"get", "list", "describe", "batchget", "head", "lookup", "search", "select", "view", "check", "query", "scan", "simulate", "generatecredentialreport", "detect", "estimate", "validate", "preview"}

// examples are actions that a statement is about. Of *, they are of services that every account has, or of the one that it is of.
func (s *Statement) examples(of string) (all []string) {
	if of == "" {
		of = "s3"
	}
	if s.notActions {
		return append([]string{of + ":PutObject", of + ":GetObject", "ec2:RunInstances", "ec2:DescribeInstances"}, sentinels...)
	}
	for _, a := range s.actions {
		text := strings.ReplaceAll(strings.Join(a.pieces, "*"), string([]byte{one}), "x")
		service, verb, _ := strings.Cut(text, ":")
		switch {
		case !strings.Contains(text, "*"):
			all = append(all, text)
		case strings.Contains(service, "*") || text == "*":
			all = append(all, of+":PutObject", of+":GetObject")
		case strings.HasPrefix(verb, "*"):
			all = append(all, service+":"+strings.ReplaceAll("put"+verb, "*", ""), service+":"+strings.ReplaceAll("get"+verb, "*", ""))
		default:
			all = append(all, service+":"+strings.ReplaceAll(verb, "*", ""))
		}
	}
	return all
}

// resourceExamples are resources that a statement is about, for an identity.
func (s *Statement) resourceExamples(i *Identity) (all []string) {
	if s.notRes || s.resources == nil {
		return []string{"*", "arn:aws:s3:::some-bucket/some-object"}
	}
	for _, r := range s.resources {
		if r.all {
			all = append(all, "*")
			continue
		}
		all = append(all, plain.Replace(r.of(i)))
	}
	return all
}
