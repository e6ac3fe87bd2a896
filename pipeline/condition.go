package pipeline

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// eventsOf collects the pipeline sources that rules ask for: those that CI_PIPELINE_SOURCE is compared with.
func eventsOf(rules *yaml.Node) (events []Event) {
	for _, rule := range sequence(rules) {
		condition := get(rule, "if")
		if text(condition) == "" || text(get(rule, "when")) == "never" {
			continue
		}
		tokens := conditionTokens(condition.Value)
		for i := 0; i+2 < len(tokens); i++ {
			if tokens[i] == "$CI_PIPELINE_SOURCE" && tokens[i+1] == "==" && strings.HasPrefix(tokens[i+2], `"`) {
				events = append(events, Event{Name: tokens[i+2][1:], At: at(condition)})
			}
		}
	}
	return events
}

// onlyEvents are the pipeline sources that the older "only" names, as CI_PIPELINE_SOURCE would.
func onlyEvents(only *yaml.Node) (events []Event) {
	names := map[string]string{
		"api": "api", "chat": "chat", "external": "external", "external_pull_requests": "external_pull_request_event",
		"merge_requests": "merge_request_event", "pipelines": "pipeline", "pushes": "push", "schedules": "schedule",
		"triggers": "trigger", "web": "web",
	}
	if refs := get(only, "refs"); refs != nil {
		only = refs
	}
	for _, word := range words(only) {
		if name := names[word]; name != "" {
			events = append(events, Event{Name: name, At: at(real(only))})
		}
	}
	return events
}

// conditionTokens splits the condition of a rule: variables with their dollar, strings with a quote in front, patterns with a slash, operators.
func conditionTokens(s string) (tokens []string) {
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case '"', '\'', '/':
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				return tokens
			}
			mark := `"`
			if c == '/' {
				mark = "/"
			}
			tokens = append(tokens, mark+s[i+1:i+1+end])
			i += end + 2
		case '$':
			n := nameLength(s[i+1:])
			tokens = append(tokens, s[i:i+1+n])
			i += n + 1
		case '=', '!', '&', '|':
			n := min(2, len(s)-i)
			tokens = append(tokens, s[i:i+n])
			i += n
		default:
			i++
		}
	}
	return tokens
}
