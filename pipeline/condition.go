package pipeline

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Events of GitLab that go by what a pipeline is for instead of by its source, as "only" has them (docs.gitlab.com/ci/yaml/deprecated_keywords): those that are not
// for a merge request.
const (
	branches = "branches"
	tags     = "tags"
)

const mergeRequest, pullRequest = "merge_request_event", "external_pull_request_event"

// sources are what CI_PIPELINE_SOURCE can be (docs.gitlab.com/ci/jobs/job_rules).
var sources = []string{
	"api", "chat", "external", pullRequest, mergeRequest, "ondemand_dast_scan", "ondemand_dast_validation", "parent_pipeline", "pipeline", "push", "schedule",
	"security_orchestration_policy", "trigger", "web", "webide",
}

// eventsOf are the events for which a job runs, nil if nothing limits them: by its rules, or the older "only".
func eventsOf(job *yaml.Node) []Event {
	if rules := get(job, "rules"); rules != nil {
		return ruled(rules)
	}
	if only := get(job, "only"); only != nil {
		return onlyEvents(only)
	}
	return nil
}

// byRefs are the events of a job that is limited by nothing but refs.
func byRefs(n *yaml.Node) []Event {
	return []Event{{Name: branches, At: at(n)}, {Name: tags, At: at(n)}}
}

// ruled are the events for which one of some rules can hold, nil if that is any.
func ruled(rules *yaml.Node) []Event {
	events := []Event{}
	for _, rule := range flat(rules, maxNestedRules) {
		if text(get(rule, "when")) == "never" {
			continue
		}
		condition := get(rule, "if")
		if text(condition) == "" {
			return nil
		}
		c := clauses{tokens: conditionTokens(condition.Value), at: at(condition)}
		events = either(events, c.or(maxDepth))
		if events == nil || len(c.tokens) > 0 {
			return nil
		}
	}
	return events
}

// maxNestedRules is how deep lists of rules lie in each other, as references put them there (docs.gitlab.com/ci/yaml/yaml_optimization).
const maxNestedRules = 10

// flat are the items of a list, and of the lists in it.
func flat(n *yaml.Node, depth int) (list []*yaml.Node) {
	for _, child := range sequence(n) {
		if depth > 0 && child.Kind == yaml.SequenceNode && child.Tag != "!reference" {
			list = append(list, flat(child, depth-1)...)
		} else {
			list = append(list, child)
		}
	}
	return list
}

// onlyEvents are those that the older "only" names, as CI_PIPELINE_SOURCE would.
func onlyEvents(only *yaml.Node) (events []Event) {
	names := map[string]string{
		"api": "api", "branches": branches, "chat": "chat", "external": "external", "external_pull_requests": pullRequest, "merge_requests": mergeRequest,
		"pipelines": "pipeline", "pushes": "push", "schedules": "schedule", "tags": tags, "triggers": "trigger", "web": "web",
	}
	refs := only
	if real(only).Kind == yaml.MappingNode {
		refs = get(only, "refs")
	}
	for _, word := range words(refs) {
		if name := names[word]; name != "" {
			events = either(events, []Event{{Name: name, At: at(real(refs))}})
		} else {
			events = either(events, byRefs(refs)) // a branch, a tag, or a pattern of them
		}
	}
	if len(events) == 0 {
		return byRefs(only)
	}
	return events
}

// both are the events of two lists at once. Nil is any.
func both(a, b []Event) []Event {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	events := []Event{}
	for _, x := range a {
		for _, y := range b {
			switch {
			case x.Name == y.Name, y.forRefs() && x.fits():
				events = either(events, []Event{x})
			case x.forRefs() && y.fits():
				events = either(events, []Event{y})
			}
		}
	}
	return events
}

// forRefs tells whether an event is that of all pipelines for a branch, or for a tag; fits whether it is one source of them.
func (e Event) forRefs() bool { return e.Name == branches || e.Name == tags }

func (e Event) fits() bool { return !e.forRefs() && e.Name != mergeRequest }

// maxEvents is more than GitLab has. Of what names as many, it is taken to be any.
const maxEvents = 100

// either are the events of two lists, each once. Nil is any.
func either(a, b []Event) []Event {
	if b == nil || len(a) > maxEvents {
		return nil
	}
	for _, e := range b {
		if !slices.ContainsFunc(a, func(have Event) bool { return have.Name == e.Name }) {
			a = append(a, e)
		}
	}
	return a
}

// clauses reads a rule's condition (docs.gitlab.com/ci/jobs/job_rules, "CI/CD variable expressions") for the events in which it can hold.
type clauses struct {
	tokens []string
	at     Position
}

func (c *clauses) next(token string) bool {
	if len(c.tokens) == 0 || c.tokens[0] != token {
		return false
	}
	c.tokens = c.tokens[1:]
	return true
}

func (c *clauses) or(depth int) []Event {
	events := c.and(depth)
	for c.next("||") {
		if more := c.and(depth); events != nil {
			events = either(events, more)
		}
	}
	return events
}

func (c *clauses) and(depth int) []Event {
	events := c.term(depth)
	for c.next("&&") {
		events = both(events, c.term(depth))
	}
	return events
}

func (c *clauses) term(depth int) []Event {
	if c.next("(") {
		if depth == 0 {
			c.tokens = []string{"("} // which nothing reads any more
			return nil
		}
		events := c.or(depth - 1)
		c.next(")")
		return events
	}
	n := slices.IndexFunc(c.tokens, func(t string) bool { return t == "&&" || t == "||" || t == "(" || t == ")" })
	if n < 0 {
		n = len(c.tokens)
	}
	one := c.tokens[:n]
	c.tokens = c.tokens[n:]
	if len(one) == 3 && !strings.HasPrefix(one[0], "$") {
		one = []string{one[2], one[1], one[0]}
	}
	switch {
	case len(one) == 0:
		return nil
	case one[0] == "$CI_PIPELINE_SOURCE":
		return c.source(one[1:])
	case len(one) > 1 && (len(one) != 3 || !asksForValue(one[1], one[2])):
		return nil // so it is where the variable is not set
	}
	switch name := strings.TrimPrefix(one[0], "$"); {
	case name == "CI_COMMIT_BRANCH":
		return []Event{{Name: branches, At: c.at}}
	case name == "CI_COMMIT_TAG":
		return []Event{{Name: tags, At: c.at}}
	case strings.HasPrefix(name, "CI_MERGE_REQUEST_"):
		return []Event{{Name: mergeRequest, At: c.at}}
	case strings.HasPrefix(name, "CI_EXTERNAL_PULL_REQUEST_"):
		return []Event{{Name: pullRequest, At: c.at}}
	}
	return nil
}

// asksForValue tells whether a comparison holds only where its variable is set. Where it is not, GitLab takes it for null, which differs from "", and for "" where it looks for a
// pattern in it. Of other variables only the default branch is sure to be set.
func asksForValue(operator, other string) bool {
	switch operator {
	case "==":
		return other == "$CI_DEFAULT_BRANCH" || len(other) > 1 && other[0] == '"'
	case "!=":
		return other == "null"
	case "=~":
		if pattern, is := strings.CutPrefix(other, "/"); is {
			re, err := regexp.Compile(pattern)
			return err == nil && !re.MatchString("")
		}
	}
	return false
}

// source are the events whose source an operator with its other side asks for.
func (c *clauses) source(is []string) []Event {
	if len(is) != 2 || len(is[1]) == 0 {
		return nil
	}
	var holds func(string) bool
	switch kind, other := is[1][0], is[1][1:]; {
	case kind == '"' && is[0] == "==":
		return []Event{{Name: other, At: c.at}}
	case kind == '"' && is[0] == "!=":
		holds = func(source string) bool { return source != other }
	case kind == '/':
		re, err := regexp.Compile(other) // GitLab's are of RE2, too
		if err != nil || is[0] != "=~" && is[0] != "!~" {
			return nil
		}
		holds = func(source string) bool { return re.MatchString(source) == (is[0] == "=~") }
	default:
		return nil
	}
	events := []Event{}
	for _, source := range sources {
		if holds(source) {
			events = append(events, Event{Name: source, At: c.at})
		}
	}
	return events
}

// conditionTokens splits the condition of a rule: variables with their dollar, strings with a quote in front, patterns with a slash, and their flags as RE2 has them, operators,
// null. It has none of one that breaks off.
func conditionTokens(s string) (tokens []string) {
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case '"', '\'', '/':
			end, mark := i+1, `"`
			for end < len(s) && s[end] != c {
				if c == '/' && s[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(s) {
				return nil
			}
			inside := s[i+1 : end]
			i = end + 1
			if c == '/' {
				mark = "/"
				if n := len(s[i:]) - len(strings.TrimLeft(s[i:], "ismU")); n > 0 {
					inside = "(?" + s[i:i+n] + ")" + inside
					i += n
				}
			}
			tokens = append(tokens, mark+inside)
		case '$':
			n := nameLength(s[i+1:])
			tokens = append(tokens, s[i:i+1+n])
			i += n + 1
		case '=', '!', '&', '|':
			n := min(2, len(s)-i)
			tokens = append(tokens, s[i:i+n])
			i += n
		case '(', ')':
			tokens = append(tokens, s[i:i+1])
			i++
		default:
			n := max(nameLength(s[i:]), 1)
			if word := s[i : i+n]; word == "null" {
				tokens = append(tokens, word)
			}
			i += n
		}
	}
	return tokens
}
