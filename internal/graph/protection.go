package graph

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
	"github.com/leakreach/leakreach/pipeline"
)

// on is who can have a commit of theirs on a ref, such as refs/heads/main. Of refs that whoever starts a job chooses, those that nothing guards count.
func (p *place) on(ref string) Hold {
	kind, name := kindOf(ref)
	if kind == "" || strings.Contains(name, "*") {
		return Hold{Who: ByWriter}
	}
	what := "the " + kind + " " + name
	rules := p.covering(kind, name)
	h := p.guarded(kind, rules)
	if h.Who == ByReviewer {
		return h
	}
	switch {
	case p.blind():
		h.Doubt = "whether " + what + " is protected"
	case len(rules) == 0:
		h.Open, h.Why = "O14", what+" is not protected: whoever may push changes what the job does"
	default:
		h.Open, h.Why = "O14", what+" is protected, but not from whoever may push: they change what the job does"
	}
	return h
}

// kindOf is what a ref is, and its name: branch, tag, or "" for others.
func kindOf(ref string) (kind, name string) {
	if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return "branch", name
	}
	if name, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "tag", name
	}
	return "", ref
}

// blind tells that not all protections could be read.
func (p *place) blind() bool {
	return slices.ContainsFunc(p.gaps, func(g audit.Gap) bool { return about(g.What, "protect", "ruleset", "branch") })
}

// protects tells whether a ref is protected, whoever may still write it.
func (p *place) protects(ref string) bool { return len(p.covering(kindOf(ref))) > 0 }

// protections are the rules in force for refs of a kind.
func (p *place) protections(kind string) (all []*audit.Entry) {
	for _, e := range slices.Concat([]*place{p}, p.above) {
		for _, r := range e.entries[audit.KindProtection] {
			f, of := r.Facts, r.Facts["of"]
			if of == "ruleset" {
				of = f["target"]
			}
			if of == kind && (f["enforcement"] == "" || f["enforcement"] == "active") {
				all = append(all, r)
			}
		}
	}
	return all
}

// refsOf is what the names of a kind of refs begin with in git.
var refsOf = map[string]string{"branch": "refs/heads/", "tag": "refs/tags/"}

// covering are the rules that are for a ref.
func (p *place) covering(kind, name string) (all []*audit.Entry) {
	covers := func(patterns string) bool {
		list := strings.Split(patterns, ",")
		for i := range list {
			list[i] = strings.TrimPrefix(list[i], refsOf[kind])
		}
		if p.forge == string(iam.GitLab) {
			return slices.ContainsFunc(list, func(pattern string) bool { return pipeline.Glob(pattern, name) })
		}
		return pipeline.Covers(list, name, kind == "branch" && name == p.settings["default_branch"])
	}
	for _, r := range p.protections(kind) {
		if covers(r.Facts["refs"]) && (r.Facts["excluded"] == "" || !covers(r.Facts["excluded"])) {
			all = append(all, r)
		}
	}
	return all
}

// guarded is who can write what some rules are for. On GitHub each of them has to be kept; elsewhere one that is milder may be the one that counts.
func (p *place) guarded(kind string, rules []*audit.Entry) Hold {
	h := Hold{Who: ByWriter}
	for _, r := range rules {
		if open, doubt := p.open(kind, r.Facts); !open {
			h.Guards = append(h.Guards, "the "+kind+" is protected by "+r.Name)
		} else if h.Doubt == "" {
			h.Doubt = doubt
		}
	}
	if n := len(h.Guards); n > 0 && (n == len(rules) || p.forge == string(iam.GitHub)) {
		return Hold{Who: ByReviewer, Guards: h.Guards}
	}
	return Hold{Who: ByWriter, Doubt: h.Doubt}
}

// open tells whether a rule lets whoever may push write what it is for by themselves, and what is not known of that.
func (p *place) open(kind string, f map[string]string) (open bool, doubt string) {
	developers := func(fact string) bool {
		return strings.Contains(strings.ToLower(f[fact]), "developer") || f[fact] == "write"
	}
	reviewed := f["reviews"] != "" && f["reviews"] != "0"
	rules := "," + f["rules"] + ","
	switch {
	case kind == "tag" && p.forge == string(iam.GitHub):
		return !about(rules, ",creation,"), ""
	case kind == "tag":
		return developers("create"), ""
	case p.forge == string(iam.GitHub):
		return !reviewed && !about(rules, ",update,", ",lock_branch,") && f["push"] == "", ""
	case developers("push"):
		return true, ""
	case reviewed || !developers("merge"):
		return false, ""
	case p.forge == string(iam.GitLab):
		return true, "whether merge requests have to be approved by somebody else"
	}
	return true, ""
}

// protected is who can write one of the protected refs of a kind: the weakest. Rulesets do not make a branch one of those.
func (p *place) protected(kind string) Hold {
	h := Hold{Who: ByWriter}
	if p.blind() {
		h.Doubt = "which refs are protected"
	}
	for _, r := range p.protections(kind) {
		if r.Facts["of"] == "ruleset" {
			continue
		}
		if open, doubt := p.open(kind, r.Facts); open {
			return Hold{Who: ByWriter, Doubt: doubt}
		}
		h.Who = ByReviewer
	}
	return h
}

// reviewed tells whether somebody has to let jobs into an environment.
func (x *ReaderEnvironment) reviewed() bool {
	return slices.ContainsFunc(x.Gates, func(g string) bool {
		return strings.HasPrefix(g, "reviewed by") || strings.HasSuffix(g, "approvals") || strings.HasPrefix(g, "protected:") && !about(strings.ToLower(g), "developer")
	})
}

// admitted is who can write a ref whose jobs an environment takes: the weakest.
func (p *place) admitted(x *ReaderEnvironment) Hold {
	switch x.facts["branches"] {
	case "protected":
		return p.protected("branch")
	case "selected":
		if x.facts["branch_policies"] == "" {
			return Hold{Who: ByWriter, Doubt: "which branches the environment " + x.Name + " takes"}
		}
		for policy := range strings.SplitSeq(x.facts["branch_policies"], ",") {
			ref := "refs/heads/" + policy
			if tag, ok := strings.CutPrefix(policy, "tag:"); ok {
				ref = "refs/tags/" + tag
			}
			if h := p.on(ref); h.Who == ByWriter {
				return h
			}
		}
		return Hold{Who: ByReviewer}
	}
	return Hold{Who: ByWriter}
}
