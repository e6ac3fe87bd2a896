package awstest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The decisions, in the API's words.
const (
	allowed      = "allowed"
	implicitDeny = "implicitDeny"
	explicitDeny = "explicitDeny"
)

type statementRef struct{ SourcePolicyId, SourcePolicyType string }

type boundaryDetail struct{ AllowedByPermissionsBoundary bool }
type organizationsDetail struct{ AllowedByOrganizations bool }

type resourceResult struct {
	EvalResourceName                  string
	EvalResourceDecision              string
	MatchedStatements                 []statementRef  `xml:"MatchedStatements>member"`
	MissingContextValues              []string        `xml:"MissingContextValues>member"`
	PermissionsBoundaryDecisionDetail *boundaryDetail `xml:",omitempty"`
}

type evaluation struct {
	EvalActionName                    string
	EvalResourceName                  string
	EvalDecision                      string
	MatchedStatements                 []statementRef       `xml:"MatchedStatements>member"`
	MissingContextValues              []string             `xml:"MissingContextValues>member"`
	OrganizationsDecisionDetail       *organizationsDetail `xml:",omitempty"`
	PermissionsBoundaryDecisionDetail *boundaryDetail      `xml:",omitempty"`
	ResourceSpecificResults           []resourceResult     `xml:"ResourceSpecificResults>member"`
}

// simulate answers as the service does since 2026: with ARNs passed, the top level is named after a template and its decision is of
// no use to anybody who wants to know about one resource; here it is allowed if any resource is.
func simulate(s *Server, req Request, _ Key, _ string) (any, *failure) {
	source := req.Params.Get("PolicySourceArn")
	if _, ok := s.find(source); !ok {
		return nil, missing("entity", source)
	}
	actions, resources := list(req.Params, "ActionNames"), list(req.Params, "ResourceArns")
	if len(actions) == 0 || len(actions) > 128 || len(resources) > 128 {
		return nil, &failure{400, "InvalidInput", "too many or too few actions or resources"}
	}
	for _, a := range actions {
		if !strings.Contains(a, ":") || strings.ContainsAny(a, "*?") || len(a) > 128 {
			return nil, &failure{400, "InvalidInput", "Invalid Action: " + a}
		}
	}
	context := map[string]string{}
	for i := 1; req.Params.Has(fmt.Sprintf("ContextEntries.member.%d.ContextKeyName", i)); i++ {
		prefix := fmt.Sprintf("ContextEntries.member.%d.", i)
		context[strings.ToLower(req.Params.Get(prefix+"ContextKeyName"))] = req.Params.Get(prefix + "ContextKeyValues.member.1")
	}
	var all []evaluation
	for _, a := range actions {
		if len(resources) == 0 || slices.Equal(resources, []string{"*"}) {
			d := s.evaluate(source, a, "*", context)
			all = append(all, evaluation{a, "*", d.decision, d.matched, d.missing, d.org, d.boundary, nil})
			continue
		}
		e := evaluation{EvalActionName: a, EvalResourceName: "arn:${Partition}:" + strings.Split(a, ":")[0] + ":::${Resource}", EvalDecision: implicitDeny}
		for _, r := range resources {
			d := s.evaluate(source, a, r, context)
			if d.decision == allowed {
				e.EvalDecision = allowed
			}
			e.ResourceSpecificResults = append(e.ResourceSpecificResults, resourceResult{r, d.decision, d.matched, d.missing, d.boundary})
		}
		all = append(all, e)
	}
	all, p := paged(s, req, all)
	return struct {
		Results []evaluation `xml:"EvaluationResults>member"`
		page
	}{all, p}, nil
}

func (s *Server) find(arn string) (Entity, bool) {
	for kind, all := range map[string]map[string]Entity{"user": s.account.Users, "role": s.account.Roles, "group": s.account.Groups} {
		for name, e := range all {
			if s.account.ARN(kind, name) == arn {
				return e, true
			}
		}
	}
	return Entity{}, false
}

type result struct {
	decision string
	matched  []statementRef
	missing  []string
	boundary *boundaryDetail
	org      *organizationsDetail
}

// evaluate follows "How AWS enforcement code logic evaluates requests" (IAM User Guide) for one account: organisation, then explicit
// denies, then grants, then the boundary as a ceiling.
func (s *Server) evaluate(source, action, resource string, context map[string]string) result {
	e, _ := s.find(source)
	type doc struct{ id, kind, text string }
	var docs []doc
	collect := func(e Entity, kind string) {
		for name, text := range e.Inline {
			docs = append(docs, doc{name, kind, text})
		}
		for _, arn := range e.Attached {
			managed := "user-managed"
			if strings.Contains(arn, ":iam::aws:") {
				managed = "aws-managed"
			}
			docs = append(docs, doc{last(arn), managed, s.account.Policies[arn]})
		}
	}
	kind := "user"
	if strings.Contains(source, ":role/") {
		kind = "role"
	}
	collect(e, kind)
	for _, g := range e.Groups {
		collect(s.account.Groups[g], "group")
	}
	var r result
	for _, level := range s.account.levels() {
		r.org = &organizationsDetail{true}
		allow, deny := false, false
		for _, text := range level {
			a, d, _ := applies(text, action, resource, context)
			allow, deny = allow || a, deny || d
		}
		if deny || !allow {
			r.org.AllowedByOrganizations = false
			r.decision = explicitDeny
			return r
		}
	}
	r.decision = implicitDeny
	for _, d := range docs {
		allow, deny, missing := applies(d.text, action, resource, context)
		r.missing = append(r.missing, missing...)
		ref := statementRef{d.id, d.kind}
		switch {
		case deny:
			if r.decision != explicitDeny {
				r.matched = nil
			}
			r.decision, r.matched = explicitDeny, append(r.matched, ref)
		case allow && r.decision != explicitDeny:
			r.decision, r.matched = allowed, append(r.matched, ref)
		}
	}
	if e.Boundary != "" {
		allow, deny, missing := applies(s.account.Policies[e.Boundary], action, resource, context)
		r.missing = append(r.missing, missing...)
		r.boundary = &boundaryDetail{allow && !deny}
		switch {
		case deny:
			r.decision = explicitDeny
		case !allow && r.decision == allowed:
			r.decision, r.matched = implicitDeny, nil
		}
	}
	slices.Sort(r.missing)
	r.missing = slices.Compact(r.missing)
	return r
}

// applies tells whether a document allows or denies, and which condition keys it looked for in vain.
func applies(text, action, resource string, context map[string]string) (allow, deny bool, missing []string) {
	var doc struct{ Statement json.RawMessage }
	if json.Unmarshal([]byte(text), &doc) != nil {
		return false, false, nil
	}
	statements := make([]map[string]any, 1)
	if json.Unmarshal(doc.Statement, &statements[0]) != nil && json.Unmarshal(doc.Statement, &statements) != nil {
		return false, false, nil
	}
	for _, st := range statements {
		act := anyMatch(st["Action"], action, true, context)
		if st["NotAction"] != nil {
			act = !anyMatch(st["NotAction"], action, true, context)
		}
		res := anyMatch(st["Resource"], resource, false, context)
		if st["NotResource"] != nil {
			res = !anyMatch(st["NotResource"], resource, false, context)
		}
		if !act || !res {
			continue
		}
		holds, lacking := conditions(st["Condition"], context)
		missing = append(missing, lacking...)
		if holds {
			allow = allow || st["Effect"] == "Allow"
			deny = deny || st["Effect"] == "Deny"
		}
	}
	return allow, deny, missing
}

func anyMatch(list any, s string, fold bool, context map[string]string) bool {
	values, ok := list.([]any)
	if !ok {
		values = []any{list}
	}
	for _, v := range values {
		p, ok := v.(string)
		if !ok {
			continue
		}
		p = strings.ReplaceAll(p, "${aws:username}", context["aws:username"])
		expr := "^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(p)) + "$"
		if fold {
			expr = "(?i)" + expr
		}
		if regexp.MustCompile(expr).MatchString(s) {
			return true
		}
	}
	return false
}

// conditions knows StringEquals, StringLike and Bool, with and without IfExists; of any other operator it says that the key is missing.
func conditions(block any, context map[string]string) (holds bool, missing []string) {
	operators, _ := block.(map[string]any)
	holds = true
	for operator, keys := range operators {
		base, ifExists := strings.CutSuffix(operator, "IfExists")
		for key, want := range keys.(map[string]any) {
			have, present := context[strings.ToLower(key)]
			known := base == "StringEquals" || base == "StringLike" || base == "Bool"
			if !present || !known {
				missing = append(missing, key)
				holds = holds && ifExists
				continue
			}
			holds = holds && anyMatch(want, have, base == "Bool", context)
		}
	}
	return holds, missing
}
