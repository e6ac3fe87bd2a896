package iam

import (
	"slices"
	"strings"
)

// Forge is who signs the tokens of an OpenID Connect issuer, as far as its name tells.
type Forge string

// The forges whose subjects are known, and Kubernetes, whose pods have tokens of the same kind.
const (
	GitHub     Forge = "github"
	GitLab     Forge = "gitlab"
	Gitea      Forge = "gitea" // and Forgejo
	Kubernetes Forge = "kubernetes"
)

// ForgeOf knows an issuer, which is an address without https://, by its name; "" is one that it does not know. See
// https://docs.github.com/en/actions/reference/security/oidc, https://docs.gitlab.com/ci/secrets/id_token_authentication/,
// https://forgejo.org/docs/next/user/actions/security-openid-connect and https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html.
func ForgeOf(issuer string) Forge {
	host, path, _ := strings.Cut(strings.ToLower(issuer), "/")
	switch {
	case host == publicGitHub, strings.HasPrefix(host, "token.actions.") && strings.HasSuffix(host, ".ghe.com"), strings.HasPrefix(path, "_services/token"):
		return GitHub
	case strings.HasPrefix(host, "oidc.eks."), strings.HasPrefix(host, "oidc-eks."):
		return Kubernetes
	case strings.HasSuffix(path, "api/actions"), strings.Contains(host, "gitea"), strings.Contains(host, "forgejo"), host == "codeberg.org":
		return Gitea
	case strings.Contains(host, "gitlab"):
		return GitLab
	}
	return ""
}

const publicGitHub = "token.actions.githubusercontent.com"

// exposed are the claims of a forge's tokens that AWS makes condition keys of, beside aud: what it leaves out, no condition ever sees. Those of GitHub came in
// January 2026, see https://aws.amazon.com/about-aws/whats-new/2026/01/aws-sts-supports-validation-identity-provider-claims/.
func (f Forge) exposed(claim string) bool {
	switch claim {
	case "aud", "sub":
		return true
	case "actor", "actor_id", "environment", "enterprise_id", "job_workflow_ref", "ref", "repository", "repository_id", "workflow":
		return f == GitHub
	}
	return f == "" // of which nothing is known
}

// A class is the bytes that a part of a subject may have.
type class func(byte) bool

// In what parts of subjects have, a colon is written %3A: it parts them and nothing else.
var (
	anyValue class = func(c byte) bool { return c > ' ' && c < 0x7f && c != ':' && c != '*' && c != '?' }
	anyName  class = func(c byte) bool { return isWord(c) || c == '-' || c == '_' }
	anyRepo  class = func(c byte) bool { return anyName(c) || c == '.' }
	anyPath  class = func(c byte) bool { return anyRepo(c) || c == '/' }
	anyID    class = func(c byte) bool { return '0' <= c && c <= '9' }
	anyText  class = func(c byte) bool { return c >= ' ' && c != 0x7f }
)

func isWord(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' }

// A slot is a part of a shape: a text, or one or more bytes of a class.
type slot struct {
	name string // of what it says, such as "owner"; "" of what is always there
	text string
	any  class // nil of a text
}

func text(s string) slot              { return slot{text: s} }
func value(name string, c class) slot { return slot{name: name, any: c} }

// A shape is a form that subjects of a forge have.
type shape []slot

// with is the shape with the text of a slot given.
func (s shape) with(name, given string) shape {
	s = slices.Clone(s)
	for i := range s {
		if s[i].name == name {
			s[i].text, s[i].any = given, nil
		}
	}
	return s
}

func (s shape) has(name string) bool {
	return slices.ContainsFunc(s, func(p slot) bool { return p.name == name })
}

// without are shapes that together have the subjects in which a slot is another than a text, but for those in which it is the text's beginning.
func (s shape) without(name, given string) (all []shape) {
	i := slices.IndexFunc(s, func(p slot) bool { return p.name == name })
	if i < 0 || s[i].any == nil {
		return nil
	}
	c := s[i].any
	put := func(parts ...slot) {
		all = append(all, slices.Concat(s[:i:i], parts, s[i+1:]))
	}
	if other := "another"; other != given && !strings.ContainsFunc(other, func(r rune) bool { return !c(byte(r)) }) { // which reads best
		put(slot{name: name, text: other})
	}
	put(slot{name: name, text: given}, slot{name: name, any: c}) // it goes on
	for k := range given {
		other := func(b byte) bool { return c(b) && b != given[k] }
		put(slot{name: name, text: given[:k]}, slot{name: name, any: other})
	}
	return all
}

// A token is what a subject says, by the names of its slots, and the subject as "sub".
type token map[string]string

// Bounds of a search for a subject: that of a policy with two conditions on it, one on the repository and one on ref or environment, each of the longest pattern that a trust policy has room for.
const (
	maxGlobs  = 4
	maxStates = 1 << 18
)

// A spot is how far a subject has come: in each pattern, in the shape, and in its slot.
type spot struct {
	at   [maxGlobs]uint16
	slot uint16
	in   uint16 // bytes of its text; of a class whether there is one
}

// meet looks for a subject of a shape that is like all of some patterns, which are after wild: the shortest. Of more than maxGlobs patterns, those beyond are left to
// whoever asks. Whole is false where the search was broken off.
func (s shape) meet(globs []string) (found token, whole bool) {
	states := maxStates
	return s.within(&states, globs)
}

// within is meet with no more than some states, of which it takes those that it needs.
func (s shape) within(states *int, globs []string) (found token, whole bool) {
	globs = globs[:min(len(globs), maxGlobs)]
	for _, g := range globs {
		if len(g) > 1<<15 {
			return nil, false
		}
	}
	type from struct {
		spot spot
		c    byte
		does bool // takes the byte
	}
	came := map[spot]from{{}: {}}
	queue := []spot{{}}
	step := func(to spot, f from) {
		if _, ok := came[to]; !ok {
			came[to] = f
			queue = append(queue, to)
		}
	}
	for len(queue) > 0 {
		here := queue[0]
		queue = queue[1:]
		if *states--; *states < 0 || len(came) > maxStates {
			return nil, false
		}
		if int(here.slot) == len(s) && s.atEnd(here, globs) {
			found = token{}
			for at := here; at != (spot{}); at = came[at].spot {
				if f := came[at]; f.does {
					name := s[f.spot.slot].name
					found["sub"] = string(f.c) + found["sub"]
					if name != "" {
						found[name] = string(f.c) + found[name]
					}
				}
			}
			return found, true
		}
		for i, g := range globs { // a star may stand for nothing
			if at := here.at[i]; int(at) < len(g) && g[at] == star[0] {
				next := here
				next.at[i]++
				step(next, from{spot: here})
			}
		}
		if int(here.slot) == len(s) {
			continue
		}
		p := &s[here.slot]
		if p.any != nil && here.in == 1 || p.any == nil && int(here.in) == len(p.text) {
			next := here
			next.slot, next.in = here.slot+1, 0
			step(next, from{spot: here})
		}
		for _, c := range p.bytes(here, globs) {
			next := here
			ok := true
			for i, g := range globs {
				at := here.at[i]
				switch {
				case int(at) == len(g):
					ok = false
				case g[at] == star[0]:
				case g[at] == one || g[at] == c:
					next.at[i]++
				default:
					ok = false
				}
			}
			if !ok {
				continue
			}
			if next.in = 1; p.any == nil {
				next.in = here.in + 1
			}
			step(next, from{here, c, true})
		}
	}
	return nil, true
}

// atEnd tells whether patterns may end here.
func (s shape) atEnd(here spot, globs []string) bool {
	for i, g := range globs {
		if int(here.at[i]) != len(g) {
			return false
		}
	}
	return true
}

// bytes are those that may follow: the text's, or of a class those that patterns ask for and one that stands for all others.
func (p *slot) bytes(here spot, globs []string) []byte {
	if p.any == nil {
		if int(here.in) == len(p.text) {
			return nil
		}
		return []byte{p.text[here.in]}
	}
	all := make([]byte, 0, maxGlobs+1)
	for i, g := range globs {
		if at := here.at[i]; int(at) < len(g) && p.any(g[at]) && g[at] != star[0] && g[at] != one {
			all = append(all, g[at])
		}
	}
	for _, c := range []byte("x0y1") {
		if p.any(c) {
			return append(all, c)
		}
	}
	return all
}

// Names that no policy has, for somebody and something that it does not name.
const (
	otherOwner = "someone-else"
	otherID    = "99887766554433"
)

// shapes are the forms of subjects that a forge's tokens have. Keys are those of a template that a policy's patterns seem to be made for.
func (f Forge) shapes(issuer string, keys []string) (all []shape) {
	switch f {
	case GitHub, Gitea:
		prefixes := []shape{{text("repo:"), value("owner", anyName), text("/"), value("repo", anyRepo)}}
		if f == GitHub && !strings.Contains(issuer, "/_services/") { // Enterprise Server has no immutable ones
			prefixes = append(prefixes, shape{text("repo:"), value("owner", anyName), text("@"), value("owner_id", anyID), text("/"), value("repo", anyRepo), text("@"), value("repository_id", anyID)})
		}
		contexts := []shape{{text(":ref:refs/heads/"), value("branch", anyValue)}, {text(":ref:refs/tags/"), value("tag", anyValue)}, {text(":"), {name: "pull_request", text: "pull_request"}}}
		if f == GitHub { // Forgejo has no environments
			contexts = append(contexts, shape{text(":environment:"), value("environment", anyValue)})
		}
		for _, p := range prefixes {
			for _, c := range contexts {
				all = append(all, slices.Concat(p, c))
			}
		}
		if len(keys) > 0 {
			all = append(all, template(keys)...)
		}
	case GitLab:
		project := shape{text("project_path:"), value("owner", anyRepo), text("/"), value("repo", anyPath)}
		all = append(all, slices.Concat(project, shape{text(":ref_type:branch:ref:"), value("branch", anyValue)}), slices.Concat(project, shape{text(":ref_type:tag:ref:"), value("tag", anyValue)}))
		if len(keys) > 0 && keys[0] == "project_path" { // which is always first
			s := project
			for _, k := range keys[1:] {
				s = slices.Concat(s, shape{text(":" + k + ":"), value(gitlabSlot[k], anyValue)})
			}
			all = append(all, s)
		}
	case Kubernetes:
		all = append(all, shape{text("system:serviceaccount:"), value("owner", anyName), text(":"), value("repo", anyRepo)})
	default:
		all = append(all, shape{value("owner", anyText)})
	}
	return all
}

// gitlabSlot are slots for what components of GitLab's subjects say; what is not there is nobody's choice in particular.
var gitlabSlot = map[string]string{"ref": "branch", "environment": "environment", "ref_protected": "protected", "environment_protected": "protected"}

// claimKeys are the claims that a template of GitHub's may have, with the slots of their values.
var claimKeys = map[string]string{
	"repo": "repo", "repository": "repo", "repository_owner": "owner", "repository_owner_id": "owner_id", "repository_id": "repository_id", "enterprise": "enterprise",
	"enterprise_id": "enterprise_id", "workflow_ref": "workflow_ref", "actor": "actor", "actor_id": "actor_id", "ref": "ref", "environment": "environment",
	"job_workflow_ref": "job_workflow_ref", "workflow": "workflow", "event_name": "event", "ref_type": "", "ref_protected": "protected", "base_ref": "", "head_ref": "",
	"repository_visibility": "", "runner_environment": "", "run_id": "", "run_number": "", "run_attempt": "", "sha": "", "workflow_sha": "", "job_workflow_sha": "",
}

// strangers is the shape as whoever has nothing to do with a policy fills it: of what a template takes from the repository they have their own.
func (s shape) strangers() shape {
	for name, own := range map[string]string{
		"owner": otherOwner, "owner_id": otherID, "repository_id": otherID, "enterprise": otherOwner, "enterprise_id": otherID, "actor": otherOwner, "actor_id": otherID,
		"workflow_ref": otherOwner + "/other/.github/workflows/ci.yml@refs/heads/main",
	} {
		s = s.with(name, own)
	}
	return s
}

// template are the shapes of subjects that have some claims in place of the standard.
func template(keys []string) []shape {
	all := []shape{{}}
	add := func(parts ...slot) {
		for i := range all {
			all[i] = slices.Concat(all[i], parts)
		}
	}
	for i, k := range keys {
		if i > 0 {
			add(text(":"))
		}
		add(text(k + ":"))
		switch name := claimKeys[k]; {
		case all[0].has(name) && name != "":
			add(value("", anyValue))
		case k == "repo": // which may be immutable
			named := slices.Clone(all)
			add(value("owner", anyName), text("@"), value("owner_id", anyID), text("/"), value("repo", anyRepo), text("@"), value("repository_id", anyID))
			immutable := all
			all = named
			add(value("owner", anyName), text("/"), value("repo", anyRepo))
			all = append(all, immutable...)
		case name == "repo":
			add(value("owner", anyName), text("/"), value("repo", anyRepo))
		case name == "owner", name == "enterprise", name == "actor":
			add(value(name, anyName))
		case strings.HasSuffix(name, "_id"):
			add(value(name, anyID))
		default:
			add(value(name, anyValue))
		}
	}
	return all
}

// keysIn are the claims of a forge's templates that a pattern, which is after wild, seems to be made of, in their order. None are those of the standard.
func (f Forge) keysIn(pattern string) (keys []string) {
	known := func(part string) bool {
		if f == GitLab {
			return part == "project_path" || len(keys) > 0 && strings.Contains(part, "_") || part == "ref" || part == "environment"
		}
		_, ok := claimKeys[part]
		return f == GitHub && ok
	}
	for part := range strings.SplitSeq(strings.ReplaceAll(pattern, star, ":"), ":") {
		if known(part) && !slices.Contains(keys, part) && len(keys) < 8 {
			keys = append(keys, part)
		}
	}
	for _, standard := range [][]string{{"repo"}, {"repo", "ref"}, {"repo", "environment"}, {"project_path"}, {"project_path", "ref_type", "ref"}} {
		if slices.Equal(keys, standard) {
			return nil
		}
	}
	return keys
}
